# SPDX-License-Identifier: Apache-2.0
"""The values of a small `TensorProto` as nested lists, without NumPy."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from tensorserve import protos

# Struct code and field of each element type whose values can be shown.
_CODES = {
    "DT_FLOAT": ("f", "float_val"),
    "DT_DOUBLE": ("d", "double_val"),
    "DT_INT8": ("b", "int_val"),
    "DT_INT16": ("h", "int_val"),
    "DT_INT32": ("i", "int_val"),
    "DT_UINT8": ("B", "int_val"),
    "DT_UINT16": ("H", "int_val"),
    "DT_INT64": ("q", "int64_val"),
    "DT_UINT32": ("I", "uint32_val"),
    "DT_UINT64": ("Q", "uint64_val"),
    "DT_BOOL": ("?", "bool_val"),
}
_MOST_VALUES = 1000


def tensor_value(tensor: Any) -> Any:
    """The values of a tensor, nested by its shape; a text that says what it is if they cannot be shown."""
    name = protos.enum("tensorflow.DataType").Name(tensor.dtype)
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    count = 1
    for size in shape:
        count *= size
    if count > _MOST_VALUES or (name != "DT_STRING" and name not in _CODES):
        return f"{name} {shape}"
    if name == "DT_STRING":
        values: list[Any] = [value.decode(errors="replace") for value in tensor.string_val]
    else:
        code, field = _CODES[name]
        if tensor.tensor_content:
            values = list(struct.unpack(f"<{count}{code}", tensor.tensor_content))
        else:
            values = list(getattr(tensor, field))
    # A tensor may leave out repetitions of its last value.
    values += (values[-1:] or [0]) * (count - len(values))
    return _nested(values, shape)


def _nested(values: Sequence[Any], shape: Sequence[int]) -> Any:
    if not shape:
        return values[0]
    step = len(values) // shape[0] if shape[0] else 0
    return [_nested(values[index * step : (index + 1) * step], shape[1:]) for index in range(shape[0])]
