# SPDX-License-Identifier: Apache-2.0
"""What is held against one version, and how it is read from a file that anybody may have written."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# The server keeps numbers in 64 bits.
_NUMBERS = range(-(2**63), 2**63)


@dataclass(slots=True)
class Record:
    """What is held against a version, as it is stored.

    Attributes:
        model: Its model's name.
        version: Its number.
        path: Where its source found it.
        local_path: The directory that is loaded.
        fingerprint: Of its files.
        loading: Times (seconds since 1970) of convictions before it served.
        serving: The same while it served.
        shapes: Signature, words and convictions of shapes that have not succeeded since.
        cause: How the server died the last time.
        quarantined: Why it is not loaded any more; empty if it is.
    """

    model: str
    version: int
    path: str
    local_path: str
    fingerprint: str
    loading: list[float] = field(default_factory=list)
    serving: list[float] = field(default_factory=list)
    shapes: list[tuple[str, list[int], int]] = field(default_factory=list)
    cause: str = ""
    quarantined: str = ""


def read_record(stored: Any) -> Record | None:
    """A record as it was stored, without the fields that only a later release knows; None if it makes no sense."""
    if not isinstance(stored, dict):
        return None
    known = {name: value for name, value in stored.items() if name in _FIELDS}
    if not all(_FIELDS[name](value) for name, value in known.items()):
        return None
    try:
        return Record(**known)
    except TypeError:
        # One of the fields without a default is missing.
        return None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return type(value) is int and value in _NUMBERS


def _are_times(value: Any) -> bool:
    return isinstance(value, list) and all(type(at) in (int, float) for at in value)


def _are_shapes(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(shape, list) and _is_shape(*shape) for shape in value)


def _is_shape(*parts: Any) -> bool:
    match parts:
        case (str(), [*words], count):
            return all(map(_is_number, words)) and _is_number(count)
    return False


_FIELDS: dict[str, Callable[[Any], bool]] = {
    "model": _is_text,
    "version": _is_number,
    "path": _is_text,
    "local_path": _is_text,
    "fingerprint": _is_text,
    "loading": _are_times,
    "serving": _are_times,
    "shapes": _are_shapes,
    "cause": _is_text,
    "quarantined": _is_text,
}
