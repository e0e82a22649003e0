# SPDX-License-Identifier: Apache-2.0
"""Describes signatures: their tensors, whether requests can share a run, what they take out of examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tensorserve import protos
from tensorserve.inspect.description import Batching, Feature, Risk, Shape, Signature, Tensor
from tensorserve.inspect.graph import Graph, Scope, node_name
from tensorserve.inspect.ops import risk
from tensorserve.inspect.values import tensor_value

# TensorFlow's own signature, for restoring; no client may ask it.
_INTERNAL = frozenset({"__saved_model_init_op", "__saved_model_train_op"})
_METHOD_PREFIX = "tensorflow/serving/"
_NUMPY_NAMES = {"float": "float32", "double": "float64", "half": "float16"}


def dtype_name(number: int) -> str:
    """NumPy's name of a `tensorflow.DataType`."""
    dtypes = protos.enum("tensorflow.DataType")
    if number not in dtypes.values():
        return str(number)
    name = str(dtypes.Name(number)).removeprefix("DT_").lower()
    return _NUMPY_NAMES.get(name, name)


def shape_of(shape: Any) -> Shape | None:
    """The dimensions of a `TensorShapeProto`."""
    if shape.unknown_rank:
        return None
    return tuple(dim.size if dim.size >= 0 else None for dim in shape.dim)


def describe_signatures(definitions: Mapping[str, Any], graph: Graph | None) -> tuple[Signature, ...]:
    """Describes the signatures that clients may ask, the default one first.

    Args:
        definitions: `SignatureDef` by name.
        graph: Their graph; None if only the signatures are known.
    """
    names = sorted(definitions.keys() - _INTERNAL, key=lambda name: (name != "serving_default", name))
    return tuple(_describe(name, definitions[name], graph) for name in names)


def _describe(name: str, definition: Any, graph: Graph | None) -> Signature:
    inputs, outputs = _tensors(definition.inputs, definition.defaults), _tensors(definition.outputs, {})
    method = definition.method_name.removeprefix(_METHOD_PREFIX)
    if graph is None:
        return Signature(name, method, inputs, outputs)
    scopes = graph.needed(tensor.name for tensor in outputs)
    risks = _risks(scopes)
    return Signature(name, method, inputs, outputs, tuple(_features(scopes)), _batching(inputs, outputs, risks), risks)


def _tensors(infos: Mapping[str, Any], defaults: Mapping[str, Any]) -> tuple[Tensor, ...]:
    return tuple(_tensor(alias, infos[alias], defaults) for alias in sorted(infos))


def _tensor(alias: str, info: Any, defaults: Mapping[str, Any]) -> Tensor:
    encoding = {"coo_sparse": "sparse", "composite_tensor": "composite"}.get(info.WhichOneof("encoding"), "dense")
    name = info.name or info.coo_sparse.values_tensor_name
    default = tensor_value(defaults[alias]) if alias in defaults else None
    return Tensor(alias, name, dtype_name(info.dtype), shape_of(info.tensor_shape), default, encoding)


def _risks(scopes: Sequence[Scope]) -> tuple[Risk, ...]:
    ops = sorted({node.op for scope in scopes for node in scope.values()})
    return tuple(found for op in ops if (found := risk(op)) is not None)


def _batching(inputs: Sequence[Tensor], outputs: Sequence[Tensor], risks: Sequence[Risk]) -> Batching:
    if not inputs:
        return Batching(False, "it has no inputs")
    for kind, tensors in (("input", inputs), ("output", outputs)):
        for tensor in tensors:
            if tensor.shape is None:
                return Batching(False, f"{kind} {tensor.alias} does not say how many dimensions it has")
            if not tensor.shape:
                return Batching(False, f"{kind} {tensor.alias} is a single value without a batch dimension")
            if tensor.shape[0] is not None:
                return Batching(False, f"the first dimension of {kind} {tensor.alias} is fixed to {tensor.shape[0]}")
    if risks:
        return Batching(False, f"its runs do more than compute ({risks[0].op} {risks[0].reason})")
    return Batching(True, "the first dimension of every input and output is open")


def _features(scopes: Sequence[Scope]) -> Iterator[Feature]:
    """What the ops that parse examples take out of them."""
    seen: set[str] = set()
    for scope in scopes:
        for node in scope.values():
            if node.op.startswith("Parse") and "Example" in node.op:
                for feature in _parsed(node, scope):
                    if feature.name not in seen:
                        seen.add(feature.name)
                        yield feature


def _parsed(node: Any, scope: Scope) -> Iterator[Feature]:
    """The features of `ParseExample` or `ParseExampleV2`; nothing if their keys are not constants."""
    inputs = [scope.nodes.get(node_name(name)) for name in node.input]
    if node.op == "ParseExampleV2":
        sparse_keys, dense_keys, defaults = _strings(inputs[2]), _strings(inputs[3]), inputs[5:]
    elif node.op == "ParseExample":
        sparse, dense = node.attr["Nsparse"].i, node.attr["Ndense"].i
        sparse_keys = [key for each in inputs[2 : 2 + sparse] for key in _strings(each)]
        dense_keys = [key for each in inputs[2 + sparse : 2 + sparse + dense] for key in _strings(each)]
        defaults = inputs[2 + sparse + dense :]
    else:
        return
    shapes = [shape_of(shape) for shape in node.attr["dense_shapes"].list.shape]
    for key, dtype, shape, default in zip(dense_keys, node.attr["Tdense"].list.type, shapes, defaults, strict=False):
        open_length = shape is None or (len(shape) > 0 and shape[0] is None)
        yield Feature(key, dtype_name(dtype), None if open_length else shape, not open_length and _is_empty(default))
    for key, dtype in zip(sparse_keys, node.attr["sparse_types"].list.type, strict=False):
        yield Feature(key, dtype_name(dtype), None, False)


def _strings(node: Any) -> list[str]:
    if node is None or node.op != "Const":
        return []
    tensor = node.attr["value"].tensor
    values = [value.decode(errors="replace") for value in tensor.string_val]
    count = 1
    for dim in tensor.tensor_shape.dim:
        count *= dim.size
    return values * count if len(values) == 1 else values


def _is_empty(node: Any) -> bool:
    """Whether the default of a feature has no values, which makes the feature a required one."""
    if node is None or node.op != "Const":
        return False
    return any(dim.size == 0 for dim in node.attr["value"].tensor.tensor_shape.dim)
