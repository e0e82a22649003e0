# SPDX-License-Identifier: Apache-2.0
"""Inputs that would make a kernel of TensorFlow end the process are errors, by every way into a model."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import session_service_pb2

from tests.clients import GrpcClient, RestClient, model_spec, predict_request, tensor
from tests.conftest import ServeModels
from tests.models import cache
from tests.server_process import ServerProcess
from tests.warmup_files import log_of, with_warmup

ODD_RANKS = ([3.0], [[1.0, 2.0, 3.0]], [[[0.5] * 3] * 8] * 8, np.zeros([1, 1, 8, 8, 3]), 1.0, np.zeros([0, 3]))


@pytest.fixture(scope="module")
def server(serve_models: ServeModels) -> ServerProcess:
    odd = cache.exported(cache.ODD)
    return serve_models({name: odd / name for name in ("kernels", "operands", "layers")}, "--enable_session_service")


@pytest.fixture
def client(server: ServerProcess) -> Iterator[GrpcClient]:
    client = GrpcClient(server.grpc_target)
    yield client
    client.close()


def error_of(client: GrpcClient, model: str, inputs: Any, **more: Any) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        client.predict(model, inputs, **more)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT, caught.value.details()
    return str(caught.value.details())


@pytest.mark.parametrize("signature", ["serving_default", "depthwise", "network"])
def test_images_of_a_wrong_rank(client: GrpcClient, signature: str) -> None:
    for image in ODD_RANKS:
        text = error_of(client, "kernels", {"x": image}, signature=signature)
        assert "must be 4-dimensional" in text
        assert "signature" in text
    reply = client.predict("kernels", {"x": np.ones([2, 8, 8, 3])}, signature=signature)
    assert tf.make_ndarray(reply.outputs["y"]).shape[0] == 2


def test_lists_and_volumes_of_a_wrong_rank(client: GrpcClient) -> None:
    for value in (1.0, [1.0], np.zeros([8, 3]), np.zeros([1, 8, 8, 3]), np.zeros([0, 0])):
        assert "must be 3-dimensional" in error_of(client, "kernels", {"x": value}, signature="flat")
    for signature in ("volume", "pooled"):
        for value in (1.0, [1.0], np.zeros([8, 3]), np.zeros([2, 2, 2, 3]), np.zeros([1, 1, 2, 2, 2, 3])):
            assert "must be 5-dimensional" in error_of(client, "kernels", {"x": value}, signature=signature)


def test_sizes_from_the_client(client: GrpcClient) -> None:
    def inputs(sizes: list[int], shape: tuple[int, ...] = (1, 4, 4, 4)) -> dict[str, Any]:
        return {"x": np.ones(shape), "sizes": tensor(sizes, "int32")}

    wrong: tuple[list[int], ...] = (
        [1, -1, -1, 1],
        [1, 8, 8],
        [],
        [1, 8, 8, 3, 1],
        [-2, 8, 8, 3],
        [-1, 8],
        [1 << 30, 1 << 30, 8, 3],
        [1, 8, 8, 4],
    )
    for sizes in wrong:
        error_of(client, "kernels", inputs(sizes), signature="transposed")
    error_of(client, "kernels", inputs([1, 8, 8, 3], (4, 4, 4)), signature="transposed")
    for sizes in ([1, 8, 8, 3], [-1, 8, 8, 3], [8, 8]):
        reply = client.predict("kernels", inputs(sizes), signature="transposed")
        assert tf.make_ndarray(reply.outputs["y"]).shape == (1, 8, 8, 3)


def test_other_kernels(client: GrpcClient) -> None:
    for sizes in ([4, 0], [0, 4], [-1, 4], [4, -4]):
        error_of(client, "kernels", {"x": np.ones([4, 3]), "sizes": tensor(sizes, "int32")}, signature="inverse")
    for places in ([[[0]], [[1]], [[2]], [[3]]], 0, [[[[0]]]] * 4):
        error_of(client, "kernels", {"x": np.ones([8]), "sizes": tensor(places, "int32")}, signature="scattered")
    for shape in ([1, 2, 4, 3], [2, 4, 3], [4, 3], [1, 1, 2, 4, 3]):
        inputs = {"x": np.ones([1, 2, 3, 4]), "y": np.ones(shape)}
        reply = client.predict("kernels", inputs, signature="attention")
        assert tf.make_ndarray(reply.outputs["y"]).shape[-4:] == (1, 2, 3, 3)


def test_attention_that_was_fused_for_other_ranks(client: GrpcClient) -> None:
    def inputs(**shapes: tuple[int, ...]) -> dict[str, Any]:
        right: dict[str, tuple[int, ...]] = {"x": (1, 2, 3, 4), "y": (1, 2, 4, 3), "mask": (1, 1, 3, 3), "scale": ()}
        return {name: np.ones(shape) for name, shape in (right | shapes).items()}

    for mask in ((), (1,), (3,), (3, 3), (1, 3, 3), (1, 1, 1, 3, 3)):
        assert "4-dimensional" in error_of(client, "operands", inputs(mask=mask), signature="masked")
    for x, y in (((3, 4), (4, 3)), ((2, 3, 4), (2, 4, 3)), ((1, 1, 2, 3, 4), (1, 2, 4, 3)), ((2, 3, 4), (1, 2, 4, 3))):
        assert "4-dimensional" in error_of(client, "operands", inputs(x=x, y=y), signature="masked")
    for scale in ((3,), (0,), (2, 1, 1, 1), (1, 1, 1, 1, 1)):
        assert "single" in error_of(client, "operands", inputs(scale=scale), signature="masked")
    for shapes in ({}, {"x": (2, 2, 3, 4)}, {"mask": (1, 1, 1, 3)}, {"scale": (1,)}):
        reply = client.predict("operands", inputs(**shapes), signature="masked")
        assert tf.make_ndarray(reply.outputs["y"]).shape[1:] == (2, 3, 3)


def test_products_of_unlike_ranks_are_answered(client: GrpcClient) -> None:
    for shape in ((1, 2, 3), (5, 1, 3), (2, 3), (1, 1, 2, 3)):
        reply = client.predict("operands", {"x": np.ones(shape)}, signature="adapted")
        assert tf.make_ndarray(reply.outputs["y"]).shape == (*shape[:-1], 4)


def test_shapes_whose_sum_overflows(client: GrpcClient) -> None:
    most = (1 << 63) - 1
    for first, second in (
        ([most, 1], [1, 1]),
        ([1, most], [1, most]),
        ([most], [2]),
        ([1 << 62, 1], [1 << 62, 1]),
        ([most, 0], [most, 0]),
        ([2, 1 << 61], [2, 1 << 61]),
        ([1] * 255, [1] * 255),
    ):
        inputs = {"first": tensor(first, "int64"), "second": tensor(second, "int64")}
        error_of(client, "operands", inputs, signature="joined")
    for first, second in (([2, 3], [4, 3]), ([most - 5, 1], [5, 1]), ([2, 1 << 61], [1, 1 << 61])):
        inputs = {"first": tensor(first, "int64"), "second": tensor(second, "int64")}
        reply = client.predict("operands", inputs, signature="joined")
        assert tf.make_ndarray(reply.outputs["y"])[0] == first[0] + second[0]


def test_keys_that_are_no_single_texts(client: GrpcClient) -> None:
    def inputs(key: Any, other: Any) -> dict[str, Any]:
        return {name: tensor(value, object) for name, value in (("text", [b""]), ("key", key), ("other", other))}

    for key, other in (([], b"d"), (b"s", []), ([b"s", b"t"], b"d"), (b"s", [[b"d"], [b"e"]]), ([[]], [b"d"])):
        text = error_of(client, "operands", inputs(key, other), signature="parsed")
        assert "must be a single element" in text
    for key, other in ((b"s", b"d"), ([b"s"], [b"d"]), ([[b"s"]], b"")):
        reply = client.predict("operands", inputs(key, other), signature="parsed")
        assert tf.make_ndarray(reply.outputs["y"]).tolist() == [[7.0]]


def test_rest(server: ServerProcess) -> None:
    client = RestClient(server.rest_url)
    image = [[[0.5] * 3] * 8] * 8
    for body in ({"inputs": image}, {"instances": [1.0, 2.0]}, {"inputs": 1.0}, {"instances": [[[1.0] * 3] * 2]}):
        assert client.post("/v1/models/kernels:predict", body).status_code == 400
    assert client.post("/v1/models/kernels:predict", {"instances": [image]}).status_code == 200
    client.close()


def test_session_run_that_feeds_the_middle_of_a_graph(client: GrpcClient) -> None:
    run = client.channel.unary_unary(
        "/tensorflow.serving.SessionService/SessionRun",
        request_serializer=session_service_pb2.SessionRunRequest.SerializeToString,
        response_deserializer=session_service_pb2.SessionRunResponse.FromString,
    )
    for name in ("x:0", "first:0", "middle:0"):
        for value in (1.0, [1.0], np.zeros([4, 4]), np.zeros([1, 1, 4, 4, 1]), np.ones([1, 4, 4, 1])):
            request = session_service_pb2.SessionRunRequest(model_spec=model_spec("layers"), fetch=["second:0"])
            request.feed.add(name=name).tensor.CopyFrom(tensor(value))
            if np.ndim(value) == 4:
                assert tf.make_ndarray(run(request, timeout=10).tensor[0].tensor).shape[0] == 1
                continue
            with pytest.raises(grpc.RpcError) as caught:
                run(request, timeout=10)
            assert "4-dimensional" in caught.value.details()


def test_batches(serve_models: ServeModels, tmp_path: Path) -> None:
    parameters = tmp_path / "batching"
    parameters.write_text("max_batch_size { value: 8 } batch_timeout_micros { value: 100000 }")
    odd = {"rows": cache.exported(cache.ODD) / "rows"}
    server = serve_models(odd, "--enable_batching", f"--batching_parameters_file={parameters}")
    client = GrpcClient(server.grpc_target)
    values = [np.ones([1, 4, 4, 1]) if number % 2 else np.ones([1, 4, 4]) for number in range(16)]

    def ask(value: Any) -> str:
        try:
            client.predict("rows", {"x": value})
        except grpc.RpcError as error:
            return str(error.code().name)
        return "OK"

    with ThreadPoolExecutor(16) as pool:
        answered = list(pool.map(ask, values))
    assert answered == ["OK" if value.ndim == 4 else "INVALID_ARGUMENT" for value in values]
    client.close()


def test_a_recorded_request_fails_the_load_and_nothing_else(serve_models: ServeModels, tmp_path: Path) -> None:
    odd = cache.exported(cache.ODD)
    log = log_of(predict_request("any", {"x": np.ones([4, 4, 1])}), "predict_log")
    with_warmup(odd / "rows" / "1", tmp_path / "wrong" / "1", [log])
    server = serve_models(
        {"wrong": tmp_path / "wrong", "layers": odd / "layers"}, "--max_num_load_retries=0", ready=False
    )
    client = GrpcClient(server.grpc_target)
    reply = client.prediction.Predict(
        predict_request("layers", {"x": np.ones([1, 4, 4, 1])}), timeout=60, wait_for_ready=True
    )
    assert tf.make_ndarray(reply.outputs["y"]).shape == (1, 2, 2, 1)
    client.close()


def test_guards_refuse_nothing_that_tensorflow_answers() -> None:
    """A small part of `make soak SUITE=aborts`; each seed asks for other things."""
    ops = ("SparseConcat", "ParseExample", "BatchMatMulMulAdd+")
    words = [sys.executable, "-m", "tests.soak.abort_agreement", "0", *ops, "--seed", "1"]
    found = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stdout[-5000:] + found.stderr[-2000:]
