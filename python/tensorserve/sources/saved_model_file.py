# SPDX-License-Identifier: Apache-2.0
"""Reads from `saved_model.pb` which other files belong to it, without decoding the graph."""

from dataclasses import dataclass
from typing import BinaryIO

from tensorserve.sources.protobuf_fields import (
    BYTES,
    VARINT,
    Field,
    MalformedError,
    TruncatedError,
    content,
    fields,
    file_size,
)

_SCHEMA_VERSION, _META_GRAPHS = 1, 2
_WIRE_TYPES = {_SCHEMA_VERSION: VARINT, _META_GRAPHS: BYTES}
_SAVER_DEF, _ASSET_FILE_DEF = 3, 6
_GRAPH_WIRE_TYPES = {_SAVER_DEF: BYTES, _ASSET_FILE_DEF: BYTES}
_RESTORE_OP_NAME = 3
_FILENAME = 2
_VARIABLE_OPS = (b"VarHandleOp", b"VariableV2", b"\x12\x08Variable")  # The last is the whole name of an op.
_LONGEST_OP = max(len(op) for op in _VARIABLE_OPS)
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class NamedFiles:
    """What a SavedModel needs besides itself.

    Attributes:
        restores: Whether a graph has an op that restores variables.
        assets: Names of files in the folder `assets`.
    """

    restores: bool
    assets: frozenset[str]


def named_files(path: str) -> NamedFiles:
    """Reads a `saved_model.pb`.

    Raises:
        TruncatedError: It is not the whole file.
        MalformedError: It is no SavedModel.
        OSError: It cannot be read.
    """
    with open(path, "rb") as file:
        return read_named_files(file)


def read_named_files(file: BinaryIO) -> NamedFiles:
    """The same of an open file."""
    size = file_size(file)
    graphs = [field for field in fields(file, 0, size, _WIRE_TYPES) if field.number == _META_GRAPHS]
    if not graphs:
        raise TruncatedError
    try:
        found = [_read_graph(file, graph) for graph in graphs]
    except TruncatedError as error:
        # The graph's own frame is whole, so this is no sign of a half file.
        raise MalformedError("a field that is longer than its message") from error
    return NamedFiles(any(graph.restores for graph in found), frozenset().union(*(graph.assets for graph in found)))


def has_variables(path: str) -> bool:
    """Whether a graph has variables, by the names of their ops; reads the whole file.

    Raises:
        OSError: It cannot be read.
    """
    rest = b""
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            text = rest + chunk
            if any(op in text for op in _VARIABLE_OPS):
                return True
            rest = text[-_LONGEST_OP:]
    return False


def _read_graph(file: BinaryIO, graph: Field) -> NamedFiles:
    restores = False
    assets: set[str] = set()
    for field in fields(file, graph.start, graph.end, _GRAPH_WIRE_TYPES):
        if field.number == _SAVER_DEF:
            restores = bool(_text(file, field, _RESTORE_OP_NAME))
        elif field.number == _ASSET_FILE_DEF:
            assets.add(_text(file, field, _FILENAME))
    return NamedFiles(restores, frozenset(assets - {""}))


def _text(file: BinaryIO, message: Field, number: int) -> str:
    """A string field of a message in the file; empty if it is not there."""
    for field in fields(file, message.start, message.end):
        if field.number == number and field.wire_type == BYTES:
            return content(file, field).decode(errors="replace")
    return ""
