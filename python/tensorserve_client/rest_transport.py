# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 connections that stay open, by the standard library."""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any

from tensorserve_client import rest_codec
from tensorserve_client.addresses import Address
from tensorserve_client.errors import Code, serving_error
from tensorserve_client.options import Settings, Tls
from tensorserve_client.verbs import Predict, Verb

_MAX_IDLE = 64
_MAX_THREADS = 32
_ACCEPT = f"{rest_codec.PROTOBUF}, {rest_codec.JSON};q=0.5"


class RestHost:
    """One server, asked from threads; a connection for each call at once, used again."""

    needs_signature = True

    def __init__(self, address: Address, settings: Settings) -> None:
        self._address = address
        self._context = _context(settings.tls) if address.secure else None
        self._idle: deque[HTTPConnection] = deque(maxlen=_MAX_IDLE)
        self._reads_protobuf = False
        self._closed = False

    def send(self, verb: Verb, headers: Sequence[tuple[str, str]], timeout: float | None) -> Any:
        """Asks, and gives what the verb gives. Raises ServingError."""
        started = time.monotonic()
        as_protobuf = self._reads_protobuf and isinstance(verb, Predict)
        request = rest_codec.encode(verb, as_protobuf=as_protobuf)
        status, content_type, retry_after, body = self._exchange(request, dict(headers), timeout)
        if status == 200:
            if isinstance(verb, Predict):
                # Who answers in protobuf also reads it, and then no type gets lost.
                self._reads_protobuf = content_type.startswith(rest_codec.PROTOBUF)
            return rest_codec.decode(verb, content_type, body)
        if as_protobuf and status in (400, 415) and b"JSON" in body:
            # Another server answers at this address now, one that reads JSON only. It has not run anything.
            self._reads_protobuf = False
            left = None if timeout is None else max(timeout - (time.monotonic() - started), 0.001)
            return self.send(verb, headers, left)
        raise rest_codec.failure(status, content_type, retry_after, body)

    def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _exchange(
        self, request: rest_codec.Request, headers: dict[str, str], timeout: float | None
    ) -> tuple[int, str, str | None, bytes]:
        headers |= {"accept": _ACCEPT, "content-type": request.content_type}
        connection = self._connected(timeout)
        try:
            assert connection.sock is not None
            connection.sock.settimeout(timeout)
            connection.request(request.method, self._address.prefix + request.path, request.body, headers)
            response = connection.getresponse()
            body = response.read()
        except TimeoutError:
            connection.close()
            raise serving_error(Code.DEADLINE_EXCEEDED, f"no answer within {timeout:.3g} s") from None
        except (OSError, HTTPException) as error:
            connection.close()
            reason = str(error) or type(error).__name__
            message = f"the connection to {self._address.url} broke: {reason}"
            raise serving_error(Code.UNAVAILABLE, message) from error
        except BaseException:
            connection.close()
            raise
        self._put_back(connection, response)
        return response.status, response.headers.get("content-type", ""), response.headers.get("retry-after"), body

    def _put_back(self, connection: HTTPConnection, response: HTTPResponse) -> None:
        if response.will_close or self._closed or len(self._idle) >= _MAX_IDLE:
            connection.close()
        else:
            self._idle.append(connection)

    def _connected(self, timeout: float | None) -> HTTPConnection:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._connect(timeout)
            if _is_usable(connection):
                return connection
            connection.close()

    def _connect(self, timeout: float | None) -> HTTPConnection:
        connection = _new_connection(self._address, self._context, timeout)
        try:
            connection.connect()
            if connection.sock.family != socket.AF_UNIX:
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError:
            connection.close()
            message = f"cannot connect to {self._address.url} within {timeout:.3g} s"
            raise serving_error(Code.DEADLINE_EXCEEDED, message, may_have_run=False) from None
        except OSError as error:
            connection.close()
            message = f"cannot connect to {self._address.url}: {error}"
            raise serving_error(Code.UNAVAILABLE, message, may_have_run=False) from error
        return connection


class AsyncRestHost:
    """The same for an event loop: calls wait in threads of their own."""

    needs_signature = True

    def __init__(self, address: Address, settings: Settings) -> None:
        self._host = RestHost(address, settings)
        self._threads = ThreadPoolExecutor(_MAX_THREADS, "tensorserve-client")

    async def send(self, verb: Verb, headers: Sequence[tuple[str, str]], timeout: float | None) -> Any:
        """Asks, and gives what the verb gives. Raises ServingError."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._host.send, verb, headers, timeout)

    async def close(self) -> None:
        self._host.close()
        self._threads.shutdown(wait=False)


class _SocketFileConnection(HTTPConnection):
    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _new_connection(address: Address, context: ssl.SSLContext | None, timeout: float | None) -> HTTPConnection:
    if address.socket_path:
        return _SocketFileConnection(address.socket_path, timeout)
    if context is not None:
        return HTTPSConnection(address.host, address.port, timeout=timeout, context=context)
    return HTTPConnection(address.host, address.port, timeout=timeout)


def _is_usable(connection: HTTPConnection) -> bool:
    """Whether the server has not closed the connection; one with unread bytes is of no use either."""
    sock = connection.sock
    if sock is None:
        return False
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return not poll.poll(0)


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca_file)
    if tls.certificate_file:
        context.load_cert_chain(tls.certificate_file, tls.key_file)
    return context
