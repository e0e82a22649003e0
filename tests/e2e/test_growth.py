# SPDX-License-Identifier: Apache-2.0
"""Small requests that ask for much memory. Each is refused, or answered without taking it; see docs/limits.md."""

import io
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, session_service_pb2

from tests.clients import GrpcClient, RestClient, model_spec, predict_request, rpc_error
from tests.conftest import ServeModels
from tests.server_process import ServerProcess

PREDICT = "/tensorflow.serving.PredictionService/Predict"
MAX_REPLY = 3_000_000
MEGABYTE = 1_000_000
SIGNATURE = {"x-tensorserve-signature": "float32"}


@pytest.fixture(scope="module")
def server(serve_models: ServeModels, models: Path) -> ServerProcess:
    served = {name: models / name for name in ("half_plus_two", "echo", "strings", "heads", "sums")}
    return serve_models(served, f"--max_reply_bytes={MAX_REPLY}", "--enable_session_service")


@pytest.fixture(autouse=True)
def keeps_its_memory(server: ServerProcess) -> Iterator[None]:
    """Each test ends with the same process, which has not taken much memory for what it was sent."""
    process = psutil.Process(server.serving_pid)
    before = process.memory_info().rss
    yield
    assert server.is_running, server.log
    assert process.memory_info().rss - before < 500 * MEGABYTE
    reply = RestClient(server.rest_url).predict("half_plus_two", {"instances": [2.0]})
    assert reply.json() == {"predictions": [6.0]}


def proto(dtype: int, shape: list[int], **fields: object) -> tensor_pb2.TensorProto:
    message = tensor_pb2.TensorProto(dtype=dtype, **fields)  # type: ignore[arg-type]
    message.tensor_shape.SetInParent()
    for size in shape:
        message.tensor_shape.dim.add(size=size)
    return message


FILLED: dict[str, Callable[[], tensor_pb2.TensorProto]] = {
    "one long string": lambda: proto(types_pb2.DT_STRING, [2_000_000], string_val=[b"a" * MEGABYTE]),
    "a gigabyte of one string": lambda: proto(types_pb2.DT_STRING, [1000], string_val=[b"a" * MEGABYTE]),
    "short strings": lambda: proto(types_pb2.DT_STRING, [700_000], string_val=[b"a" * 100]),
    "empty strings": lambda: proto(types_pb2.DT_STRING, [1 << 40]),
    "the last of several strings": lambda: proto(types_pb2.DT_STRING, [9, 9], string_val=[b"", b"b" * MEGABYTE]),
    "a matrix of strings": lambda: proto(types_pb2.DT_STRING, [1 << 20, 1 << 20], string_val=[b"x"]),
    "strings without lengths": lambda: proto(types_pb2.DT_STRING, [1 << 30], tensor_content=b"\0"),
    "floats": lambda: proto(types_pb2.DT_FLOAT, [1 << 34], float_val=[1.0]),
    "bytes": lambda: proto(types_pb2.DT_UINT8, [100 * MEGABYTE], int_val=[7]),
    "complex numbers": lambda: proto(types_pb2.DT_COMPLEX128, [5 * MEGABYTE], dcomplex_val=[1.0, 2.0]),
    "zeros": lambda: proto(types_pb2.DT_INT64, [1 << 20, 1 << 20]),
}


@pytest.mark.parametrize("name", FILLED)
def test_values_that_are_filled_up(server: ServerProcess, name: str) -> None:
    client = GrpcClient(server.grpc_target)
    message = FILLED[name]()
    model, alias = ("strings", "text") if message.dtype == types_pb2.DT_STRING else ("half_plus_two", "x")
    request = predict_request(model, {alias: message})
    code, text = rpc_error(lambda: client.send(request))
    assert code == "INVALID_ARGUMENT"
    assert text.startswith(f"tensor parsing error: {alias}")
    reply = RestClient(server.rest_url).post(
        f"/v1/models/{model}:predict", request.SerializeToString(), headers={"Content-Type": "application/x-protobuf"}
    )
    assert reply.status_code == 400, reply.text
    client.close()


def test_inputs_share_what_is_filled_up(server: ServerProcess) -> None:
    client = GrpcClient(server.grpc_target)
    large = proto(types_pb2.DT_FLOAT, [12 * MEGABYTE], float_val=[1.0])
    code, text = rpc_error(lambda: client.predict("sums", {"a": large, "b": large}))
    assert (code, text[:23]) == ("INVALID_ARGUMENT", "tensor parsing error: b")
    feeds = [("serving_default_a:0", large)] * 50
    request = session_service_pb2.SessionRunRequest(model_spec=model_spec("sums"), fetch=["serving_default_a:0"])
    for name, tensor in feeds:
        request.feed.add(name=name).tensor.CopyFrom(tensor)
    code, text = rpc_error(lambda: session_run(client, request.SerializeToString()))
    assert (code, text[:21]) == ("INVALID_ARGUMENT", "tensor parsing error:")
    client.close()


def session_run(client: GrpcClient, message: bytes) -> bytes:
    return bytes(client.channel.unary_unary("/tensorflow.serving.SessionService/SessionRun")(message, timeout=10))


@pytest.mark.parametrize("field", [2, 3])
def test_messages_of_many_entries(server: ServerProcess, field: int) -> None:
    client = GrpcClient(server.grpc_target)
    entry = bytes([field << 3 | 2, 0])
    spec = predict_request("half_plus_two", {"x": [1.0]}).SerializeToString()
    code, _ = rpc_error(lambda: client.channel.unary_unary(PREDICT)(spec + entry * MEGABYTE, timeout=20))
    assert code in ("INTERNAL", "INVALID_ARGUMENT")
    code, _ = rpc_error(lambda: session_run(client, entry * MEGABYTE))
    assert code == "INTERNAL"
    metadata = client.channel.unary_unary("/tensorflow.serving.PredictionService/GetModelMetadata")
    code, _ = rpc_error(lambda: metadata(entry * MEGABYTE, timeout=20))
    assert code in ("INTERNAL", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")
    client.close()


def empty_echo(dims: list[int]) -> predict_pb2.PredictRequest:
    return predict_request("echo", {"x": proto(types_pb2.DT_FLOAT, dims)}, signature="float32")


REPLIES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "lists without elements": ("application/x-protobuf", lambda: empty_echo([1 << 40, 0]).SerializeToString()),
    "lists of lists": ("application/x-protobuf", lambda: empty_echo([1000, 1 << 30, 0]).SerializeToString()),
    "many levels": (
        "application/x-protobuf",
        lambda: predict_request(
            "echo", {"x": proto(types_pb2.DT_FLOAT, [20_000, *[1] * 200], float_val=[1.0])}, signature="float32"
        ).SerializeToString(),
    ),
    "zeros": ("application/x-protobuf", lambda: empty_echo([5 * MEGABYTE]).SerializeToString()),
    "an array without elements": ("application/x-npy", lambda: npy(np.zeros((1 << 40, 0), np.float32))),
}


def npy(array: np.ndarray) -> bytes:  # type: ignore[type-arg]
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


@pytest.mark.parametrize("name", REPLIES)
def test_replies_that_would_be_too_large(server: ServerProcess, name: str) -> None:
    content_type, body = REPLIES[name]
    reply = RestClient(server.rest_url).post(
        "/v1/models/echo:predict",
        body(),
        headers={"Content-Type": content_type, "Accept": "application/json", **SIGNATURE},
    )
    assert (reply.status_code, reply.json()) == (429, {"error": f"the reply is longer than {MAX_REPLY} bytes"})


@pytest.mark.parametrize("accept", ["application/x-protobuf", "application/x-npy", "application/x-npz"])
def test_binary_replies_are_bounded_too(server: ServerProcess, accept: str) -> None:
    headers = {"Content-Type": "application/x-protobuf", "Accept": accept, **SIGNATURE}
    body = empty_echo([MEGABYTE]).SerializeToString()
    reply = RestClient(server.rest_url).post("/v1/models/echo:predict", body, headers=headers)
    assert reply.status_code == 429, reply.text
    body = empty_echo([500_000]).SerializeToString()
    reply = RestClient(server.rest_url).post("/v1/models/echo:predict", body, headers=headers)
    assert reply.status_code == 200, reply.text


def test_messages_that_would_be_too_large(server: ServerProcess) -> None:
    client = GrpcClient(server.grpc_target)
    code, text = rpc_error(lambda: client.send(empty_echo([MEGABYTE])))
    assert code == "RESOURCE_EXHAUSTED"
    assert text.startswith("Sent message larger than max (4000")
    assert text.endswith(f" vs. {MAX_REPLY})")
    assert len(client.send(empty_echo([500_000])).outputs["y"].float_val) == 500_000
    client.close()


def test_error_texts(server: ServerProcess) -> None:
    client = GrpcClient(server.grpc_target)
    many = {f"input{number}" * 50: [1.0] for number in range(2000)}
    for request in (
        predict_request("half_plus_two", many),
        predict_request("half_plus_two", {"x": [1.0]}, output_filter=["z" * MEGABYTE]),
        predict_request("half_plus_two", {"z" * MEGABYTE: [1.0]}),
        predict_request("m" * MEGABYTE, {"x": [1.0]}),
        predict_request("half_plus_two", {"x": [1.0]}, signature="s" * MEGABYTE),
        predict_request("half_plus_two", {"x": [1.0]}, label="l" * MEGABYTE),
    ):
        code, text = rpc_error(lambda request=request: client.send(request))  # type: ignore[misc]
        assert code in ("INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION")
        assert len(text) < 1100
        reply = RestClient(server.rest_url).post(
            "/v1/models/half_plus_two:predict",
            request.SerializeToString(),
            headers={"Content-Type": "application/x-protobuf"},
        )
        assert 400 <= reply.status_code < 500
        assert len(reply.content) < 70_000
    client.close()


@pytest.mark.parametrize("length", [10_000, 1 << 31, 1 << 40])
def test_announced_sizes_reserve_nothing(server: ServerProcess, length: int) -> None:
    before = psutil.Process(server.serving_pid).memory_info().vms
    head = (
        f"POST /v1/models/half_plus_two:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {min(length, 2**31 - 1)}\r\n\r\n"
    )
    clients = [socket.create_connection(("127.0.0.1", server.rest_port), timeout=10) for _ in range(50)]
    for client in clients:
        client.sendall(head.encode() + b"{")
    calls = [GrpcClient(server.grpc_target) for _ in range(2)]
    # A prefix that announces a large message; nothing follows.
    for call in calls:
        stream = call.channel.stream_unary(PREDICT, request_serializer=lambda message: message)
        stream.future(iter(()), timeout=1)
    RestClient(server.rest_url).predict("half_plus_two", {"instances": [2.0]})
    assert psutil.Process(server.serving_pid).memory_info().vms - before < 1000 * MEGABYTE
    for client in clients:
        client.close()
    for call in calls:
        call.close()


def test_header_lists(server: ServerProcess) -> None:
    for count, size in ((5000, 100), (10, 100_000), (100_000, 1)):
        lines = b"".join(b"x-%d: %s\r\n" % (number, b"v" * size) for number in range(count))
        with closing(socket.create_connection(("127.0.0.1", server.rest_port), timeout=10)) as connection:
            try:
                connection.sendall(b"GET /v1/models/half_plus_two HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n")
                answer = connection.recv(4096)
            except ConnectionError:
                continue
            assert answer == b"" or answer.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400")), answer[:100]
    client = GrpcClient(server.grpc_target, options=[("grpc.max_metadata_size", 1 << 24)])
    for metadata in ([("x", "v" * 200_000)], [(f"x-{number}", "v") for number in range(5000)]):
        code, _ = rpc_error(
            lambda metadata=metadata: client.prediction.Predict(  # type: ignore[misc]
                predict_request("half_plus_two", {"x": [1.0]}), 5, metadata=metadata
            )
        )
        assert code in ("RESOURCE_EXHAUSTED", "UNAVAILABLE", "INTERNAL", "CANCELLED", "UNKNOWN")
    client.close()


def test_metadata_fields_are_counted(server: ServerProcess) -> None:
    client = GrpcClient(server.grpc_target)
    request = get_model_metadata_pb2.GetModelMetadataRequest(
        model_spec=model_spec("half_plus_two"), metadata_field=["signature_def"] * 100
    )
    assert client.prediction.GetModelMetadata(request, 10).metadata["signature_def"].value
    client.close()


def test_a_lying_prefix_reserves_nothing(server: ServerProcess) -> None:
    before = psutil.Process(server.serving_pid).memory_info().vms
    from tests.e2e.http2_frames import Http2Connection

    connections = [Http2Connection("127.0.0.1", server.grpc_port) for _ in range(20)]
    for connection in connections:
        connection.send_headers(PREDICT)
        connection.send_data(struct.pack(">BI", 0, 2**31 - 1), end=False)
    RestClient(server.rest_url).predict("half_plus_two", {"instances": [2.0]})
    assert psutil.Process(server.serving_pid).memory_info().vms - before < 1000 * MEGABYTE
    for connection in connections:
        connection.close()
