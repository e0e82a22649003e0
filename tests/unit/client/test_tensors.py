# SPDX-License-Identifier: Apache-2.0
"""Arrays and `TensorProto`s, against the messages that protobuf itself writes and reads."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tensorserve_client import ServingError
from tensorserve_client.grpc_codec import decode_predict, encode_predict
from tensorserve_client.protos import message
from tensorserve_client.tensors import array_of, number_of, varint
from tensorserve_client.values import convert
from tensorserve_client.verbs import Predict, Spec

NUMBERS = ["?", "u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f2", "<f4", "<f8", "<c8", "<c16"]
FIELDS = {"<f4": "float_val", "<f8": "double_val", "<c8": "scomplex_val", "<c16": "dcomplex_val", "<f2": "half_val"}
FIELDS |= {"|b1": "bool_val", "<i8": "int64_val", "<u4": "uint32_val", "<u8": "uint64_val"}

shapes = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
tensors = st.sampled_from(NUMBERS).flatmap(lambda dtype: arrays.arrays(np.dtype(dtype), shapes))
strings = st.lists(st.binary(max_size=300), max_size=20).map(lambda values: convert(values, "x") if values else None)


def same(one: Any, other: Any) -> bool:
    return bool(one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes())


@given(st.dictionaries(st.text(max_size=20), tensors, max_size=4), st.integers(-1, 2**62), st.lists(st.text()))
def test_requests_are_the_messages_that_protobuf_reads(inputs: Any, version: int, outputs: list[str]) -> None:
    spec = Spec("model", version if version >= 0 else None, "", "signature")
    request = message("PredictRequest").FromString(encode_predict(Predict(spec, inputs, outputs)))
    assert (request.model_spec.name, request.model_spec.signature_name) == ("model", "signature")
    assert request.model_spec.HasField("version") == (version >= 0)
    assert list(request.output_filter) == outputs
    assert {alias: array_of(value, alias).tobytes() for alias, value in request.inputs.items()} == {
        alias: array.tobytes() for alias, array in inputs.items()
    }
    assert all(same(array_of(value, alias), inputs[alias]) for alias, value in request.inputs.items())


@given(strings)
def test_strings(array: Any) -> None:
    if array is None:
        return
    request = message("PredictRequest").FromString(encode_predict(Predict(Spec("m"), {"x": array})))
    assert array_of(request.inputs["x"], "x").tolist() == array.tolist()


def typed(array: Any) -> Any:
    """The message with the elements in the field of their type, as servers send it."""
    tensor = message("tensorflow.TensorProto")(dtype=number_of(array.dtype, "x"))
    tensor.tensor_shape.SetInParent()
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    flat = array.ravel()
    if array.dtype.kind == "c":
        flat = flat.view(np.float32 if array.dtype.itemsize == 8 else np.float64)
    if array.dtype == np.float16:
        flat = flat.view(np.uint16)
    getattr(tensor, FIELDS.get(array.dtype.str, "int_val")).extend(flat.tolist())
    return tensor


@given(st.sampled_from(NUMBERS).flatmap(lambda dtype: arrays.arrays(np.dtype(dtype), shapes)))
def test_typed_values(array: Any) -> None:
    found = array_of(typed(array), "x")
    assert np.array_equal(found, array, equal_nan=array.dtype.kind in "fc")
    assert (found.dtype, found.shape) == (array.dtype, array.shape)


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<c8", "<c16"])
def test_many_packed_values_are_the_same(dtype: str) -> None:
    array = np.random.default_rng(1).normal(size=(300, 7)).astype(dtype)
    found = array_of(typed(array), "x")
    assert same(found, array)
    found[0, 0] = 1  # It is the caller's own.


def test_left_out_repetitions() -> None:
    tensor = message("tensorflow.TensorProto")(dtype=1, float_val=[1, 2])
    tensor.tensor_shape.dim.add(size=4)
    assert array_of(tensor, "x").tolist() == [1, 2, 2, 2]
    del tensor.float_val[:]
    with pytest.raises(ServingError, match="0 values"):
        array_of(tensor, "x")


def test_types_that_numpy_lacks() -> None:
    with pytest.raises(ServingError, match="UNIMPLEMENTED: output 'x' has type number 20"):
        array_of(message("tensorflow.TensorProto")(dtype=20), "x")


def test_answers() -> None:
    response = message("PredictResponse")()
    response.model_spec.version.value = 7
    response.outputs["y"].CopyFrom(typed(np.float32([1, 2])))
    found = decode_predict(response.SerializeToString())
    assert (found.version, found["y"].tolist()) == (7, [1, 2])
    with pytest.raises(KeyError, match="there is no output 'z'; there are y"):
        found["z"]


@given(st.integers(-(2**63), 2**64 - 1))
def test_varints(value: int) -> None:
    from google.protobuf.internal.encoder import _VarintBytes

    assert varint(value) == _VarintBytes(value & (2**64 - 1))
