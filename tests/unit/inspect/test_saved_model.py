# SPDX-License-Identifier: Apache-2.0
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensorserve.errors import ServingError
from tensorserve.inspect.saved_model import read_meta_graphs
from tests.unit.inspect.saved_models import half_plus_two, node

GIGABYTE = 1 << 30


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def framed(number: int, size: int) -> bytes:
    return bytes([number << 3 | 2]) + varint(size)


def head_of_a_large_constant(size: int) -> bytes:
    """The bytes before the `size` values of a constant: SavedModel, MetaGraph, GraphDef, NodeDef, attr, tensor."""
    name = b"\x0a\x05large" + b"\x12\x05Const"
    key = b"\x0a\x05value"
    head = framed(4, size)  # TensorProto.tensor_content
    for before, number in ((b"", 8), (key, 2), (name, 5), (b"", 1), (b"", 2), (b"", 2)):
        # Each message holds what comes before and the next inner one.
        inner = framed(number, size + len(head))
        head = before + inner + head
    return head


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Path]:
    """half_plus_two with a constant of a gigabyte that takes no place on the disk."""
    path = tmp_path / "saved_model.pb"
    head = head_of_a_large_constant(GIGABYTE)
    with open(path, "wb") as file:
        file.write(head)
        file.truncate(len(head) + GIGABYTE)
    return path


class CountingFile(io.FileIO):
    """Counts the bytes that are read."""

    read_bytes = 0

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(-1 if size is None else size) or b""
        self.read_bytes += len(found)
        return found


def test_a_gigabyte_of_constants_is_skipped(large: Path) -> None:
    with CountingFile(str(large)) as file:
        (graph,) = read_meta_graphs(cast(BinaryIO, file))
        assert file.read_bytes < 10_000
    (found,) = graph.graph.node
    assert (found.name, found.op, dict(found.attr)) == ("large", "Const", {})


def test_a_large_graph_keeps_everything_else() -> None:
    model = half_plus_two()
    graph = model.meta_graphs[0].graph_def
    big = node("big", "Const")
    big.attr["value"].tensor.tensor_content = bytes(17 << 20)
    big.attr["dtype"].type = 1
    graph.node.append(big)
    function = graph.library.function.add()
    function.signature.name = "serve"
    function.node_def.append(node("inner", "MatMul", "a", "b"))
    (found,) = read_meta_graphs(io.BytesIO(model.SerializeToString()))
    assert list(found.graph.node)[:2] == list(graph.node)[:2]
    assert list(found.graph.node[2].attr) == ["dtype"]
    assert found.graph.library == graph.library
    assert found.signatures["serving_default"] == model.meta_graphs[0].signature_def["serving_default"]
    assert found.info == model.meta_graphs[0].meta_info_def


def graphs_or_error(content: bytes) -> str:
    try:
        read_meta_graphs(io.BytesIO(content))
    except ServingError as error:
        return error.message
    return "saved_model.pb can be read"


@given(st.binary(max_size=300))
def test_any_bytes_give_a_model_or_an_error(content: bytes) -> None:
    assert "saved_model.pb" in graphs_or_error(content)


@given(st.data())
def test_damaged_models_give_a_model_or_an_error(data: st.DataObject) -> None:
    content = bytearray(half_plus_two().SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    assert "saved_model.pb" in graphs_or_error(bytes(content))
