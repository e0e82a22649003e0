# SPDX-License-Identifier: Apache-2.0
"""Calls of TensorFlow's ops that are right, by family: what the abort fuzzer bends out of shape.

A recipe is an op, its attributes, and for each input a value that the op accepts. A model fixes the attributes; a
client can send any shape and any value for an input that comes from a request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

SERIALIZED = (
    b"\x08\x09\x12\x08\x12\x02\x08\x01\x12\x02\x08\x02\x22\x10" + bytes(16),
    b"\x08\x01\x12\x04\x12\x02\x08\x01\x22\x04" + bytes(4),
    b"\x08\x09\x12\x04\x12\x02\x08\x02\x22\x10" + b"\x02" + bytes(7) + b"\x02" + bytes(7),
)
"""A sparse tensor of one value, as three TensorProtos."""


@dataclass(frozen=True)
class Recipe:
    """One call.

    Attributes:
        family: The group of ops that it stands for.
        op: The name in `tf.raw_ops`.
        inputs: Values by the op's argument names; a list for an argument that takes several tensors.
        attributes: By name.
    """

    family: str
    op: str
    inputs: Mapping[str, Array | Sequence[Array]]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.op}{dict(self.attributes)}"


def f32(*shape: int) -> Array:
    return np.linspace(0.1, 1.0, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def i32(*values: Any) -> Array:
    return np.array(values if len(values) != 1 or not isinstance(values[0], list) else values[0], np.int32)


def i64(*values: Any) -> Array:
    return np.array(values if len(values) != 1 or not isinstance(values[0], list) else values[0], np.int64)


def scalar(value: Any, dtype: Any = np.int32) -> Array:
    return np.array(value, dtype)


def text(*values: Any) -> Array:
    return np.array(values, object)


def ints(*shape: int, dtype: Any = np.int32) -> Array:
    return (np.arange(int(np.prod(shape))) % 3).astype(dtype).reshape(shape)


def bits(*shape: int) -> Array:
    return (np.arange(int(np.prod(shape))) % 2).astype(bool).reshape(shape)


def recipe(family: str, op: str, inputs: Mapping[str, Any], **attributes: Any) -> Recipe:
    """A recipe with these attributes."""
    return Recipe(family, op, inputs, attributes)
