# SPDX-License-Identifier: Apache-2.0
"""Which model, version and signature a request reaches, and what the reply says about it."""

from typing import Any

import pytest
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

from tests.clients import DEADLINE_SECONDS, GrpcClient, RestClient, predict_request, rpc_error, without_explanation

X = {"x": [1.0, 2.0, 5.0]}


def test_no_version_means_the_highest(grpc_client: GrpcClient) -> None:
    reply = grpc_client.predict("half_plus_two", X)
    assert list(reply.outputs["y"].float_val) == [4.5, 5.0, 6.5]
    assert reply.model_spec.version.value == 3


@pytest.mark.parametrize(("version", "expected"), [(1, [2.5, 3.0, 4.5]), (2, [3.5, 4.0, 5.5])])
def test_a_version_means_exactly_that(grpc_client: GrpcClient, version: int, expected: list[float]) -> None:
    reply = grpc_client.predict("half_plus_two", X, version=version)
    assert list(reply.outputs["y"].float_val) == expected
    assert reply.model_spec.version.value == version


@pytest.mark.parametrize("signature", ["", "serving_default"])
def test_reply_names_model_version_and_resolved_signature(grpc_client: GrpcClient, signature: str) -> None:
    spec = grpc_client.predict("half_plus_two", X, version=2, signature=signature).model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("half_plus_two", 2, "serving_default")
    assert spec.WhichOneof("version_choice") == "version"


ERRORS: dict[str, tuple[dict[str, Any], str, str]] = {
    "empty name": ({"model": ""}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
    "unknown model": ({"model": "none"}, "NOT_FOUND", "Servable not found for request: Latest(none)"),
    "unknown version": (
        {"model": "half_plus_two", "version": 99},
        "NOT_FOUND",
        "Servable not found for request: Specific(half_plus_two, 99)",
    ),
    "version zero is not latest": (
        {"model": "half_plus_two", "version": 0},
        "NOT_FOUND",
        "Servable not found for request: Specific(half_plus_two, 0)",
    ),
    "unknown label": (
        {"model": "half_plus_two", "label": "canary"},
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: canary",
    ),
    "unknown label of an unknown model": (
        {"model": "none", "label": "canary"},
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: canary",
    ),
    "unknown signature": (
        {"model": "half_plus_two", "signature": "other"},
        "FAILED_PRECONDITION",
        'Serving signature key "other" not found.',
    ),
    "no default signature": (
        {"model": "echo"},
        "FAILED_PRECONDITION",
        'Serving signature key "serving_default" not found.',
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_predict_refuses(grpc_client: GrpcClient, case: str) -> None:
    options, code, message = ERRORS[case]
    found = rpc_error(lambda: grpc_client.predict(inputs=X, **options))
    assert (found[0], without_explanation(found[1])) == (code, message)


def test_an_unknown_signature_is_told_the_known_ones(grpc_client: GrpcClient) -> None:
    _code, message = rpc_error(lambda: grpc_client.predict("half_plus_two", X, signature="other"))
    assert message == 'Serving signature key "other" not found. (the model has: serving_default)'


def test_predict_needs_a_model_spec(grpc_client: GrpcClient) -> None:
    request = predict_request("half_plus_two", X)
    request.ClearField("model_spec")
    assert rpc_error(lambda: grpc_client.send(request)) == ("INVALID_ARGUMENT", "Missing ModelSpec")


def test_an_empty_predict_request_needs_a_model_spec(grpc_client: GrpcClient) -> None:
    error = rpc_error(lambda: grpc_client.send(predict_pb2.PredictRequest()))
    assert error == ("INVALID_ARGUMENT", "Missing ModelSpec")


def test_metadata_needs_a_model_spec(grpc_client: GrpcClient) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    call = lambda: grpc_client.prediction.GetModelMetadata(request, DEADLINE_SECONDS)  # noqa: E731
    assert rpc_error(call) == ("INVALID_ARGUMENT", "Missing ModelSpec")


def test_status_needs_a_model_spec(grpc_client: GrpcClient) -> None:
    request = get_model_status_pb2.GetModelStatusRequest()
    call = lambda: grpc_client.model.GetModelStatus(request, DEADLINE_SECONDS)  # noqa: E731
    assert rpc_error(call) == ("INVALID_ARGUMENT", "Missing ModelSpec")


REST_ERRORS = {
    "unknown model": ("/v1/models/none:predict", 404, "Servable not found for request: Latest(none)"),
    "unknown version": (
        "/v1/models/half_plus_two/versions/99:predict",
        404,
        "Servable not found for request: Specific(half_plus_two, 99)",
    ),
    "version zero": (
        "/v1/models/half_plus_two/versions/0:predict",
        404,
        "Servable not found for request: Specific(half_plus_two, 0)",
    ),
    "unknown label": (
        "/v1/models/half_plus_two/labels/canary:predict",
        400,
        "Unrecognized servable version label: canary",
    ),
}


@pytest.mark.parametrize("case", REST_ERRORS)
def test_rest_predict_refuses(rest_client: RestClient, case: str) -> None:
    path, status, message = REST_ERRORS[case]
    reply = rest_client.post(path, {"instances": [1.0]})
    assert (reply.status_code, reply.json()) == (status, {"error": message})


def test_rest_unknown_signature(rest_client: RestClient) -> None:
    reply = rest_client.predict("half_plus_two", {"signature_name": "other", "instances": [1.0]})
    assert reply.status_code == 400
    expected = 'Serving signature name: "other" not found in signature def (the model has: serving_default)'
    assert reply.json()["error"] == expected


def test_rest_no_default_signature(rest_client: RestClient) -> None:
    reply = rest_client.predict("echo", {"instances": [1.0]})
    assert reply.status_code == 400
    message = without_explanation(reply.json()["error"])
    assert message == 'Serving signature name: "serving_default" not found in signature def'


def test_a_long_message_is_cut_over_grpc_only(grpc_client: GrpcClient, rest_client: RestClient) -> None:
    name = "m" * 2000
    message = f"Servable not found for request: Latest({name})"
    code, details = rpc_error(lambda: grpc_client.predict(name, X))
    assert (code, details) == ("NOT_FOUND", message[:1024] + "...TRUNCATED")
    assert rest_client.predict(name, {"instances": [1]}).json()["error"] == message
