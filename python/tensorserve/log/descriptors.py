# SPDX-License-Identifier: Apache-2.0
"""The descriptors 0 to 2, which other code of this process writes to as well."""

import os
import socket
import stat
import struct
from contextlib import suppress

# Longer than any reader of a log pauses that is well; TensorFlow's threads may have to wait for it.
_SOCKET_WAIT_MICROSECONDS = 20_000


def open_standard_descriptors() -> None:
    """Opens those of 0 to 2 that are closed, so that no socket gets such a number and is written to like a log."""
    with suppress(OSError):
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
            os.set_inheritable(descriptor, True)
        os.close(descriptor)


def stop_waiting_for(descriptor: int) -> None:
    """From now on writing to a descriptor fails, rather than waits, when its reader does not read.

    This is for code that writes to it by itself, such as TensorFlow's. Programs that share the descriptor with this one
    must not notice: a pipe or a terminal is opened anew, since whether writing waits belongs to the opening. A regular
    file never waits. A socket cannot be opened anew: from now on writing to it waits only briefly, for all who hold it.
    """
    with suppress(OSError):
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISSOCK(mode):
            _limit_wait(descriptor)
        elif stat.S_ISFIFO(mode) or os.isatty(descriptor):
            _open_anew(descriptor)


def _open_anew(descriptor: int) -> None:
    opened = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    os.dup2(opened, descriptor)
    os.close(opened)


def _limit_wait(descriptor: int) -> None:
    with socket.socket(fileno=os.dup(descriptor)) as other:
        seconds, microseconds = divmod(_SOCKET_WAIT_MICROSECONDS, 1_000_000)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", seconds, microseconds))
