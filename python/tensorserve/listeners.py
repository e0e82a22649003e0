# SPDX-License-Identifier: Apache-2.0
"""Where a server listens: its addresses are bound before models are loaded, and opened once they answer."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tensorserve.errors import Code, ServingError
from tensorserve.given_sockets import GivenSockets
from tensorserve.socket_path import SocketPath

if TYPE_CHECKING:
    from tensorserve.data_plane import DataPlane

logger = logging.getLogger(__name__)

_BACKLOG = 1024
_EVERY_IPV4, _EVERY_IPV6 = "0.0.0.0", "::"
_GRPC = ("grpc", "grpc_socket")
_HEALTH = "health"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a server shall listen.

    Attributes:
        grpc_port: None disables it, 0 means any free port.
        rest_port: The same for HTTP/REST.
        grpc_socket_path: UNIX socket for gRPC; empty disables it.
        rest_socket_path: The same for HTTP/REST.
        host: Address to listen on; empty means every one.
        health_port: Where probes alone are answered; None disables it, 0 means any free port.
    """

    grpc_port: int | None
    rest_port: int | None
    grpc_socket_path: str = ""
    rest_socket_path: str = ""
    host: str = ""
    health_port: int | None = None


@dataclass(frozen=True, slots=True)
class BoundPorts:
    """Where a server listens; None where it does not."""

    grpc: int | None = None
    rest: int | None = None


def check_endpoints(endpoints: Endpoints) -> None:
    """Checks what can be checked without the system.

    Raises:
        ServingError: INVALID_ARGUMENT, with TensorFlow Serving's text if nothing would answer gRPC.
    """
    if endpoints.grpc_port is None and not endpoints.grpc_socket_path:
        raise ServingError(
            Code.INVALID_ARGUMENT,
            "At least one of server_options.grpc_port or server_options.grpc_socket_path must be set.",
        )
    for port in (endpoints.grpc_port, endpoints.rest_port, endpoints.health_port):
        if port is not None and not 0 <= port <= 65535:
            raise ServingError(Code.INVALID_ARGUMENT, f"A port must be between 0 and 65535; got {port}.")


@dataclass(slots=True)
class _Listener:
    """One bound socket.

    Attributes:
        name: `grpc`, `rest`, `grpc_socket`, `rest_socket` or `health`.
        host: How log and errors name its host; of a UNIX socket its path.
        socket: The socket.
        path: Keeps the path of a UNIX socket, if it is this server's.
    """

    name: str
    host: str
    socket: socket.socket
    path: SocketPath | None = None

    @property
    def port(self) -> int | None:
        """The TCP port; None for a UNIX socket."""
        address = self.socket.getsockname()
        return int(address[1]) if isinstance(address, tuple) else None

    def open(self, data_plane: DataPlane) -> None:
        """Listens, and hands the socket to the data plane. Raises OSError."""
        if self.port is not None:
            # Not earlier: it lets others bind the address as long as nobody listens. From now on it lets the next
            # server bind while connections of this one fade away.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.listen(_BACKLOG)
        if self.path is not None:
            self.path.take()
        if self.name == _HEALTH:
            serve = data_plane.serve_health
        else:
            serve = data_plane.serve_grpc if self.name in _GRPC else data_plane.serve_rest
        serve(self.socket.detach())


class Listeners:
    """The sockets of a server, which are bound, so that nobody else gets their addresses.

    They refuse connections until `open`. They are called `grpc` and `rest`, UNIX sockets `grpc_socket` and
    `rest_socket`, and the one for probes `health`.
    """

    def __init__(self, listeners: Iterable[_Listener] = ()) -> None:
        self._listeners = list(listeners)
        self._given = GivenSockets()
        self._has_given = False
        self._paths: list[SocketPath] = []

    @classmethod
    def bind(cls, endpoints: Endpoints, given: GivenSockets | None = None) -> Listeners:
        """Binds every address, or none; sockets that were given take the place of those that they are.

        Raises:
            ServingError: INVALID_ARGUMENT for gRPC, UNAVAILABLE for REST: an address cannot be bound.
        """
        check_endpoints(endpoints)
        bound = cls()
        bound._given = given or GivenSockets()
        try:
            bound._bind_all(endpoints)
        except BaseException:
            bound.close()
            raise
        finally:
            bound._given.close()
        return bound

    @property
    def has_given(self) -> bool:
        """Whether another process listens on some of these sockets as well, so that closing them closes no port."""
        return self._has_given

    @classmethod
    def inherit(cls, descriptors: Mapping[str, int]) -> Listeners:
        """Sockets that another process has bound, by name; that process removes the paths of UNIX sockets as well.

        Raises:
            ServingError: INVALID_ARGUMENT: a descriptor is no socket.
        """
        return cls(_inherited(name, descriptor) for name, descriptor in descriptors.items())

    def descriptors(self) -> dict[str, int]:
        """The sockets that are not open yet, by name; for `inherit` in another process."""
        return {listener.name: listener.socket.fileno() for listener in self._listeners}

    def open(self, data_plane: DataPlane) -> BoundPorts:
        """Begins to answer, gRPC before REST; the data plane owns the sockets from now on.

        Raises:
            ServingError: See `bind`.
        """
        ports = {listener.name: listener.port for listener in self._listeners}
        while self._listeners:
            self._open(self._listeners[0], data_plane)
        return BoundPorts(ports.get("grpc"), ports.get("rest"))

    def open_health(self, data_plane: DataPlane) -> None:
        """Begins to answer probes, before there are models. Raises ServingError."""
        for listener in [listener for listener in self._listeners if listener.name == _HEALTH]:
            self._open(listener, data_plane)

    def take_paths(self) -> None:
        """From now on the paths of UNIX sockets lead here; for whoever has others open its sockets. Raises OSError."""
        for path in self._paths:
            path.take()

    def _open(self, listener: _Listener, data_plane: DataPlane) -> None:
        port = listener.port
        try:
            listener.open(data_plane)
        except OSError as error:
            raise _error(listener.name, _address(listener.host, port), error) from error
        self._listeners.remove(listener)
        _log_opened(listener, port)

    def close(self) -> None:
        """Gives back what is not open, and removes the paths of UNIX sockets that are still this server's.

        Sockets that are open by now must stay so until this returns.
        """
        while self._paths:
            self._paths.pop().release()
        while self._listeners:
            self._listeners.pop().socket.close()

    def _bind_all(self, endpoints: Endpoints) -> None:
        if not self._add_given("grpc", port=endpoints.grpc_port) and endpoints.grpc_port is not None:
            self._add_tcp("grpc", endpoints.host or _EVERY_IPV4, endpoints.grpc_port)
        if not self._add_given("grpc_socket", path=endpoints.grpc_socket_path) and endpoints.grpc_socket_path:
            self._add_unix("grpc_socket", endpoints.grpc_socket_path)
        if not self._add_given("rest", port=endpoints.rest_port) and endpoints.rest_port is not None:
            self._add_both_families("rest", endpoints, endpoints.rest_port)
        if not self._add_given("rest_socket", path=endpoints.rest_socket_path) and endpoints.rest_socket_path:
            self._add_unix("rest_socket", endpoints.rest_socket_path)
        if not self._add_given(_HEALTH, port=endpoints.health_port) and endpoints.health_port is not None:
            self._add_both_families(_HEALTH, endpoints, endpoints.health_port)

    def _add_given(self, name: str, *, port: int | None = None, path: str = "") -> bool:
        """Takes a socket that was given; False if there is none for this."""
        given = self._given.take(name, port=port, path=path)
        if given is None:
            return False
        self._listeners.append(_Listener(name, _host_of(name, given), given))
        self._has_given = True
        return True

    def _add_both_families(self, name: str, endpoints: Endpoints, port: int) -> None:
        """Every address means both families where the system has IPv6, and IPv4 elsewhere."""
        if name == "rest" and port and port == endpoints.grpc_port:
            logger.error(
                "server_options.http_port cannot be same as grpc_port. Please use a different port for HTTP/REST API. "
                "Skipped exporting HTTP/REST API."
            )
            return
        if not endpoints.host:
            try:
                self._add_tcp(name, _EVERY_IPV6, port)
            except ServingError as error:
                logger.debug("Cannot listen on IPv6: %s", error)
            else:
                return
        self._add_tcp(name, endpoints.host or _EVERY_IPV4, port)

    def _add_tcp(self, name: str, host: str, port: int) -> None:
        shown = _shown_host(name, host)
        try:
            self._listeners.append(_Listener(name, shown, _bind_tcp(host.strip("[]"), port)))
        except (OSError, UnicodeError) as error:
            raise _error(name, _address(shown, port), error) from error

    def _add_unix(self, name: str, path: str) -> None:
        unix_socket = socket.socket(socket.AF_UNIX)
        listener = _Listener(name, path, unix_socket)
        self._listeners.append(listener)
        try:
            listener.path = SocketPath.bind(unix_socket, path)
        except OSError as error:
            raise _error(name, _address(path, None), error) from error
        self._paths.append(listener.path)


def _bind_tcp(host: str, port: int) -> socket.socket:
    family, kind, protocol, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        _bind_alone(bound, address)
    except BaseException:
        bound.close()
        raise
    return bound


def _bind_alone(bound: socket.socket, address: Any) -> None:
    """Binds an address that nobody else can bind then, unless connections of a former server still fade away there."""
    try:
        bound.bind(address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)


def _inherited(name: str, descriptor: int) -> _Listener:
    try:
        given = socket.socket(fileno=descriptor)
        given.set_inheritable(False)
        host = _host_of(name, given)
    except OSError as error:
        text = f"Descriptor {descriptor}, the socket of {name}, cannot be used: {error.strerror or error}"
        raise ServingError(Code.INVALID_ARGUMENT, text) from error
    return _Listener(name, host, given)


def _host_of(name: str, bound: socket.socket) -> str:
    address = bound.getsockname()
    return _shown_host(name, address[0]) if isinstance(address, tuple) else os.fsdecode(address)


def _shown_host(name: str, host: str) -> str:
    if name not in _GRPC and host in (_EVERY_IPV4, _EVERY_IPV6):
        return "localhost"
    # An IPv6 address needs brackets before a port.
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _address(host: str, port: int | None) -> str:
    return f"unix:{host}" if port is None else f"{host}:{port}"


def _error(name: str, address: str, error: OSError | UnicodeError) -> ServingError:
    """That an address cannot be had, in TensorFlow Serving's words."""
    reason = (isinstance(error, OSError) and error.strerror) or error
    if name in _GRPC:
        return ServingError(Code.INVALID_ARGUMENT, f"Failed to BuildAndStart gRPC server at {address}: {reason}")
    return ServingError(Code.UNAVAILABLE, f"Failed to start HTTP Server at {address}: {reason}")


def _log_opened(listener: _Listener, port: int | None) -> None:
    address = f"UNIX socket {listener.host}" if port is None else f"{listener.host}:{port}"
    if listener.name == _HEALTH:
        logger.info("Answering probes at %s ...", address)
    elif listener.name in _GRPC:
        logger.info("Running gRPC ModelServer at %s ...", address)
    else:
        logger.info("Exporting HTTP/REST API at%s%s ...", " " if port is None else ":", address)
