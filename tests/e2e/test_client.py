# SPDX-License-Identifier: Apache-2.0
"""The client against real servers, over each protocol."""

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tensorserve.client import (
    AsyncClient,
    Client,
    DeadlineExceededError,
    InvalidArgumentError,
    NotFoundError,
    Retries,
    Scored,
    Tls,
    UnavailableError,
    UnimplementedError,
)
from tensorserve_client import rest_codec, rest_transport
from tests.certificates import Authority, ssl_config
from tests.conftest import StartServer
from tests.server_process import ServerProcess

MODEL = "half_plus_two"
X = np.array([1, 2], np.float32)
ECHO_DTYPES = ["float16", "float32", "float64", "int8", "int16", "int32", "int64"]
ECHO_DTYPES += ["uint8", "uint16", "uint32", "uint64", "bool", "complex64", "complex128"]


@pytest.fixture(scope="module", params=["grpc", "rest", "json"])
def url(request: pytest.FixtureRequest, server: ServerProcess) -> Iterator[str]:
    """The server; `json` is how the original speaks REST, which reads and writes nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "json":
            patch.setattr(rest_transport, "_ACCEPT", rest_codec.JSON)
        yield f"grpc://{server.grpc_target}" if request.param == "grpc" else server.rest_url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[Client]:
    with Client(url) as made:
        yield made


def test_predict(client: Client) -> None:
    asked = [client.predict(MODEL, {"x": values}, version=1)["y"].tolist() for values in (X, [1, 2], [1.0, 2.0])]
    assert asked[0] == asked[1] == asked[2]
    found = client.predict(MODEL, {"x": X}, version=2)
    assert (list(found), found["y"].dtype) == (["y"], np.float32)
    found["y"][0] = 3  # The array is the caller's.


@pytest.mark.parametrize("dtype", ECHO_DTYPES)
def test_every_type_comes_back(client: Client, dtype: str, request: pytest.FixtureRequest) -> None:
    if dtype.startswith("complex") and "json" in request.node.callspec.id:
        pytest.skip("JSON has no complex numbers")
    # More values than are looked at one by one, and some that JSON and small integers find hard.
    values = np.arange(-130, 170).reshape(3, 100).astype(dtype)
    found = client.predict("echo", {"x": values}, signature=dtype)["y"]
    assert (found.dtype, found.shape) == (values.dtype, values.shape)
    assert np.array_equal(found, values)
    empty = client.predict("echo", {"x": values[:0]}, signature=dtype)["y"]
    assert empty.shape[0] == 0


def test_strings(client: Client) -> None:
    assert client.predict("strings", {"text": [["ab"], ["c"]]})["upper"].tolist() == [[b"AB"], [b"C"]]
    found = client.predict("strings", {"text": b"a\xff\0"}, signature="binary")["upper_bytes"]
    assert (found.shape, found.item()) == ((), b"A\xff\0")


def test_wanted_outputs(client: Client) -> None:
    x = np.ones((1, 2, 2), np.float32)
    assert sorted(client.predict("multi_output", {"x": x})) == ["a", "s_bytes"]
    assert list(client.predict("multi_output", {"x": x}, outputs=["s_bytes"])) == ["s_bytes"]
    with pytest.raises(InvalidArgumentError):
        client.predict("multi_output", {"x": x}, outputs=["z"])


def test_examples(client: Client) -> None:
    assert client.classify("heads", [{"x": 1.0}, {"x": 2.0}]) == [
        [Scored("car", 1.0), Scored("bike", 2.0)],
        [Scored("car", 2.0), Scored("bike", 4.0)],
    ]
    found = client.regress("heads", [{}, {}], {"x": 1.0}, signature="regress_x_to_y")
    assert (found.dtype, found.tolist()) == (np.float32, [2.5, 2.5])


def test_multi_inference(client: Client, url: str) -> None:
    tasks = {"regress_x_to_y": "regress", "serving_default": "classify"}
    if url.startswith("http"):
        with pytest.raises(UnimplementedError, match="use grpc://"):
            client.multi_inference("heads", [{"x": 1.0}], tasks)
        return
    found = client.multi_inference("heads", [{"x": 1.0}], tasks)
    assert found["regress_x_to_y"].tolist() == [2.5]  # type: ignore[union-attr]
    assert found["serving_default"] == [[("car", 1.0), ("bike", 2.0)]]


def test_status_and_metadata(client: Client) -> None:
    assert [(one.version, one.available) for one in client.status(MODEL)] == [(3, True), (2, True), (1, True)]
    assert [one.version for one in client.status(MODEL, version=2)] == [2]
    metadata = client.metadata(MODEL, version=2)
    spec = metadata.signatures["serving_default"].inputs["x"]
    assert (metadata.model, metadata.version, spec.dtype, spec.shape) == (MODEL, 2, np.float32, (-1,))
    assert client.metadata("strings").signatures["serving_default"].inputs["text"].shape is None
    assert client.ready(MODEL)
    assert not client.ready("none")
    client.wait_ready(MODEL, timeout=5)
    with pytest.raises(DeadlineExceededError, match=r"'none' was not ready within 0\.1 s"):
        client.wait_ready("none", timeout=0.1)


def test_errors(client: Client, request: pytest.FixtureRequest) -> None:
    with pytest.raises(NotFoundError, match="Servable not found for request"):
        client.predict("none", {"x": X})
    with pytest.raises(NotFoundError):
        client.predict(MODEL, {"x": X}, version=99)
    if "json" not in request.node.name:  # In JSON, numbers have no type.
        with pytest.raises(InvalidArgumentError, match="to be float but double"):
            client.predict(MODEL, {"x": X.astype(np.float64)})
    with pytest.raises(InvalidArgumentError):
        client.predict(MODEL, {"nope": X})


def test_deadlines(client: Client) -> None:
    started = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        client.predict("slow", {"seconds": np.full(1, 3, np.float32)}, timeout=0.2)
    assert time.monotonic() - started < 3


def test_many_threads_share_a_client(client: Client) -> None:
    def ask(number: int) -> float:
        return float(client.predict(MODEL, {"x": np.full(1, number, np.float32)}, version=1)["y"][0])

    with futures.ThreadPoolExecutor(8) as threads:
        first, *rest = threads.map(ask, range(200))
    assert rest == [first + 0.5 * number for number in range(1, 200)]


def test_an_event_loop(url: str) -> None:
    async def ask() -> list[float]:
        async with AsyncClient(url) as client:
            await client.wait_ready(MODEL, timeout=10)
            with pytest.raises(NotFoundError):
                await client.predict("none", {"x": X})
            found = await asyncio.gather(*[client.predict(MODEL, {"x": [i]}, version=2) for i in range(20)])
            assert [one.version for one in await client.status(MODEL, version=1)] == [1]
            assert (await client.regress("heads", [{"x": 1.0}], signature="regress_flat")).tolist() == [3.5]
            return [float(one["y"][0]) for one in found]

    first, *rest = asyncio.run(ask())
    assert rest == [first + 0.5 * i for i in range(1, 20)]


def test_several_addresses(server: ServerProcess) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        urls = [f"grpc://127.0.0.1:{unused.getsockname()[1]}", f"grpc://{server.grpc_target}", server.rest_url]
        with Client(urls, retries=Retries(attempts=3)) as client:
            assert {client.predict(MODEL, {"x": X}, version=1)["y"].shape for _ in range(9)} == {(2,)}


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        for url in (f"grpc://127.0.0.1:{port}", f"http://127.0.0.1:{port}", f"http+unix:{tmp_path}/none"):
            with Client(url, retries=Retries(attempts=1)) as client:
                with pytest.raises(UnavailableError) as caught:
                    client.status(MODEL)
                assert not caught.value.may_have_run
                assert not client.ready(MODEL)


def test_tls(start_server: StartServer, models: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder, authority = tmp_path_factory.mktemp("tls"), Authority("ours")
    config, ca = folder / "config", folder / "ca.pem"
    config.write_text(ssl_config(authority.sign("server")))
    ca.write_bytes(authority.certificate)
    secure = start_server(
        f"--model_name={MODEL}",
        f"--model_base_path={models / MODEL}",
        f"--ssl_config_file={config}",
        f"--rest_ssl_config_file={config}",
    )
    for url in (f"grpcs://{secure.grpc_target}", secure.rest_url.replace("http:", "https:")):
        with Client(url, tls=Tls(ca_file=str(ca))) as client:
            assert client.predict(MODEL, {"x": X})["y"].shape == (2,)
        with Client(url, retries=Retries(attempts=1)) as stranger, pytest.raises(UnavailableError):
            stranger.predict(MODEL, {"x": X})


def restart(server: ServerProcess, how: signal.Signals) -> None:
    server.signal(how)
    server.exit_status()
    server.start()


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_a_restart_costs_retries_and_no_errors(start_server: StartServer, models: Path, protocol: str) -> None:
    server = start_server(f"--model_name={MODEL}", f"--model_base_path={models / MODEL}")
    url = f"grpc://{server.grpc_target}" if protocol == "grpc" else server.rest_url
    answered, errors, stop = [0], [], threading.Event()
    # HTTP/1.1 does not tell whether a request on a connection that is being closed was read.
    with Client(url, retries=Retries(attempts=100, repeat=protocol == "rest")) as client:

        def ask() -> None:
            while not stop.is_set():
                try:
                    client.predict(MODEL, {"x": X})
                    answered[0] += 1
                except Exception as error:
                    errors.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            for _ in range(2):
                before = answered[0]
                wait_for(lambda before=before: answered[0] > before + 10)  # type: ignore[misc]
                restart(server, signal.SIGTERM)
                server.wait_ready()
            before = answered[0]
            wait_for(lambda: answered[0] > before + 10)
        finally:
            stop.set()
            thread.join()
    assert errors == []


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Recorder(grpc.GenericRpcHandler):  # type: ignore[misc]
    """A server that fails as it is told, and keeps the metadata of requests."""

    def __init__(self) -> None:
        self.metadata: list[dict[str, str]] = []
        self.refusals = 0

    def service(self, details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(self.answer)

    def answer(self, _request: bytes, context: grpc.ServicerContext) -> bytes:
        self.metadata.append(dict(context.invocation_metadata()))
        if self.refusals:
            self.refusals -= 1
            context.set_trailing_metadata([("grpc-retry-pushback-ms", "10")])
            context.abort(grpc.StatusCode.UNAVAILABLE, "busy")
        return b""


def test_what_a_server_sees(tmp_path: Path) -> None:
    recorder, server = Recorder(), grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers([recorder])
    server.add_insecure_port(f"unix:{tmp_path}/socket")
    server.start()
    trace = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    settings: Any = {"token": lambda: "secret", "headers": {"x-tenant": "a"}, "trace_context": lambda: trace}
    try:
        with Client(f"unix:{tmp_path}/socket", connections=2, **settings) as client:
            recorder.refusals = 2
            client.predict(MODEL, {"x": X}, priority="high", headers={"x-tenant": "b"})
    finally:
        server.stop(0)
    assert len(recorder.metadata) == 3
    expected = {"authorization": "Bearer secret", "x-tenant": "b", "x-tensorserve-priority": "high", **trace}
    assert recorder.metadata[-1].items() >= expected.items()


def test_a_reload(start_server: StartServer, models: Path) -> None:
    server = start_server(f"--model_name={MODEL}", f"--model_base_path={models / MODEL}")
    with Client(f"grpc://{server.grpc_target}") as client:
        client.reload({"other": str(models / "sums")})
        client.wait_ready("other", timeout=20)
        assert client.predict("other", {"a": [1.0]})["sum"].tolist() == [11.0]
        platform = 'model_platform: "tensorflow"'
        client.reload(f'model_config_list {{ config {{ name: "{MODEL}" base_path: "{models / MODEL}" {platform} }} }}')
        client.wait_ready(MODEL, timeout=20)
        with pytest.raises(InvalidArgumentError):
            client.reload('model_config_list { config { name: "no_platform" base_path: "/none" } }')
