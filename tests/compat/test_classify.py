# SPDX-License-Identifier: Apache-2.0
"""Classify over gRPC and REST: results, and every signature, value and request that is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tensorflow_serving.apis import classification_pb2

from tests.clients import DEADLINE_SECONDS, GrpcClient, RestClient, rpc_error
from tests.conftest import ServeModels
from tests.example_requests import classes_of, classify, example_input

ONE = [{"x": 0.5}]
TWO = [{"x": 0.5}, {"x": 1.0}]


@pytest.fixture(scope="module")
def checking(serve_models: ServeModels, models: Path) -> "Iterator[tuple[GrpcClient, RestClient]]":
    """Clients of a server that checks `method_name`."""
    server = serve_models({"heads": models / "heads"}, "--enable_signature_method_name_check")
    clients = GrpcClient(server.grpc_target), RestClient(server.rest_url)
    yield clients
    for client in clients:
        client.close()


def rest(client: RestClient, body: Any, model: str = "heads") -> Any:
    return client.post(f"/v1/models/{model}:classify", body)


def rest_refusal(client: RestClient, body: Any, model: str = "heads") -> tuple[int, str]:
    reply = rest(client, body, model)
    return reply.status_code, reply.json()["error"]


GOOD: dict[str, tuple[str, list[Any], list[list[tuple[str, float]]]]] = {
    "classes and scores": ("", TWO, [[("car", 0.5), ("bike", 1.0)], [("car", 1.0), ("bike", 2.0)]]),
    "named signature": ("serving_default", ONE, [[("car", 0.5), ("bike", 1.0)]]),
    "only classes": ("only_classes", TWO, [[("car", 0), ("bike", 0)]] * 2),
    "only scores": ("only_scores", ONE, [[("", 0.5), ("", 1.0)]]),
    "an output that is neither": ("scores_and_more", ONE, [[("", 0.5), ("", 1.0)]]),
    "no classes": ("no_classes", TWO, [[], []]),
    "method name of predict": ("classify_as_predict", ONE, [[("", 0.5), ("", 1.0)]]),
    "score of zero": ("only_scores", [{"x": 0.0}], [[("", 0.0), ("", 0.0)]]),
}


@pytest.mark.parametrize("case", GOOD)
def test_answers(grpc_client: GrpcClient, rest_client: RestClient, case: str) -> None:
    signature, examples, expected = GOOD[case]
    reply = classify(grpc_client, example_input(examples), signature=signature)
    assert classes_of(reply.result) == expected
    spec = reply.model_spec
    found = (spec.name, spec.version.value, spec.signature_name, spec.version_label)
    assert found == ("heads", 1, signature or "serving_default", "")
    answer = rest(rest_client, {"signature_name": signature, "examples": examples})
    assert (answer.status_code, answer.json()) == (200, {"results": [[list(c) for c in row] for row in expected]})


def test_a_thousand_classes(grpc_client: GrpcClient, rest_client: RestClient) -> None:
    examples = [{"x": float(i)} for i in range(50)]
    rows = classes_of(classify(grpc_client, example_input(examples), signature="wide").result)
    expected = [[(str(column), float(row * column)) for column in range(1000)] for row in range(50)]
    assert rows == expected
    answer = rest(rest_client, {"signature_name": "wide", "examples": examples}).json()["results"]
    assert answer == [[list(found) for found in row] for row in expected]


def test_layout(rest_client: RestClient) -> None:
    text = rest(rest_client, {"examples": TWO}).text
    assert text == '{\n    "results": [[["car", 0.5], ["bike", 1.0]], [["car", 1.0], ["bike", 2.0]]\n    ]\n}'


FEATURES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "string": ({"s": "text"}, ["text", "", ""]),
    "list of one string": ({"s": ["text"]}, ["text", "", ""]),
    "base64": ({"s": {"b64": "aGk="}}, ["hi", "", ""]),
    "integer": ({"i": 7}, ["", "7", ""]),
    "integers": ({"i": [7, -8, 2**63 - 1, -(2**63)]}, ["", f"7,-8,{2**63 - 1},{-(2**63)}", ""]),
    "bools are integers": ({"i": [True, False]}, ["", "1,0", ""]),
    "bool among integers": ({"i": [5, True]}, ["", "5,1", ""]),
    "float": ({"f": 0.5}, ["", "", "0.500000"]),
    "floats": ({"f": [0.5, -2.0]}, ["", "", "0.500000,-2.000000"]),
    "no values": ({"f": [], "i": []}, ["", "", ""]),
    "no features": ({}, ["", "", ""]),
    "unknown features": ({"more": [1], "s": "a"}, ["a", "", ""]),
    "all": ({"s": "a", "i": 1, "f": 1.0}, ["a", "1", "1.000000"]),
}


@pytest.mark.parametrize("case", FEATURES)
def test_features(rest_client: RestClient, case: str) -> None:
    features, expected = FEATURES[case]
    reply = rest(rest_client, {"signature_name": "features", "examples": [features]})
    assert reply.status_code == 200, reply.text
    assert [label for label, _score in reply.json()["results"][0]] == expected


CONTEXTS: dict[str, tuple[dict[str, Any], list[dict[str, Any]], list[list[str]]]] = {
    "shared": ({"s": "c"}, [{"i": 1}, {"i": 2}], [["c", "1", ""], ["c", "2", ""]]),
    "the example wins": ({"s": "c", "i": 9}, [{"i": 1}, {}], [["c", "1", ""], ["c", "9", ""]]),
    "empty": ({}, [{"s": "a"}], [["a", "", ""]]),
}


@pytest.mark.parametrize("case", CONTEXTS)
def test_context(grpc_client: GrpcClient, rest_client: RestClient, case: str) -> None:
    context, examples, expected = CONTEXTS[case]
    reply = classify(grpc_client, example_input(examples, context), signature="features")
    assert [[label for label, _score in row] for row in classes_of(reply.result)] == expected
    answer = rest(rest_client, {"signature_name": "features", "context": context, "examples": examples}).json()
    assert [[label for label, _score in row] for row in answer["results"]] == expected


TENSOR_X = 'inputs {\n  key: "examples"\n  value {\n    name: "tf_example:0"\n    dtype: DT_STRING\n'
SIGNATURES = {
    "missing": ("other", "No signature was found with the name: other (the model has: "),
    "no inputs": ("no_inputs", "Expected one input Tensor. Found: none"),
    "two inputs": (
        "two_inputs",
        "Expected one input Tensor. Found: inputs (string [-1]), other (float [-1,2])",
    ),
    "no outputs": ("no_outputs", "Expected one or two output Tensors, found 0"),
    "three outputs": ("three_outputs", "Expected one or two output Tensors, found 3: classes (string [-1,1]), more "),
    "input key": ("input_key", f"No classification inputs found in SignatureDef: {TENSOR_X}"),
    "output keys": (
        "output_keys",
        'Expected classification signature outputs to contain at least one of "classes" or "scores". Signature was: '
        "inputs {",
    ),
    "regressor": (
        "regress_flat",
        'Expected classification signature outputs to contain at least one of "classes" or "scores". Signature was: ',
    ),
}

VALUES = {
    "rank of classes": ("classes_rank", "Expected Tensor shape: [batch_size num_classes] but got [2]"),
    "type of classes": ("classes_dtype", "Expected classes Tensor of DT_STRING. Got: DT_INT64"),
    "batch of classes": ("classes_batch", "Expected classes output batch size of 2. Got: 3"),
    "rank of scores": ("scores_rank", "Expected Tensor shape: [batch_size num_classes] but got [1,2,1]"),
    "type of scores": ("scores_dtype", "Expected scores Tensor of DT_FLOAT. Got: DT_DOUBLE"),
    "batch of scores": ("scores_batch", "Expected scores output batch size of 2. Got: 3"),
    "number of classes": ("widths", "Tensors class and score should match in dim_size(1). Got 1 vs. 2"),
    "input of another type": ("float_input", "Expects arg[0] to be float but string is provided"),
}


@pytest.mark.parametrize("case", SIGNATURES)
def test_signatures_without_a_classifier(grpc_client: GrpcClient, rest_client: RestClient, case: str) -> None:
    signature, message = SIGNATURES[case]
    code, text = rpc_error(lambda: classify(grpc_client, example_input(ONE), signature=signature))
    assert (code, text[: len(message)]) == ("INVALID_ARGUMENT", message)
    status, text = rest_refusal(rest_client, {"signature_name": signature, "examples": ONE})
    assert (status, text[: len(message)]) == (400, message)


@pytest.mark.parametrize("case", VALUES)
def test_values_of_the_wrong_form(grpc_client: GrpcClient, rest_client: RestClient, case: str) -> None:
    signature, message = VALUES[case]
    error = rpc_error(lambda: classify(grpc_client, example_input(TWO), signature=signature))
    assert error == ("INVALID_ARGUMENT", message)
    assert rest_refusal(rest_client, {"signature_name": signature, "examples": TWO}) == (400, message)


def test_a_signature_without_a_classifier_names_those_with_one(
    grpc_client: GrpcClient, rest_client: RestClient
) -> None:
    """In both servers the text begins with the definition; ours says behind it what to ask instead."""
    code, text = rpc_error(lambda: classify(grpc_client, example_input(ONE), "half_plus_two"))
    assert (code, text.endswith('"tensorflow/serving/predict"\n(signatures that classify: none)')) == (
        "INVALID_ARGUMENT",
        True,
    ), text
    # TensorFlow 2 saves all signatures as ones for Predict.
    _, text = rest_refusal(rest_client, {"signature_name": "regress", "examples": ONE}, model="heads_tf2")
    assert text.endswith("(signatures that classify: classify)"), text


def test_signatures_are_checked_before_the_input(grpc_client: GrpcClient) -> None:
    code, text = rpc_error(lambda: classify(grpc_client, example_input([]), signature="no_inputs"))
    assert (code, text) == ("INVALID_ARGUMENT", "Expected one input Tensor. Found: none")


@pytest.mark.parametrize("given", [None, example_input([]), example_input([], {"x": 1.0})])
def test_no_examples(grpc_client: GrpcClient, given: Any) -> None:
    assert rpc_error(lambda: classify(grpc_client, given)) == ("INVALID_ARGUMENT", "Input is empty.")


PARSING: dict[str, tuple[dict[str, Any], str]] = {
    "missing feature": ({}, "Feature: x (data type: float) is required but could not be found."),
    "integer for a float": (
        {"x": 2},
        "Key: x, Index: 0.  Data types don't match. Data type: int64 but expected type: float",
    ),
    "too many values": ({"x": [1.0, 2.0]}, "Key: x, Index: 0.  Number of float values != expected."),
}


@pytest.mark.parametrize("case", PARSING)
def test_the_graph_checks_the_features(grpc_client: GrpcClient, rest_client: RestClient, case: str) -> None:
    features, message = PARSING[case]
    code, text = rpc_error(lambda: classify(grpc_client, example_input([features])))
    assert code == "INVALID_ARGUMENT"
    assert message in text
    status, text = rest_refusal(rest_client, {"examples": [features]})
    assert status == 400
    assert message in text


def test_bytes_that_are_no_example(grpc_client: GrpcClient) -> None:
    # An Input of one ExampleList with the bytes "\xff\xff" in place of an Example.
    request = b"\x0a\x07\x0a\x05heads\x12\x06\x0a\x04\x0a\x02\xff\xff"
    call = grpc_client.channel.unary_unary("/tensorflow.serving.PredictionService/Classify")
    code, text = rpc_error(lambda: call(request, timeout=DEADLINE_SECONDS))
    assert code == "INVALID_ARGUMENT"
    assert "Could not parse example input" in text


SPECS: dict[str, tuple[dict[str, Any], str, str]] = {
    "empty name": ({"model": ""}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
    "unknown model": ({"model": "none"}, "NOT_FOUND", "Servable not found for request: Latest(none)"),
    "unknown version": ({"version": 9}, "NOT_FOUND", "Servable not found for request: Specific(heads, 9)"),
    "unknown label": ({"label": "canary"}, "INVALID_ARGUMENT", "Unrecognized servable version label: canary"),
}


@pytest.mark.parametrize("case", SPECS)
def test_model_specs(grpc_client: GrpcClient, case: str) -> None:
    spec, code, message = SPECS[case]
    assert rpc_error(lambda: classify(grpc_client, example_input(ONE), **spec)) == (code, message)


def test_a_model_spec_is_needed(grpc_client: GrpcClient) -> None:
    request = classification_pb2.ClassificationRequest(input=example_input(ONE))
    error = rpc_error(lambda: grpc_client.prediction.Classify(request, DEADLINE_SECONDS))
    assert error == ("INVALID_ARGUMENT", "Missing ModelSpec")


def test_a_version_is_answered(grpc_client: GrpcClient, rest_client: RestClient) -> None:
    assert classify(grpc_client, example_input(ONE), version=1).model_spec.version.value == 1
    reply = rest_client.post("/v1/models/heads/versions/1:classify", {"examples": ONE})
    assert reply.json() == {"results": [[["car", 0.5], ["bike", 1.0]]]}


def test_rest_unknown_model(rest_client: RestClient) -> None:
    found = rest_refusal(rest_client, {"examples": ONE}, model="none")
    assert found == (404, "Servable not found for request: Latest(none)")


def test_rest_checks_the_body_before_the_model(rest_client: RestClient) -> None:
    status, text = rest_refusal(rest_client, {"examples": [1]}, model="none")
    assert (status, text) == (400, "Example must be JSON object but got JSON Number")


METHODS = {
    "classify": ("serving_default", None),
    "regress": (
        "regress_flat",
        "Expected classification signature method_name to be tensorflow/serving/classify. Was: "
        "tensorflow/serving/regress",
    ),
    "predict": (
        "classify_as_predict",
        "Expected classification signature method_name to be "
        "tensorflow/serving/classify. Was: tensorflow/serving/predict",
    ),
}


@pytest.mark.parametrize("case", METHODS)
def test_method_names(checking: tuple[GrpcClient, RestClient], case: str) -> None:
    grpc_client, rest_client = checking
    signature, message = METHODS[case]
    body = {"signature_name": signature, "examples": ONE}
    if message is None:
        assert len(classify(grpc_client, example_input(ONE), signature=signature).result.classifications) == 1
        assert rest(rest_client, body).status_code == 200
        return
    error = rpc_error(lambda: classify(grpc_client, example_input(ONE), signature=signature))
    assert error == ("INVALID_ARGUMENT", message)
    assert rest_refusal(rest_client, body) == (400, message)


BODIES: dict[str, tuple[str, str]] = {
    "empty": ("", "JSON Parse error: The document is empty"),
    "not JSON": ("examples = []", "JSON Parse error: Invalid value. at offset: 0"),
    "not an object": ("[1]", "JSON Value: [1] Is not object"),
    "signature name": (
        '{"signature_name": 1, "examples": [{}]}',
        'JSON Value: {\n    "signature_name": 1,\n    "examples": [{}]\n} not formatted correctly. \'signature_name\' '
        "key must be a string value.",
    ),
    "no examples key": (
        '{"instances": [1]}',
        "JSON Value: {\n    \"instances\": [1]\n} When method is classify, key 'examples' is expected and was "
        "not found",
    ),
    "not a list": (
        '{"examples": 1}',
        "JSON Value: {\n    \"examples\": 1\n} Expecting 'examples' value to be an list/array",
    ),
    "no examples": ('{"examples": []}', "JSON Value: {\n    \"examples\": []\n} 'examples' value is an empty array"),
    "a number": ('{"examples": [1]}', "Example must be JSON object but got JSON Number"),
    "a list": ('{"examples": [[]]}', "Example must be JSON object but got JSON Array"),
    "a string": ('{"examples": ["a"]}', "Example must be JSON object but got JSON String"),
    "null": ('{"examples": [null]}', "Example must be JSON object but got JSON Null"),
    "true": ('{"examples": [true]}', "Example must be JSON object but got JSON True"),
    "context": ('{"examples": [{}], "context": false}', "Example must be JSON object but got JSON False"),
    "null value": ('{"examples": [{"x": null}]}', "Feature: x has element with unexpected JSON type: Null"),
    "nested list": ('{"examples": [{"x": [[1]]}]}', "Feature: x has element with unexpected JSON type: Array"),
    "object": ('{"examples": [{"x": {"a": 1}}]}', "Feature: x has element with unexpected JSON type: Object"),
    "float after integer": (
        '{"examples": [{"x": [1, 2.0]}]}',
        "Unexpected element type in feature: x expecting type: int64",
    ),
    "integer after float": (
        '{"examples": [{"x": [1.0, 2]}]}',
        "Unexpected element type in feature: x expecting type: float",
    ),
    "integer after string": (
        '{"examples": [{"x": ["", 2]}]}',
        "Unexpected element type in feature: x expecting type: bytes",
    ),
    "too large": (
        '{"examples": [{"x": 18446744073709551615}]}',
        "Feature: x has uint64_t element. Only int64_t is supported.",
    ),
    "bad base64": ('{"examples": [{"x": {"b64": "*"}}]}', "Unable to base64 decode"),
}


@pytest.mark.parametrize("verb", ["classify", "regress"])
@pytest.mark.parametrize("case", BODIES)
def test_bodies(rest_client: RestClient, case: str, verb: str) -> None:
    body, message = BODIES[case]
    reply = rest_client.post(f"/v1/models/heads:{verb}", body)
    assert (reply.status_code, reply.json()["error"]) == (400, message)


def test_the_server_answers_after_every_error(grpc_client: GrpcClient) -> None:
    for signature, _message in [*SIGNATURES.values(), *VALUES.values()]:
        rpc_error(lambda s=signature: classify(grpc_client, example_input(TWO), signature=s))  # type: ignore[misc]
        assert classes_of(classify(grpc_client, example_input(ONE)).result) == [[("car", 0.5), ("bike", 1.0)]]
