# SPDX-License-Identifier: Apache-2.0
"""Binary bodies on the REST URLs: protobuf, npy and npz, chosen by Content-Type and Accept."""

import io
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from tests.clients import RestClient, predict_request

PROTOBUF = "application/x-protobuf"
NPY = "application/x-npy"
NPZ = "application/x-npz"
JSON = "application/json"
Array = np.ndarray[Any, Any]


def npy(array: Array, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npz(compressed: bool = False, **arrays: Array) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def loaded(body: bytes) -> Any:
    return np.load(io.BytesIO(body), allow_pickle=False)


def send(client: RestClient, target: str, body: bytes, content_type: str, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(f"/v1/models/{target}:predict", body, headers={"Content-Type": content_type, **named})


def error(reply: Any, status: int = 400) -> str:
    assert (reply.status_code, reply.headers["Content-Type"]) == (status, JSON), reply.content
    message: str = reply.json()["error"]
    return message


X = np.array([1.0, 2.0, 5.0], np.float32)
Y = X / 2 + 4  # the latest version of half_plus_two adds 4


@pytest.mark.parametrize("content_type", [PROTOBUF, "application/protobuf", f"{PROTOBUF}; charset=binary"])
@pytest.mark.parametrize("model", ["", "half_plus_two"])
def test_protobuf_in_and_out(rest_client: RestClient, content_type: str, model: str) -> None:
    reply = send(rest_client, "half_plus_two", predict_request(model, {"x": X}).SerializeToString(), content_type)
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, PROTOBUF)
    answer = predict_pb2.PredictResponse.FromString(reply.content)
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("half_plus_two", 3)
    np.testing.assert_array_equal(tf.make_ndarray(answer.outputs["y"]), Y)


def test_protobuf_without_a_model_spec(rest_client: RestClient) -> None:
    request = predict_pb2.PredictRequest()
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(X))
    reply = send(rest_client, "half_plus_two/versions/1", request.SerializeToString(), PROTOBUF)
    answer = predict_pb2.PredictResponse.FromString(reply.content)
    assert answer.model_spec.version.value == 1
    np.testing.assert_array_equal(tf.make_ndarray(answer.outputs["y"]), X / 2 + 2)


def test_protobuf_signature_and_output_filter(rest_client: RestClient) -> None:
    request = predict_request("", {"x": np.zeros((1, 2, 2))}, signature="uneven", output_filter=["longer"])
    reply = send(rest_client, "multi_output", request.SerializeToString(), PROTOBUF)
    assert list(predict_pb2.PredictResponse.FromString(reply.content).outputs) == ["longer"]


def test_the_url_decides_which_model_answers(rest_client: RestClient) -> None:
    other = predict_request("mlp", {"x": X}).SerializeToString()
    message = error(send(rest_client, "half_plus_two", other, PROTOBUF))
    assert 'name "mlp"' in message
    assert 'name "half_plus_two"' in message
    version = predict_request("half_plus_two", {"x": X}, version=2).SerializeToString()
    assert "version 2" in error(send(rest_client, "half_plus_two", version, PROTOBUF))
    assert send(rest_client, "half_plus_two/versions/2", version, PROTOBUF).status_code == 200


def test_bytes_that_are_no_message_are_refused(rest_client: RestClient) -> None:
    assert "not a tensorflow.serving.PredictRequest" in error(send(rest_client, "mlp", b"\xff\xff", PROTOBUF))


def test_errors_keep_their_status(rest_client: RestClient) -> None:
    for content_type in (PROTOBUF, NPY, NPZ):
        body = {PROTOBUF: b"", NPY: npy(X), NPZ: npz(x=X)}[content_type]
        assert error(send(rest_client, "nobody", body, content_type), 404).startswith("Servable not found")


def test_npy_in_and_out(rest_client: RestClient) -> None:
    reply = send(rest_client, "half_plus_two", npy(X), NPY)
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, NPY)
    answer = loaded(reply.content)
    assert (answer.dtype, answer.shape) == (np.float32, (3,))
    np.testing.assert_array_equal(answer, Y)


def test_npz_in_and_out(rest_client: RestClient) -> None:
    a, b = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones((3, 2), np.float32)
    for compressed in (False, True):
        reply = send(rest_client, "matmul", npz(compressed, a=a, b=b), NPZ)
        assert (reply.status_code, reply.headers["Content-Type"]) == (200, NPZ), reply.content
        np.testing.assert_array_equal(loaded(reply.content)["c"], a @ b)


def test_several_outputs_are_sent_as_npz(rest_client: RestClient) -> None:
    x = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    reply = send(rest_client, "multi_output", npy(x), NPY)
    assert reply.headers["Content-Type"] == NPZ
    arrays = loaded(reply.content)
    np.testing.assert_array_equal(arrays["a"], x)
    assert arrays["s_bytes"].tolist() == [b"hi", b"hi"]
    assert "2 outputs" in error(send(rest_client, "multi_output", npy(x), NPY, Accept=NPY))
    one = send(rest_client, "multi_output", npy(x), NPY, Accept=NPY, x_tensorserve_output_filter="a")
    np.testing.assert_array_equal(loaded(one.content), x)
    unknown = send(rest_client, "multi_output", npy(x), NPY, x_tensorserve_output_filter="a, nothing")
    assert "output tensor alias not found in signature: nothing" in error(unknown)


@pytest.mark.parametrize("content_type", [JSON, PROTOBUF, NPY, NPZ])
@pytest.mark.parametrize("accept", [JSON, PROTOBUF, NPY, NPZ])
def test_accept_chooses_the_reply(rest_client: RestClient, content_type: str, accept: str) -> None:
    bodies = {
        JSON: b'{"inputs": [1.0, 2.0, 5.0]}',
        PROTOBUF: predict_request("", {"x": X}).SerializeToString(),
        NPY: npy(X),
        NPZ: npz(x=X),
    }
    reply = send(rest_client, "half_plus_two", bodies[content_type], content_type, Accept=f"text/html, {accept}")
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, accept)
    found = {
        JSON: lambda: reply.json()["outputs"],
        PROTOBUF: lambda: tf.make_ndarray(predict_pb2.PredictResponse.FromString(reply.content).outputs["y"]),
        NPY: lambda: loaded(reply.content),
        NPZ: lambda: loaded(reply.content)["y"],
    }[accept]()
    np.testing.assert_array_equal(found, Y)


def test_unknown_types_are_json_as_in_the_original(rest_client: RestClient) -> None:
    body = b'{"instances": [1.0, 2.0, 5.0]}'
    for content_type in ("application/x-www-form-urlencoded", "text/plain", "application/octet-stream"):
        reply = send(rest_client, "half_plus_two", body, content_type, Accept="image/png")
        assert reply.json() == {"predictions": Y.tolist()}


def echoed(client: RestClient, array: Array, signature: str, body: bytes | None = None) -> Any:
    reply = send(client, "echo", npy(array) if body is None else body, NPY, x_tensorserve_signature=signature)
    assert reply.status_code == 200, reply.content
    return loaded(reply.content)


def test_column_major_and_big_endian_arrays(rest_client: RestClient) -> None:
    array = np.arange(24, dtype=np.int32).reshape(2, 3, 4)
    for sent in (
        np.asfortranarray(array),
        array.astype(">i4"),
        np.asfortranarray(array.astype(">i4")),
        array.T.copy().T,
    ):
        np.testing.assert_array_equal(echoed(rest_client, sent, "int32"), array)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_format(rest_client: RestClient, version: tuple[int, int]) -> None:
    file = io.BytesIO()
    np.lib.format.write_array(file, X, version)
    np.testing.assert_array_equal(echoed(rest_client, X, "float32", file.getvalue()), X)


def test_strings(rest_client: RestClient) -> None:
    text = np.array([["ä", "plain"], ["", "日本"]])
    expected = np.char.encode(text, "utf-8")
    for sent in (text, expected, np.asfortranarray(text), text.astype(">U5")):
        np.testing.assert_array_equal(echoed(rest_client, sent, "string"), expected)


def test_strings_that_numpy_cannot_hold(rest_client: RestClient) -> None:
    body = predict_request("", {"x": tf.make_tensor_proto([b"a\0"])}, signature="string").SerializeToString()
    assert "zero byte" in error(send(rest_client, "echo", body, PROTOBUF, Accept=NPY))


def test_arrays_of_another_type_are_refused(rest_client: RestClient) -> None:
    message = error(send(rest_client, "half_plus_two", npy(X.astype(np.float64)), NPY))
    assert message == "input x: the array is double (<f8) but float is expected; convert it with astype"


def test_objects_are_never_unpickled(rest_client: RestClient) -> None:
    body = npy(np.array([{}], dtype=object), allow_pickle=True)
    assert "never unpickled" in error(send(rest_client, "half_plus_two", body, NPY))


@pytest.mark.parametrize(
    "sent",
    [
        np.zeros(2, [("a", "<f4")]),
        np.zeros(2, "<M8[s]"),
        np.zeros(2, np.longdouble),
    ],
)
def test_types_that_tensors_do_not_have(rest_client: RestClient, sent: Array) -> None:
    assert error(send(rest_client, "half_plus_two", npy(sent), NPY)).startswith("input x: ")


def test_damaged_files_are_refused(rest_client: RestClient) -> None:
    whole = npy(X)
    for bad in (b"", b"{}", whole[:-1], whole + b"x", whole[:30], whole.replace(b"(3,)", b"(9,)")):
        assert error(send(rest_client, "half_plus_two", bad, NPY)).startswith("input x: ")
    archive = npz(x=X)
    for bad in (b"", whole, archive[:-30], archive.replace(X.tobytes(), (X + 1).tobytes())):
        error(send(rest_client, "half_plus_two", bad, NPZ))


def test_inputs_are_said(rest_client: RestClient) -> None:
    assert "has 2 inputs (a, b)" in error(send(rest_client, "matmul", npy(X), NPY))
    assert "no input q; its inputs are a, b" in error(send(rest_client, "matmul", npz(q=X), NPZ))
    assert "Missing but required: {b}" in error(send(rest_client, "matmul", npz(a=X), NPZ))
    unknown = send(rest_client, "half_plus_two", npy(X), NPY, x_tensorserve_signature="other")
    assert error(unknown).startswith('Serving signature name: "other" not found in signature def (the model has: ')


def test_an_archive_cannot_ask_for_much_memory(rest_client: RestClient) -> None:
    bomb = npz(True, x=np.zeros(40_000_000, np.float32))
    assert len(bomb) < 300_000
    assert "more than" in error(send(rest_client, "half_plus_two", bomb, NPZ), 429)
