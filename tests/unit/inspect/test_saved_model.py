# SPDX-License-Identifier: Apache-2.0
import io
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensorserve.errors import ServingError
from tensorserve.inspect import inspect_model
from tensorserve.inspect.saved_model import read_meta_graphs
from tests.unit.inspect.saved_models import half_plus_two, node, write_large

GIGABYTE = 1 << 30


@pytest.fixture
def large(tmp_path: Path) -> Path:
    return write_large(tmp_path / "1", GIGABYTE)


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
    assert [(node.name, node.op, dict(node.attr)) for node in graph.graph.node][-1] == ("large", "Const", {})
    assert inspect_model(large.parent).signatures[0].inputs[0].alias == "x"


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
