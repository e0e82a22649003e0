# SPDX-License-Identifier: Apache-2.0
"""Versions that are not loaded because they ended the server."""

import hashlib
import os
import threading
from collections.abc import Mapping
from typing import Protocol

from tensorserve.errors import Code, ServingError
from tensorserve.lifecycle.events import Event
from tensorserve.log import set_log_level
from tensorserve.types import ServableId

QUARANTINED = "quarantined: "
"""How the reason of each begins."""


class Quarantine:
    """Which versions are not loaded. Any thread may call it.

    Args:
        versions: Fingerprint and reason of each, by where its source found it.
    """

    def __init__(self, versions: Mapping[str, tuple[str, str]] | None = None) -> None:
        self._versions = dict(versions or {})
        self._lock = threading.Lock()

    def reason(self, path: str) -> str:
        """Why the version at a path is not loaded; empty if it is, or if its files have changed since."""
        with self._lock:
            found = self._versions.get(path)
        if found is None:
            return ""
        known, reason = found
        return reason if fingerprint(path) == known else ""

    def release(self, path: str) -> None:
        """It may be loaded again."""
        with self._lock:
            self._versions.pop(path, None)


class Supervision(Protocol):
    """Whoever watches over the process, and keeps count of the deaths of earlier ones."""

    @property
    def quarantine(self) -> Quarantine:
        """The versions that are not loaded."""

    def loading(self, id: ServableId, path: str, local_path: str) -> None:
        """A version that its source found at a path is loaded from a local one."""

    def take_in(self, event: Event) -> None:
        """Hears of every event."""

    def release(self, model: str, version: int) -> None:
        """Nothing is held against a version any more."""

    def set_log_level(self, level: str) -> None:
        """From now on the log has lines of this level too, or has not; `debug`, `info`, `warning` or `error`."""

    def restart(self, timeout_seconds: float | None = None) -> None:
        """Has another process take the place of this one, and waits until it does.

        Args:
            timeout_seconds: How long to wait; None means for ever.

        Raises:
            ServingError: FAILED_PRECONDITION: why it does not; DEADLINE_EXCEEDED: it may still.
        """


class Unsupervised:
    """Nobody does."""

    def __init__(self) -> None:
        self.quarantine = Quarantine()

    def loading(self, id: ServableId, path: str, local_path: str) -> None:
        """Nobody wants to know."""

    def take_in(self, event: Event) -> None:
        """The same."""

    def release(self, model: str, version: int) -> None:
        """Nothing is."""

    def set_log_level(self, level: str) -> None:
        set_log_level(level)

    def restart(self, timeout_seconds: float | None = None) -> None:
        """Nobody could start it."""
        raise ServingError(Code.FAILED_PRECONDITION, "This server has no supervisor (--supervise).")


def fingerprint(path: str) -> str:
    """What tells the files of a version's directory from others: their names, sizes and times; empty for URLs."""
    digest = hashlib.sha256()
    for folder, folders, files in os.walk(path):
        folders.sort()
        for name in sorted(files):
            file = os.path.join(folder, name)
            try:
                status = os.stat(file)
            except OSError:
                continue
            digest.update(f"{os.path.relpath(file, path)}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest() if os.path.isdir(path) else ""
