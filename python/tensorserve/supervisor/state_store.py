# SPDX-License-Identifier: Apache-2.0
"""The one store of what must survive a restart: a file of JSON, written as a whole or not at all."""

import errno
import fcntl
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

logger = logging.getLogger(__name__)

_FILE = "state.json"
_LOCK = "lock"

_Sections = dict[str, dict[str, Any]]


def default_state_dir() -> str:
    """`tensorserve` in the user's folder for state, by the XDG rules."""
    folder = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(folder, "tensorserve")


class StateStore:
    """Values by section and key. Several servers may share a folder: each changes only what it means to.

    Without a folder that can be written to, nothing outlives the process.

    Args:
        folder: `--state_dir`; empty for the default.
    """

    def __init__(self, folder: str = "") -> None:
        self._folder = folder or default_state_dir()
        self._usable = True
        try:
            os.makedirs(self._folder, exist_ok=True)
            with self._locked():
                self._read()
            if not os.access(self._folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), self._folder)
        except OSError as error:
            self._give_up(error)

    def get(self, section: str) -> dict[str, Any]:
        """The values of a section, by key."""
        if self._usable:
            with suppress(OSError):
                return self._read().get(section, {})
        return {}

    def change(self, section: str, values: Mapping[str, Any]) -> None:
        """Keeps values; None removes one."""
        if not self._usable:
            return
        try:
            with self._locked():
                sections = self._read()
                merged = {**sections.get(section, {}), **values}
                sections[section] = {key: value for key, value in merged.items() if value is not None}
                self._write(sections)
        except OSError as error:
            self._give_up(error)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with open(os.path.join(self._folder, _LOCK), "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _read(self) -> _Sections:
        path = os.path.join(self._folder, _FILE)
        try:
            with open(path, encoding="utf-8") as file:
                found = json.load(file)
        except FileNotFoundError:
            return {}
        except ValueError:
            logger.warning("%s is damaged and begun anew.", path)
            return {}
        is_sound = isinstance(found, dict) and all(isinstance(section, dict) for section in found.values())
        return found if is_sound else {}

    def _write(self, sections: _Sections) -> None:
        path = os.path.join(self._folder, _FILE)
        beside = f"{path}.{os.getpid()}"
        try:
            with open(beside, "w", encoding="utf-8") as file:
                json.dump(sections, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(beside)
            raise

    def _give_up(self, error: OSError) -> None:
        self._usable = False
        reason = error.strerror or error
        logger.warning("Nothing is remembered beyond this process: %s: %s. See --state_dir.", self._folder, reason)
