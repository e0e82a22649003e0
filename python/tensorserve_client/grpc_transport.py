# SPDX-License-Identifier: Apache-2.0
"""gRPC channels: the blocking one and that of asyncio."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import grpc

from tensorserve_client import grpc_codec
from tensorserve_client.addresses import Address
from tensorserve_client.errors import ServingError, serving_error
from tensorserve_client.options import Settings, Tls
from tensorserve_client.verbs import Verb

# Tensors are larger than gRPC's default of 4 MB. A server that restarts is found again soon.
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]

# Texts of failures after which the model certainly has not run. Those of gRPC's own: no connection could be made.
_NEVER_SENT = (
    "failed to connect to all addresses",
    "DNS resolution failed",
    "Name resolution failure",
    "no healthy upstream",
)
# Those of servers that refuse a request: the batching queue of TensorFlow Serving, and the limits of tensorserve.
_REFUSED = ("The batch scheduling queue to which this task was submitted is full", "requests are in flight")


class _Channels:
    """The channels of one address, and its methods on them in turn."""

    def __init__(self, channels: Sequence[Any]) -> None:
        self.channels = channels
        self._turn = itertools.count()
        self._methods: dict[type[Verb], list[Callable[..., Any]]] = {}

    def method(self, kind: type[Verb]) -> Callable[..., Any]:
        methods = self._methods.get(kind)
        if methods is None:
            path = grpc_codec.METHODS[kind]
            methods = [channel.unary_unary(path, None, None) for channel in self.channels]
            self._methods[kind] = methods
        return methods[0] if len(methods) == 1 else methods[next(self._turn) % len(methods)]


class GrpcHost:
    """One server, asked from threads."""

    needs_signature = False

    def __init__(self, address: Address, settings: Settings) -> None:
        self._channels = _Channels(_open(address, settings, grpc.insecure_channel, grpc.secure_channel))

    def send(self, verb: Verb, headers: Sequence[tuple[str, str]], timeout: float | None) -> Any:
        """Asks, and gives what the verb gives. Raises ServingError."""
        method = self._channels.method(type(verb))
        request = grpc_codec.encode(verb)
        try:
            answer = method(request, timeout=timeout, metadata=headers)
        except grpc.RpcError as error:
            raise failure(error) from None
        return grpc_codec.decode(verb, answer)

    def close(self) -> None:
        for channel in self._channels.channels:
            channel.close()


class AsyncGrpcHost:
    """One server, asked from an event loop."""

    needs_signature = False

    def __init__(self, address: Address, settings: Settings) -> None:
        from grpc import aio

        self._channels = _Channels(_open(address, settings, aio.insecure_channel, aio.secure_channel))

    async def send(self, verb: Verb, headers: Sequence[tuple[str, str]], timeout: float | None) -> Any:
        """Asks, and gives what the verb gives. Raises ServingError."""
        method = self._channels.method(type(verb))
        request = grpc_codec.encode(verb)
        try:
            answer = await method(request, timeout=timeout, metadata=headers)
        except grpc.RpcError as error:
            raise failure(error) from None
        return grpc_codec.decode(verb, answer)

    async def close(self) -> None:
        for channel in self._channels.channels:
            await channel.close()


def _open(address: Address, settings: Settings, insecure: Any, secure: Any) -> list[Any]:
    options: list[tuple[str, Any]] = list(_OPTIONS)
    if settings.connections > 1:
        options.append(("grpc.use_local_subchannel_pool", 1))
    if not address.secure:
        return [insecure(address.target, options=options) for _ in range(settings.connections)]
    if settings.tls.server_name:
        options.append(("grpc.ssl_target_name_override", settings.tls.server_name))
    credentials = _credentials(settings.tls)
    return [secure(address.target, credentials, options=options) for _ in range(settings.connections)]


def _credentials(tls: Tls) -> Any:
    return grpc.ssl_channel_credentials(_read(tls.ca_file), _read(tls.key_file), _read(tls.certificate_file))


def _read(path: str | None) -> bytes | None:
    if path is None:
        return None
    with open(path, "rb") as file:
        return file.read()


def failure(error: Any) -> ServingError:
    """The exception for a call that failed."""
    code, message = error.code().value[0], error.details() or ""
    retry_after = _retry_after(error.trailing_metadata())
    certain = message.startswith(_NEVER_SENT) or any(text in message for text in _REFUSED)
    # What the server finds wrong with a request it finds before it runs the model, mostly; only a temporary failure is
    # ever sent again, so only that matters.
    return serving_error(code, message, may_have_run=not certain and retry_after is None, retry_after=retry_after)


def _retry_after(metadata: Any) -> float | None:
    for name, value in metadata or ():
        try:
            if name == "retry-after":
                return max(float(value), 0.0)
            if name == "grpc-retry-pushback-ms":
                return max(float(value), 0.0) / 1000
        except ValueError:
            continue
    return None
