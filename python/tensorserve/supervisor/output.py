# SPDX-License-Identifier: Apache-2.0
"""The server's standard error: passed on, and its last words kept for the report of a death."""

import os
from collections import deque
from collections.abc import Callable

from tensorserve.log import cleaned

_PIECE_BYTES = 65536

# A line that is longer is passed on in pieces.
_LONGEST_LINE_BYTES = 32 << 10

_LAST_LINES = 30
_LAST_LINE_CHARACTERS = 2000


class Relay:
    """Passes a stream on, and remembers its last lines.

    Args:
        source: The descriptor to read from, which does not block.
        write: Takes each line, without its end.
    """

    def __init__(self, source: int, write: Callable[[str], None]) -> None:
        self._source = source
        self._write = write
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
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
        for line in lines:
            self._take(line)
        return True

    def last_words(self) -> list[str]:
        """The last lines, oldest first."""
        return list(self._last)

    def close(self) -> None:
        """Takes in all that is there, and gives the descriptor back."""
        while self.is_open and self.pump():
            pass
        if self._line:
            self._take(self._line)
            self._line = b""
        self.is_open = False
        os.close(self._source)

    def _take(self, line: bytes) -> None:
        text = cleaned(line)
        if text:
            self._last.append(text[:_LAST_LINE_CHARACTERS])
        self._write(text)
