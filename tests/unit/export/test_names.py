# SPDX-License-Identifier: Apache-2.0
import pytest

from tensorserve.errors import ServingError
from tensorserve.export.computation import names_of


def test_names() -> None:
    assert names_of("input", None, ["a", "b"]) == {"a": "a", "b": "b"}
    assert names_of("input", ["x", "y"], ["a", "b"]) == {"x": "a", "y": "b"}
    assert names_of("input", {"x": "b", "y": "a:0"}, ["a", "b"]) == {"x": "b", "y": "a"}
    assert names_of("output", ["b"], ["a", "b"]) == {"b": "b"}
    assert names_of("output", {"x": "b"}, ["a", "b"]) == {"x": "b"}
    assert names_of("output", "x", ["a"]) == {"x": "a"}


@pytest.mark.parametrize(
    ("kind", "given", "text"),
    [
        ("input", {"x": "c"}, "there is no input c; the model's inputs are: a, b"),
        ("input", {"x": "a"}, "input b has no name"),
        ("input", {"x": "a", "y": "a"}, "input a was given two names"),
        ("output", ["x"], "1 names were given for 2 outputs"),
    ],
)
def test_names_that_do_not_fit(kind: str, given: object, text: str) -> None:
    with pytest.raises(ServingError, match=text):
        names_of(kind, given, ["a", "b"])  # type: ignore[arg-type]
