# SPDX-License-Identifier: Apache-2.0
"""What a server has to say: taken from its pipes to the log, and its last words kept for the report of a death."""

import os
from collections import deque
from collections.abc import Callable

from tensorserve.log import Journal, NativeLines, Record, log_line

_PIECE_BYTES = 65536

# A line that is longer is taken in pieces.
_LONGEST_LINE_BYTES = 256 << 10

_LAST_RECORDS = 30
_LAST_CHARACTERS = 2000


class Relay:
    """Takes lines from a stream.

    Args:
        source: The descriptor to read from, which does not block.
        take: Takes the lines that arrived together, without their ends.
    """

    def __init__(self, source: int, take: Callable[[list[bytes]], None]) -> None:
        self._source = source
        self._take = take
        self._line = b""
        self.is_open = True

    def fileno(self) -> int:
        return self._source

    def pump(self) -> bool:
        """Takes in a piece; False if there is none now."""
        try:
            piece = os.read(self._source, _PIECE_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            piece = b""
        if not piece:
            self.is_open = False
            return False
        *lines, self._line = (self._line + piece).split(b"\n")
        if len(self._line) > _LONGEST_LINE_BYTES:
            lines, self._line = [*lines, self._line], b""
        self._take(lines)
        return True

    def close(self) -> None:
        """Takes in all that is there, and gives the descriptor back."""
        while self.is_open and self.pump():
            pass
        if self._line:
            self._take([self._line])
            self._line = b""
        self.is_open = False
        os.close(self._source)


class ServerLog:
    """Passes on to the log what one server says, and remembers the last of it, whatever its level.

    Args:
        journal: The log.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._native = NativeLines()
        self._last: deque[Record] = deque(maxlen=_LAST_RECORDS)

    def take_records(self, lines: list[bytes]) -> None:
        """Takes records of the server's own log."""
        for line in lines:
            record = Record.decoded(line)
            if record is not None:
                self._take(record)

    def take_native(self, lines: list[bytes]) -> None:
        """Takes what the server's native code wrote to standard error."""
        for record in self._native.records(lines):
            self._take(record)

    def last_words(self) -> list[str]:
        """The last lines, oldest first."""
        ordered = sorted(self._last, key=lambda record: record.seconds)
        return [line for record in ordered for line in _shown(record).split("\n")][-_LAST_RECORDS:]

    def _take(self, record: Record) -> None:
        self._last.append(record)
        self._journal.take(record)


def _shown(record: Record) -> str:
    text = record.text[:_LAST_CHARACTERS]
    return text if record.is_plain else log_line(record.level, text, record.seconds)
