# SPDX-License-Identifier: Apache-2.0
"""Sockets that this process was given when it was started, as systemd does (socket activation, `sd_listen_fds`).

`LISTEN_FDS` says how many there are, from descriptor 3 on, `LISTEN_PID` whose they are, `LISTEN_FDNAMES` what each is
called, with colons between.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
from collections.abc import Iterable, MutableMapping
from itertools import zip_longest
from typing import NoReturn

from tensorserve.errors import Code, ServingError

logger = logging.getLogger(__name__)

NAMES = ("grpc", "rest", "grpc_socket", "rest_socket", "health")
"""What a socket may be called to be taken as that of the server, wherever it is."""

_FIRST = 3
_MOST = 1000
# Characters of a wrong number that an error shows.
_SHOWN = 20
_VARIABLES = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")


class GivenSockets:
    """Sockets that nobody has taken yet. Whoever gave them listens on them as well, and owns their paths.

    Args:
        sockets: Each with its name, which may be empty.
    """

    def __init__(self, sockets: Iterable[tuple[str, socket.socket]] = ()) -> None:
        self._sockets = list(sockets)

    @classmethod
    def by_environment(cls, environment: MutableMapping[str, str] | None = None) -> GivenSockets:
        """Those that the environment tells of, which forgets them: they are not for the children of this process.

        Raises:
            ServingError: INVALID_ARGUMENT: the environment tells of what this process was not given.
        """
        told = os.environ if environment is None else environment
        count, pid, names = (told.pop(variable, "") for variable in _VARIABLES)
        if pid != str(os.getpid()) or not count:
            return cls()
        descriptors = range(_FIRST, _FIRST + _number(count))
        found = []
        for descriptor, name in zip_longest(descriptors, names.split(":")[: len(descriptors)], fillvalue=""):
            if not _was_given(int(descriptor)):
                _refuse(count, f"this process was not given descriptor {descriptor}")
            try:
                found.append((str(name), _socket(int(descriptor))))
            except OSError as error:
                reason = error.strerror or error
                logger.warning("Descriptor %s, which this process was given, is no socket: %s", descriptor, reason)
        return cls(found)

    def take(self, name: str, *, port: int | None = None, path: str = "") -> socket.socket | None:
        """The socket of this name or, if there is none, one that is bound to this port or path."""
        by_name = [pair for pair in self._sockets if pair[0] == name]
        by_address = [pair for pair in self._sockets if pair[0] not in NAMES and _is_at(pair[1], port, path)]
        for pair in by_name or by_address:
            self._sockets.remove(pair)
            return pair[1]
        return None

    def close(self) -> None:
        """Gives back, with a warning, what nobody has taken."""
        for name, given in self._sockets:
            logger.warning(
                "Nothing is served on the socket %s at %s, which this process was given: it has none of the names %s, "
                "and is at no port or path of the flags.",
                name or "without a name",
                given.getsockname(),
                ", ".join(NAMES),
            )
            given.close()
        self._sockets = []


def _number(count: str) -> int:
    """Raises ServingError."""
    if not re.fullmatch(f"[0-9]{{1,{len(str(_MOST))}}}", count) or int(count) > _MOST:
        _refuse(count, f"it must be a number from 0 to {_MOST}")
    return int(count)


def _refuse(count: str, reason: str) -> NoReturn:
    raise ServingError(Code.INVALID_ARGUMENT, f"LISTEN_FDS={count[:_SHOWN]!a}: {reason}.")


def _was_given(descriptor: int) -> bool:
    """Whether it was there at the start: what this process opens itself is not for its children."""
    try:
        return os.get_inheritable(descriptor)
    except OSError:
        return False


def _socket(descriptor: int) -> socket.socket:
    """Raises OSError."""
    given = socket.socket(fileno=descriptor)
    if given.type != socket.SOCK_STREAM:
        given.detach()
        raise OSError(errno.EPROTOTYPE, os.strerror(errno.EPROTOTYPE))
    given.set_inheritable(False)
    return given


def _is_at(given: socket.socket, port: int | None, path: str) -> bool:
    address = given.getsockname()
    if given.family == socket.AF_UNIX:
        return bool(path) and os.path.abspath(os.fsdecode(address)) == os.path.abspath(path)
    return bool(port) and address[1] == port
