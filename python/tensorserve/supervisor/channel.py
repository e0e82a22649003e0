# SPDX-License-Identifier: Apache-2.0
"""Messages between the supervisor and its server: JSON objects, a line each, over a pair of sockets."""

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

# The number of a descriptor, from which a server reads what its parent says to it: a JSON object.
VARIABLE = "TENSORSERVE_SUPERVISED"

# Signals that wait for a server that starts, until it can act on them: they would end it.
HELD_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

Message = dict[str, Any]

_PIECE_BYTES = 65536

# No message of ours is longer; more without an end of line is no message.
_LONGEST_BYTES = 4 << 20


class Channel:
    """One end.

    Args:
        end: A connected socket.

    Attributes:
        is_open: Whether the other end is there.
        received: How many bytes came.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._rest = b""
        self.is_open = True
        self.received = 0

    def fileno(self) -> int:
        return self._end.fileno()

    def send(self, message: Message) -> bool:
        """Sends a message; False if nobody is there any more."""
        try:
            self._end.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            return False
        return True

    def receive(self) -> Iterator[Message]:
        """The messages of what has arrived, after waiting for some if the socket blocks.

        `is_open` is False from then on once the other end is gone.
        """
        try:
            piece = self._end.recv(_PIECE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self.is_open = False
            return
        self.received += len(piece)
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > _LONGEST_BYTES:
            self._rest = b""
        for line in lines:
            with suppress(ValueError):
                message = json.loads(line)
                if isinstance(message, dict):
                    yield message

    def close(self) -> None:
        self.is_open = False
        self._end.close()
