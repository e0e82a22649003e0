# SPDX-License-Identifier: Apache-2.0
"""The blocking client."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from tensorserve_client import addresses
from tensorserve_client.attempts import Flow, Result, Step, Wait
from tensorserve_client.calls import Calls, Features
from tensorserve_client.errors import ServingError
from tensorserve_client.options import CallOptions, ClientSettings, PredictOptions, Settings
from tensorserve_client.results import Array, Classification, Metadata, Prediction, VersionStatus

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from tensorserve_client.verbs import Verb


class _Host(Protocol):
    def send(self, verb: Verb, headers: Sequence[tuple[str, str]], timeout: float | None) -> Any: ...

    def close(self) -> None: ...


class Client:
    """Asks one model server or several alike. May be used by many threads at once.

        with Client("grpc://localhost:8500") as client:
            client.predict("half_plus_two", {"x": [1.0, 2.0]})["y"]

    Args:
        urls: `grpc://HOST:PORT`, `grpcs://` (with TLS), `http://`, `https://`, `unix:PATH` (gRPC) or `http+unix:PATH`.
            Several, in a list or with commas between them, take turns; one that cannot be reached is passed over.
        settings: See `ClientSettings`; they are keyword arguments.

    Every method takes the keyword arguments of `CallOptions` and raises `ServingError`, or the class of its code.

    Raises:
        AddressError: A URL names no server.
        OSError: A file of `tls` cannot be read.
    """

    def __init__(self, urls: str | Sequence[str], **settings: Unpack[ClientSettings]) -> None:
        parsed, given = addresses.parse_all(urls), Settings(**settings)
        self._hosts = [_open(address, given) for address in parsed]
        self._calls = Calls(self._hosts, given, needs_signature=any(address.rest for address in parsed))

    def predict(self, model: str, inputs: Mapping[str, Any], **options: Unpack[PredictOptions]) -> Prediction:
        """The outputs, by alias, that a model computes of the inputs.

        Args:
            model: Its name.
            inputs: Arrays by alias, or what `values.convert` makes arrays of: numbers, texts, bytes, lists, images.
            options: See `PredictOptions`.

        Raises:
            InputError: A value cannot become a tensor. Nothing was sent.
        """
        return self._run(self._calls.predict(model, inputs, options))

    def classify(
        self,
        model: str,
        examples: Sequence[Features],
        context: Features | None = None,
        **options: Unpack[CallOptions],
    ) -> Classification:
        """The labels and scores of each Example.

        Args:
            model: Its name.
            examples: Dicts of features: numbers, texts, bytes, or flat lists of them.
            context: Features that all Examples share.
            options: See `CallOptions`.
        """
        return self._run(self._calls.classify(model, examples, context, options))

    def regress(
        self,
        model: str,
        examples: Sequence[Features],
        context: Features | None = None,
        **options: Unpack[CallOptions],
    ) -> Array:
        """A number for each Example, as float32; the arguments are those of `classify`."""
        return self._run(self._calls.regress(model, examples, context, options))

    def multi_inference(
        self,
        model: str,
        examples: Sequence[Features],
        tasks: Mapping[str, str],
        context: Features | None = None,
        **options: Unpack[CallOptions],
    ) -> dict[str, Classification | Array]:
        """Several signatures on the same Examples, by the signatures' names; gRPC only.

        Args:
            model: Its name.
            examples: As for `classify`.
            tasks: `classify` or `regress` by name of signature.
            context: As for `classify`.
            options: See `CallOptions`; the signature is not looked at.
        """
        return self._run(self._calls.multi_inference(model, examples, tasks, context, options))

    def status(self, model: str, **options: Unpack[CallOptions]) -> list[VersionStatus]:
        """The state of each version, or of the one that is named."""
        return self._run(self._calls.status(model, options))

    def metadata(self, model: str, **options: Unpack[CallOptions]) -> Metadata:
        """The signatures of a version."""
        return self._run(self._calls.metadata(model, options))

    def reload(self, models: Mapping[str, str] | str | bytes, **options: Unpack[CallOptions]) -> None:
        """Replaces the list of models that the server serves; gRPC only.

        Args:
            models: Base paths by name, the text of a `--model_config_file`, or a serialized `ModelServerConfig`.
            options: See `CallOptions`.

        Raises:
            ValueError: The text is no such configuration.
        """
        self._run(self._calls.reload(models, options))

    def ready(self, model: str, **options: Unpack[CallOptions]) -> bool:
        """Whether a version answers requests; False if the server cannot be reached."""
        return self._run(self._calls.ready(model, options))

    def wait_ready(self, model: str, **options: Unpack[CallOptions]) -> None:
        """Waits until a version answers requests.

        Raises:
            DeadlineExceededError: None did within `timeout` seconds (the client's, without one).
        """
        self._run(self._calls.wait_ready(model, options))

    def close(self) -> None:
        """Closes the connections. Calls under way fail."""
        for host in self._hosts:
            host.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _run(self, flow: Flow[_Host, Result]) -> Result:
        try:
            step = next(flow)
            while True:
                step = flow.send(_perform(step))
        except StopIteration as end:
            result: Result = end.value
            return result


def _perform(step: Step[_Host]) -> Any:
    if isinstance(step, Wait):
        return time.sleep(step.seconds)
    try:
        return step.host.send(step.verb, step.headers, step.timeout)
    except ServingError as error:
        return error


def _open(address: addresses.Address, settings: Settings) -> _Host:
    # Each protocol's library is imported when it is used: gRPC's takes most of the time that importing this takes.
    if address.rest:
        from tensorserve_client.rest_transport import RestHost

        return RestHost(address, settings)
    from tensorserve_client.grpc_transport import GrpcHost

    return GrpcHost(address, settings)
