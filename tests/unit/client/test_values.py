# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensorserve_client import InputError, TensorSpec, pad
from tensorserve_client.examples import convert_all
from tensorserve_client.values import convert


def spec(dtype: Any) -> TensorSpec:
    return TensorSpec("x:0", np.dtype(dtype), "", None)


@pytest.mark.parametrize(
    ("value", "dtype", "shape"),
    [
        (1.5, "f4", ()),
        ([1, 2], "i4", (2,)),
        ([1, 2**40], "i8", (2,)),
        ([-(2**63)], "i8", (1,)),
        ([[True], [False]], "?", (2, 1)),
        ([2**64 - 1, 1], "u8", (2,)),
        ([], "f4", (0,)),
        (np.zeros((2, 3), ">f8"), "<f8", (2, 3)),
        (np.zeros((4, 4))[:, 1:3], "f8", (4, 2)),
        (np.float16(1), "f2", ()),
        ([np.float64(1), 2], "f8", (2,)),
        (range(3), "i4", (3,)),
    ],
)
def test_types_without_a_signature(value: Any, dtype: str, shape: tuple[int, ...]) -> None:
    array = convert(value, "x")
    assert (array.dtype, array.shape) == (np.dtype(dtype), shape)
    assert array.flags.c_contiguous


def test_lists_get_the_type_of_the_signature_and_arrays_keep_theirs() -> None:
    assert convert([1, 2], "x", spec("f4")).dtype == np.float32
    assert convert([1.0, 2.0], "x", spec("i8")).dtype == np.int64
    assert convert(np.zeros(2), "x", spec("f4")).dtype == np.float64
    assert convert([2**64 - 1, 1], "x", spec("u8")).tolist() == [2**64 - 1, 1]
    with pytest.raises(InputError, match="do not fit 64 bits"):
        convert([2**64, -1], "x", spec("u8"))
    with pytest.raises(InputError, match="type int8 does not have"):
        convert([300], "x", spec("i1"))
    with pytest.raises(InputError, match="type int32 does not have"):
        convert([1.5], "x", spec("i4"))
    with pytest.raises(InputError, match="wants texts"):
        convert([1.5], "x", spec("O"))


def test_texts(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"\x89PNG\0")
    assert convert("é", "x").tolist() == "é".encode()
    assert convert([["a", b"\0"]], "x").tolist() == [[b"a", b"\0"]]
    assert convert(np.array(["a", "bc"]), "x").tolist() == [b"a", b"bc"]
    assert convert(np.array([b"a\0"], object), "x").tolist() == [b"a\0"]
    assert convert(file, "x").tolist() == b"\x89PNG\0"
    assert convert([file, file], "x").shape == (2,)
    with pytest.raises(InputError, match="cannot read"):
        convert(tmp_path / "none", "x")


def test_whatever_numpy_takes_as_an_array() -> None:
    class Image:
        kept = np.ones((2, 2, 3), np.uint8)
        __array_interface__ = kept.__array_interface__

    array = convert(Image(), "x")
    assert (array.dtype, array.shape, int(array.sum())) == (np.uint8, (2, 2, 3), 12)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([[1, 2], [3]], r"input 'x' is ragged: the value at \[0\] has shape \(2,\), that at \[1\] \(1,\)"),
        ([[[1], [2]], [[3], [4, 5]]], r"ragged: the value at \[1\]\[0\] has shape \(1,\), that at \[1\]\[1\] \(2,\)"),
        ([["a"], ["b", "c"]], "`pad`, which is imported from where `Client` is, fills them up"),
        (["a", 1], "holds a int among texts"),
        ([1, "a"], "it must hold either numbers, or texts"),
        ([1, None], "holds NoneType, int"),
        (None, "is a NoneType"),
        ({"a": 1}, "is a dict"),
        (object(), "NumPy cannot make an array"),
        (np.array([1, None], object), "holds a int"),
    ],
)
def test_what_cannot_be_sent(value: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        convert(value, "x")


def test_pad() -> None:
    assert pad([[1, 2], [3]], value=-1).tolist() == [[1, 2], [3, -1]]
    assert pad([["a"], []], value="", length=2).tolist() == [[b"a", b""], [b"", b""]]
    assert pad([]).shape == (0, 0)
    with pytest.raises(InputError, match="more than the length"):
        pad([[1, 2]], length=1)


def test_examples() -> None:
    given = {"i": 1, "b": True, "f": [1, 2.5], "t": "é", "n": np.array([1.5]), "s": np.int64(4), "e": []}
    expected = {"i": [1], "b": [1], "f": [1.0, 2.5], "t": ["é".encode()], "n": [1.5], "s": [4], "e": []}
    assert convert_all([given]) == [expected]
    for bad in ([{"x": [1, "a"]}], [{"x": None}], [{"x": [[1]]}], {"x": 1}, "text", [1], [{"x": 2**70}]):
        with pytest.raises(InputError):
            convert_all(bad)  # type: ignore[arg-type]
