# SPDX-License-Identifier: Apache-2.0
"""Every exception that the client raises on purpose.

```
ClientError
|- AddressError (ValueError)   a URL that names no server
|- InputError (ValueError)     a value that cannot become a tensor or an Example; nothing was sent
`- ServingError                the canonical code and the text with which a request failed
   |- InvalidArgumentError     and one class for each other code
   |- NotFoundError
   `- ...
```
"""

import enum
from typing import ClassVar


class Code(enum.IntEnum):
    """The canonical status codes, with gRPC's numbers."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class ClientError(Exception):
    """Base of every exception of this package."""


class AddressError(ClientError, ValueError):
    """A URL that names no server."""


class InputError(ClientError, ValueError):
    """A value that cannot become a tensor or an Example. Nothing was sent."""


class ServingError(ClientError):
    """A request failed; `str()` gives `CODE: message`.

    Attributes:
        code: The canonical code.
        message: The server's text, or why it could not be reached.
        may_have_run: Whether the server may have run the model. False only if it certainly has not: the request was
            never sent, or the server says that it refused it.
        retry_after: Seconds after which the server asks to try again, if it does.
    """

    code: Code

    def __init__(
        self, code: Code, message: str, *, may_have_run: bool = True, retry_after: float | None = None
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.may_have_run = may_have_run
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"

    def __reduce__(self) -> tuple[object, ...]:
        return _remake, (self.code, self.message, self.may_have_run, self.retry_after)


class _CodeError(ServingError):
    CODE: ClassVar[Code]


class RequestCancelledError(_CodeError):
    """CANCELLED."""

    CODE = Code.CANCELLED


class UnknownError(_CodeError):
    """UNKNOWN."""

    CODE = Code.UNKNOWN


class InvalidArgumentError(_CodeError):
    """INVALID_ARGUMENT: such as an input that the signature does not have, or of another type or shape."""

    CODE = Code.INVALID_ARGUMENT


class DeadlineExceededError(_CodeError):
    """DEADLINE_EXCEEDED: there was no answer in time."""

    CODE = Code.DEADLINE_EXCEEDED


class NotFoundError(_CodeError):
    """NOT_FOUND: no such model, version, label or signature."""

    CODE = Code.NOT_FOUND


class AlreadyExistsError(_CodeError):
    """ALREADY_EXISTS."""

    CODE = Code.ALREADY_EXISTS


class PermissionDeniedError(_CodeError):
    """PERMISSION_DENIED."""

    CODE = Code.PERMISSION_DENIED


class ResourceExhaustedError(_CodeError):
    """RESOURCE_EXHAUSTED: such as a message that is too large."""

    CODE = Code.RESOURCE_EXHAUSTED


class FailedPreconditionError(_CodeError):
    """FAILED_PRECONDITION."""

    CODE = Code.FAILED_PRECONDITION


class AbortedError(_CodeError):
    """ABORTED."""

    CODE = Code.ABORTED


class OutOfRangeError(_CodeError):
    """OUT_OF_RANGE."""

    CODE = Code.OUT_OF_RANGE


class UnimplementedError(_CodeError):
    """UNIMPLEMENTED: the server, or the protocol, does not have this call."""

    CODE = Code.UNIMPLEMENTED


class InternalError(_CodeError):
    """INTERNAL."""

    CODE = Code.INTERNAL


class UnavailableError(_CodeError):
    """UNAVAILABLE: the server cannot be reached, or refuses more work for now."""

    CODE = Code.UNAVAILABLE


class DataLossError(_CodeError):
    """DATA_LOSS."""

    CODE = Code.DATA_LOSS


class UnauthenticatedError(_CodeError):
    """UNAUTHENTICATED: the server wants a token, or another one."""

    CODE = Code.UNAUTHENTICATED


_CLASSES = {kind.CODE: kind for kind in _CodeError.__subclasses__()}


def serving_error(
    code: int, message: str, *, may_have_run: bool = True, retry_after: float | None = None
) -> ServingError:
    """The exception for a code; a number that is no code is UNKNOWN."""
    kind = _CLASSES.get(Code(code) if code in _CLASSES else Code.UNKNOWN, UnknownError)
    return kind(kind.CODE, message, may_have_run=may_have_run, retry_after=retry_after)


def _remake(code: Code, message: str, may_have_run: bool, retry_after: float | None) -> ServingError:
    return serving_error(code, message, may_have_run=may_have_run, retry_after=retry_after)
