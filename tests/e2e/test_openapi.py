# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document: valid, true to what is loaded, and what it describes never makes the server fail."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from hypothesis import HealthCheck, given, settings

from tests.conftest import ServeModels
from tests.server_process import ServerProcess

schemathesis = pytest.importorskip("schemathesis")
validator = pytest.importorskip("openapi_spec_validator")

SERVED = ("half_plus_two", "matmul", "echo", "strings", "scalar", "multi_output", "sums", "heads", "heads_tf2")


@pytest.fixture(scope="module")
def documented(serve_models: ServeModels, models: Path) -> ServerProcess:
    entries = {name: models / name for name in SERVED} | {"odd {name}/ü": models / "scalar"}
    extra = {
        "half_plus_two": "model_version_policy { specific { versions: [1, 2] } } "
        'version_labels { key: "stable" value: 1 }'
    }
    return serve_models(entries, extra=extra)


@pytest.fixture(scope="module")
def document(documented: ServerProcess) -> Any:
    reply = requests.get(f"{documented.rest_url}/v1/openapi.json", timeout=10)
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, "application/json")
    return reply.json()


def test_the_document_is_valid(document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    validator.validate(document)


def test_models_versions_and_labels_are_listed(document: Any) -> None:
    paths = set(document["paths"])
    for target in ("", "/versions/1", "/versions/2", "/labels/stable"):
        base = f"/v1/models/half_plus_two{target}"
        assert {base, f"{base}/metadata", f"{base}:predict"} <= paths
    assert "/v1/models/odd%20%7Bname%7D%2F%C3%BC:predict" in paths
    assert not any("versions/3" in path for path in paths)


def test_bodies_follow_the_signature(document: Any) -> None:
    reference = document["paths"]["/v1/models/matmul:predict"]["post"]["requestBody"]["$ref"]
    body = document["components"]["requestBodies"][reference.rsplit("/", 1)[1]]["content"]
    assert set(body) == {"application/json", "application/x-protobuf", "application/x-npz"}
    rows, columns = body["application/json"]["schema"]["anyOf"][0]["anyOf"]
    matrix = {"type": "array", "items": {"type": "array", "items": {"type": "number", "format": "float"}}}
    assert columns["properties"]["inputs"]["properties"] == {"a": matrix, "b": matrix}
    assert rows["properties"]["instances"]["items"]["properties"] == {"a": matrix["items"], "b": matrix["items"]}


def component(document: Any, reference: str) -> Any:
    """What a `$ref` of the document names."""
    found = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_verbs_with_examples_are_listed_where_a_signature_has_their_method(document: Any) -> None:
    paths = {path for path in document["paths"] if path.endswith((":classify", ":regress"))}
    targets = ("/v1/models/heads", "/v1/models/heads/versions/1")
    assert paths == {f"{target}:{verb}" for target in targets for verb in ("classify", "regress")}


def test_bodies_with_examples_name_their_signatures(document: Any) -> None:
    def schema(verb: str) -> Any:
        operation = document["paths"][f"/v1/models/heads:{verb}"]["post"]
        body = component(document, operation["requestBody"]["$ref"])
        return body["content"]["application/json"]["schema"]

    classify, regress = schema("classify"), schema("regress")
    assert classify["required"] == ["examples"]
    assert {"serving_default", "only_scores"} <= set(classify["properties"]["signature_name"]["enum"])
    assert regress["required"] == ["signature_name", "examples"]
    assert "regress_x_to_y" in regress["properties"]["signature_name"]["enum"]
    assert "regress_as_predict" not in regress["properties"]["signature_name"]["enum"]


def test_answers_to_examples_have_the_described_form(documented: ServerProcess, document: Any) -> None:
    validate = pytest.importorskip("jsonschema").validate
    bodies = {
        "classify": {"examples": [{"x": 1.0}, {"x": [2.5]}]},
        "regress": {"signature_name": "regress_x_to_y", "examples": [{"x": 1.0}], "context": {"note": ["a", "b"]}},
    }
    for verb, body in bodies.items():
        operation = document["paths"][f"/v1/models/heads:{verb}"]["post"]
        request = component(document, operation["requestBody"]["$ref"])["content"]["application/json"]["schema"]
        validate(body, request | {"components": document["components"]})
        reply = requests.post(f"{documented.rest_url}/v1/models/heads:{verb}", json=body, timeout=10)
        assert reply.status_code == 200, reply.text
        response = component(document, operation["responses"]["200"]["$ref"])["content"]["application/json"]["schema"]
        validate(reply.json(), response)


def test_the_page_loads_nothing_from_elsewhere(documented: ServerProcess) -> None:
    reply = requests.get(f"{documented.rest_url}/v1/docs", timeout=10)
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "openapi.json" in reply.text
    assert "src=" not in reply.text
    assert "http" not in reply.text


def test_nothing_that_is_described_makes_the_server_fail(documented: ServerProcess, document: Any) -> None:
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=documented.rest_url)
    tried = set()
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=8, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(case=operation.as_strategy())
        def check(case: Any) -> None:
            reply = case.call(timeout=20)
            assert reply.status_code < 500, (case.as_curl_command(), reply.content)
            tried.add((case.method, case.path, reply.status_code == 200))

        check()
    assert {(method, path) for method, path, _ in tried} == {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    # Values of the described shape are valid requests, too, and not only refused ones.
    answered = {path for method, path, success in tried if success and method == "POST"}
    assert "/v1/models/half_plus_two:predict" in answered
    assert documented.is_running


def test_what_the_document_describes_is_answered(documented: ServerProcess, document: Any) -> None:
    """Every GET is answered with 200, and a value of the described shape is a valid request."""
    for path, methods in document["paths"].items():
        if "get" in methods:
            assert requests.get(documented.rest_url + path, timeout=10).status_code == 200, path
    body = {"inputs": {"a": np.ones((1, 2)).tolist(), "b": np.ones((2, 1)).tolist()}}
    reply = requests.post(f"{documented.rest_url}/v1/models/matmul:predict", json=body, timeout=10)
    assert reply.json() == {"outputs": [[2.0]]}
