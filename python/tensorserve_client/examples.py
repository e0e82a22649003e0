# SPDX-License-Identifier: Apache-2.0
"""`tf.Example`s from dicts of features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tensorserve_client.errors import InputError

Example = Mapping[str, list[int] | list[float] | list[bytes]]
"""Checked features by name, each a list of one kind."""


def convert_all(examples: Sequence[Mapping[str, Any]]) -> list[Example]:
    """Checks Examples.

    Raises:
        InputError: A feature is no number, text, bytes, or list of one of them; or this is no list of dicts.
    """
    if not isinstance(examples, list | tuple):
        raise InputError("Examples are a list of dicts of features; for one Example write [{...}]")
    return [convert(example, number) for number, example in enumerate(examples)]


def convert(example: Mapping[str, Any], number: int = 0) -> Example:
    """Checks one Example; `number` is for messages."""
    if not isinstance(example, Mapping):
        raise InputError(f"Example {number} is a {type(example).__name__}; it must be a dict of features")
    return {name: _feature(value, f"feature {name!r} of Example {number}") for name, value in example.items()}


def serialize_example(features: Mapping[str, Any]) -> bytes:
    """A serialized `tf.Example`, for an input of texts that a signature reads as such messages.

    Args:
        features: Numbers, texts, bytes, or flat lists of them. Whole numbers become int64: a feature of floats is
            written `5.0`.

    Raises:
        InputError: A feature is none of these.
    """
    from tensorserve_client.grpc_codec import example_bytes

    return example_bytes(convert(features))


def _feature(value: Any, what: str) -> list[int] | list[float] | list[bytes]:
    if isinstance(value, str | bytes) or np.ndim(value) == 0:
        values = [value.item() if isinstance(value, np.ndarray | np.generic) else value]
    elif isinstance(value, np.ndarray):
        values = value.ravel().tolist()
    else:
        values = [item.item() if isinstance(item, np.generic) else item for item in value]
    if all(isinstance(item, int) for item in values):  # bool is an int.
        return [_int64(item, what) for item in values]
    if all(isinstance(item, int | float) for item in values):
        return [float(item) for item in values]
    if all(isinstance(item, str | bytes) for item in values):
        return [item.encode() if isinstance(item, str) else item for item in values]
    kinds = ", ".join(sorted({type(item).__name__ for item in values}))
    raise InputError(
        f"{what} holds {kinds}; it must be whole numbers, numbers, or texts and bytes, flat and of one kind"
    )


def _int64(value: int, what: str) -> int:
    if not -(2**63) <= value < 2**63:
        raise InputError(f"{what} holds {value}, which does not fit 64 bits")
    return int(value)
