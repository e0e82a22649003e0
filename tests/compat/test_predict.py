# SPDX-License-Identifier: Apache-2.0
"""Predict over gRPC: inputs, outputs, and every way to get them wrong."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from tests.clients import GrpcClient, predict_request, rpc_error, tensor, without_explanation

MATRIX = [[1.0, 2.0], [3.0, 4.0]]


def test_values_come_in_the_typed_field(grpc_client: GrpcClient) -> None:
    y = grpc_client.predict("half_plus_two", {"x": [1, 2, 5]}, version=1).outputs["y"]
    assert (list(y.float_val), y.tensor_content) == ([2.5, 3.0, 4.5], b"")
    assert [dim.size for dim in y.tensor_shape.dim] == [3]
    assert y.dtype == tf.float32.as_datatype_enum


def test_repeated_values_are_not_compressed(grpc_client: GrpcClient) -> None:
    y = grpc_client.predict("half_plus_two", {"x": [2.0] * 100}, version=1).outputs["y"]
    assert list(y.float_val) == [3.0] * 100


def test_two_inputs(grpc_client: GrpcClient) -> None:
    reply = grpc_client.predict("matmul", {"a": MATRIX, "b": [[1, 0], [0, 2]]})
    assert tf.make_ndarray(reply.outputs["c"]).tolist() == [[1, 4], [3, 8]]


def test_scalar_in_scalar_out(grpc_client: GrpcClient) -> None:
    y = grpc_client.predict("scalar", {"x": 21.0}).outputs["y"]
    assert (list(y.float_val), len(y.tensor_shape.dim), y.tensor_shape.unknown_rank) == ([42.0], 0, False)


def test_empty_batch(grpc_client: GrpcClient) -> None:
    y = grpc_client.predict("half_plus_two", {"x": np.zeros([0])}, version=1).outputs["y"]
    assert (list(y.float_val), [dim.size for dim in y.tensor_shape.dim]) == ([], [0])


def test_no_inputs(grpc_client: GrpcClient) -> None:
    reply = grpc_client.predict("multi_output", {}, signature="outputs_only")
    assert list(reply.outputs["seven"].int_val) == [7, 8]


def test_declared_shape_is_not_checked(grpc_client: GrpcClient) -> None:
    y = grpc_client.predict("half_plus_two", {"x": [[1.0, 2.0], [5.0, 0.0]]}, version=1).outputs["y"]
    assert tf.make_ndarray(y).tolist() == [[2.5, 3.0], [4.5, 2.0]]


def test_ignored_fields_are_ignored(grpc_client: GrpcClient) -> None:
    request = predict_request("half_plus_two", {"x": [2.0]}, version=1)
    request.predict_streamed_options.request_state = predict_pb2.PredictStreamedOptions.SPLIT
    assert list(grpc_client.send(request).outputs["y"].float_val) == [3.0]


def test_all_outputs_without_a_filter(grpc_client: GrpcClient) -> None:
    reply = grpc_client.predict("multi_output", {"x": [MATRIX]})
    assert sorted(reply.outputs) == ["a", "s_bytes"]
    assert list(reply.outputs["s_bytes"].string_val) == [b"hi"]


def test_output_filter_selects(grpc_client: GrpcClient) -> None:
    reply = grpc_client.predict("multi_output", {"x": [MATRIX]}, output_filter=["a"])
    assert list(reply.outputs) == ["a"]
    assert tf.make_ndarray(reply.outputs["a"]).tolist() == [MATRIX]


def test_output_filter_order_does_not_matter(grpc_client: GrpcClient) -> None:
    reply = grpc_client.predict("multi_output", {"x": [MATRIX]}, output_filter=["s_bytes", "a"])
    assert sorted(reply.outputs) == ["a", "s_bytes"]


def test_signature_default_fills_a_missing_input(grpc_client: GrpcClient) -> None:
    assert list(grpc_client.predict("sums", {"a": [1.0]}).outputs["sum"].float_val) == [11.0]


def test_signature_default_gives_way_to_the_request(grpc_client: GrpcClient) -> None:
    assert list(grpc_client.predict("sums", {"a": [1.0], "b": [2.0]}).outputs["sum"].float_val) == [3.0]


X = {"x": [1.0]}
ERRORS: dict[str, tuple[str, dict[str, Any], dict[str, Any], str, str]] = {
    "no input": (
        "half_plus_two",
        {},
        {},
        "INVALID_ARGUMENT",
        "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}.",
    ),
    "too many inputs": (
        "half_plus_two",
        {"x": [1.0], "z": [1.0], "a": [1.0]},
        {},
        "INVALID_ARGUMENT",
        "input size does not match signature: 3!=1 len({a,x,z}) != len({x}). Sent extra: {a,z}. "
        "Missing but required: {}.",
    ),
    "too few inputs": (
        "matmul",
        {"a": MATRIX},
        {},
        "INVALID_ARGUMENT",
        "input size does not match signature: 1!=2 len({a}) != len({a,b}). Sent extra: {}. Missing but required: {b}.",
    ),
    "wrong name": (
        "half_plus_two",
        {"images": [1.0]},
        {},
        "INVALID_ARGUMENT",
        "Signature input alias: x(feed name: serving_default_x:0) not found in request and no default value provided. "
        "Inputs expected to be in the request {images}, or default input alias set: ",
    ),
    "missing one without a default": (
        "sums",
        {"b": [1.0]},
        {},
        "INVALID_ARGUMENT",
        "Signature input alias: a(feed name: serving_default_a:0) not found in request and no default value provided. "
        "Inputs expected to be in the request {b}, or default input alias set: b",
    ),
    "unknown output": (
        "multi_output",
        {"x": [MATRIX]},
        {"output_filter": ["nope"]},
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: nope Outputs expected to be in the set {a,s_bytes}.",
    ),
    "repeated output": (
        "multi_output",
        {"x": [MATRIX]},
        {"output_filter": ["a", "a"]},
        "INVALID_ARGUMENT",
        "duplicate output tensor alias: a",
    ),
    "wrong shape": (
        "matmul",
        {"a": np.ones([2, 3]), "b": np.ones([4, 2])},
        {},
        "INVALID_ARGUMENT",
        "Matrix size-incompatible: In[0]: [2,3], In[1]: [4,2]\n\t [[{{node mm}}]]",
    ),
    "wrong dtype": (
        "matmul",
        {"a": tensor(MATRIX, np.float64), "b": MATRIX},
        {},
        "INVALID_ARGUMENT",
        "Expects arg[0] to be float but double is provided",
    ),
    "wrong dtype of the second input": (
        "matmul",
        {"a": MATRIX, "b": tensor(MATRIX, np.int32)},
        {},
        "INVALID_ARGUMENT",
        "Expects arg[1] to be float but int32 is provided",
    ),
    "string for a float": (
        "half_plus_two",
        {"x": tf.make_tensor_proto(["a"])},
        {},
        "INVALID_ARGUMENT",
        "Expects arg[0] to be float but string is provided",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_refuses(grpc_client: GrpcClient, case: str) -> None:
    model, inputs, options, code, message = ERRORS[case]
    found = rpc_error(lambda: grpc_client.predict(model, inputs, **options))
    assert (found[0], without_explanation(found[1])) == (code, message)


EXPLAINED = {
    "no input": "takes: x (float [-1]); given: none",
    "too many inputs": "takes: x (float [-1]); given: a (float [1]), x (float [1]), z (float [1])",
    "too few inputs": "takes: a (float [-1,-1]), b (float [-1,-1]); given: a (float [2,2])",
    "wrong name": "takes: x (float [-1]); given: images (float [1])",
    "wrong shape": "takes: a (float [-1,-1]), b (float [-1,-1]); given: a (float [2,3]), b (float [4,2])",
    "wrong dtype": "takes: a (float [-1,-1]), b (float [-1,-1]); given: a (double [2,2]), b (float [2,2])",
    "string for a float": "takes: x (float [-1]); given: x (string [1])",
}


@pytest.mark.parametrize("case", EXPLAINED)
def test_says_what_the_signature_takes_and_what_was_given(grpc_client: GrpcClient, case: str) -> None:
    model, inputs, options, _code, message = ERRORS[case]
    _code, found = rpc_error(lambda: grpc_client.predict(model, inputs, **options))
    assert found == f"{message} (signature serving_default {EXPLAINED[case]})"


def test_the_explanation_of_many_inputs_is_short(grpc_client: GrpcClient) -> None:
    inputs = {f"x{i}": [1.0] for i in range(200)}
    code, message = rpc_error(lambda: grpc_client.predict("half_plus_two", inputs))
    assert code == "INVALID_ARGUMENT"
    assert len(message) == 1024 + len("...TRUNCATED")


def test_left_over_input_beside_a_default(grpc_client: GrpcClient) -> None:
    code, message = rpc_error(lambda: grpc_client.predict("sums", {"a": [1.0], "z": [1.0]}))
    assert code == "INVALID_ARGUMENT"
    assert message.startswith("Inputs contains invalid name. Used request inputs: ")


def test_wrong_shape_inside_a_function_names_its_node(grpc_client: GrpcClient) -> None:
    code, message = rpc_error(lambda: grpc_client.predict("mlp", {"x": np.ones([1, 783])}))
    assert code == "INVALID_ARGUMENT"
    assert message.startswith("Matrix size-incompatible: In[0]: [1,783], In[1]: [784,128]")
    assert "[[{{" in message


def test_the_server_answers_after_every_error(grpc_client: GrpcClient) -> None:
    for model, inputs, options, _code, _message in ERRORS.values():
        rpc_error(lambda m=model, i=inputs, o=options: grpc_client.predict(m, i, **o))  # type: ignore[misc]
        assert list(grpc_client.predict("half_plus_two", X, version=1).outputs["y"].float_val) == [2.5]


def test_deadline(grpc_client: GrpcClient) -> None:
    code, _message = rpc_error(lambda: grpc_client.send(predict_request("slow", {"seconds": [0.5]}), timeout=0.1))
    assert code == "DEADLINE_EXCEEDED"


def test_session_service_is_not_served(grpc_client: GrpcClient) -> None:
    call = grpc_client.channel.unary_unary("/tensorflow.serving.SessionService/SessionRun")
    code, _message = rpc_error(lambda: call(b"", timeout=5))
    assert code == "UNIMPLEMENTED"
