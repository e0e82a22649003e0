# SPDX-License-Identifier: Apache-2.0
"""Sends what this process has to say to its log."""

import atexit
import io
import logging
import sys
import threading
import time

from tensorserve.log.descriptors import open_standard_descriptors, stop_waiting_for
from tensorserve.log.lines import LineFormatter, cleaned, log_line
from tensorserve.log.writer import LogWriter

_LOGGER = "tensorserve"
_STDOUT, _STDERR = 1, 2
_LONGEST_LINE = 32 << 10

# What an exception that ends the program says must come out.
_LAST_SECONDS = 1.0

_writer: LogWriter | None = None


def configure_logging(level: str) -> LogWriter:
    """Sends the log of this package, and whatever else Python code writes to stderr, to the log on descriptor 2.

    Only the command line does this; a program that embeds a server decides.

    Args:
        level: `debug`, `info`, `warning` or `error`.

    Returns:
        What writes the log.
    """
    global _writer
    open_standard_descriptors()
    for descriptor in (_STDOUT, _STDERR):
        stop_waiting_for(descriptor)
    if _writer is None:
        _writer = LogWriter(_STDERR, _notice)
        atexit.register(flush_log, _LAST_SECONDS)
    handler = _Handler(_writer)
    handler.setFormatter(LineFormatter())
    logger = logging.getLogger(_LOGGER)
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(level.upper())
    sys.stderr = _Stream(_writer)
    return _writer


def flush_log(seconds: float) -> None:
    """Waits until the log is written, at most so long."""
    if _writer is not None:
        _writer.flush(seconds)


def _notice(number: int) -> str:
    return log_line(logging.WARNING, f"{number} lines dropped: the log did not take them.", time.time())


class _Handler(logging.Handler):
    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer.write(self.format(record))
        except Exception:
            self.handleError(record)


class _Stream(io.TextIOBase):
    """Takes the place of `sys.stderr`: what is written there becomes lines of the log."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self._writer = writer
        self._begun = ""
        self._lock = threading.RLock()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return _STDERR

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._begun = (self._begun + text).split("\n")
            if len(self._begun) > _LONGEST_LINE:
                lines, self._begun = [*lines, self._begun], ""
        for line in lines:
            self._writer.write(cleaned(line.encode(errors="backslashreplace")))
        return len(text)
