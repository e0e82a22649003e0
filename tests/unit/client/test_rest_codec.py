# SPDX-License-Identifier: Apache-2.0
import json
from typing import Any

import numpy as np
import pytest

from tensorserve_client import Code, InvalidArgumentError, ServingError, Signature, TensorSpec, UnimplementedError
from tensorserve_client.rest_codec import decode, encode, failure
from tensorserve_client.values import convert
from tensorserve_client.verbs import Classify, GetMetadata, Predict, Regress, Reload, Spec, Status


def predict(known: Signature | None = None, outputs: tuple[str, ...] = (), **inputs: Any) -> Predict:
    return Predict(Spec("m"), {alias: convert(value, alias) for alias, value in inputs.items()}, outputs, known)


def signature(**outputs: Any) -> Signature:
    return Signature("", {}, {alias: TensorSpec(alias, np.dtype(kind), "", None) for alias, kind in outputs.items()})


def test_paths() -> None:
    assert encode(Status(Spec("a/b"))).path == "/v1/models/a%2Fb"
    assert encode(GetMetadata(Spec("m", 3))).path == "/v1/models/m/versions/3/metadata"
    assert encode(Classify(Spec("m", None, "the best"), [])).path == "/v1/models/m/labels/the%20best:classify"
    with pytest.raises(UnimplementedError, match="use grpc://"):
        encode(Reload(b""))


def test_bodies() -> None:
    body = json.loads(encode(predict(x=[[1, 2]], s=["a", b"\xff"])).body or b"")
    assert body == {"inputs": {"x": [[1, 2]], "s": ["a", {"b64": "/w=="}]}}
    verb = Regress(Spec("m", None, "", "sig"), [{"x": [1.5], "t": [b"a", b"\xff"], "e": []}], {"c": [1]})
    assert json.loads(encode(verb).body or b"") == {
        "signature_name": "sig",
        "context": {"c": [1]},
        "examples": [{"x": [1.5], "t": ["a", {"b64": "/w=="}], "e": []}],
    }


def test_answers_get_the_types_of_the_signature() -> None:
    one = decode(predict(signature(y="f4")), "application/json", b'{"outputs": [[1.0], [2.0]]}')
    assert (one["y"].dtype, one["y"].tolist()) == (np.float32, [[1], [2]])
    body = b'{"outputs": {"a": ["x", {"b64": "/w=="}], "b": 3, "n": [NaN, Infinity], "s": "t"}}'
    many = decode(predict(signature(a="O", b="i8", n="f8", s="O")), "application/json", body)
    assert many["a"].tolist() == [b"x", b"\xff"]
    assert (many["b"].dtype, many["b"].shape, many["s"].tolist()) == (np.int64, (), b"t")
    assert np.isnan(many["n"][0])
    assert list(decode(predict(signature(a="O", b="i8"), ("b",)), "", b'{"outputs": {"a": [], "b": 3}}')) == ["b"]
    with pytest.raises(InvalidArgumentError, match="output 'z' is none of a, b"):
        decode(predict(signature(a="O", b="i8"), ("z",)), "", b'{"outputs": {"a": [], "b": 3}}')


@pytest.mark.parametrize("key", ["result", "results"])
def test_classes_and_numbers(key: str) -> None:
    classes = decode(Classify(Spec("m"), []), "", f'{{"{key}": [[["a", 0.5], ["b", 1]]]}}'.encode())
    assert classes == [[("a", 0.5), ("b", 1.0)]]
    assert decode(Regress(Spec("m"), []), "", f'{{"{key}": [1, 2.5]}}'.encode()).tolist() == [1, 2.5]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"outputs": "x"}'])
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(ServingError, match="cannot read the server's answer"):
        decode(predict(signature(a="f4", b="f4")), "", body)


@pytest.mark.parametrize(
    ("status", "retry_after", "code", "may_have_run"),
    [
        (404, None, Code.NOT_FOUND, False),
        (418, None, Code.INVALID_ARGUMENT, False),
        (503, "2", Code.UNAVAILABLE, False),
        (503, "Wed, 21 Oct", Code.UNAVAILABLE, True),
        (502, None, Code.UNAVAILABLE, True),
        (500, None, Code.INTERNAL, True),
        (302, None, Code.UNKNOWN, True),
    ],
)
def test_failures(status: int, retry_after: str | None, code: Code, may_have_run: bool) -> None:
    error = failure(status, "", retry_after, b'{"error": "why"}')
    assert isinstance(error, ServingError)
    assert (error.code, error.message, error.may_have_run) == (code, "why", may_have_run)
