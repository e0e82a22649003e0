# SPDX-License-Identifier: Apache-2.0
"""Large messages are read and written on execution threads, pages on a thread of their own: I/O threads stay free."""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf

from tests.clients import GrpcClient, RestClient, predict_request
from tests.conftest import ServeModels
from tests.server_process import ServerProcess

SECONDS = 6.0
CLASSIFY = "/tensorflow.serving.PredictionService/Classify"
PREDICT = "/tensorflow.serving.PredictionService/Predict"
MULTI_INFERENCE = "/tensorflow.serving.PredictionService/MultiInference"


@pytest.fixture(scope="module")
def server(serve_models: ServeModels, models: Path) -> ServerProcess:
    served = {name: models / name for name in ("slow", "half_plus_two", "echo", "heads")}
    return serve_models(served, "--io_threads=1", "--execution_threads=1")


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[GrpcClient]:
    client = GrpcClient(server.grpc_target)
    yield client
    client.close()


@pytest.fixture
def busy(client: GrpcClient) -> Iterator[Any]:
    """A run that has the only execution thread. It is still there when the test is done."""
    run = client.prediction.Predict.future(predict_request("slow", {"seconds": [SECONDS]}), 30)
    while not busy_for(client):
        pass
    yield run
    run.result()


def busy_for(client: GrpcClient) -> bool:
    """Whether a request that needs the execution thread has to wait."""
    try:
        client.send(predict_request("slow", {"seconds": [0.0]}), timeout=0.5)
    except grpc.RpcError:
        return True
    return False


def test_pages_are_written_while_every_execution_thread_runs(
    server: ServerProcess, client: GrpcClient, busy: Any
) -> None:
    rest = RestClient(server.rest_url)
    # `requests` accepts gzip, so these are compressed as well.
    for path in ("/metrics", "/v1/models/echo", "/v1/models/echo/metadata", "/v1/openapi.json", "/v1/docs"):
        reply = rest.get(path)
        assert reply.status_code == 200, path
        assert len(reply.content) > 100
    assert client.states("half_plus_two")
    assert client.metadata("echo").metadata["signature_def"].value
    assert not busy.done()


SPEC = b"\x0a\x0f\x0a\x0dhalf_plus_two"
STRING_TENSOR = tf.make_tensor_proto([b""] * 50_000)

HEAVY: dict[str, tuple[str, Callable[[], bytes]]] = {
    "empty inputs": (PREDICT, lambda: SPEC + b"\x12\x00" * 500_000),
    "output filters": (PREDICT, lambda: SPEC + b"\x1a\x01y" * 500_000),
    "unknown fields": (PREDICT, lambda: SPEC + b"\x78\x00" * 500_000),
    "numbers in varints": (PREDICT, lambda: large("int64", np.arange(100_000)).SerializeToString()),
    "strings": (PREDICT, lambda: predict_request("echo", {"x": STRING_TENSOR}, signature="string").SerializeToString()),
    "a few bytes that are filled up": (PREDICT, lambda: filled().SerializeToString()),
    "empty examples": (CLASSIFY, lambda: SPEC + b"\x12\xc0\xfc\x15\x0a\xbc\xfc\x15" + b"\x0a\x00" * 178_718),
    "tasks": (MULTI_INFERENCE, lambda: b"\x0a\x00" * 50_000),
}


def large(signature: str, values: Any) -> Any:
    tensor = tf.make_tensor_proto(0, dtype=signature)
    tensor.Clear()
    tensor.dtype = tf.as_dtype(signature).as_datatype_enum
    tensor.tensor_shape.dim.add(size=len(values))
    tensor.int64_val.extend(values.tolist())
    return predict_request("echo", {"x": tensor}, signature=signature)


def filled() -> Any:
    tensor = tf.make_tensor_proto(1.0)
    tensor.tensor_shape.dim.add(size=4_000_000)
    return predict_request("half_plus_two", {"x": tensor})


@pytest.mark.parametrize("name", HEAVY)
def test_heavy_messages_wait_for_an_execution_thread(client: GrpcClient, busy: Any, name: str) -> None:
    path, message = HEAVY[name]
    heavy = client.channel.unary_unary(path).future(message(), timeout=30)
    for _ in range(3):
        # Answered by the I/O thread, which has the other message by now.
        assert client.states("half_plus_two")
    assert not heavy.done()
    assert not busy.done()
    heavy.exception()


def test_compressed_messages_are_inflated_elsewhere(client: GrpcClient, busy: Any) -> None:
    message = predict_request("half_plus_two", {"x": [1.0] * 100_000})
    heavy = client.prediction.Predict.future(message, 30, compression=grpc.Compression.Gzip)
    assert client.states("half_plus_two")
    assert not heavy.done()
    assert len(heavy.result().outputs["y"].float_val) == 100_000


def test_heavy_bodies_wait_for_an_execution_thread(server: ServerProcess, client: GrpcClient, busy: Any) -> None:
    rest = RestClient(server.rest_url)
    reply = rest.session.post(
        rest.url + "/v1/models/half_plus_two:predict",
        data=gzip.compress(b'{"instances": [' + b"1.0," * 200_000 + b"1.0]}"),
        headers={"Content-Encoding": "gzip"},
        timeout=60,
    )
    assert reply.status_code == 200
    assert busy.done()


@pytest.mark.parametrize(("model", "signature"), [("echo", "int64"), ("echo", "float32"), ("echo", "string")])
def test_large_replies_are_whole(client: GrpcClient, model: str, signature: str) -> None:
    values = {
        "int64": np.arange(2_000_000) - 1_000_000,
        "float32": np.linspace(0, 1, 3_000_000, dtype=np.float32),
        "string": np.array([b"x" * (number % 50) for number in range(100_000)], dtype=object),
    }[signature]
    request = predict_request(model, {"x": tf.make_tensor_proto(values)}, signature=signature)
    found = tf.make_ndarray(client.send(request, timeout=60).outputs["y"])
    np.testing.assert_array_equal(found, values)
