# SPDX-License-Identifier: Apache-2.0
"""Arrays as `TensorProto`s and back.

Numbers are written into `tensor_content` by hand: their bytes are copied once, into the request. The packed values of
an answer are cut out of the message's bytes instead of being made Python numbers one by one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from tensorserve_client.errors import InputError, serving_error
from tensorserve_client.results import Array

_STRING = 7
_BFLOAT16 = 14
_HALF = 19

# The number of a `DataType`, and NumPy's type. bfloat16 has none; see `dtype_of`.
_DTYPES: dict[int, np.dtype[Any]] = {
    number: np.dtype(kind)
    for number, kind in {
        1: "<f4",
        2: "<f8",
        3: "<i4",
        4: "u1",
        5: "<i2",
        6: "i1",
        _STRING: "O",
        8: "<c8",
        9: "<i8",
        10: "?",
        17: "<u2",
        18: "<c16",
        _HALF: "<f2",
        22: "<u4",
        23: "<u8",
    }.items()
}
_NUMBERS = {dtype: number for number, dtype in _DTYPES.items()}

# The field of a type's values, and whether its elements lie in the message as they lie in memory.
_FIELDS = {
    1: ("float_val", True),
    2: ("double_val", True),
    8: ("scomplex_val", True),
    18: ("dcomplex_val", True),
    9: ("int64_val", False),
    10: ("bool_val", False),
    22: ("uint32_val", False),
    23: ("uint64_val", False),
    _HALF: ("half_val", False),
    _BFLOAT16: ("half_val", False),
}


def dtype_of(number: int) -> np.dtype[Any] | None:
    """NumPy's type for the number of a `DataType`; None if it has none. bfloat16 needs the package ml_dtypes."""
    if number == _BFLOAT16:
        try:
            import ml_dtypes
        except ImportError:
            return None
        found: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return found
    return _DTYPES.get(number)


def number_of(dtype: np.dtype[Any], what: str) -> int:
    """The number of the `DataType` of a NumPy type.

    Raises:
        InputError: TensorFlow has no such type.
    """
    number = _NUMBERS.get(dtype.newbyteorder("<"))
    if number is None and dtype.name == "bfloat16":
        number = _BFLOAT16
    if number is None:
        raise InputError(f"{what} has type {dtype}, which no tensor can have")
    return number


def varint(value: int) -> bytes:
    """A number as protobuf writes it."""
    value &= (1 << 64) - 1
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


@lru_cache(maxsize=1024)
def _head(number: int, shape: tuple[int, ...], byte_count: int | None) -> bytes:
    """Type and shape of a `TensorProto` and, for numbers, what stands before the elements."""
    dims = b"".join(b"\x12" + varint(len(dim)) + dim for dim in (b"\x08" + varint(size) for size in shape))
    content = b"" if byte_count is None else b"\x22" + varint(byte_count)
    return b"\x08" + varint(number) + b"\x12" + varint(len(dims)) + dims + content


def pieces(array: Array, what: str) -> tuple[int, list[Any]]:
    """A `TensorProto` as the number of its bytes and the buffers that make it up.

    Args:
        array: Contiguous, with little-endian numbers, or objects of type `bytes`.
        what: The array's name in messages.
    """
    number = number_of(array.dtype, what)
    if number == _STRING:
        parts = [_head(number, array.shape, None)]
        for value in array.ravel():
            parts += b"\x42" + varint(len(value)), value
        return sum(map(len, parts)), parts
    head = _head(number, array.shape, array.nbytes)
    if array.nbytes == 0:
        return len(head), [head]
    return len(head) + array.nbytes, [head, array.reshape(-1).view(np.uint8).data]


def array_of(tensor: Any, alias: str) -> Array:
    """The value of a `TensorProto`, as an array of its own.

    Raises:
        ServingError: UNIMPLEMENTED if NumPy has no such type, INTERNAL if the values do not fit the shape.
    """
    shape = tuple([dim.size for dim in tensor.tensor_shape.dim])
    number = tensor.dtype
    if number == _STRING:
        return _filled(_objects(tensor.string_val), shape, alias)
    dtype = dtype_of(number)
    if dtype is None:
        raise serving_error(12, f"output {alias!r} has type number {number}, which NumPy does not have")
    content = tensor.tensor_content
    if content:
        return _filled(np.frombuffer(bytearray(content), dtype), shape, alias)
    field, in_memory_layout = _FIELDS.get(number, ("int_val", False))
    values = getattr(tensor, field)
    if in_memory_layout:
        return _filled(_packed(tensor, values, dtype), shape, alias)
    if number in (_HALF, _BFLOAT16):
        return _filled(np.array(values, np.uint16).view(dtype), shape, alias)
    return _filled(np.array(values, dtype), shape, alias)


def _packed(tensor: Any, values: Any, dtype: np.dtype[Any]) -> Array:
    """The elements of a packed field.

    They are what the message ends in: fields are written in the order of their numbers, and this message has type,
    shape and these values only.
    """
    count = len(values)
    part = np.dtype(dtype.type(0).real) if dtype.kind == "c" else dtype
    if count < 64 or len(tensor.ListFields()) != 3:
        return np.array(values, part).view(dtype)
    return np.frombuffer(bytearray(memoryview(tensor.SerializeToString())[-count * part.itemsize :]), dtype)


def _objects(values: Any) -> Array:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _filled(values: Array, shape: tuple[int, ...], alias: str) -> Array:
    """The values in their shape. A message may leave out repetitions of the last one."""
    try:
        return values.reshape(shape)
    except ValueError:
        count = int(np.prod(shape, dtype=np.int64))
        if not 0 < values.size < count:
            raise serving_error(13, f"output {alias!r} has {values.size} values for the shape {shape}") from None
    return np.concatenate([values, np.full(count - values.size, values[-1], values.dtype)]).reshape(shape)
