# SPDX-License-Identifier: Apache-2.0
"""Small SavedModels, made without TensorFlow: what matters to a source, and no graph that computes."""

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path


def varint(value: int) -> bytes:
    encoded = b""
    while value >= 0x80:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])


def message(*fields: tuple[int, int | bytes]) -> bytes:
    """A serialized protobuf message of varint and length-delimited fields."""
    encoded = b""
    for number, value in fields:
        if isinstance(value, int):
            encoded += varint(number << 3) + varint(value)
        else:
            encoded += varint(number << 3 | 2) + varint(len(value)) + value
    return encoded


def saved_model(
    *, restores: bool = True, assets: Iterable[str] = (), ops: Iterable[str] = ("VarHandleOp",), graph_bytes: int = 1000
) -> bytes:
    nodes: list[tuple[int, int | bytes]] = [(1, message((1, b"node"), (2, op.encode()))) for op in ops]
    graph = [(2, message(*nodes, (9, bytes(graph_bytes))))]
    graph += [(3, message((1, b"filename:0"), (3, b"save/restore_all")))] if restores else []
    graph += [(6, message((2, name.encode()))) for name in assets]
    return message((1, 1), (2, message(*graph)))


def table(entries: Mapping[bytes, bytes], *, entries_per_block: int = 2, compression: int = 0) -> bytes:
    """A sorted table as LevelDB defines it; keys share prefixes within a block."""
    data = b""
    index: dict[bytes, bytes] = {}
    keys = sorted(entries)
    for start in range(0, len(keys), entries_per_block):
        chosen = keys[start : start + entries_per_block]
        block = _block({key: entries[key] for key in chosen})
        index[chosen[-1]] = varint(len(data)) + varint(len(block))
        data += block + bytes([compression]) + bytes(4)
    meta, meta_block = len(data), _block({})
    data += meta_block + bytes(5)
    place, index_block = len(data), _block(index)
    data += index_block + bytes(5)
    footer = varint(meta) + varint(len(meta_block)) + varint(place) + varint(len(index_block))
    return data + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


def _block(entries: Mapping[bytes, bytes]) -> bytes:
    block, last = b"", b""
    for key, value in entries.items():
        shared = 0
        while shared < min(len(key), len(last)) and key[shared] == last[shared]:
            shared += 1
        block += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    return block + struct.pack("<II", 0, 1)


def variables_index(shards: Mapping[int, int], num_shards: int, *, compression: int = 0) -> bytes:
    """An index in which each shard holds tensors up to a number of bytes."""
    entries = {b"": message((1, num_shards))}
    for shard, size in shards.items():
        half = size // 2
        entries[b"layer_%d/bias" % shard] = message((1, 1), (3, shard), (5, half))
        entries[b"layer_%d/kernel" % shard] = message((1, 1), (3, shard), (4, half), (5, size - half))
    return table(entries, compression=compression)


def model_files(*, shards: int = 2, assets: Iterable[str] = ()) -> dict[str, bytes]:
    """The files of a whole version."""
    sizes = {shard: 100 * (shard + 1) for shard in range(shards)}
    files = {"saved_model.pb": saved_model(restores=shards > 0, assets=assets)}
    if shards:
        files["variables/variables.index"] = variables_index(sizes, shards)
    for shard, size in sizes.items():
        files[f"variables/variables.data-{shard:05d}-of-{shards:05d}"] = b"\x01" * size
    files |= {f"assets/{name}": b"word\n" for name in assets}
    return files


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder
