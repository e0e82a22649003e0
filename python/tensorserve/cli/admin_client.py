# SPDX-License-Identifier: Apache-2.0
"""Speaks to a server's admin API. The standard library is enough for that."""

import json
import socket
import ssl
import time
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

NO_SERVER = (
    "Is the server running with --rest_api_port? Name it with --server. Its ports open with the first version that "
    "answers: until then its log says what it waits for, and GET /readyz?verbose on its --health_port."
)
"""What to do about a server that cannot be reached."""

_CONNECT_SECONDS = 10.0
_SHOWN_CHARACTERS = 200

# How long another process may take to be the only one that answers, after a restart; and how often it is asked.
_REPLACED_SECONDS = 10.0
_REPLACED_PAUSE_SECONDS = 0.1


class ServerUnreachableError(Exception):
    """Nothing that speaks HTTP answers at the address."""


class ServerRefusedError(Exception):
    """The server answered with an error; its text is the server's."""


class _ReplacedError(ServerRefusedError):
    """A process answered whose place another one has taken."""


class AdminClient:
    """One server.

    Args:
        server: `http://HOST:PORT`, `https://HOST:PORT` or `unix:PATH`.
        token_file: A file whose first line is a token.
        ca_file: Certificates to trust instead of the system's.

    Raises:
        OSError: A file cannot be read.
        ValueError: `server` is no such address.
    """

    def __init__(self, server: str, token_file: str | None = None, ca_file: str | None = None) -> None:
        self._server = server
        self._connection = _connection(server, ca_file)
        self._headers = {"Content-Type": "application/json"}
        if token_file:
            self._headers["Authorization"] = f"Bearer {_first_token(token_file)}"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Sends a request below `/v1/admin/` and gives the JSON value of the answer.

        Raises:
            ServerUnreachableError: There is no such server.
            ServerRefusedError: It answered with an error.
        """
        content = None if body is None else json.dumps(body)
        end = time.monotonic() + _REPLACED_SECONDS
        while True:
            try:
                return self._ask(method, path, content)
            except _ReplacedError:
                if time.monotonic() >= end:
                    raise
                time.sleep(_REPLACED_PAUSE_SECONDS)

    def _ask(self, method: str, path: str, content: str | None) -> Any:
        try:
            self._connection.connect()
            # From here on it may take as long as models take to load.
            self._connection.sock.settimeout(None)
            self._connection.request(method, f"/v1/admin/{path}", content, self._headers)
            response = self._connection.getresponse()
            text = response.read().decode(errors="replace")
        except (OSError, HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise ServerUnreachableError(f"cannot reach {self._server}: {reason}") from error
        finally:
            self._connection.close()
        return _value(response.status, text)


def _value(status: int, text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError as error:
        said = " ".join(text.split())[:_SHOWN_CHARACTERS]
        reason = f"the server answers {status} and no JSON" + (f": {said}" if said else "; has it an admin API?")
        raise ServerRefusedError(reason) from error
    if status >= 400:
        fields = value if isinstance(value, dict) else {}
        kind = _ReplacedError if fields.get("ask_again") else ServerRefusedError
        raise kind(str(fields.get("error") or text))
    return value


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_CONNECT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _connection(server: str, ca_file: str | None) -> HTTPConnection:
    if server.startswith("unix:"):
        return _UnixConnection(server.removeprefix("unix:"))
    parts = urlsplit(server)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        there_are = "there are http://HOST:PORT, https:// and unix:PATH"
        meant = there_are if "://" in server else f"did you mean http://{server}?"
        raise ValueError(f"{server} is no address of a server; {meant}")
    if parts.scheme == "http":
        return HTTPConnection(parts.hostname, parts.port or 80, timeout=_CONNECT_SECONDS)
    context = ssl.create_default_context(cafile=ca_file)
    return HTTPSConnection(parts.hostname, parts.port or 443, timeout=_CONNECT_SECONDS, context=context)


def _first_token(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        tokens = [line.strip() for line in file if line.strip() and not line.startswith("#")]
    if not tokens:
        raise ValueError(f"there is no token in {path}")
    return tokens[0]
