# SPDX-License-Identifier: Apache-2.0
"""Writes lines without ever making anybody wait."""

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable

_WAIT_MILLISECONDS = 1000
_LEAST_WAIT_SECONDS = 0.002
_RETRY_SECONDS = 0.1


class LogWriter:
    """Writes lines to a descriptor, in a thread of its own.

    What cannot be written is dropped: a line that fails (a full disk, a pipe that nobody holds any more), and those
    that come while too many wait (nobody reads the pipe). How many they were stands in the log where they would be.

    Args:
        descriptor: Where lines are written.
        notice: Words, as a line, that a number of lines was dropped.
        max_bytes: How much may wait.
        max_line_bytes: What of a line is written.
    """

    def __init__(
        self,
        descriptor: int,
        notice: Callable[[int], str],
        max_bytes: int = 1 << 20,
        max_line_bytes: int = 32 << 10,
    ) -> None:
        self._descriptor = descriptor
        self._notice = notice
        self._max_bytes = max_bytes
        self._max_line_bytes = max_line_bytes
        # Lines, and between them how many are missing there. Finalizers may log while the lock is held, so it is one
        # that the same thread can take again.
        self._waiting: deque[bytes | int] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition(threading.RLock())
        self._thread: threading.Thread | None = None
        self._is_writing = False
        # Belongs to the thread: what was dropped and is not told yet.
        self._missing = 0

    def write(self, line: str) -> None:
        """Queues a line, without its end. Never waits, and never raises an OSError."""
        encoded = line.encode(errors="backslashreplace")
        if len(encoded) > self._max_line_bytes:
            encoded = encoded[: self._max_line_bytes] + b" ... (%d bytes in all)" % len(encoded)
        with self._changed:
            self._queue(encoded + b"\n")
            self._start()
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Waits until everything is written, at most so long. False if it is not."""
        with self._changed:
            self._start()
            return self._changed.wait_for(lambda: not self._waiting and not self._is_writing, seconds)

    def _queue(self, line: bytes) -> None:
        if self._waiting_bytes + len(line) <= self._max_bytes:
            self._waiting.append(line)
            self._waiting_bytes += len(line)
        elif self._waiting and isinstance(self._waiting[-1], int):
            self._waiting[-1] += 1
        else:
            self._waiting.append(1)

    def _start(self) -> None:
        if self._thread is None and self._waiting:
            thread = threading.Thread(target=self._run, name="log", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # There are too many threads; the next line tries again.
                return
            self._thread = thread

    def _run(self) -> None:
        while True:
            try:
                self._write_next()
            except BaseException:  # Nowhere to tell it.
                time.sleep(_RETRY_SECONDS)

    def _write_next(self) -> None:
        with self._changed:
            self._is_writing = False
            self._changed.notify_all()
            while not self._waiting:
                self._changed.wait()
            entry = self._waiting.popleft()
            if isinstance(entry, bytes):
                self._waiting_bytes -= len(entry)
            is_last = not self._waiting
            self._is_writing = True
        if isinstance(entry, int):
            self._missing += entry
            if is_last:
                self._tell_missing()
        elif not self._tell_missing() or not self._write_all(entry):
            self._missing += 1

    def _tell_missing(self) -> bool:
        if self._missing and not self._write_all(f"{self._notice(self._missing)}\n".encode()):
            return False
        self._missing = 0
        return True

    def _write_all(self, line: bytes) -> bool:
        """Waits as long as it takes. False if it cannot be written."""
        while line:
            try:
                line = line[os.write(self._descriptor, line) :]
            except BlockingIOError:
                self._wait()
            except OSError:
                return False
        return True

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        poll.poll(_WAIT_MILLISECONDS)
        # Some descriptors say that they can be written to, and then take nothing.
        time.sleep(_LEAST_WAIT_SECONDS)
