# SPDX-License-Identifier: Apache-2.0
"""Puts a version into its place: written beside the others under a name that no server looks at, then renamed."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from types import TracebackType

from tensorserve.errors import Code, ServingError
from tensorserve.sources.completeness import FILE_LIST
from tensorserve.sources.version_directory import version_number

_STAGING = ".exporting-"
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY)


def next_version(base_path: str) -> int:
    """The number after the highest version under a base path; 1 if there is none.

    Raises:
        OSError: The base path is there and cannot be read.
    """
    try:
        names = os.listdir(base_path)
    except FileNotFoundError:
        return 1
    return max((number for name in names if (number := version_number(name)) is not None), default=0) + 1


class Publication:
    """A version that is being written. As a context manager it gives a folder.

    Leaving it without `publish` removes the folder, and those above it that were made for it.

    Args:
        base_path: Where versions lie; made if it is not there.
        version: The number to publish as; None for the next one.

    Raises:
        ServingError: ALREADY_EXISTS if the version is there, INVALID_ARGUMENT if the base path cannot hold versions.
        OSError: The folder cannot be made.
    """

    def __init__(self, base_path: str, version: int | None = None) -> None:
        if "://" in base_path:
            text = f"{base_path} is a URL. Export to a folder, and copy the version to the object store from there."
            raise ServingError(Code.INVALID_ARGUMENT, text)
        if os.path.exists(os.path.join(base_path, "saved_model.pb")):
            text = f"{base_path} is a version itself; name the folder that holds versions"
            raise ServingError(Code.INVALID_ARGUMENT, text)
        self._base_path = os.path.abspath(base_path)
        self._version = version
        if version is not None:
            self._refuse_taken(version)

    def __enter__(self) -> Publication:
        self._made = _missing_folders(self._base_path)
        os.makedirs(self._base_path, exist_ok=True)
        _remove_abandoned(self._base_path)
        self.folder = os.path.join(self._base_path, f"{_STAGING}{os.getpid()}-{os.urandom(4).hex()}")
        os.mkdir(self.folder)
        # Held as long as this process writes; the system drops it if the process dies.
        self._lock = os.open(self.folder, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)  # It is not there any more if it was published.
        os.close(self._lock)
        for path in self._made:
            try:
                os.rmdir(path)
            except OSError:
                break  # A version is in it, or somebody else's file.

    def publish(self) -> tuple[int, str]:
        """Makes the version appear, whole. Gives its number and its folder.

        Raises:
            ServingError: ALREADY_EXISTS, someone else has published this version meanwhile.
            OSError: It cannot be written to the disk.
        """
        _list_files(self.folder)
        _flush(self.folder)
        while True:
            number = next_version(self._base_path) if self._version is None else self._version
            target = os.path.join(self._base_path, str(number))
            try:
                os.rename(self.folder, target)
            except OSError as error:
                if error.errno not in _TAKEN:
                    raise
                # Another export has taken this number since it was looked up.
                if self._version is not None:
                    self._refuse_taken(number)
                continue
            _flush_one(self._base_path)
            return number, target

    def _refuse_taken(self, version: int) -> None:
        path = os.path.join(self._base_path, str(version))
        if os.path.exists(path):
            text = f"{path} is there already. Servers may be using it; export as another version, or as the next one."
            raise ServingError(Code.ALREADY_EXISTS, text)


def _missing_folders(path: str) -> list[str]:
    """The folders that are to be made for a path, the innermost first."""
    missing = []
    while not os.path.exists(path):
        missing.append(path)
        path = os.path.dirname(path)
    return missing


def _remove_abandoned(base_path: str) -> None:
    """Removes what exports have left that were killed."""
    for name in os.listdir(base_path):
        if not name.startswith(_STAGING):
            continue
        path = os.path.join(base_path, name)
        try:
            lock = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except OSError:
            pass  # Its export is still writing.
        finally:
            os.close(lock)


def _list_files(folder: str) -> None:
    """Notes how large each file is, so that a server knows of a copy at once that it is whole."""
    sizes = {}
    for root, _folders, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            sizes[os.path.relpath(path, folder)] = os.path.getsize(path)
    path = os.path.join(folder, FILE_LIST)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"files": dict(sorted(sizes.items()))}, file)


def _flush(folder: str) -> None:
    """Makes sure that all files are on the disk, which is where a full disk is told at last."""
    for root, _folders, names in os.walk(folder):
        for name in names:
            _flush_one(os.path.join(root, name))
        _flush_one(root)


def _flush_one(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
