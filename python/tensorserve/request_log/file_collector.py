# SPDX-License-Identifier: Apache-2.0
"""Keeps records in TFRecord files, each of limited size and age."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tensorserve.config.flags import ServerOptions
from tensorserve.errors import Code, ServingError
from tensorserve.types import LoggingConfig

logger = logging.getLogger(__name__)

SUFFIX = ".tfrecord"
_PAUSE_SECONDS = 1.0
"""After a failure nothing is tried for so long."""
_MODE = 0o640


@dataclass(frozen=True, slots=True)
class FileLimits:
    """When a new file is begun, and how many stay.

    Attributes:
        max_bytes: A file does not grow beyond this, unless one batch is larger.
        max_seconds: Nothing is added to a file that is older.
        max_files: The number of files that stay, the newest ones; 0 means all.
    """

    max_bytes: int = 256 << 20
    max_seconds: float = 3600.0
    max_files: int = 0


class FileCollector:
    """Writes `PREFIX-YYYYMMDD-HHMMSS-PROCESS-NUMBER.tfrecord`, times in UTC.

    Each batch of records is written at once. What a failed write left is cut off, so a file holds whole records.
    Nothing is raised: records that cannot be written are counted and lost, and the next ones are tried again.

    Args:
        prefix: First part of the files' names, with their folder, which is made if it is missing.
        limits: When a new file is begun.
        clock: The time in seconds.
    """

    def __init__(self, prefix: str, limits: FileLimits, clock: Callable[[], float] = time.time) -> None:
        self._prefix = prefix if os.path.basename(prefix) else os.path.join(prefix, "requests")
        self._limits = limits
        self._clock = clock
        self._file: _OpenFile | None = None
        self._number = 0
        self._lost = 0
        self._retry_at = 0.0

    @classmethod
    def of(cls, config: LoggingConfig, options: ServerOptions) -> FileCollector:
        """The collector that a model's configuration and the flags describe.

        Raises:
            ServingError: INVALID_ARGUMENT: there is no prefix.
        """
        if not config.filename_prefix:
            message = "log_collector_config needs a filename_prefix to write request logs to."
            raise ServingError(Code.INVALID_ARGUMENT, message)
        limits = FileLimits(
            max_bytes=options.request_log_max_file_mb << 20,
            max_seconds=options.request_log_max_file_seconds,
            max_files=options.request_log_max_files,
        )
        return cls(config.filename_prefix, limits)

    def collect(self, records: Sequence[bytes]) -> None:
        """Writes the records behind those that are there."""
        from tensorserve import _core

        if self._lost and time.monotonic() < self._retry_at:
            self._lost += len(records)
            return
        try:
            self._write(_core.tfrecords(list(records)))
        except OSError as error:
            self._fail(len(records), error)
        else:
            self._recover()

    def flush(self) -> None:
        """Ends a file that is too old."""
        if self._file is not None and self._is_old(self._file):
            self.close()

    def close(self) -> None:
        """Ends the present file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, data: bytes) -> None:
        file = self._file
        if file is not None and (
            self._is_old(file) or file.size + len(data) > self._limits.max_bytes or not file.is_in_place()
        ):
            self.close()
        if self._file is None:
            self._file = self._open()
            self._remove_old()
        self._file.append(data)

    def _is_old(self, file: _OpenFile) -> bool:
        return self._clock() - file.opened >= self._limits.max_seconds

    def _open(self) -> _OpenFile:
        os.makedirs(os.path.dirname(self._prefix) or ".", exist_ok=True)
        self._number += 1
        now = self._clock()
        when = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
        return _OpenFile(f"{self._prefix}-{when}-{os.getpid()}-{self._number:06d}{SUFFIX}", now)

    def _remove_old(self) -> None:
        if self._limits.max_files <= 0:
            return
        for path in files_of(self._prefix)[: -self._limits.max_files]:
            try:
                os.remove(path)
            except OSError as error:
                logger.warning("Cannot remove the old request log %s: %s", path, error)

    def _fail(self, records: int, error: OSError) -> None:
        if not self._lost:
            logger.error(
                "Cannot write request logs to %s: %s; their records are lost until it works.", self._prefix, error
            )
        self._lost += records
        self._retry_at = time.monotonic() + _PAUSE_SECONDS
        self.close()

    def _recover(self) -> None:
        if self._lost:
            logger.warning("Request logs are written to %s again; %d records were lost.", self._prefix, self._lost)
            self._lost = 0


class _OpenFile:
    """A file that is written to."""

    def __init__(self, path: str, opened: float) -> None:
        self.path = path
        self.opened = opened
        self.size = 0
        self._descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, _MODE)

    def append(self, data: bytes) -> None:
        """Writes all of `data` or nothing. Raises OSError."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(data)

    def is_in_place(self) -> bool:
        """Whether the file still has its name; somebody may have moved or removed it."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._descriptor))
        except OSError:
            return False

    def close(self) -> None:
        """Ends the file."""
        os.close(self._descriptor)


def files_of(prefix: str) -> list[str]:
    """The files that collectors with this prefix have written, the oldest first."""
    folder, name = os.path.split(prefix)
    pattern = re.compile(re.escape(name) + r"-(\d{8}-\d{6})-\d+-(\d+)" + re.escape(SUFFIX))
    found = []
    for entry in os.listdir(folder or "."):
        if match := pattern.fullmatch(entry):
            found.append((match[1], match[2], os.path.join(folder, entry)))
    return [path for _, _, path in sorted(found)]
