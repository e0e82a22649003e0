# SPDX-License-Identifier: Apache-2.0
"""What can be asked of a client, and of one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict

Priority = Literal["high", "default", "low"]


@dataclass(frozen=True, slots=True)
class Retries:
    """How often, and when, a request that failed is sent again.

    Without being told to repeat, a request is sent again only if it certainly did not run: it was never sent (nobody
    listens there, the connection could not be made), or the server says that it refused it (its queue is full, it is
    stopping, it answers with `Retry-After`). A connection that breaks under a request does not tell whether the model
    ran. Questions (status, metadata) are always repeated, since asking twice does nothing twice.

    The pause before attempt `n` is drawn between half of and all of `initial_seconds * 2 ** (n - 2)`, at most
    `max_seconds`; if the server says when to come back, it is that. The deadline of the call bounds all
    attempts together.

    Attributes:
        attempts: How often a request is sent at most; 1 means never again.
        initial_seconds: The first pause.
        max_seconds: The longest pause.
        repeat: Whether what may have run may be sent again, as is right for models without effects.
    """

    attempts: int = 10
    initial_seconds: float = 0.05
    max_seconds: float = 2.0
    repeat: bool = False

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts must be at least 1, not {self.attempts}")
        if self.initial_seconds < 0 or self.max_seconds < 0:
            raise ValueError("pauses between attempts cannot be negative")


@dataclass(frozen=True, slots=True)
class Tls:
    """What `grpcs://` and `https://` connections trust and show. All files are PEM.

    Attributes:
        ca_file: Certificates to trust instead of the system's.
        certificate_file: The client's own certificates, if the server wants to see some.
        key_file: The key of the first of them.
        server_name: The name to expect in the server's certificate instead of the host's; gRPC only.
    """

    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together; give both or none")


class CallOptions(TypedDict, total=False):
    """What every call to a model takes by keyword.

    Attributes:
        signature: Name of the signature; the server's default is `serving_default`.
        version: Number of the version; the latest without it.
        label: Label of the version, instead of its number.
        timeout: Seconds for the call, all attempts together; None for no limit.
        priority: How urgent it is; a tensorserve server looks at it, others do not.
        headers: More gRPC metadata or HTTP headers; names in lower case.
        repeat: Whether it may be sent again although it may have run; see `Retries`.
    """

    signature: str
    version: int | None
    label: str | None
    timeout: float | None
    priority: Priority
    headers: Mapping[str, str]
    repeat: bool


class PredictOptions(CallOptions, total=False):
    """The same, and `outputs`: aliases of the outputs that are wanted; all without it."""

    outputs: Sequence[str]


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for all calls of a client; see `Client`."""

    token: str | Callable[[], str] | None = None
    tls: Tls = field(default_factory=Tls)
    timeout: float | None = 60.0
    retries: Retries = field(default_factory=Retries)
    headers: Mapping[str, str] = field(default_factory=dict)
    trace_context: Callable[[], Mapping[str, str]] | None = None
    connections: int = 1

    def __post_init__(self) -> None:
        if self.connections < 1:
            raise ValueError(f"connections must be at least 1, not {self.connections}")


class ClientSettings(TypedDict, total=False):
    """The keyword arguments of a client.

    Attributes:
        token: A bearer token, or what gives one for each request.
        tls: What `grpcs://` and `https://` connections trust and show.
        timeout: Seconds for a call that has no timeout of its own (60); None for no limit.
        retries: When a request that failed is sent again.
        headers: gRPC metadata or HTTP headers of every request; names in lower case.
        trace_context: Gives the headers of the current trace (`traceparent`, `tracestate`) for each request; a function
            that calls `opentelemetry.propagate.inject` on a dict and returns it is one.
        connections: gRPC connections to each address; REST connections are as many as there are calls at once.
    """

    token: str | Callable[[], str] | None
    tls: Tls
    timeout: float | None
    retries: Retries
    headers: Mapping[str, str]
    trace_context: Callable[[], Mapping[str, str]] | None
    connections: int
