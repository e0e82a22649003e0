# SPDX-License-Identifier: Apache-2.0
"""The ways in which a model can be asked: Predict by named tensors, Classify and Regress by tf.Example messages."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tensorserve.errors import Code, ServingError
from tensorserve.export.computation import Computation, Model, Tensors, names_of
from tensorserve.export.labels import Labels
from tensorserve.export.preprocessing import Preprocessing

_METHOD = "tensorflow/serving/"


@dataclass(frozen=True, slots=True)
class Built:
    """A signature that can be traced.

    Attributes:
        inputs: `tf.TensorSpec` by alias.
        call: Computes the outputs by alias.
        method_name: What the SavedModel says of it.
        owners: Trackable objects that hold what it needs besides the model.
        samples: Makes inputs for it with a given number of rows; None if those of the specs will do.
    """

    inputs: Mapping[str, Any]
    call: Callable[[Tensors], Tensors]
    method_name: str
    owners: tuple[Any, ...] = ()
    samples: Callable[[int], Tensors] | None = None


class Signature(Protocol):
    """One way to ask a model."""

    @property
    def function(self) -> str:
        """Which function of the model it asks; empty for the default one."""

    def build(self, model: Model) -> Built:
        """Makes it traceable.

        Raises:
            ServingError: It does not fit the model.
        """


@dataclass(frozen=True, slots=True)
class Predict:
    """Named tensors in, named tensors out.

    Attributes:
        inputs: The model's own name of each input by alias, or aliases in the model's order; None for its own names.
        outputs: The same of the outputs; those that are left out are not served.
        preprocess: What happens to an input first, by alias.
        function: Signature of a SavedModel or method of a `tf.Module` to ask; empty for the default one.
    """

    inputs: Mapping[str, Any] | Sequence[str] | None = None
    outputs: Mapping[str, str] | Sequence[str] | None = None
    preprocess: Mapping[str, Preprocessing] = field(default_factory=dict)
    function: str = ""

    def build(self, model: Model) -> Built:
        """See `Signature`."""
        computation = model.computation(self.function)
        names = names_of("input", self.inputs, tuple(computation.inputs))
        unknown = self.preprocess.keys() - names.keys()
        if unknown:
            text = f"there is no input {min(unknown)} to preprocess; the inputs are: {', '.join(names)}"
            raise ServingError(Code.INVALID_ARGUMENT, text)
        steps = {alias: each.step(computation.inputs[names[alias]]) for alias, each in self.preprocess.items()}
        specs = {
            alias: self.preprocess[alias].spec() if alias in steps else computation.inputs[name]
            for alias, name in names.items()
        }

        def call(tensors: Tensors) -> Tensors:
            given = {
                name: steps[alias].call(tensors[alias]) if alias in steps else tensors[alias]
                for alias, name in names.items()
            }
            return renamed(computation, computation.call(given), self.outputs)

        owners = (owner for step in steps.values() for owner in step.owners)
        return Built(specs, call, f"{_METHOD}predict", (*computation.owners, *owners))


@dataclass(frozen=True, slots=True)
class Classify:
    """tf.Example messages in, labels and scores out.

    Attributes:
        features: What the examples hold: `tf.io` features by name, or `(dtype, shape)`.
        inputs: The feature of each input of the model; None if they have the same names.
        scores: Which output has the scores; empty for the only one.
        labels: The label of each column of the scores, or a file with one on each line; it becomes an asset. Without
            labels the columns' numbers are the labels.
        from_logits: Whether the scores are logits, to be put through a softmax (a sigmoid if there is one column).
        top_k: How many of the best classes to give, best first; 0 for all in the model's order.
        function: Signature of a SavedModel or method of a `tf.Module` to ask; empty for the default one.
    """

    features: Mapping[str, Any]
    inputs: Mapping[str, str] | None = None
    scores: str = ""
    labels: Sequence[str] | str | os.PathLike[str] = ()
    from_logits: bool = False
    top_k: int = 0
    function: str = ""

    def build(self, model: Model) -> Built:
        """See `Signature`."""
        import tensorflow as tf

        computation = model.computation(self.function)
        parse = _Examples(self.features, self.inputs, computation)
        labels = Labels(self.labels)

        def call(tensors: Tensors) -> Tensors:
            scores = _column(computation.call(parse(tensors["inputs"])), self.scores)
            scores = tf.reshape(tf.cast(scores, tf.float32), [tf.shape(scores)[0], -1])
            if self.from_logits:
                scores = tf.nn.sigmoid(scores) if scores.shape[-1] == 1 else tf.nn.softmax(scores)
            columns = tf.broadcast_to(
                tf.range(tf.shape(scores)[1], dtype=tf.int64), tf.shape(scores, out_type=tf.int32)
            )
            if self.top_k:
                scores, best = tf.math.top_k(scores, self.top_k)
                columns = tf.cast(best, tf.int64)
            return {"classes": labels.of(columns), "scores": scores}

        return Built(_example_specs(), call, f"{_METHOD}classify", (*computation.owners, *labels.owners), parse.samples)


@dataclass(frozen=True, slots=True)
class Regress:
    """tf.Example messages in, one number for each out.

    Attributes:
        features: What the examples hold: `tf.io` features by name, or `(dtype, shape)`.
        inputs: The feature of each input of the model; None if they have the same names.
        value: Which output has the numbers; empty for the only one.
        function: Signature of a SavedModel or method of a `tf.Module` to ask; empty for the default one.
    """

    features: Mapping[str, Any]
    inputs: Mapping[str, str] | None = None
    value: str = ""
    function: str = ""

    def build(self, model: Model) -> Built:
        """See `Signature`."""
        import tensorflow as tf

        computation = model.computation(self.function)
        parse = _Examples(self.features, self.inputs, computation)

        def call(tensors: Tensors) -> Tensors:
            values = _column(computation.call(parse(tensors["inputs"])), self.value)
            return {"outputs": tf.reshape(tf.cast(values, tf.float32), [-1, 1])}

        return Built(_example_specs(), call, f"{_METHOD}regress", computation.owners, parse.samples)


def renamed(computation: Computation, outputs: Tensors, aliases: Mapping[str, str] | Sequence[str] | None) -> Tensors:
    """The outputs under their aliases."""
    known = computation.outputs if set(computation.outputs) == set(outputs) else tuple(outputs)
    names = names_of("output", aliases, known)
    if not names:
        raise ServingError(Code.INVALID_ARGUMENT, "a signature needs at least one output")
    return {alias: outputs[name] for alias, name in names.items()}


def _example_specs() -> dict[str, Any]:
    import tensorflow as tf

    return {"inputs": tf.TensorSpec([None], tf.string, "inputs")}


class _Examples:
    """Takes a model's inputs out of serialized tf.Example messages."""

    def __init__(self, features: Mapping[str, Any], inputs: Mapping[str, str] | None, computation: Computation) -> None:
        self._features = {name: feature_of(name, each) for name, each in features.items()}
        names = {alias: alias for alias in computation.inputs} if inputs is None else dict(inputs)
        if inputs is None and len(features) == len(computation.inputs) == 1:
            names = dict(zip(computation.inputs, features, strict=True))
        for name in computation.inputs:
            if names.get(name) not in self._features:
                text = (
                    f"no feature is said to be input {name} of the model; the features are: {', '.join(features)}. "
                    f"Name it with inputs={{{name!r}: FEATURE}}."
                )
                raise ServingError(Code.INVALID_ARGUMENT, text)
        self._names = names
        self._inputs = computation.inputs

    def __call__(self, serialized: Any) -> dict[str, Any]:
        import tensorflow as tf

        parsed = tf.io.parse_example(serialized, self._features)
        return {name: _shaped(parsed[self._names[name]], spec) for name, spec in self._inputs.items()}

    def samples(self, rows: int) -> dict[str, Any]:
        """Examples with made-up values."""
        import tensorflow as tf

        from tensorserve.export.samples import made_up_example

        return {"inputs": tf.constant([made_up_example(self._features, row) for row in range(rows)])}


def feature_of(name: str, given: Any) -> Any:
    """A `tf.io` feature; `(dtype, shape)` is one of fixed length.

    Raises:
        ServingError: INVALID_ARGUMENT, it is none.
    """
    import tensorflow as tf

    kinds = (tf.io.FixedLenFeature, tf.io.VarLenFeature, tf.io.RaggedFeature, tf.io.FixedLenSequenceFeature)
    if isinstance(given, kinds):
        return given
    try:
        dtype, shape = given
        return tf.io.FixedLenFeature(list(shape), tf.as_dtype(dtype))
    except (TypeError, ValueError) as error:
        text = f"feature {name} is {given!r}; give it as (dtype, shape), such as ('float32', [4]), or as one of tf.io"
        raise ServingError(Code.INVALID_ARGUMENT, text) from error


def _shaped(tensor: Any, spec: Any) -> Any:
    """A parsed feature as the model wants it: dense, of its type, with its number of dimensions."""
    import tensorflow as tf

    if isinstance(tensor, tf.sparse.SparseTensor):
        tensor = tf.sparse.to_dense(tensor)
    elif isinstance(tensor, tf.RaggedTensor):
        tensor = tensor.to_tensor()
    tensor = tensor if tensor.dtype == spec.dtype else tf.cast(tensor, spec.dtype)
    wanted = spec.shape.as_list() if spec.shape.rank is not None else None
    if wanted is not None and tensor.shape.rank != len(wanted) and wanted.count(None) <= 1:
        tensor = tf.reshape(tensor, [-1 if size is None else size for size in wanted])
    return tensor


def _column(outputs: Tensors, name: str) -> Any:
    if name:
        if name not in outputs:
            text = f"there is no output {name}; the model's outputs are: {', '.join(outputs)}"
            raise ServingError(Code.INVALID_ARGUMENT, text)
        return outputs[name]
    if len(outputs) != 1:
        text = f"the model has several outputs; say which one to take: {', '.join(outputs)}"
        raise ServingError(Code.INVALID_ARGUMENT, text)
    return next(iter(outputs.values()))
