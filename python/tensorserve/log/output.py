# SPDX-License-Identifier: Apache-2.0
"""Sends what this process has to say to its log."""

import atexit
import io
import logging
import os
import sys
import threading
import time
from collections.abc import Callable

from tensorserve.log.descriptors import open_standard_descriptors, stop_waiting_for
from tensorserve.log.journal import Journal
from tensorserve.log.layout import layout_for
from tensorserve.log.lines import cleaned, text_of
from tensorserve.log.record import Record
from tensorserve.log.writer import LogWriter

_LOGGER = "tensorserve"
_STDOUT, _STDERR = 1, 2
_LONGEST_LINE = 32 << 10

FLUSH_SECONDS = 1.0
"""How long a program that ends waits for its log to be written, since nobody may read it."""

# TensorFlow's least level for each of ours.
_TENSORFLOW_LEVELS = {"debug": "0", "info": "1", "warning": "1", "error": "2"}

_writer: LogWriter | None = None
_journal: Journal | None = None


def configure_logging(level: str, layout: str = "text") -> Journal:
    """Sends the log of this package, and whatever else Python code writes to stderr, to the log on descriptor 2.

    Only the command line does this; a program that embeds a server decides.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        layout: `text` or `json`.

    Returns:
        What takes all records, also those of other processes.
    """
    global _journal
    line_of = layout_for(layout, _STDERR)
    writer = _open(_STDERR, lambda number: line_of(_dropped(number)))
    _journal = Journal(logging.getLevelName(level.upper()), line_of, writer.write)
    _send(level, _journal.take)
    return _journal


def configure_supervised_logging(level: str, descriptor: int) -> None:
    """The same in a server whose supervisor has the log.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        descriptor: Where the supervisor takes records.
    """
    writer = _open(descriptor, lambda number: _dropped(number).encoded())
    _send(level, lambda record: writer.write(record.encoded()))


def limit_tensorflow(level: str) -> None:
    """Has TensorFlow write no line below a level, unless TF_CPP_MIN_LOG_LEVEL says otherwise.

    For a process without a supervisor, whose descriptor TensorFlow writes to by itself. Before TensorFlow is opened.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", _TENSORFLOW_LEVELS[level])


def set_log_level(level: str) -> None:
    """From now on lines of this level are written too, or are not; `debug`, `info`, `warning` or `error`."""
    logging.getLogger(_LOGGER).setLevel(level.upper())
    if _journal is not None:
        _journal.level = logging.getLevelName(level.upper())


def log_level() -> str:
    """The present level: `debug`, `info`, `warning` or `error`."""
    return logging.getLevelName(logging.getLogger(_LOGGER).getEffectiveLevel()).lower()


def flush_log(seconds: float = FLUSH_SECONDS) -> None:
    """Waits until the log is written, at most this long."""
    if _journal is not None:
        _journal.tell_folded()
    if _writer is not None:
        _writer.flush(seconds)


def _open(descriptor: int, notice: Callable[[int], str]) -> LogWriter:
    global _writer
    open_standard_descriptors()
    for number in (_STDOUT, _STDERR):
        stop_waiting_for(number)
    if _writer is None:
        _writer = LogWriter(descriptor, notice)
        atexit.register(flush_log, FLUSH_SECONDS)
    return _writer


def _send(level: str, take: Callable[[Record], None]) -> None:
    logger = logging.getLogger(_LOGGER)
    logger.handlers[:] = [_Handler(take)]
    logger.propagate = False
    logger.setLevel(level.upper())
    sys.stderr = _Stream(take)


def _dropped(number: int) -> Record:
    return Record(logging.WARNING, f"{number} lines dropped: the log did not take them.", time.time(), _LOGGER)


class _Handler(logging.Handler):
    def __init__(self, take: Callable[[Record], None]) -> None:
        super().__init__()
        self._take = take

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields = getattr(record, "fields", {})
            kind = getattr(record, "kind", "")
            self._take(Record(record.levelno, text_of(record), record.created, record.name, fields, kind))
        except Exception:
            self.handleError(record)


class _Stream(io.TextIOBase):
    """Takes the place of `sys.stderr`: what is written there becomes lines of the log."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, take: Callable[[Record], None]) -> None:
        super().__init__()
        self._take = take
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
            if shown := cleaned(line.encode(errors="backslashreplace")):
                self._take(Record(logging.WARNING, shown, time.time(), "stderr", is_plain=True))
        return len(text)
