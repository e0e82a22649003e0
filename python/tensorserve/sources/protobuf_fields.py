# SPDX-License-Identifier: Apache-2.0
"""The fields of a serialized protobuf message, without decoding what is in them."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {FIXED64: 8, FIXED32: 4}
_LONGEST_VARINT = 10


class TruncatedError(ValueError):
    """The message goes on after the end of the file."""


class MalformedError(ValueError):
    """This is no protobuf message."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field.

    Attributes:
        number: Its number.
        wire_type: How it is encoded.
        value: The value of a varint, else 0.
        start: Where its content begins in the file.
        end: Where its content ends.
    """

    number: int
    wire_type: int
    value: int
    start: int
    end: int


def fields(file: BinaryIO, start: int, end: int, wire_types: Mapping[int, int] | None = None) -> Iterator[Field]:
    """The fields of the message between two offsets; reads their heads and skips the rest.

    Args:
        file: Where to read.
        start: Where the message begins.
        end: Where it ends.
        wire_types: How fields of some numbers must be encoded.

    Raises:
        TruncatedError: A field is longer than what is there.
        MalformedError: The bytes are no message.
    """
    position = start
    while position < end:
        file.seek(position)
        field = _read_field(file, wire_types or {})
        if field.end > end:
            raise TruncatedError
        yield field
        position = field.end


def content(file: BinaryIO, field: Field) -> bytes:
    """The bytes of a field."""
    file.seek(field.start)
    return file.read(field.end - field.start)


def file_size(file: BinaryIO) -> int:
    """How long an open file is; moves to its end."""
    return file.seek(0, os.SEEK_END)


def read_varint(file: BinaryIO) -> int:
    """Reads an unsigned varint.

    Raises:
        TruncatedError: The file ends first.
        MalformedError: It is too long.
    """
    value = 0
    for index in range(_LONGEST_VARINT):
        byte = file.read(1)
        if not byte:
            raise TruncatedError
        value |= (byte[0] & 0x7F) << (7 * index)
        if byte[0] < 0x80:
            return value
    raise MalformedError("a varint of more than 10 bytes")


def _read_field(file: BinaryIO, wire_types: Mapping[int, int]) -> Field:
    tag = read_varint(file)
    number, wire_type = tag >> 3, tag & 7
    value = 0
    if number == 0 or number >= 1 << 29 or wire_types.get(number, wire_type) != wire_type:
        raise MalformedError(f"field {number} of wire type {wire_type}")
    if wire_type == VARINT:
        value = read_varint(file)
        start = stop = file.tell()
    elif wire_type == BYTES:
        size = read_varint(file)
        start = file.tell()
        stop = start + size
    elif wire_type in _FIXED_SIZES:
        start = file.tell()
        stop = start + _FIXED_SIZES[wire_type]
    else:
        raise MalformedError(f"wire type {wire_type}")
    return Field(number, wire_type, value, start, stop)
