# SPDX-License-Identifier: Apache-2.0
"""SavedModels that are written byte by byte, without TensorFlow."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorserve import protos


def node(name: str, op: str, *inputs: str, **functions: str) -> Any:
    """A node; `functions` are attributes that name one."""
    made = protos.NodeDef(name=name, op=op, input=inputs)
    for attr, function in functions.items():
        made.attr[attr].func.name = function
    return made


def tensor(name: str, dtype: str, shape: Sequence[int] | None) -> Any:
    made = protos.TensorInfo(name=name, dtype=protos.enum("tensorflow.DataType").Value(dtype))
    if shape is None:
        made.tensor_shape.unknown_rank = True
    for size in shape or ():
        made.tensor_shape.dim.add(size=size)
    return made


def signature(inputs: Mapping[str, Any], outputs: Mapping[str, Any], method: str = "predict") -> Any:
    made = protos.SignatureDef(method_name=f"tensorflow/serving/{method}")
    for alias, info in inputs.items():
        made.inputs[alias].CopyFrom(info)
    for alias, info in outputs.items():
        made.outputs[alias].CopyFrom(info)
    return made


def saved_model(
    nodes: Sequence[Any],
    signatures: Mapping[str, Any],
    functions: Mapping[str, Sequence[Any]] | None = None,
    tags: Sequence[str] = ("serve",),
    assets: Sequence[str] = (),
) -> Any:
    made = protos.SavedModel(saved_model_schema_version=1)
    graph = made.meta_graphs.add()
    graph.meta_info_def.tags.extend(tags)
    graph.meta_info_def.tensorflow_version = "2.99.0"
    graph.graph_def.node.extend(nodes)
    for name, body in (functions or {}).items():
        function = graph.graph_def.library.function.add()
        function.signature.name = name
        function.node_def.extend(body)
    for name, definition in signatures.items():
        graph.signature_def[name].CopyFrom(definition)
    for name in assets:
        graph.asset_file_def.add(filename=name)
    return made


def write(folder: Path, model: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").write_bytes(model.SerializeToString(deterministic=True))
    return folder


def half_plus_two(shape: Sequence[int] | None = (-1,), op: str = "Mul", dtype: str = "DT_FLOAT") -> Any:
    """A model that takes `x` and gives `y`, by one node."""
    nodes = [node("x", "Placeholder"), node("y", op, "x")]
    return saved_model(
        nodes, {"serving_default": signature({"x": tensor("x:0", dtype, shape)}, {"y": tensor("y:0", dtype, shape)})}
    )


def write_large(folder: Path, size: int) -> Path:
    """half_plus_two with a constant of `size` bytes, which take no place on the disk. Gives the file."""
    graph = half_plus_two().meta_graphs[0]
    nodes = graph.graph_def.SerializeToString()
    graph.ClearField("graph_def")
    # Each message ends with the next inner one: SavedModel, MetaGraphDef, GraphDef, NodeDef, its attribute, the tensor.
    before = [b"", graph.SerializeToString(), nodes, b"\x0a\x05large\x12\x05Const", b"\x0a\x05value", b"", b""]
    head = b""
    for number, content in zip([4, 8, 2, 5, 1, 2, 2], reversed(before), strict=True):
        head = content + _framed(number, size + len(head)) + head
    folder.mkdir(parents=True)
    with open(folder / "saved_model.pb", "wb") as file:
        file.write(head)
        file.truncate(len(head) + size)
    return folder / "saved_model.pb"


def _framed(number: int, size: int) -> bytes:
    return bytes([number << 3 | 2]) + _varint(size)


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
