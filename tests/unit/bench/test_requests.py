# SPDX-License-Identifier: Apache-2.0
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tensorserve.bench.requests import made_up, predict, repeated
from tensorserve_client import InputError, Signature, TensorSpec
from tensorserve_client.protos import message
from tensorserve_client.verbs import Spec


def signature(**inputs: tuple[Any, tuple[int, ...] | None]) -> Signature:
    specs = {alias: TensorSpec(alias, np.dtype(kind), "DT", shape) for alias, (kind, shape) in inputs.items()}
    return Signature("", specs, {})


def test_made_up_values_suit_the_signature() -> None:
    takes = signature(f=("f4", (-1, 3)), i=("i8", (-1,)), b=("?", ()), h=("f2", (2, 2)), o=("f4", None))
    found = made_up(takes, 5, {"o": [5, 7]}, 1)
    kinds = {alias: (array.dtype.str, array.shape) for alias, array in found.items()}
    expected: dict[str, Any] = {"f": ("<f4", (5, 3)), "i": ("<i8", (5,)), "b": ("|b1", ()), "h": ("<f2", (2, 2))}
    assert kinds == {**expected, "o": ("<f4", (5, 7))}
    assert made_up(takes, 5, {"o": [5]}, 1)["f"].tolist() == found["f"].tolist()


@pytest.mark.parametrize(
    ("kind", "shape", "text"),
    [("O", (-1,), "--input x=@FILE"), ("f4", (-1, -1), r"open \(2,\?\); give it a shape"), ("f4", None, "any shape")],
)
def test_what_cannot_be_made_up(kind: str, shape: tuple[int, ...] | None, text: str) -> None:
    with pytest.raises(InputError, match=text):
        made_up(signature(x=(kind, shape)), 2, {}, 0)


def test_examples_are_given_as_such() -> None:
    takes = ("O", (-1,))
    by_method = replace(signature(examples=takes), method="tensorflow/serving/classify")
    for examples in (by_method, signature(inputs=takes)):
        with pytest.raises(InputError, match="give it a value: --example JSON"):
            made_up(examples, 2, {}, 0)


def test_rows_are_repeated() -> None:
    found = repeated({"x": np.array([[1, 2], [3, 4]]), "s": np.array(5)}, 3)
    assert found["x"].tolist() == [[1, 2], [3, 4], [1, 2]]
    assert found["s"] == 5


def test_bodies() -> None:
    inputs = [{"x": np.float32([1, 2])}, {"x": np.float32([3, 4])}]
    grpc = predict("grpc://a:1", Spec("m"), inputs)
    parsed = message("PredictRequest").FromString(grpc.bodies[1])
    assert (parsed.model_spec.name, grpc.rows, grpc.path.split("/")[-1]) == ("m", 2, "Predict")
    rest = predict("http://a:1/prefix", Spec("m", 3), inputs)
    assert (json.loads(rest.bodies[0]), rest.path) == (
        {"inputs": {"x": [1, 2]}},
        "/prefix/v1/models/m/versions/3:predict",
    )
    assert predict("http://a:1", Spec("m"), inputs, as_protobuf=True).content_type == "application/x-protobuf"
    with pytest.raises(InputError, match="without TLS"):
        predict("grpcs://a:1", Spec("m"), inputs)
