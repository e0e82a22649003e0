# SPDX-License-Identifier: Apache-2.0
"""Makes graphs of recipes whose inputs all come from the client, and inputs that no client should send.

Needs TensorFlow; imported by the processes of the abort fuzzer only.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tests.soak.recipes.values import Array, Recipe

v1 = tf.compat.v1

LISTED = 2_000_000
"""No input has more elements."""

FEW = 64
"""Lists of up to this many whole numbers are shapes, axes and the like."""


def flat_inputs(recipe: Recipe) -> list[Array]:
    """The right values, one for each placeholder."""
    flat: list[Array] = []
    for value in recipe.inputs.values():
        flat += [value] if isinstance(value, np.ndarray) else list(value)
    return flat


def build(recipe: Recipe, wrapping: str, *, declared: bool = False) -> tuple[list[Any], list[Any]]:
    """Adds the recipe to the default graph. Gives its placeholders, of unknown shapes, and what it computes.

    `wrapping` says where the op stands: in the graph (plain), in a function (function), in a function of a function
    (nested), in the branch of a conditional (branch) or in the body of a loop (loop). `declared` inputs have the shapes
    of the right ones, with an open first dimension; the others any shape.
    """
    placeholders = [
        v1.placeholder(
            _dtype(value),
            ([None, *value.shape[1:]] if value.ndim else []) if declared else None,
            name=f"in{number}",
        )
        for number, value in enumerate(flat_inputs(recipe))
    ]

    def call(*tensors: Any) -> list[Any]:
        return _outputs(recipe, _arguments(recipe, list(tensors)))

    return placeholders, _wrapped(call, wrapping)(*placeholders)


def infer(recipe: Recipe, inputs: Sequence[Array]) -> None:
    """Adds the op to the default graph with inputs of these very shapes, and values where they are few whole numbers.

    Raises:
        ValueError: TensorFlow's shape function refuses them.
    """
    tensors = [
        tf.constant(value)
        if value.size <= FEW and value.dtype.kind == "i"
        else v1.placeholder(_dtype(value), value.shape)
        for value in inputs
    ]
    _outputs(recipe, _arguments(recipe, tensors))


def _dtype(value: Array) -> Any:
    return tf.as_dtype(tf.string if value.dtype == object else value.dtype)


def _wrapped(call: Callable[..., list[Any]], wrapping: str) -> Any:
    if wrapping == "function":
        return tf.function(call, autograph=False)
    if wrapping == "nested":
        return tf.function(tf.function(call, autograph=False), autograph=False)
    if wrapping == "branch":
        branch = lambda *inputs: tf.cond(tf.size(inputs[0]) >= 0, lambda: call(*inputs), lambda: call(*inputs))  # noqa: E731
        return tf.function(branch, autograph=False)
    if wrapping == "loop":
        return tf.function(lambda *inputs: _loop(call, inputs), autograph=False)
    return call


def _loop(call: Callable[..., list[Any]], inputs: Sequence[Any]) -> list[Any]:
    def body(step: Any, total: Any) -> tuple[Any, Any]:
        return step + 1, total + tf.add_n([tf.size(tensor) for tensor in call(*inputs)])

    return [tf.while_loop(lambda step, _: step < 1, body, [tf.constant(0), tf.constant(0)])[1]]


def _arguments(recipe: Recipe, tensors: list[Any]) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for name, value in recipe.inputs.items():
        if isinstance(value, np.ndarray):
            arguments[name] = tensors.pop(0)
        else:
            arguments[name] = [tensors.pop(0) for _ in value]
    return arguments


def _outputs(recipe: Recipe, arguments: dict[str, Any]) -> list[Any]:
    if recipe.op.endswith("+"):
        made = COMPOUNDS[recipe.op](**arguments)
    else:
        attributes = {
            name: tf.as_dtype(value)
            if isinstance(value, type)
            else [tf.as_dtype(v) if isinstance(v, type) else v for v in value]
            if isinstance(value, list)
            else getattr(tf, value)
            if name == "T" and isinstance(value, str)
            else value
            for name, value in recipe.attributes.items()
        }
        made = getattr(tf.raw_ops, recipe.op)(**arguments, **attributes)
    flat = [tensor for tensor in tf.nest.flatten(made) if tensor is not None]
    return [_plain(tensor) for tensor in flat if isinstance(tensor, tf.Tensor)]


def _plain(tensor: Any) -> Any:
    """A tensor that a reply can carry."""
    if tensor.dtype in (tf.variant, tf.resource):
        with tf.control_dependencies([tensor]):
            return tf.constant(1)
    if tensor.dtype.is_quantized:
        return tf.bitcast(tensor, {1: tf.uint8, 2: tf.int16, 4: tf.int32}[tensor.dtype.size])
    return tensor


def _kernel(*shape: int) -> Any:
    return tf.constant(np.linspace(0.1, 1.0, int(np.prod(shape)), dtype=np.float32).reshape(shape))


def _list_of(tensor: Any) -> Any:
    return tf.raw_ops.TensorListFromTensor(tensor=tensor, element_shape=tf.constant(-1))


def _tensor_array(tensor: Any, indices: Any, size: Any) -> list[Any]:
    array = tf.TensorArray(tf.float32, size=size, infer_shape=False)
    array = array.scatter(indices, tensor)
    return [array.stack(), array.gather(indices), array.concat()]


def _static_table(keys: Any) -> Any:
    handle = tf.raw_ops.AnonymousHashTable(key_dtype=tf.string, value_dtype=tf.int64)
    filled = tf.raw_ops.InitializeTableV2(
        table_handle=handle, keys=tf.constant([b"a", b"b"]), values=tf.constant([1, 2], tf.int64)
    )
    with tf.control_dependencies([filled]):
        return tf.raw_ops.LookupTableFindV2(table_handle=handle, keys=keys, default_value=tf.constant(-1, tf.int64))


def _dense_table(keys: Any, default: Any) -> Any:
    handle = tf.raw_ops.AnonymousMutableDenseHashTable(
        empty_key=tf.constant(-1, tf.int64), deleted_key=tf.constant(-2, tf.int64), value_dtype=tf.int64
    )
    return tf.raw_ops.LookupTableFindV2(table_handle=handle, keys=keys, default_value=default)


def _batch_norm(x: Any) -> Any:
    return tf.raw_ops.FusedBatchNormV3(
        x=x, scale=_kernel(4), offset=_kernel(4), mean=_kernel(4), variance=_kernel(4), is_training=False
    ).y


def _conv(x: Any, *, depth: int = 4) -> Any:
    return tf.raw_ops.Conv2D(input=x, filter=_kernel(3, 3, 2, depth), strides=[1, 1, 1, 1], padding="SAME")


def _index_table(keys: Any) -> Any:
    handle = tf.raw_ops.AnonymousMutableHashTable(key_dtype=tf.int64, value_dtype=tf.int64)
    return tf.raw_ops.LookupTableFindV2(table_handle=handle, keys=keys, default_value=tf.constant(-1, tf.int64))


def _ragged_variant(splits: Any, values: Any) -> Any:
    variant = tf.raw_ops.RaggedTensorToVariant(rt_nested_splits=[splits], rt_dense_values=values, batched_input=True)
    return tf.raw_ops.RaggedTensorFromVariant(
        encoded_ragged=variant, input_ragged_rank=-1, output_ragged_rank=1, Tvalues=tf.float32
    )


def _pushed(element: Any, max: Any) -> Any:
    handle = tf.raw_ops.EmptyTensorList(element_shape=tf.constant(-1), max_num_elements=max, element_dtype=tf.float32)
    handle = tf.raw_ops.TensorListPushBack(input_handle=handle, tensor=element)
    popped = tf.raw_ops.TensorListPopBack(input_handle=handle, element_shape=tf.constant(-1), element_dtype=tf.float32)
    return [popped.tensor, tf.raw_ops.TensorListLength(input_handle=popped.output_handle)]


def _from_tensor(tensor: Any, index: Any, shape: Any) -> Any:
    handle = tf.raw_ops.TensorListFromTensor(tensor=tensor, element_shape=shape)
    return [
        tf.raw_ops.TensorListGetItem(input_handle=handle, index=index, element_shape=shape, element_dtype=tf.float32),
        tf.raw_ops.TensorListStack(input_handle=handle, element_shape=shape, element_dtype=tf.float32),
    ]


def _reserved(count: Any, shape: Any, index: Any, item: Any) -> Any:
    handle = tf.raw_ops.TensorListReserve(element_shape=shape, num_elements=count, element_dtype=tf.float32)
    handle = tf.raw_ops.TensorListSetItem(input_handle=handle, index=index, item=item)
    return tf.raw_ops.TensorListStack(input_handle=handle, element_shape=shape, element_dtype=tf.float32)


def _scattered(tensor: Any, indices: Any, shape: Any, count: Any) -> Any:
    handle = tf.raw_ops.TensorListScatterV2(tensor=tensor, indices=indices, element_shape=shape, num_elements=count)
    return tf.raw_ops.TensorListStack(input_handle=handle, element_shape=shape, element_dtype=tf.float32)


def _split(tensor: Any, shape: Any, lengths: Any) -> Any:
    handle = tf.raw_ops.TensorListSplit(tensor=tensor, element_shape=shape, lengths=lengths)
    return tf.raw_ops.TensorListConcatV2(
        input_handle=handle, element_shape=shape, leading_dims=tf.constant([], tf.int64), element_dtype=tf.float32
    )


COMPOUNDS: dict[str, Callable[..., Any]] = {
    "EmptyTensorList+": _pushed,
    "TensorListFromTensor+": _from_tensor,
    "TensorListReserve+": _reserved,
    "TensorListScatter+": _scattered,
    "TensorListSplit+": _split,
    "TensorListConcat+": lambda tensor, shape, lead: tf.raw_ops.TensorListConcatV2(
        input_handle=_list_of(tensor), element_shape=shape, leading_dims=lead, element_dtype=tf.float32
    ),
    "TensorListGather+": lambda tensor, indices, shape: tf.raw_ops.TensorListGather(
        input_handle=_list_of(tensor), indices=indices, element_shape=shape, element_dtype=tf.float32
    ),
    "TensorListResize+": lambda tensor, size: tf.raw_ops.TensorListLength(
        input_handle=tf.raw_ops.TensorListResize(input_handle=_list_of(tensor), size=size)
    ),
    "TensorListPushBackBatch+": lambda tensor, more: tf.raw_ops.TensorListStack(
        input_handle=tf.raw_ops.TensorListPushBack(input_handle=_list_of(tensor), tensor=more),
        element_shape=tf.constant(-1),
        element_dtype=tf.float32,
    ),
    "TensorArray+": _tensor_array,
    "RaggedVariant+": _ragged_variant,
    "MapFn+": lambda x: tf.map_fn(lambda row: row * 2.0, x),
    "StaticTable+": _static_table,
    "IndexTable+": _index_table,
    "DenseTable+": _dense_table,
    "Conv1D+": lambda x, kernel: tf.nn.conv1d(x, kernel, 1, "SAME"),
    "Conv1DTranspose+": lambda x, kernel, shape: tf.nn.conv1d_transpose(x, kernel, shape, 1),
    "Conv2DTranspose+": lambda x, kernel, shape: tf.nn.conv2d_transpose(x, kernel, shape, 2),
    "Conv3DTranspose+": lambda x, kernel, shape: tf.nn.conv3d_transpose(x, kernel, shape, 2),
    "ConvBiasRelu+": lambda x: tf.nn.relu(tf.nn.bias_add(_conv(x), _kernel(4))),
    "ConvBatchNormRelu+": lambda x: tf.nn.relu(_batch_norm(_conv(x))),
    "ConvAdd+": lambda x, y: tf.nn.relu(tf.nn.bias_add(_conv(x), _kernel(4)) + y),
    "DepthwiseBiasRelu6+": lambda x: tf.nn.relu6(
        tf.nn.bias_add(
            tf.raw_ops.DepthwiseConv2dNative(input=x, filter=_kernel(3, 3, 2, 2), strides=[1, 1, 1, 1], padding="SAME"),
            _kernel(4),
        )
    ),
    "MatMulBiasGelu+": lambda x: tf.nn.gelu(tf.nn.bias_add(tf.matmul(x, _kernel(3, 4)), _kernel(4))),
    "PadConv+": lambda x: tf.raw_ops.Conv2D(
        input=tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]),
        filter=_kernel(3, 3, 2, 4),
        strides=[1, 1, 1, 1],
        padding="VALID",
    ),
    "Conv3DBiasRelu+": lambda x: tf.nn.relu(
        tf.nn.bias_add(
            tf.raw_ops.Conv3D(input=x, filter=_kernel(2, 2, 2, 2, 3), strides=[1, 1, 1, 1, 1], padding="SAME"),
            _kernel(3),
        )
    ),
    "BatchNormAddRelu+": lambda x, y: tf.nn.relu(
        tf.raw_ops.FusedBatchNormV3(
            x=x, scale=_kernel(2), offset=_kernel(2), mean=_kernel(2), variance=_kernel(2), is_training=False
        ).y
        + y
    ),
    "BatchMatMulMulAdd+": lambda x, y, mask: tf.nn.softmax(tf.raw_ops.BatchMatMulV2(x=x, y=y) * 0.5 + mask),
    "LayerNorm+": lambda x: (
        (x - tf.reduce_mean(x, -1, keepdims=True))
        * tf.math.rsqrt(
            tf.reduce_mean(tf.math.squared_difference(x, tf.reduce_mean(x, -1, keepdims=True)), -1, keepdims=True)
            + 1e-3
        )
    ),
    "InstanceNorm+": lambda x: (
        (x - tf.reduce_mean(x, [1, 2], keepdims=True))
        * tf.math.rsqrt(
            tf.reduce_mean(
                tf.math.squared_difference(x, tf.reduce_mean(x, [1, 2], keepdims=True)), [1, 2], keepdims=True
            )
            + 1e-3
        )
    ),
    "Mish+": lambda x: x * tf.tanh(tf.nn.softplus(x)),
    "TransposedConv+": lambda x: tf.transpose(_conv(tf.transpose(x, [0, 2, 3, 1])), [0, 3, 1, 2]),
}


def bent(right: Sequence[Array], chance: random.Random) -> list[Array]:
    """The inputs of a request: the right ones, with one or more of them bent."""
    inputs = [value.copy() for value in right]
    if not inputs:
        return inputs
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at = chance.randrange(len(inputs))
        bend = chance.choice(
            (_other_rank, _other_rank, _other_size, _other_size, _other_values, _other_values, _empty_huge)
        )
        changed = bend(inputs[at], chance)
        if changed.size <= LISTED:
            inputs[at] = changed
    return inputs


_SIZES = (0, 1, 2, 3, 5, 7, 17, 64, 257)
_HUGE = (1 << 31, (1 << 31) - 1, 1 << 32, 1 << 40, 1 << 62, (1 << 63) - 1)
_INTEGERS = (-(1 << 31), -17, -2, -1, 0, 1, 2, 3, 4, 5, 7, 100, 1 << 16, (1 << 31) - 1)
_WIDE = (*_INTEGERS, -(1 << 63), (1 << 63) - 1, 1 << 32, 1 << 40)
_FLOATS = (0.0, -1.0, 1.0, 2.5, -1e30, 1e38, float("inf"), float("-inf"), float("nan"), 1e-40)
_STRINGS = (b"", b"a", b"-1", b"\xff\xfe", b"0" * 300, b"{}", b"\x00", b"RIFF", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"BM")


def _resized(value: Array, shape: Sequence[int]) -> Array:
    size = int(np.prod(shape, dtype=object))
    # NumPy counts the dimensions of arrays without elements as well.
    if size > LISTED or int(np.prod([max(dim, 1) for dim in shape], dtype=object)) >= 1 << 59:
        return value
    if value.size == 0:
        return np.zeros(shape, value.dtype) if value.dtype != object else np.full(shape, b"", object)
    return np.resize(value, tuple(shape))


def _other_rank(value: Array, chance: random.Random) -> Array:
    dims = list(value.shape)
    for _ in range(chance.choice((1, 1, 2, 3))):
        if dims and chance.random() < 0.6:
            dims.pop(chance.randrange(len(dims)))
        elif len(dims) < 9:
            dims.insert(chance.randint(0, len(dims)), chance.choice((0, 1, 1, 2, 3)))
    return _resized(value, dims)


def _other_size(value: Array, chance: random.Random) -> Array:
    dims = list(value.shape)
    if not dims:
        return _other_values(value, chance)
    for _ in range(chance.choice((1, 1, 2))):
        dims[chance.randrange(len(dims))] = chance.choice(_SIZES)
    return _resized(value, dims)


def _empty_huge(value: Array, chance: random.Random) -> Array:
    """No elements, in dimensions whose product may overflow."""
    dims = list(value.shape) or [1]
    for at in range(len(dims)):
        if chance.random() < 0.6:
            dims[at] = chance.choice(_HUGE)
    dims[chance.randrange(len(dims))] = 0
    try:
        return np.empty(dims, value.dtype)
    except ValueError:
        return _other_size(value, chance)


def _other_values(value: Array, chance: random.Random) -> Array:
    changed = value.copy()
    places = range(changed.size) if changed.size < 64 else [chance.randrange(changed.size)]
    everywhere = chance.random() < 0.3
    for place in places:
        if everywhere or chance.random() < 0.4:
            changed.flat[place] = _element(changed.dtype, chance)
    return changed


def _element(dtype: Any, chance: random.Random) -> Any:
    if dtype.kind == "O":
        return chance.choice(_STRINGS)
    if dtype.kind == "b":
        return chance.random() < 0.5
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        return min(max(chance.choice(_WIDE if limits.bits == 64 else _INTEGERS), int(limits.min)), int(limits.max))
    with np.errstate(all="ignore"):
        return np.array(chance.choice(_FLOATS)).astype(dtype)
