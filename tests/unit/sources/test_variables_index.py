# SPDX-License-Identifier: Apache-2.0
import contextlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensorserve.sources.protobuf_fields import MalformedError, TruncatedError
from tensorserve.sources.variables_index import read_shard_sizes, shard_name
from tests.unit.sources.saved_models import table, variables_index, varint


@given(st.dictionaries(st.integers(0, 300), st.integers(2, 1 << 50), max_size=20), st.integers(1, 400))
def test_sizes(shards: dict[int, int], num_shards: int) -> None:
    sizes = read_shard_sizes(io.BytesIO(variables_index(shards, num_shards)))
    assert sizes.num_shards == num_shards
    assert sizes.least_bytes == shards


@given(st.integers(0, 400))
def test_truncated(missing: int) -> None:
    index = variables_index({0: 10, 1: 20, 2: 30}, 3)
    if missing:
        with pytest.raises(TruncatedError):
            read_shard_sizes(io.BytesIO(index[:-missing]))


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    for bytes_ in (data, data + variables_index({}, 1)[-48:]):
        with contextlib.suppress(TruncatedError, MalformedError):
            read_shard_sizes(io.BytesIO(bytes_))


@pytest.mark.parametrize("place", [1 << 40, 1 << 63, 1 << 69])
def test_places_outside_the_file(place: int) -> None:
    footer = (b"\0\0" + varint(place) + varint(5)).ljust(40, b"\0") + variables_index({}, 1)[-8:]
    with pytest.raises(TruncatedError):
        read_shard_sizes(io.BytesIO(footer))


@pytest.mark.parametrize("size", [1 << 20, 1 << 63, 1 << 69])
def test_entries_outside_their_block(size: int) -> None:
    block = varint(0) + varint(1) + varint(size) + b"k" + bytes(8)
    data = block + bytes(5)
    footer = (b"\0\0" + varint(0) + varint(len(block))).ljust(40, b"\0") + variables_index({}, 1)[-8:]
    with pytest.raises(MalformedError):
        read_shard_sizes(io.BytesIO(data + footer))


def test_compressed() -> None:
    with pytest.raises(MalformedError, match="compression 1"):
        read_shard_sizes(io.BytesIO(table({b"": b"\x08\x01"}, compression=1)))


def test_the_index_of_a_real_model(models) -> None:
    for path in sorted(models.glob("*/1/variables/variables.index")):
        with open(path, "rb") as file:
            sizes = read_shard_sizes(file)
        actual = {
            shard: (path.parent / shard_name(shard, sizes.num_shards)).stat().st_size for shard in sizes.least_bytes
        }
        assert actual == sizes.least_bytes
