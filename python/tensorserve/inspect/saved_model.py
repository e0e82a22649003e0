# SPDX-License-Identifier: Apache-2.0
"""Reads a `saved_model.pb` without what is large in it: the values of constants, and the graph of Python objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from tensorserve import protos
from tensorserve.errors import Code, ServingError
from tensorserve.sources.protobuf_fields import BYTES, Field, MalformedError, TruncatedError, content, fields, file_size

# Up to this size a message is decoded as it is, which takes milliseconds.
_SMALL_BYTES = 16 << 20
# A node of more bytes loses the attributes that make it large: those are the values of constants.
_LARGE_NODE_BYTES = 1 << 16
_META_GRAPHS = 2
_INFO, _GRAPH, _SIGNATURES, _ASSETS = 1, 2, 5, 6
_ATTR = 5
# Which fields of a message hold nodes, or messages that do.
_NODES: Mapping[str, Mapping[int, str]] = {
    "GraphDef": {1: "NodeDef", 2: "FunctionDefLibrary"},
    "FunctionDefLibrary": {1: "FunctionDef"},
    "FunctionDef": {3: "NodeDef"},
}


@dataclass(frozen=True, slots=True)
class MetaGraph:
    """One of the graphs of a SavedModel, as messages of `protos`.

    Attributes:
        info: `MetaInfoDef`: tags, the ops, the release of TensorFlow.
        graph: `GraphDef`; constants may have lost their values.
        signatures: `SignatureDef` by name.
        assets: Names of the files in `assets`.
    """

    info: Any
    graph: Any
    signatures: Mapping[str, Any]
    assets: tuple[str, ...]


def read_meta_graphs(file: BinaryIO) -> list[MetaGraph]:
    """Reads the graphs of an open `saved_model.pb`.

    Raises:
        ServingError: DATA_LOSS, it is no SavedModel, or not the whole of one.
    """
    from google.protobuf.message import DecodeError

    try:
        found = [field for field in fields(file, 0, file_size(file)) if field.number == _META_GRAPHS]
        graphs = [_read_meta_graph(file, field) for field in found if field.wire_type == BYTES]
    except TruncatedError:
        raise ServingError(Code.DATA_LOSS, "saved_model.pb ends too early; copy the model again") from None
    except (MalformedError, DecodeError) as error:
        raise ServingError(Code.DATA_LOSS, f"saved_model.pb is no SavedModel: {error}") from error
    if not graphs:
        raise ServingError(Code.DATA_LOSS, "saved_model.pb holds no graph")
    return graphs


def read_text(text: bytes) -> list[MetaGraph]:
    """The same of a `saved_model.pbtxt`.

    Raises:
        ServingError: INVALID_ARGUMENT, it is no SavedModel.
    """
    from google.protobuf import text_format

    try:
        model = text_format.Parse(text, protos.SavedModel(), descriptor_pool=protos.descriptor_pool())
    except text_format.ParseError as error:
        raise ServingError(Code.INVALID_ARGUMENT, f"saved_model.pbtxt is no SavedModel: {error}") from error
    return [
        MetaGraph(
            graph.meta_info_def,
            graph.graph_def,
            dict(graph.signature_def),
            tuple(asset.filename for asset in graph.asset_file_def),
        )
        for graph in model.meta_graphs
    ]


def _read_meta_graph(file: BinaryIO, meta_graph: Field) -> MetaGraph:
    # Fields of one number merge, as protobuf defines it: their bytes are decoded one after the other.
    parts: dict[int, list[bytes]] = {_INFO: [], _GRAPH: [], _SIGNATURES: [], _ASSETS: []}
    for field in fields(file, meta_graph.start, meta_graph.end):
        if field.number == _GRAPH:
            parts[_GRAPH].append(_without_values(file, field, "GraphDef"))
        elif field.number in parts:
            parts[field.number].append(content(file, field))
    rest = protos.MetaGraphDef.FromString(
        b"".join(_framed(number, part) for number in (_SIGNATURES, _ASSETS) for part in parts[number])
    )
    return MetaGraph(
        protos.message("tensorflow.MetaGraphDef.MetaInfoDef").FromString(b"".join(parts[_INFO])),
        protos.GraphDef.FromString(b"".join(parts[_GRAPH])),
        dict(rest.signature_def),
        tuple(asset.filename for asset in rest.asset_file_def),
    )


def _without_values(file: BinaryIO, message: Field, kind: str) -> bytes:
    """The bytes of a message; if it is large, those of its nodes without large attributes."""
    if kind != "NodeDef" and message.end - message.start <= _SMALL_BYTES:
        return content(file, message)
    kept = []
    for field in fields(file, message.start, message.end):
        size = field.end - field.start
        inner = _NODES.get(kind, {}).get(field.number)
        if kind == "NodeDef" and field.number == _ATTR and size > _LARGE_NODE_BYTES:
            continue
        if inner is not None and size > _LARGE_NODE_BYTES:
            kept.append(_framed(field.number, _without_values(file, field, inner)))
        elif field.wire_type == BYTES:
            kept.append(_framed(field.number, content(file, field)))
        # Numbers of a graph, its version among them, are older than what anybody serves.
    return b"".join(kept)


def _framed(number: int, part: bytes) -> bytes:
    return bytes([number << 3 | BYTES]) + _varint(len(part)) + part


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
