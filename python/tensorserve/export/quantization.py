# SPDX-License-Identifier: Apache-2.0
"""Stores weights in fewer bits: as float16, or as int8 with a scale for each column.

Variables become constants, and large constants become small ones that are widened where they are used. TensorFlow
computes in float32 as before, for which it has kernels everywhere; it widens constants of up to 10 MB once, when the
model is loaded, and larger ones in each run. Rows of embeddings are widened after they were looked up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tensorserve.errors import Code, ServingError
from tensorserve.export.computation import Computation, Tensors
from tensorserve.export.saving import quietly

KINDS = ("float16", "int8")
_LEAST_ELEMENTS = 1024
_FOLDED_BYTES = 10 << 20  # Up to this size TensorFlow computes a constant when it loads the graph.
_LARGEST_GRAPH = 1_900_000_000  # A protobuf message ends at 2 GiB.


@dataclass(frozen=True, slots=True)
class Quantization:
    """What storing weights in fewer bits did.

    Attributes:
        kind: `float16` or `int8`.
        weights: How many were stored so.
        bytes_before: Bytes of all weights before.
        bytes_after: Bytes of all weights after.
        widened_in_runs: How many are so large that each run widens them, instead of the load.
        seconds_before: Seconds of a run before, in this process; 0 if it was not measured.
        seconds_after: The same after.
        difference: The largest difference of answers, as a part of the largest value of that output.
        same_best: Part of the rows whose largest value is in the same column.
    """

    kind: str
    weights: int
    bytes_before: int
    bytes_after: int
    widened_in_runs: int = 0
    seconds_before: float = 0.0
    seconds_after: float = 0.0
    difference: float = 0.0
    same_best: float = 1.0


def quantized(computation: Computation, kind: str) -> tuple[Computation, Quantization]:
    """Gives the same computation with its weights in fewer bits.

    Raises:
        ServingError: INVALID_ARGUMENT if there is no such kind, UNIMPLEMENTED if the model has what constants cannot
            stand for, FAILED_PRECONDITION if it has no weights worth it.
    """
    if kind not in KINDS:
        raise ServingError(Code.INVALID_ARGUMENT, f"there is no quantization {kind}; there are: {', '.join(KINDS)}")
    frozen, names = _frozen(computation)
    graph = frozen.graph.as_graph_def()
    rewriter = _Rewriter(graph, kind)
    if not rewriter.replaced:
        text = (
            f"the model has no float32 weight of at least {_LEAST_ELEMENTS} elements, so there is nothing to quantize"
        )
        raise ServingError(Code.FAILED_PRECONDITION, text)
    function = _imported(rewriter.graph, frozen)

    def call(tensors: Tensors) -> Tensors:
        values = function(*(tensors[name] for name in computation.inputs))
        return dict(zip(names, values, strict=True))

    report = Quantization(
        kind, rewriter.replaced, rewriter.bytes_before, rewriter.bytes_after, rewriter.widened_in_runs
    )
    return Computation(computation.inputs, names, call, (function,)), report


def _frozen(computation: Computation) -> tuple[Any, tuple[str, ...]]:
    """The computation with constants for variables, and the names of its outputs."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    names: list[str] = []

    def run(*tensors: Any) -> list[Any]:
        outputs = computation.call(dict(zip(computation.inputs, tensors, strict=True)))
        names[:] = list(outputs)
        return [tf.identity(each) for each in outputs.values()]

    specs = [tf.TensorSpec(spec.shape, spec.dtype, f"input_{n}") for n, spec in enumerate(computation.inputs.values())]
    traced = tf.function(run, autograph=False).get_concrete_function(*specs)
    others = [tensor for tensor, _ in traced.graph.captures if tensor.dtype == tf.resource]
    if len(others) > len({id(variable) for variable in traced.variables}):
        text = "the model looks things up in tables, which cannot become constants; quantize one without tables"
        raise ServingError(Code.UNIMPLEMENTED, text)
    if sum(variable.shape.num_elements() * variable.dtype.size for variable in traced.variables) > _LARGEST_GRAPH * 2:
        raise ServingError(Code.UNIMPLEMENTED, "the model's weights are too large for the constants of one graph")
    try:
        with quietly():
            return convert_variables_to_constants_v2(traced, lower_control_flow=False), tuple(names)
    except Exception as error:
        text = f"TensorFlow cannot make constants of the model's variables: {error}"
        raise ServingError(Code.UNIMPLEMENTED, text) from error


def _imported(graph: Any, frozen: Any) -> Any:
    """A function that runs a graph definition in the place of a frozen function."""
    import tensorflow as tf

    wrapped = tf.compat.v1.wrap_function(lambda: tf.compat.v1.import_graph_def(graph, name=""), [])
    element = wrapped.graph.as_graph_element
    return wrapped.prune(
        [element(tensor.name) for tensor in frozen.inputs], [element(tensor.name) for tensor in frozen.outputs]
    )


@dataclass(frozen=True, slots=True)
class _Narrow:
    """A weight in fewer bits.

    Attributes:
        stored: The constant.
        dtype: Its element type.
        scale: A constant to multiply with, one number for each column; None if there is none.
        size: Bytes of both.
    """

    stored: Any
    dtype: str
    scale: Any
    size: int

    def constants(self) -> list[Any]:
        """The nodes to add."""
        return [self.stored] if self.scale is None else [self.stored, self.scale]

    def widened(self, name: str, source: str) -> list[Any]:
        """The nodes that make float32 of `source`, a tensor of the same columns; the last one is called `name`."""
        import tensorflow as tf

        if self.scale is None:
            return [_cast(name, source, self.dtype)]
        wide = _cast(f"{name}/float32", source, self.dtype)
        scaled = tf.compat.v1.NodeDef(name=name, op="Mul", input=[wide.name, self.scale.name])
        scaled.attr["T"].type = tf.float32.as_datatype_enum
        return [wide, scaled]


class _Rewriter:
    """Replaces large constants of a graph definition; functions of the graph stay as they are."""

    def __init__(self, graph: Any, kind: str) -> None:
        import tensorflow as tf

        self.graph = tf.compat.v1.GraphDef()
        self.graph.versions.CopyFrom(graph.versions)
        self.graph.library.CopyFrom(graph.library)
        self.replaced = self.bytes_before = self.bytes_after = self.widened_in_runs = 0
        self._narrow = _as_float16 if kind == "float16" else _as_int8
        self._nodes = {node.name: node for node in graph.node}
        self._readers: dict[str, list[tuple[Any, int]]] = {}
        for node in graph.node:
            for position, tensor in enumerate(node.input):
                if not tensor.startswith("^"):
                    self._readers.setdefault(tensor.partition(":")[0], []).append((node, position))
        gone = {name for node in graph.node for name in self._replace(node)}
        self.graph.node.extend(node for node in graph.node if node.name not in gone)
        self._wait_for_nothing_that_is_gone()

    def _wait_for_nothing_that_is_gone(self) -> None:
        there = {node.name for node in self.graph.node}
        for node in self.graph.node:
            kept = [tensor for tensor in node.input if tensor.removeprefix("^") in there or not tensor.startswith("^")]
            if len(kept) < len(node.input):
                node.input[:] = kept

    def _replace(self, node: Any) -> list[str]:
        """Adds what takes the place of a large constant; gives the names of the nodes whose place it takes."""
        import tensorflow as tf

        if node.op != "Const" or node.attr["dtype"].type != tf.float32.as_datatype_enum:
            return []
        count = 1
        for dim in node.attr["value"].tensor.tensor_shape.dim:
            count *= dim.size
        self.bytes_before += 4 * count
        if count < _LEAST_ELEMENTS:
            self.bytes_after += 4 * count
            return []
        narrow = self._narrow(node.name, tf.make_ndarray(node.attr["value"].tensor))
        self.graph.node.extend(narrow.constants())
        self.bytes_after += narrow.size
        self.replaced += 1
        passing: list[str] = []
        readers = list(self._final_readers(node.name, passing))
        if not all(self._looks_up_rows(reader, position) for reader, position in readers):
            self.graph.node.extend(narrow.widened(node.name, narrow.stored.name))
            self.widened_in_runs += 4 * count > _FOLDED_BYTES
            return [node.name]
        for reader, _position in readers:
            self._look_up(reader, narrow)
        return [node.name, *passing, *(reader.name for reader, _position in readers)]

    def _final_readers(self, name: str, passing: list[str]) -> Iterator[tuple[Any, int]]:
        """Who reads a node, and by which input; nodes that pass it on as it is are added to `passing` instead."""
        for node, position in self._readers.get(name, []):
            if node.op == "Identity" and position == 0:
                passing.append(node.name)
                yield from self._final_readers(node.name, passing)
            else:
                yield node, position

    def _looks_up_rows(self, node: Any, position: int) -> bool:
        """Whether a node takes rows out of a table, which is then narrow as well."""
        import tensorflow as tf

        if node.op != "GatherV2" or position != 0 or node.attr["batch_dims"].i != 0:
            return False
        axis = self._nodes.get(node.input[2].partition(":")[0])
        return axis is not None and axis.op == "Const" and not tf.make_ndarray(axis.attr["value"].tensor).any()

    def _look_up(self, node: Any, narrow: _Narrow) -> None:
        import tensorflow as tf

        rows = tf.compat.v1.NodeDef()
        rows.CopyFrom(node)
        rows.name, rows.input[0] = f"{node.name}/{narrow.dtype}", narrow.stored.name
        rows.attr["Tparams"].type = tf.as_dtype(narrow.dtype).as_datatype_enum
        self.graph.node.append(rows)
        self.graph.node.extend(narrow.widened(node.name, rows.name))


def _as_float16(name: str, value: Any) -> _Narrow:
    import numpy as np

    limit = float(np.finfo(np.float16).max)
    narrow = np.clip(value, -limit, limit).astype(np.float16)
    return _Narrow(_constant(f"{name}/float16", narrow), "float16", None, narrow.nbytes)


def _as_int8(name: str, value: Any) -> _Narrow:
    """Columns are those of the last dimension: the outputs, in the weights of dense layers and convolutions."""
    import numpy as np

    scale = np.asarray(np.abs(value).max(axis=tuple(range(value.ndim - 1)) or None), np.float32) / np.float32(127)
    scale = np.where(scale == 0, np.float32(1), scale).astype(np.float32)
    narrow = np.clip(np.rint(value / scale), -127, 127).astype(np.int8)
    stored, factors = _constant(f"{name}/int8", narrow), _constant(f"{name}/scale", scale)
    return _Narrow(stored, "int8", factors, narrow.nbytes + scale.nbytes)


def _constant(name: str, value: Any) -> Any:
    import tensorflow as tf

    node = tf.compat.v1.NodeDef(name=name, op="Const")
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
    return node


def _cast(name: str, source: str, dtype: str) -> Any:
    import tensorflow as tf

    node = tf.compat.v1.NodeDef(name=name, op="Cast", input=[source])
    node.attr["SrcT"].type = tf.as_dtype(dtype).as_datatype_enum
    node.attr["DstT"].type = tf.float32.as_datatype_enum
    return node


def pruned_weights(variables: Mapping[str, Any]) -> dict[str, float]:
    """The part of each large matrix that is zero, of those that training has pruned: a third or more, and not all."""
    import numpy as np

    found = {}
    for name, variable in variables.items():
        # Biases and statistics of batches begin as zeros, and may stay so.
        is_matrix = variable.shape.rank is not None and variable.shape.rank > 1
        if variable.dtype.is_floating and is_matrix and variable.shape.num_elements() >= _LEAST_ELEMENTS:
            zeros = 1 - np.count_nonzero(variable.numpy()) / variable.shape.num_elements()
            if 1 / 3 <= zeros < 1:
                found[name] = float(zeros)
    return found
