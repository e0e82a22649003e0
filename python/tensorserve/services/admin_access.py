# SPDX-License-Identifier: Apache-2.0
"""Who may use the admin API, and with `--reload_config_access=admin` HandleReloadConfigRequest.

A program of this machine may without a token: it could stop the server as well. What comes from this machine but not
from such a program must not pass as one: a proxy (it says for whom it asks), a web page in a browser (it says where it
comes from, and cannot send JSON to another origin unasked), and a name that a stranger's DNS points here (it stands in
`Host`). Everyone else needs a token.
"""

import hmac
import ipaddress
import logging
import os
import stat
from collections.abc import Mapping
from urllib.parse import urlsplit

from tensorserve.errors import Code, ServingError
from tensorserve.files import read_file
from tensorserve.services.admin_request import AdminRequest, HttpError

logger = logging.getLogger(__name__)

_MIN_TOKEN_CHARS = 16
_PROXY_HEADERS = ("x-forwarded", "forwarded", "via", "x-real-ip")


class AdminAccess:
    """Judges requests.

    Args:
        mode: `--admin_api`.
        token_file: `--admin_token_file`; a token on each line. It is read anew for each request that has one.
        host: `--host`, by which clients of this machine may call the server.

    Raises:
        ServingError: The token file cannot be used.
    """

    def __init__(self, mode: str, token_file: str = "", host: str = "") -> None:
        self._mode = mode
        self._token_file = token_file
        self._host = host
        if token_file:
            read_tokens(token_file)
            _warn_if_readable_by_all(token_file)

    def check(self, request: AdminRequest) -> None:
        """Raises what a request of the admin API is refused with, if it is."""
        if self._mode == "off":
            # What the original says of such a path.
            raise ServingError(Code.INVALID_ARGUMENT, f"Malformed request: {request.method} {request.target}")
        self._check_caller(request.headers, request.peer)
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if request.is_write and request.method != "DELETE" and content_type != "application/json":
            raise HttpError(415, "Requests that change something need the header Content-Type: application/json.")

    def check_reload(self, headers: Mapping[str, str], peer: str) -> None:
        """Raises ServingError if a call of HandleReloadConfigRequest is refused."""
        if self._mode == "off":
            text = "HandleReloadConfigRequest is for those who may use the admin API, and --admin_api=off."
            raise ServingError(Code.PERMISSION_DENIED, text)
        self._check_caller(headers, peer)

    def _check_caller(self, headers: Mapping[str, str], peer: str) -> None:
        if not self._has_token(headers):
            self._check_local(headers, peer)

    def _has_token(self, headers: Mapping[str, str]) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if not self._token_file or kind.lower() != "bearer":
            return False
        # All are compared, so that the time does not tell which one came close.
        matches = [hmac.compare_digest(given.strip().encode(), token) for token in read_tokens(self._token_file)]
        if not any(matches):
            raise ServingError(Code.UNAUTHENTICATED, "The token is not one of --admin_token_file.")
        return True

    def _check_local(self, headers: Mapping[str, str], peer: str) -> None:
        if self._mode == "token" or peer == "remote":
            raise self._needs_token("Without a token, the admin API is only for programs on the server's machine.")
        if any(name in headers for name in _PROXY_HEADERS):
            raise self._needs_token("This request comes through a proxy, and so from anywhere.")
        host = headers.get("host", "")
        if peer != "socket" and not self._names_this_machine(host):
            raise self._needs_token(f"{host!r} is no name by which the admin API can be used; try localhost.")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise self._needs_token(f"Web pages of {origin} may not use the admin API.")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise self._needs_token("Web pages of other sites may not use the admin API.")

    def _names_this_machine(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in ("localhost", self._host.strip("[]").lower()) and name:
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False

    def _needs_token(self, reason: str) -> ServingError:
        how = (
            "Send one of --admin_token_file in the header `Authorization: Bearer TOKEN`."
            if self._token_file
            else "Start the server with --admin_token_file, and send one of its tokens: `Authorization: Bearer TOKEN`."
        )
        return ServingError(Code.PERMISSION_DENIED, f"{reason} {how}")


def read_tokens(path: str) -> list[bytes]:
    """The tokens of a file: one on each line, blank lines and those with `#` aside.

    Raises:
        ServingError: The file cannot be read, has no token, or has one that could be guessed.
    """
    try:
        lines = [line.strip() for line in read_file(path).splitlines()]
    except OSError as error:
        raise ServingError.wrap(error) from error
    tokens = [line for line in lines if line and not line.startswith(b"#")]
    if not tokens:
        raise ServingError(Code.INVALID_ARGUMENT, f"There is no token in {path}.")
    if any(len(token) < _MIN_TOKEN_CHARS for token in tokens):
        text = (
            f"A token in {path} has fewer than {_MIN_TOKEN_CHARS} characters; `openssl rand -hex 32` makes a good one."
        )
        raise ServingError(Code.INVALID_ARGUMENT, text)
    return tokens


def _warn_if_readable_by_all(path: str) -> None:
    if os.stat(path).st_mode & stat.S_IROTH:
        logger.warning("Every user of this machine can read the tokens in %s.", path)
