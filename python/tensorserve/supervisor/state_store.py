# SPDX-License-Identifier: Apache-2.0
"""The one store of what must survive a restart: a file of JSON, written as a whole or not at all."""

import errno
import fcntl
import json
import logging
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Any

logger = logging.getLogger(__name__)

_FILE = "state.json"
_LOCK = "lock"

# Another server holds the lock while it writes a small file.
_LOCK_SECONDS = 0.5
_LOCK_PAUSE_SECONDS = 0.01

_Sections = dict[str, dict[str, Any]]


def default_state_dir() -> str:
    """`tensorserve` in the user's folder for state, by the XDG rules."""
    folder = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(folder, "tensorserve")


class StateStore:
    """Values by section and key. Several servers may share a folder: each changes only what it means to.

    What cannot be written is kept, and written with the next change. Nothing here waits for others without end: the
    supervisor's loop stands still meanwhile.

    Args:
        folder: `--state_dir`; empty for the default.
    """

    def __init__(self, folder: str = "") -> None:
        self._folder = folder or default_state_dir()
        self._unwritten: _Sections = {}
        self._fails = False
        try:
            with self._locked():
                self._read()
            if not os.access(self._folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), self._folder)
        except OSError as error:
            self._failed(error)

    def __str__(self) -> str:
        return os.path.join(self._folder, _FILE)

    def get(self, section: str) -> dict[str, Any]:
        """The values of a section, by key, as they were written last."""
        with suppress(OSError):
            return self._read().get(section, {})
        return {}

    def change(self, section: str, values: Mapping[str, Any]) -> None:
        """Keeps values; None removes one."""
        self._unwritten.setdefault(section, {}).update(values)
        try:
            with self._locked():
                sections = self._read()
                for name, changed in self._unwritten.items():
                    merged = {**sections.get(name, {}), **changed}
                    sections[name] = {key: value for key, value in merged.items() if value is not None}
                self._write(sections)
        except OSError as error:
            self._failed(error)
            return
        self._unwritten = {}
        if self._fails:
            self._fails = False
            logger.info("%s is written to again.", self)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        os.makedirs(self._folder, exist_ok=True)
        path = os.path.join(self._folder, _LOCK)
        with _open_file(path, os.O_WRONLY | os.O_CREAT) as file:
            _lock(file, path)
            yield

    def _read(self) -> _Sections:
        try:
            with _open_file(str(self), os.O_RDONLY) as file:
                found = json.load(file)
        except FileNotFoundError:
            return {}
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict) and all(isinstance(section, dict) for section in found.values()):
            return found
        logger.warning("%s is damaged and begun anew.", self)
        return {}

    def _write(self, sections: _Sections) -> None:
        beside = f"{self}.{os.getpid()}"
        try:
            with _open_file(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
                json.dump(sections, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, str(self))
        except BaseException:
            with suppress(OSError):
                os.unlink(beside)
            raise

    def _failed(self, error: OSError) -> None:
        if self._fails:
            return
        self._fails = True
        place = error.filename or self._folder
        reason = error.strerror or error
        logger.warning(
            "Nothing is remembered beyond this process: %s: %s. See --state_dir. The next change tries again.",
            place,
            reason,
        )


def _open_file(path: str, flags: int) -> IO[str]:
    """Opens a file, and nothing that one may wait for, such as a FIFO. Raises OSError."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no file", path)
        return open(descriptor, "r" if flags & os.O_ACCMODE == os.O_RDONLY else "w", encoding="utf-8")
    except BaseException:
        os.close(descriptor)
        raise


def _lock(file: IO[str], path: str) -> None:
    """Raises OSError: another process does not give the lock back in time."""
    until = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() >= until:
                raise OSError(error.errno, "another process has locked it", path) from None
        time.sleep(_LOCK_PAUSE_SECONDS)
