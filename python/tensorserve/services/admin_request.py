# SPDX-License-Identifier: Apache-2.0
"""A request of the admin API, and its reply."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

from tensorserve.errors import Code, ServingError
from tensorserve.services.catalog import ReplacedError

HTTP_STATUS = {
    Code.OK: HTTPStatus.OK,
    Code.CANCELLED: 499,
    Code.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    Code.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    Code.OUT_OF_RANGE: HTTPStatus.BAD_REQUEST,
    Code.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    Code.ABORTED: HTTPStatus.CONFLICT,
    Code.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    Code.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    Code.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    Code.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    Code.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""TensorFlow Serving's map; what is not in it is 500."""


class HttpError(Exception):
    """An error that only HTTP has a status for."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class AdminRequest:
    """What a client asks for.

    Attributes:
        method: Such as `GET`.
        target: Path and query string, as they came.
        headers: Those that decide who may do what, by names in lower case.
        peer: `loopback`, `socket` or `remote`.
        body: What it sent.
        is_awaited: Whether the client still waits for the reply.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    peer: str
    body: bytes = b""
    is_awaited: Callable[[], bool] = lambda: True

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """The path behind `/v1/admin/`, in decoded pieces."""
        path = self.target.partition("?")[0]
        return tuple(unquote(segment) for segment in path.strip("/").split("/")[2:])

    @cached_property
    def query(self) -> Mapping[str, str]:
        """The parameters; of repeated ones the last counts."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    @property
    def is_write(self) -> bool:
        """Whether it may change something."""
        return self.method not in ("GET", "HEAD")

    def json(self) -> dict[str, Any]:
        """The body, which must be a JSON object; an empty one is an empty object.

        Raises:
            ServingError: INVALID_ARGUMENT.
        """
        if not self.body.strip():
            return {}
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise ServingError(Code.INVALID_ARGUMENT, f"The body is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise ServingError(Code.INVALID_ARGUMENT, "The body must be a JSON object.")
        return value

    def flag(self, name: str) -> bool:
        """A bool of the query; its name alone means true. Raises ServingError (INVALID_ARGUMENT)."""
        value = self.query.get(name, "false").lower()
        if value not in ("", "true", "1", "false", "0"):
            raise ServingError(Code.INVALID_ARGUMENT, f"{name} must be true or false.")
        return value in ("", "true", "1")

    def seconds(self, name: str) -> float | None:
        """A time of the query, in seconds. Raises ServingError (INVALID_ARGUMENT)."""
        if name not in self.query:
            return None
        try:
            value = float(self.query[name])
        except ValueError:
            value = -1.0
        if not 0 <= value < 1e9:
            raise ServingError(Code.INVALID_ARGUMENT, f"{name} must be a number of seconds.")
        return value


@dataclass(frozen=True, slots=True)
class AdminReply:
    """What the client gets: a JSON value, or a text that is JSON already."""

    value: object
    status: int = 200

    @property
    def body(self) -> bytes:
        """The reply's bytes."""
        text = self.value if isinstance(self.value, str) else json.dumps(self.value, indent=2, ensure_ascii=False)
        return text.encode(errors="replace") + b"\n"


def error_reply(error: BaseException) -> AdminReply:
    """An error as the REST API writes it."""
    if isinstance(error, HttpError):
        return AdminReply({"error": error.message}, error.status)
    wrapped = ServingError.wrap(error)
    status = HTTP_STATUS.get(wrapped.code, HTTPStatus.INTERNAL_SERVER_ERROR)
    # The client's next connection may reach the process that serves.
    again = {"ask_again": True} if isinstance(error, ReplacedError) else {}
    return AdminReply({"error": wrapped.message, **again}, int(status))
