# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest

from tensorserve.inspect.description import Model, Signature, Tensor
from tensorserve.inspect.difference import differences

X = Tensor("x", "x:0", "float32", (None, 3))
Y = Tensor("y", "y:0", "float32", (None, 2))
SERVE = Signature("serving_default", "predict", (X,), (Y,))


def changes(before: Signature, after: Signature) -> list[tuple[str, bool]]:
    models = [Model("place", "m", 1, (each,)) for each in (before, after)]
    return [(change.text, change.breaks) for change in differences(*models)]


def test_nothing_changed() -> None:
    renamed = replace(SERVE, inputs=(replace(X, name="other:0"),))
    assert changes(SERVE, renamed) == []


@pytest.mark.parametrize(
    ("now", "text", "breaks"),
    [
        (replace(X, shape=(None, None)), "input x: shape [?, 3] is now [?, ?]", False),
        (replace(X, shape=(None, 4)), "input x: shape [?, 3] is now [?, 4]", True),
        (replace(X, shape=None), "input x: shape [?, 3] is now unknown", False),
        (replace(X, dtype="int64"), "input x: float32 is now int64", True),
        (replace(X, default=[1.0]), "input x: default None is now [1.0]", True),
    ],
)
def test_inputs(now: Tensor, text: str, breaks: bool) -> None:
    assert changes(SERVE, replace(SERVE, inputs=(now,))) == [(text, breaks)]


def test_an_output_may_become_narrower_but_not_wider() -> None:
    wider = replace(SERVE, outputs=(replace(Y, shape=(None, None)),))
    assert changes(SERVE, wider) == [("output y: shape [?, 2] is now [?, ?]", True)]
    assert changes(wider, SERVE) == [("output y: shape [?, ?] is now [?, 2]", False)]


def test_inputs_that_come_and_go() -> None:
    given, default = Tensor("z", "z:0", "int32", ()), Tensor("z", "z:0", "int32", (), default=7)
    assert changes(SERVE, replace(SERVE, inputs=(X, given))) == [("input z added (int32 [])", True)]
    assert changes(SERVE, replace(SERVE, inputs=(X, default))) == [("input z added (int32 [])", False)]
    assert changes(replace(SERVE, inputs=(X, given)), SERVE) == [("input z removed", True)]


def test_signatures_and_methods() -> None:
    assert changes(SERVE, replace(SERVE, method="classify")) == [("method predict is now classify", True)]
    models = Model("a", "m", 1, (SERVE,)), Model("b", "m", 2, (replace(SERVE, name="other"),))
    assert [(each.signature, each.text, each.breaks) for each in differences(*models)] == [
        ("serving_default", "signature removed", True),
        ("other", "signature added", False),
    ]
