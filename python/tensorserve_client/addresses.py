# SPDX-License-Identifier: Apache-2.0
"""The URLs of servers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from tensorserve_client.errors import AddressError

# Those of TensorFlow Serving.
_GRPC_PORT = 8500
_REST_PORT = 8501
_HTTPS_PORT = 443
_FORMS = "grpc://HOST:PORT, grpcs://HOST:PORT, http://HOST:PORT, https://HOST:PORT, unix:PATH, http+unix:PATH"


@dataclass(frozen=True, slots=True)
class Address:
    """One server.

    Attributes:
        url: As it was given, for messages.
        rest: Whether it speaks REST; else gRPC.
        secure: Whether it speaks TLS.
        host: Name or number of the host; empty for a socket file.
        port: TCP port; 0 for a socket file.
        socket_path: Path of the socket file, or empty.
        prefix: What stands before `/v1` in the paths of a server behind a proxy, without a last slash.
    """

    url: str
    rest: bool
    secure: bool = False
    host: str = ""
    port: int = 0
    socket_path: str = ""
    prefix: str = ""

    @property
    def target(self) -> str:
        """The target of a gRPC channel."""
        if self.socket_path:
            return f"unix:{self.socket_path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse(url: str) -> Address:
    """The server that a URL names.

    Raises:
        AddressError: It names none.
    """
    if url.startswith("unix:"):
        return _socket_file(url, url.removeprefix("unix:"), rest=False)
    if url.startswith("http+unix:"):
        return _socket_file(url, url.removeprefix("http+unix:"), rest=True)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressError(f"{url!r} is no URL of a server: {error}") from None
    ports = {"grpc": _GRPC_PORT, "grpcs": _GRPC_PORT, "http": _REST_PORT, "https": _HTTPS_PORT}
    rest = parts.scheme in ("http", "https")
    if parts.scheme not in ports or not parts.hostname:
        hint = f"; did you mean grpc://{url}?" if "://" not in url else ""
        raise AddressError(f"{url!r} is no URL of a server{hint}; there are {_FORMS}")
    prefix = parts.path.rstrip("/")
    if parts.query or parts.fragment or (prefix and not rest):
        raise AddressError(f"{url!r} has more than the URL of a server can have; there are {_FORMS}")
    secure = parts.scheme in ("grpcs", "https")
    port = ports[parts.scheme] if port is None else port
    return Address(url, rest, secure, parts.hostname, port, prefix=prefix)


def parse_all(urls: str | Sequence[str]) -> list[Address]:
    """The servers that URLs name: one, several, or several in one text with commas between them.

    Raises:
        AddressError: One names none, or there are none.
    """
    listed = urls.split(",") if isinstance(urls, str) else list(urls)
    addresses = [parse(url.strip()) for url in listed if url.strip()]
    if not addresses:
        raise AddressError(f"a client needs the URL of a server; there are {_FORMS}")
    return addresses


def _socket_file(url: str, path: str, *, rest: bool) -> Address:
    path = path.removeprefix("//") if path.startswith("///") else path
    if not path:
        raise AddressError(f"{url!r} names no socket file; write unix:/PATH")
    return Address(url, rest, socket_path=path)
