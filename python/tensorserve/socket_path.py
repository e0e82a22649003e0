# SPDX-License-Identifier: Apache-2.0
"""The path of a UNIX socket, which changes hands as it does with gRPC's library: whoever listens last has it."""

import errno
import os
import socket
import stat
from contextlib import suppress

# A path, and a byte for the end, fill `sockaddr_un`.
_LONGEST_PATH = 107


class SocketPath:
    """Where a socket was bound, and the path that its clients know.

    The two differ while another server answers on the path: that one goes on until `take`. The socket file is removed
    by `release`, unless another server has taken the path since.

    Attributes:
        path: What clients connect to.
    """

    def __init__(self, path: str, bound: str) -> None:
        self.path = path
        self._bound = bound
        status = os.lstat(bound)
        self._file = status.st_dev, status.st_ino

    @classmethod
    def bind(cls, sock: socket.socket, path: str) -> "SocketPath":
        """Binds a socket to a path, or beside it if a server answers there.

        Raises:
            OSError: EADDRINUSE: there is something else than a socket. Or the folder cannot be written to.
        """
        beside = f"{path}.{os.getpid()}"
        bound = beside if _is_served(path) and len(os.fsencode(beside)) <= _LONGEST_PATH else path
        _remove_socket(bound)
        sock.bind(bound)
        return cls(path, bound)

    def take(self) -> None:
        """From now on the path leads to this socket. Raises OSError."""
        if self._bound != self.path:
            os.replace(self._bound, self.path)
            self._bound = self.path

    def release(self) -> None:
        """Removes the socket file if it is still this socket's.

        To be called while the socket is open: afterwards another socket file could have the same inode number.
        """
        with suppress(OSError):
            status = os.lstat(self._bound)
            if (status.st_dev, status.st_ino) == self._file:
                os.unlink(self._bound)


def _is_served(path: str) -> bool:
    """Whether a server answers on a path."""
    if not _is_socket(path):
        return False
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        # One that is bound and does not listen refuses as well: what a dead server has left looks like that.
        return client.connect_ex(path) != errno.ECONNREFUSED


def _remove_socket(path: str) -> None:
    if _is_socket(path):
        with suppress(OSError):  # Then it cannot be bound, which is the better text.
            os.unlink(path)


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False
