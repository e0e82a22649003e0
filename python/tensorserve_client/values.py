# SPDX-License-Identifier: Apache-2.0
"""What users hand over as inputs, as arrays that can be sent."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tensorserve_client.errors import InputError
from tensorserve_client.results import Array, TensorSpec


def convert(value: Any, alias: str, spec: TensorSpec | None = None) -> Array:
    """The array to send for one input.

    * NumPy arrays keep their type; so does whatever NumPy takes as an array (images of Pillow, tensors on the CPU).
    * Python's numbers, and lists of them, get the type that the signature wants if it is known, else TensorFlow's:
      float32 and, for whole numbers that fit, int32.
    * Texts are sent as UTF-8, `bytes` as they are, a `pathlib.Path` as the bytes of its file.

    Args:
        value: What the user gave.
        alias: Name of the input, for messages.
        spec: What the signature says of it.

    Raises:
        InputError: There is no such tensor; the text says where the value is at fault.
    """
    what = f"input {alias!r}"
    if isinstance(value, np.ndarray | np.generic):
        return _sendable(np.asarray(value), what)
    if isinstance(value, str | bytes | bytearray | os.PathLike):
        return _strings(value, (), what)
    if isinstance(value, list | tuple | range):
        return _from_list(value, what, spec)
    if isinstance(value, bool | int | float | complex):
        return _typed(np.asarray(value), what, spec)
    if value is None or isinstance(value, dict | set):
        raise InputError(f"{what} is a {type(value).__name__}, and no array, list, number, text or bytes")
    array = np.asarray(value)
    if array.dtype.hasobject:
        raise InputError(f"{what} is a {type(value).__name__}, which NumPy cannot make an array of")
    return _sendable(array, what)


def pad(rows: Sequence[Any], value: Any = 0, length: int | None = None) -> Array:
    """A dense array of rows of different lengths, filled up with `value` at their ends.

    Args:
        rows: Sequences of numbers, texts or bytes.
        value: What fills the rest of a row.
        length: Length of all rows; that of the longest if None.

    Raises:
        InputError: A row is longer than `length`.
    """
    longest = max((len(row) for row in rows), default=0)
    length = longest if length is None else length
    if longest > length:
        raise InputError(f"a row has {longest} values, more than the length of {length}")
    filled = [[*row, *[value] * (length - len(row))] for row in rows]
    return _from_list(filled, "rows", None) if filled else np.zeros((0, length), np.float32)


def _from_list(value: Sequence[Any], what: str, spec: TensorSpec | None) -> Array:
    first = next(_leaves(value), None)
    if isinstance(first, str | bytes | bytearray | os.PathLike):
        shape = _shape(value, what)
        return _strings(list(_leaves(value)), shape, what)
    try:
        array = np.asarray(value)
        if (
            array.dtype.kind in "fO"
            and isinstance(first, int)
            and all(isinstance(leaf, int) for leaf in _leaves(value))
        ):
            # NumPy has made floats or objects of whole numbers, since some need the 64th bit.
            array = np.asarray(value, np.uint64)
    except OverflowError:
        raise InputError(f"{what} holds whole numbers that do not fit 64 bits") from None
    except ValueError:
        _shape(value, what)
        raise InputError(f"{what} cannot become an array") from None
    if array.dtype.hasobject:
        _shape(value, what)
        raise InputError(f"{what} holds {_kinds(value)}; it must hold numbers, or texts and bytes")
    if array.dtype.kind in "US":
        raise InputError(f"{what} holds {_kinds(value)}; it must hold either numbers, or texts and bytes")
    if isinstance(first, np.ndarray | np.generic):
        return _sendable(array, what)
    return _typed(array, what, spec)


def _typed(array: Array, what: str, spec: TensorSpec | None) -> Array:
    """Python's numbers in the type that they should have."""
    wanted = spec.dtype if spec is not None else None
    if wanted is None:
        if array.dtype == np.float64:
            return array.astype(np.float32)
        small = array.astype(np.int32) if array.dtype == np.int64 else array
        return _sendable(small if np.array_equal(small, array) else array, what)
    if wanted.hasobject:
        raise InputError(f"{what} holds numbers, and the signature wants texts or bytes")
    with np.errstate(all="ignore"):
        typed = array.astype(wanted)
    if wanted.kind in "iub" and not np.array_equal(typed, array):
        raise InputError(f"{what} holds numbers that the signature's type {wanted} does not have")
    return _sendable(typed, what)


def _sendable(array: Array, what: str) -> Array:
    if array.dtype.kind in "USO":
        return _strings(array.ravel().tolist(), array.shape, what)
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def _strings(values: Any, shape: tuple[int, ...], what: str) -> Array:
    array = np.empty(shape, object)
    if shape == ():
        array[()] = _bytes(values[0] if isinstance(values, list) else values, what)
    else:
        array.ravel()[:] = [_bytes(value, what) for value in values]
    return array


def _bytes(value: Any, what: str) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, os.PathLike):
        try:
            with open(value, "rb") as file:
                return file.read()
        except OSError as error:
            raise InputError(f"{what}: cannot read {os.fspath(value)}: {error.strerror}") from error
    raise InputError(f"{what} holds a {type(value).__name__} among texts; it must hold texts and bytes only")


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple | range):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _shape(value: Any, what: str) -> tuple[int, ...]:
    """The shape of nested lists.

    Raises:
        InputError: They are ragged; the text says where.
    """
    return _shape_at(value, what, "")


def _shape_at(value: Any, what: str, place: str) -> tuple[int, ...]:
    if not isinstance(value, list | tuple | range):
        return np.shape(value) if not isinstance(value, str | bytes) else ()
    shapes = [_shape_at(item, what, f"{place}[{index}]") for index, item in enumerate(value)]
    for index, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise InputError(
                f"{what} is ragged: the value at {place}[0] has shape {shapes[0]}, that at {place}[{index}] {shape}; "
                "a tensor has rows of one length (`pad`, which is imported from where `Client` is, fills them up)"
            )
    return (len(value), *(shapes[0] if shapes else ()))


def _kinds(value: Any) -> str:
    return ", ".join(sorted({type(leaf).__name__ for leaf in _leaves(value)}))
