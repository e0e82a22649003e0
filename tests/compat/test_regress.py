# SPDX-License-Identifier: Apache-2.0
"""Regress over gRPC and REST. What REST bodies it refuses stands in test_classify.py."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tensorflow_serving.apis import regression_pb2

from tests.clients import DEADLINE_SECONDS, GrpcClient, RestClient, rpc_error
from tests.conftest import ServeModels
from tests.example_requests import example_input, regress, values_of

ONE = [{"x": 2.0}]
TWO = [{"x": 2.0}, {"x": -1.0}]


@pytest.fixture(scope="module")
def checking(serve_models: ServeModels, models: Path) -> "Iterator[tuple[GrpcClient, RestClient]]":
    """Clients of a server that checks `method_name`."""
    server = serve_models({"heads": models / "heads"}, "--enable_signature_method_name_check")
    clients = GrpcClient(server.grpc_target), RestClient(server.rest_url)
    yield clients
    for client in clients:
        client.close()


def rest_answer(client: RestClient, body: Any, model: str = "heads") -> tuple[int, Any]:
    reply = client.post(f"/v1/models/{model}:regress", body)
    return reply.status_code, reply.json()


GOOD: dict[str, tuple[str, str, list[Any], list[float]]] = {
    "one column": ("heads", "regress_x_to_y", TWO, [3.0, 1.5]),
    "no column": ("heads", "regress_flat", TWO, [4.0, 2.5]),
    "one example": ("heads", "regress_flat", ONE, [4.0]),
    "value of zero": ("heads", "regress_flat", [{"x": -6.0}], [0.0]),
    "method name of predict": ("heads", "regress_as_predict", ONE, [5.0]),
    "input declared as a float": ("heads", "declared_float", TWO, [2.0, -1.0]),
    "another input": ("heads", "regress_other_input", TWO, [6.0, -3.0]),
    "TensorFlow 2": ("heads_tf2", "regress", TWO, [3.0, 1.5]),
}


@pytest.mark.parametrize("case", GOOD)
def test_answers(grpc_client: GrpcClient, rest_client: RestClient, case: str) -> None:
    model, signature, examples, expected = GOOD[case]
    reply = regress(grpc_client, example_input(examples), model, signature=signature)
    assert values_of(reply.result) == expected
    spec = reply.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == (model, 1, signature)
    body = {"signature_name": signature, "examples": examples}
    assert rest_answer(rest_client, body, model) == (200, {"results": expected})


def test_layout(rest_client: RestClient) -> None:
    reply = rest_client.post("/v1/models/heads:regress", {"signature_name": "regress_flat", "examples": TWO})
    assert reply.text == '{\n    "results": [4.0, 2.5]\n}'


def test_context(grpc_client: GrpcClient, rest_client: RestClient) -> None:
    given = example_input([{}, {"x": 1.0}], {"x": 2.0})
    assert values_of(regress(grpc_client, given, signature="regress_flat").result) == [4.0, 3.5]
    body = {"signature_name": "regress_flat", "context": {"x": 2.0}, "examples": [{}, {"x": 1.0}]}
    assert rest_answer(rest_client, body) == (200, {"results": [4.0, 3.5]})


def test_many_examples(grpc_client: GrpcClient) -> None:
    given = example_input([{"x": float(i)} for i in range(5000)])
    found = values_of(regress(grpc_client, given, signature="regress_flat").result)
    assert found == [i * 0.5 + 3.0 for i in range(5000)]


SIGNATURES = {
    "missing": ("other", "No signature was found with the name: other (the model has: "),
    "no inputs": ("no_inputs", "Expected one input Tensor. Found: none"),
    "two inputs": ("two_inputs", "Expected one input Tensor. Found: inputs (string [-1]), other (float [-1,2])"),
    "no outputs": ("no_outputs", "Expected one output Tensor. Found: none"),
    "two outputs": ("serving_default", "Expected one output Tensor. Found: classes (string [-1,2]), scores (float "),
    "input key": (
        "regress_input_key",
        'No regression inputs found in SignatureDef: inputs {\n  key: "examples"\n  value {\n    name: "tf_example:0"',
    ),
    "output key": ("regress_output_key", 'No regression outputs found in SignatureDef: inputs {\n  key: "inputs"\n'),
    "classifier": ("only_scores", "No regression outputs found in SignatureDef: "),
}

VALUES = {
    "rank": (
        "regress_rank",
        "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [1,2,1]",
    ),
    "width": (
        "regress_width",
        "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,2]",
    ),
    "scalar": (
        "regress_scalar",
        "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got []",
    ),
    "batch": ("regress_batch", "Input batch size did not match output batch size: 2 vs. 3"),
    "type": ("regress_dtype", "Expected output Tensor of DT_FLOAT.  Got: DT_INT64"),
}


@pytest.mark.parametrize("case", SIGNATURES)
def test_signatures_without_a_regressor(grpc_client: GrpcClient, rest_client: RestClient, case: str) -> None:
    signature, message = SIGNATURES[case]
    code, text = rpc_error(lambda: regress(grpc_client, example_input(ONE), signature=signature))
    assert (code, text[: len(message)]) == ("INVALID_ARGUMENT", message)
    status, answer = rest_answer(rest_client, {"signature_name": signature, "examples": ONE})
    assert (status, answer["error"][: len(message)]) == (400, message)


def test_a_signature_without_a_regressor_names_those_with_one(grpc_client: GrpcClient, rest_client: RestClient) -> None:
    code, text = rpc_error(lambda: regress(grpc_client, example_input(ONE), "half_plus_two"))
    assert (code, text.endswith("\n(signatures that regress: none)")) == ("INVALID_ARGUMENT", True), text
    _, answer = rest_answer(rest_client, {"signature_name": "regress_input_key", "examples": ONE})
    assert "(signatures that regress: " in answer["error"], answer


def test_no_default_signature(grpc_client: GrpcClient, rest_client: RestClient) -> None:
    message = "No signature was found with the name: serving_default (the model has: classify, regress)"
    error = rpc_error(lambda: regress(grpc_client, example_input(ONE), "heads_tf2"))
    assert error == ("INVALID_ARGUMENT", message)
    assert rest_answer(rest_client, {"examples": ONE}, "heads_tf2") == (400, {"error": message})


@pytest.mark.parametrize("case", VALUES)
def test_values_of_the_wrong_form(grpc_client: GrpcClient, rest_client: RestClient, case: str) -> None:
    signature, message = VALUES[case]
    error = rpc_error(lambda: regress(grpc_client, example_input(TWO), signature=signature))
    assert error == ("INVALID_ARGUMENT", message)
    assert rest_answer(rest_client, {"signature_name": signature, "examples": TWO}) == (400, {"error": message})


@pytest.mark.parametrize("given", [None, example_input([]), example_input([], {"x": 1.0})])
def test_no_examples(grpc_client: GrpcClient, given: Any) -> None:
    error = rpc_error(lambda: regress(grpc_client, given, signature="regress_flat"))
    assert error == ("INVALID_ARGUMENT", "Input is empty.")


def test_a_model_spec_is_needed(grpc_client: GrpcClient) -> None:
    request = regression_pb2.RegressionRequest(input=example_input(ONE))
    error = rpc_error(lambda: grpc_client.prediction.Regress(request, DEADLINE_SECONDS))
    assert error == ("INVALID_ARGUMENT", "Missing ModelSpec")


def test_unknown_models(grpc_client: GrpcClient, rest_client: RestClient) -> None:
    message = "Servable not found for request: Latest(none)"
    assert rpc_error(lambda: regress(grpc_client, example_input(ONE), "none")) == ("NOT_FOUND", message)
    assert rest_answer(rest_client, {"examples": ONE}, "none") == (404, {"error": message})


@pytest.mark.parametrize(
    ("signature", "method"),
    [("serving_default", "tensorflow/serving/classify"), ("regress_as_predict", "tensorflow/serving/predict")],
)
def test_other_method_names(checking: tuple[GrpcClient, RestClient], signature: str, method: str) -> None:
    grpc_client, rest_client = checking
    message = f"Expected regression signature method_name to be tensorflow/serving/regress. Was: {method}"
    error = rpc_error(lambda: regress(grpc_client, example_input(ONE), signature=signature))
    assert error == ("INVALID_ARGUMENT", message)
    assert rest_answer(rest_client, {"signature_name": signature, "examples": ONE}) == (400, {"error": message})


def test_the_right_method_name(checking: tuple[GrpcClient, RestClient]) -> None:
    grpc_client, rest_client = checking
    assert values_of(regress(grpc_client, example_input(ONE), signature="regress_flat").result) == [4.0]
    body = {"signature_name": "regress_flat", "examples": ONE}
    assert rest_answer(rest_client, body) == (200, {"results": [4.0]})
