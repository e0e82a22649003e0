# SPDX-License-Identifier: Apache-2.0
"""Random Keras models, exported, served and asked: the client's answers are those of `model.predict`."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tensorserve import Client
from tensorserve.export import export

WORDS = ("red", "green", "blue")
DTYPES = ("float32", "float64", "float16", "int32", "int64", "uint8", "bool", "string")
STYLES = ("functional", "functional of a dictionary", "subclassed", "subclassed of a dictionary")
# float32 holds 24 bits, and kernels add up in another order for other numbers of rows.
TOLERANCE = 1e-5
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Input:
    """An input of a model: its shape without the batch; -1 is a dimension that stays open."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Spec:
    """A model, and how it is asked."""

    style: str
    inputs: tuple[Input, ...]
    outputs: tuple[int, ...]
    activation: str
    rows: int
    seed: int
    protocol: str


_shapes = st.lists(st.integers(1, 4), max_size=3).map(tuple) | st.integers(1, 3).map(lambda size: (-1, size))
inputs = st.builds(Input, st.sampled_from(DTYPES), _shapes)
specs = st.builds(
    Spec,
    st.sampled_from(STYLES),
    st.lists(inputs, min_size=1, max_size=3).map(tuple),
    st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple),
    st.sampled_from(["linear", "relu", "tanh", "softmax", "sigmoid"]),
    st.integers(1, 5),
    st.integers(0, 2**16),
    st.sampled_from(["grpc", "http"]),
)


def arrays(spec: Spec) -> dict[str, np.ndarray]:
    """Values of each input; open dimensions are 3."""
    random = np.random.default_rng(spec.seed)
    made = {}
    for number, each in enumerate(spec.inputs):
        shape = (spec.rows, *(3 if size < 0 else size for size in each.shape))
        if each.dtype == "string":
            made[f"in{number}"] = random.choice(WORDS, shape).astype(object)
        elif each.dtype == "bool":
            made[f"in{number}"] = random.integers(0, 2, shape).astype(bool)
        elif each.dtype.startswith("float"):
            made[f"in{number}"] = random.uniform(-4, 4, shape).astype(each.dtype)
        else:
            made[f"in{number}"] = random.integers(0, 9, shape).astype(each.dtype)
    return made


def build(spec: Spec) -> Any:
    """The model."""
    import keras

    keras.utils.set_random_seed(spec.seed)
    layers = [_reader(each) for each in spec.inputs]
    heads = [keras.layers.Dense(size, spec.activation, name=f"out{number}") for number, size in enumerate(spec.outputs)]

    def compute(*tensors: Any) -> list[Any]:
        read = [layer(tensor) for layer, tensor in zip(layers, tensors, strict=True)]
        joined = keras.ops.concatenate(read, axis=-1) if len(read) > 1 else read[0]
        return [head(joined) for head in heads]

    if spec.style.startswith("functional"):
        return _functional(spec, compute)
    return _subclassed(spec, compute, [*layers, *heads])


def _reader(given: Input) -> Callable[[Any], Any]:
    """A layer that makes numbers in one dimension of an input of any shape."""
    import keras

    class Reader(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(autocast=False)
            self.words = keras.layers.StringLookup(vocabulary=list(WORDS)) if given.dtype == "string" else None
            self.dense = keras.layers.Dense(4)

        def build(self, shape: Any) -> None:
            self.dense.build((None, 1 if -1 in given.shape else int(np.prod(given.shape, dtype=int))))
            self.built = True

        def call(self, tensor: Any) -> Any:
            tensor = keras.ops.cast(self.words(tensor) if self.words else tensor, "float32")
            if -1 in given.shape:
                return self.dense(keras.ops.mean(tensor, axis=(1, 2))[:, None])
            return self.dense(keras.ops.reshape(tensor, (-1, int(np.prod(given.shape, dtype=int)))))

        def compute_output_shape(self, shape: Any) -> Any:
            return (shape[0], 4)

    return Reader()


def _functional(spec: Spec, compute: Callable[..., list[Any]]) -> Any:
    import keras

    symbols = [
        keras.Input([None if size < 0 else size for size in each.shape], dtype=each.dtype, name=f"in{number}")
        for number, each in enumerate(spec.inputs)
    ]
    outputs = compute(*symbols)
    if spec.style.endswith("dictionary"):
        named = {f"out{number}": output for number, output in enumerate(outputs)}
        return keras.Model({symbol.name: symbol for symbol in symbols}, named)
    return keras.Model(symbols, outputs if len(outputs) > 1 else outputs[0])


def _subclassed(spec: Spec, compute: Callable[..., list[Any]], layers: list[Any]) -> Any:
    import keras

    def named(*tensors: Any) -> dict[str, Any]:
        return {f"out{number}": output for number, output in enumerate(compute(*tensors))}

    class OfDictionary(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.parts = layers

        def call(self, tensors: Mapping[str, Any]) -> Any:
            return named(*(tensors[f"in{number}"] for number in range(len(spec.inputs))))

    class OfOne(OfDictionary):
        def call(self, in0: Any, training: bool = False) -> Any:
            return named(in0)

    class OfTwo(OfDictionary):
        def call(self, in0: Any, in1: Any) -> Any:
            return named(in0, in1)

    class OfThree(OfDictionary):
        def call(self, in0: Any, in1: Any, in2: Any) -> Any:
            return named(in0, in1, in2)

    if spec.style.endswith("dictionary") and len(spec.inputs) > 1:
        return OfDictionary()
    return (OfOne, OfTwo, OfThree)[len(spec.inputs) - 1]()


def predicted(model: Any, spec: Spec, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the model itself answers."""
    import tensorflow as tf

    tensors = {alias: tf.constant(array) for alias, array in given.items()}
    if spec.style.startswith("functional"):
        found = model.predict(tf.data.Dataset.from_tensors(tensors), verbose=0)
    elif spec.style.endswith("dictionary") and len(tensors) > 1:
        found = {name: tensor.numpy() for name, tensor in model(tensors).items()}
    else:
        found = {name: tensor.numpy() for name, tensor in model(*tensors.values()).items()}
    if not isinstance(found, dict):
        found = {f"out{number}": array for number, array in enumerate(found if isinstance(found, list) else [found])}
    return {name: np.asarray(array) for name, array in found.items()}


def _tensor_spec(given: Input) -> Any:
    import tensorflow as tf

    return tf.TensorSpec([None, *(None if size < 0 else size for size in given.shape)], given.dtype)


def check(spec: Spec, folder: Path, clients: Mapping[str, Client]) -> None:
    """Exports a model, has the server load it, and asks it.

    Raises:
        AssertionError: An answer is not the model's.
    """
    name = f"model{next(_numbers)}"
    given, model = arrays(spec), build(spec)
    expected = predicted(model, spec, given)
    specs = {alias: _tensor_spec(each) for alias, each in zip(given, spec.inputs, strict=True)}
    names = None if spec.style.startswith("functional") else specs
    export(model, folder / name, names, samples=given)
    clients["grpc"].reload({name: str(folder / name)})
    clients["grpc"].wait_ready(name)
    answer = clients[spec.protocol].predict(name, given)
    assert set(answer) == set(expected)
    for alias, array in expected.items():
        assert answer[alias].shape == array.shape
        assert answer[alias].dtype == array.dtype
        largest = np.abs(array).max()
        assert np.abs(answer[alias] - array).max() <= TOLERANCE * largest, (alias, spec)
