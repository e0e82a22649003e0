# SPDX-License-Identifier: Apache-2.0
import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tensorserve.cli.input_values import read_inputs
from tensorserve_client import InputError, TensorSpec
from tensorserve_client.protos import message


def specs(**inputs: Any) -> dict[str, TensorSpec]:
    return {
        alias: TensorSpec(alias, np.dtype(kind), "DT_STRING" if kind == "O" else "DT_FLOAT", shape)
        for alias, (kind, shape) in inputs.items()
    }


NUMBERS = specs(x=("f4", (-1,)))
TEXT = specs(text=("O", (-1,)))


@pytest.mark.parametrize(
    ("word", "values"),
    [("x=[1, 2]", [1, 2]), ("x=3", [3]), ("[1.5]", [1.5]), ("x=-1e3", [-1000])],
)
def test_numbers(word: str, values: list[float]) -> None:
    found = read_inputs([word], [], NUMBERS)["x"]
    assert (found.dtype, found.tolist()) == (np.float32, values)


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("text=hello world", [b"hello world"]),
        ("12", [b"12"]),
        ('text=["a", "b"]', [b"a", b"b"]),
        ('text="[a]"', [b"[a]"]),
        ("text=a=b", [b"a=b"]),
        ("true", [b"true"]),
    ],
)
def test_texts(word: str, values: list[bytes]) -> None:
    assert read_inputs([word], [], TEXT)["text"].tolist() == values


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "x.npy", np.float32([[1, 2]]))
    (tmp_path / "x.json").write_text("[3]")
    (tmp_path / "x.bin").write_bytes(b"\0\xff")
    assert read_inputs([f"x=@{tmp_path}/x.npy"], [], NUMBERS)["x"].shape == (1, 2)
    assert read_inputs([f"x=@{tmp_path}/x.json"], [], NUMBERS)["x"].tolist() == [3]
    assert read_inputs([f"@{tmp_path}/x.bin"], [], TEXT)["text"].tolist() == [b"\0\xff"]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"[4, 5]")))
    assert read_inputs(["x=@-"], [], NUMBERS)["x"].tolist() == [4, 5]


def test_an_image_becomes_pixels_where_numbers_are_wanted(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    image.fromarray(pixels).save(tmp_path / "a.png")
    found = read_inputs([f"@{tmp_path}/a.png"], [], specs(image=("f4", (-1, 2, 2, 3))))["image"]
    assert (found.dtype, found.shape) == (np.float32, (1, 2, 2, 3))
    assert np.array_equal(found[0], pixels)


def test_examples() -> None:
    found = read_inputs([], ['{"age": 38, "job": "baker"}', "{}"], specs(inputs=("O", (-1,))))["inputs"]
    example = message("tensorflow.Example").FromString(found[0])
    assert example.features.feature["job"].bytes_list.value == [b"baker"]
    assert found.tolist()[1] == b""


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("y=1", "the signature has no input y; there are: x"),
        ("x=hello", "is no JSON .* the signature wants DT_FLOAT; for a file write x=@FILE"),
        ("x=[[1], [1, 2]]", "ragged"),
        ("x=@/none", "cannot read /none: No such file"),
        ("x=@setup.py", "cannot read"),
    ],
)
def test_what_cannot_be_understood(word: str, text: str) -> None:
    with pytest.raises(InputError, match=text):
        read_inputs([word], [], NUMBERS)


def test_aliases_are_needed_where_there_are_several() -> None:
    with pytest.raises(InputError, match="the signature has the inputs a, b; write ALIAS=VALUE"):
        read_inputs(["1"], [], specs(a=("f4", ()), b=("f4", ())))
    with pytest.raises(InputError, match="given twice"):
        read_inputs(["x=1", "x=2"], [], NUMBERS)
