# SPDX-License-Identifier: Apache-2.0
"""The client for event loops. Each method is that of `Client`, awaited; see there."""

from __future__ import annotations

import asyncio
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
    async def send(self, verb: Verb, headers: Sequence[tuple[str, str]], timeout: float | None) -> Any: ...

    async def close(self) -> None: ...


class AsyncClient:
    """Asks one model server or several alike, from the tasks of one event loop; made while that loop runs.

        async with AsyncClient("grpc://localhost:8500") as client:
            (await client.predict("half_plus_two", {"x": [1.0, 2.0]}))["y"]

    Arguments and errors are those of `Client`. Over REST, up to 32 calls at once wait in threads.
    """

    def __init__(self, urls: str | Sequence[str], **settings: Unpack[ClientSettings]) -> None:
        parsed, given = addresses.parse_all(urls), Settings(**settings)
        self._hosts = [_open(address, given) for address in parsed]
        self._calls = Calls(self._hosts, given, needs_signature=any(address.rest for address in parsed))

    async def predict(self, model: str, inputs: Mapping[str, Any], **options: Unpack[PredictOptions]) -> Prediction:
        return await self._run(self._calls.predict(model, inputs, options))

    async def classify(
        self,
        model: str,
        examples: Sequence[Features],
        context: Features | None = None,
        **options: Unpack[CallOptions],
    ) -> Classification:
        return await self._run(self._calls.classify(model, examples, context, options))

    async def regress(
        self,
        model: str,
        examples: Sequence[Features],
        context: Features | None = None,
        **options: Unpack[CallOptions],
    ) -> Array:
        return await self._run(self._calls.regress(model, examples, context, options))

    async def multi_inference(
        self,
        model: str,
        examples: Sequence[Features],
        tasks: Mapping[str, str],
        context: Features | None = None,
        **options: Unpack[CallOptions],
    ) -> dict[str, Classification | Array]:
        return await self._run(self._calls.multi_inference(model, examples, tasks, context, options))

    async def status(self, model: str, **options: Unpack[CallOptions]) -> list[VersionStatus]:
        return await self._run(self._calls.status(model, options))

    async def metadata(self, model: str, **options: Unpack[CallOptions]) -> Metadata:
        return await self._run(self._calls.metadata(model, options))

    async def reload(self, models: Mapping[str, str] | str | bytes, **options: Unpack[CallOptions]) -> None:
        await self._run(self._calls.reload(models, options))

    async def ready(self, model: str, **options: Unpack[CallOptions]) -> bool:
        return await self._run(self._calls.ready(model, options))

    async def wait_ready(self, model: str, **options: Unpack[CallOptions]) -> None:
        await self._run(self._calls.wait_ready(model, options))

    async def close(self) -> None:
        for host in self._hosts:
            await host.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, flow: Flow[_Host, Result]) -> Result:
        try:
            step = next(flow)
            while True:
                step = flow.send(await _perform(step))
        except StopIteration as end:
            result: Result = end.value
            return result


async def _perform(step: Step[_Host]) -> Any:
    if isinstance(step, Wait):
        return await asyncio.sleep(step.seconds)
    try:
        return await step.host.send(step.verb, step.headers, step.timeout)
    except ServingError as error:
        return error


def _open(address: addresses.Address, settings: Settings) -> _Host:
    if address.rest:
        from tensorserve_client.rest_transport import AsyncRestHost

        return AsyncRestHost(address, settings)
    from tensorserve_client.grpc_transport import AsyncGrpcHost

    return AsyncGrpcHost(address, settings)
