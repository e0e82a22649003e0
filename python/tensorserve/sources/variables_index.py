# SPDX-License-Identifier: Apache-2.0
"""Reads from `variables.index` how large each of the variables' data files is.

The file is a sorted table as LevelDB defines it: blocks of entries, then an index of the blocks, then a footer of 48
bytes. TensorFlow keeps a `BundleEntryProto` for each tensor in it, with the data file, offset and size, and a
`BundleHeaderProto` under the empty key. TensorFlow writes it without compression.
"""

import functools
import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from tensorserve.sources.protobuf_fields import (
    VARINT,
    MalformedError,
    TruncatedError,
    fields,
    file_size,
    read_varint,
)

_FOOTER_BYTES = 48
_MAGIC = 0xDB4775248B80FB57
_UNCOMPRESSED = 0
_TRAILER_BYTES = 5
_NUM_SHARDS = 1
_DTYPE, _SHAPE, _SHARD_ID, _OFFSET, _SIZE = 1, 2, 3, 4, 5
_SHAPE_DIM, _DIM_SIZE = 2, 1
# Names of tensors take most of it: a hundred megabytes would be a million tensors.
_LARGEST_BLOCK = 1 << 27


@dataclass(frozen=True, slots=True)
class ShardSizes:
    """What the index says of the data files.

    Attributes:
        num_shards: How many there are.
        least_bytes: How long each file must be at least, by its number; a file without tensors is not in it.
    """

    num_shards: int
    least_bytes: dict[int, int]


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor of the data files.

    Attributes:
        name: Its key.
        dtype: Number of its `tensorflow.DataType`.
        elements: How many it has.
        size: Its bytes.
    """

    name: str
    dtype: int
    elements: int
    size: int


def shard_sizes(path: str, size: int, mtime_ns: int) -> ShardSizes:
    """Reads an index, or remembers it.

    Args:
        path: The file.
        size: Its size.
        mtime_ns: When it was changed; together with the size this says whether it is still the same.

    Raises:
        TruncatedError: It is not the whole file.
        MalformedError: It is written in a way that this does not understand.
        OSError: It cannot be read.
    """
    return _read(path, size, mtime_ns)


@functools.lru_cache(maxsize=32)
def _read(path: str, size: int, mtime_ns: int) -> ShardSizes:
    with open(path, "rb") as file:
        return read_shard_sizes(file)


def read_shard_sizes(file: BinaryIO) -> ShardSizes:
    """Reads an index; see `shard_sizes`."""
    num_shards = 1
    least_bytes: dict[int, int] = {}
    for key, value in _entries(file):
        numbers = _varints(value)
        if not key:
            num_shards = numbers.get(_NUM_SHARDS, 1)
        elif numbers.get(_SIZE):
            shard = numbers.get(_SHARD_ID, 0)
            end = numbers.get(_OFFSET, 0) + numbers[_SIZE]
            least_bytes[shard] = max(least_bytes.get(shard, 0), end)
    return ShardSizes(num_shards, least_bytes)


def read_tensors(file: BinaryIO) -> Iterator[StoredTensor]:
    """The tensors that an open index lists.

    Raises:
        TruncatedError: It is not the whole file.
        MalformedError: It is written in a way that this does not understand.
    """
    for key, value in _entries(file):
        if key:
            numbers = _varints(value)
            yield StoredTensor(
                key.decode(errors="replace"), numbers.get(_DTYPE, 0), _elements(value), numbers.get(_SIZE, 0)
            )


def _elements(entry: bytes) -> int:
    """The product of the dimensions in a `BundleEntryProto`."""
    count = 1
    stream = io.BytesIO(entry)
    for shape in fields(stream, 0, len(entry)):
        if shape.number != _SHAPE:
            continue
        for dim in fields(stream, shape.start, shape.end):
            if dim.number == _SHAPE_DIM:
                count *= _varints(entry[dim.start : dim.end]).get(_DIM_SIZE, 0)
    return count


def _entries(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    for _key, handle in _block_entries(_read_block(file, *_index_handle(file))):
        stream = io.BytesIO(handle)
        yield from _block_entries(_read_block(file, read_varint(stream), read_varint(stream)))


def _index_handle(file: BinaryIO) -> tuple[int, int]:
    size = file_size(file)
    if size < _FOOTER_BYTES:
        raise TruncatedError
    file.seek(size - _FOOTER_BYTES)
    footer = file.read(_FOOTER_BYTES)
    if struct.unpack("<Q", footer[-8:])[0] != _MAGIC:
        raise TruncatedError
    stream = io.BytesIO(footer)
    _meta_offset, _meta_size = read_varint(stream), read_varint(stream)
    return read_varint(stream), read_varint(stream)


def _read_block(file: BinaryIO, offset: int, size: int) -> bytes:
    if size > _LARGEST_BLOCK:
        raise MalformedError(f"a block of {size} bytes")
    if offset + size + _TRAILER_BYTES > file_size(file):
        raise TruncatedError
    file.seek(offset)
    block = file.read(size + _TRAILER_BYTES)
    if block[size] != _UNCOMPRESSED:
        raise MalformedError(f"compression {block[size]}")
    return block[:size]


def _block_entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a block; each key shares a prefix with the one before."""
    if len(block) < 4:
        raise MalformedError("a block without restarts")
    end = len(block) - 4 - 4 * int(struct.unpack("<I", block[-4:])[0])
    stream = io.BytesIO(block)
    key = b""
    while stream.tell() < end:
        shared, unshared, size = read_varint(stream), read_varint(stream), read_varint(stream)
        if stream.tell() + unshared + size > end:
            raise MalformedError("an entry that is longer than its block")
        key = key[:shared] + stream.read(unshared)
        yield key, stream.read(size)


def _varints(message: bytes) -> dict[int, int]:
    found = fields(io.BytesIO(message), 0, len(message))
    return {field.number: field.value for field in found if field.wire_type == VARINT}


def shard_name(shard: int, num_shards: int) -> str:
    """File name of a data file, beside the index."""
    return f"variables.data-{shard:05d}-of-{num_shards:05d}"
