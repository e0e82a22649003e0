# SPDX-License-Identifier: Apache-2.0
"""Reads what TensorFlow and other native code write to standard error by themselves."""

import logging
import re
import time
from collections.abc import Iterable, Iterator

from tensorserve.log.lines import cleaned
from tensorserve.log.record import TENSORFLOW, Record

# What TensorFlow informs of (each step of each load) is for whoever debugs a model.
_LEVELS = {"I": logging.DEBUG, "W": logging.WARNING, "E": logging.ERROR, "F": logging.CRITICAL}

_BANNER = "All log messages before absl::InitializeLog() is called are written to STDERR"

# `W0000 00:00:1795941148.084790   12567 op_kernel.cc:1858] text`: the time is since 1970.
_EARLY = re.compile(r"([IWEF])\d{4} 00:00:(\d{9,11}\.\d{6}) +\d+ ([^\s\]]+:\d+)\] ?(.*)")
# `W0711 12:00:00.084790   12567 op_kernel.cc:1858] text`
_LATER = re.compile(r"([IWEF])\d{4} \d\d:\d\d:\d\d\.\d{6}() +\d+ ([^\s\]]+:\d+)\] ?(.*)")
# `2026-01-01 12:00:00.123456: W tensorflow/core/framework/op_kernel.cc:1858] text`
_OLD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}(): ([IWEF]) ([^\s\]]+:\d+)\] ?(.*)")

# Lines of one message; further ones are messages of their own.
_MOST_LINES = 50


class NativeLines:
    """Makes records of lines. Knows what the lines before said, since a message may have several."""

    def __init__(self) -> None:
        self._last: Record | None = None

    def records(self, lines: Iterable[bytes]) -> Iterator[Record]:
        """The records of lines that arrived together, without their ends."""
        message: list[str] = []
        head: Record | None = None
        for line in map(cleaned, lines):
            if not line or _BANNER in line:
                continue
            begun = _head(line)
            if begun is None and head is not None and len(message) < _MOST_LINES:
                message.append(line)
                continue
            yield from self._whole(head, message)
            head, message = begun, []
            if begun is None:
                yield self._rest(line)
        yield from self._whole(head, message)

    def _whole(self, head: Record | None, more: list[str]) -> Iterator[Record]:
        if head is not None:
            self._last = head
            yield Record(head.level, "\n".join([head.text, *more]), head.seconds, head.logger, head.fields, head.kind)

    def _rest(self, line: str) -> Record:
        """A line without a head: the rest of a message that arrived before, or what somebody else wrote.

        Last words have no level, and must not be lost.
        """
        last = self._last
        if last is not None and line.startswith(("\t", "  ")):
            return Record(last.level, line, time.time(), last.logger, {}, last.kind, is_plain=True)
        self._last = None
        return Record(logging.ERROR, line, time.time(), "native", {}, _without_numbers(line), is_plain=True)


def _head(line: str) -> Record | None:
    """The record that a line begins, if it is the first of a message of TensorFlow."""
    if found := _EARLY.match(line) or _LATER.match(line):
        letter, clock, source, text = found.groups()
    elif found := _OLD.match(line):
        clock, letter, source, text = found.groups()
    else:
        return None
    seconds = float(clock) if clock else time.time()
    source = source.rpartition("/")[2]
    return Record(_LEVELS[letter], text, seconds, TENSORFLOW, {"source": source}, source)


def _without_numbers(line: str) -> str:
    return re.sub(r"\d+", "0", line)[:200]
