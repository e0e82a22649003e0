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

SECONDS = 8.0
# Longer than a page takes on a slow machine, and shorter than the run that it would wait for.
SOON = 4.0
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


def test_pages_are_written_while_every_execution_thread_runs(server: ServerProcess, client: GrpcClient) -> None:
    run = client.prediction.Predict.future(predict_request("slow", {"seconds": [SECONDS]}), 60)
    rest = RestClient(server.rest_url)
    # `requests` accepts gzip, so these are compressed as well.
    for path in ("/metrics", "/v1/models/echo", "/v1/models/echo/metadata", "/v1/openapi.json", "/v1/docs"):
        reply = rest.session.get(rest.url + path, timeout=SOON)
        assert reply.status_code == 200, path
        assert len(reply.content) > 100
    assert client.states("half_plus_two")
    assert client.metadata("echo").metadata["signature_def"].value
    assert run.result()


SPEC = b"\x0a\x0f\x0a\x0dhalf_plus_two"

HEAVY: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "empty inputs": (PREDICT, lambda: SPEC + b"\x12\x00" * 500_000, "INVALID_ARGUMENT"),
    "output filters": (PREDICT, lambda: SPEC + b"\x1a\x01y" * 500_000, "INTERNAL"),
    "unknown fields": (PREDICT, lambda: SPEC + b"\x78\x00" * 500_000, "INVALID_ARGUMENT"),
    "numbers in varints": (PREDICT, lambda: large("int64", np.arange(100_000)).SerializeToString(), "OK"),
    "strings": (PREDICT, lambda: strings().SerializeToString(), "OK"),
    "a few bytes that are filled up": (PREDICT, lambda: filled().SerializeToString(), "OK"),
    "empty examples": (
        CLASSIFY,
        lambda: SPEC + b"\x12\xc0\xe8\x15\x0a\xbc\xe8\x15" + b"\x0a\x00" * 178_718,
        "INVALID_ARGUMENT",
    ),
    "tasks": (MULTI_INFERENCE, lambda: b"\x0a\x00" * 50_000, "INTERNAL"),
}


def strings() -> Any:
    return predict_request("echo", {"x": tf.make_tensor_proto([b""] * 50_000)}, signature="string")


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
def test_heavy_messages_are_answered(client: GrpcClient, name: str) -> None:
    path, message, expected = HEAVY[name]
    heavy = client.channel.unary_unary(path).future(message(), timeout=60)
    assert client.states("half_plus_two")
    assert heavy.code().name == expected


def test_compressed_messages(client: GrpcClient) -> None:
    message = predict_request("half_plus_two", {"x": [1.0] * 100_000})
    reply = client.prediction.Predict(message, 60, compression=grpc.Compression.Gzip)
    assert len(reply.outputs["y"].float_val) == 100_000


def test_compressed_bodies(server: ServerProcess) -> None:
    rest = RestClient(server.rest_url)
    reply = rest.session.post(
        rest.url + "/v1/models/half_plus_two:predict",
        data=gzip.compress(b'{"instances": [' + b"1.0," * 200_000 + b"1.0]}"),
        headers={"Content-Encoding": "gzip"},
        timeout=60,
    )
    assert reply.status_code == 200
    assert len(reply.json()["predictions"]) == 200_001


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
