# SPDX-License-Identifier: Apache-2.0
"""`serving_input_receiver_fn`, as the estimators of TensorFlow 1 had it; TensorFlow has not had them since 2.16."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tensorserve.errors import Code, ServingError
from tensorserve.export.computation import Model, Tensors
from tensorserve.export.signatures import Built, renamed

_METHODS = ("predict", "classify", "regress")


@dataclass(frozen=True, slots=True)
class ServingInputReceiver:
    """What a `serving_input_receiver_fn` gives.

    Attributes:
        features: The model's inputs by name, or the only one.
        receiver_tensors: The placeholders that requests fill, by alias, or the only one.
    """

    features: Any
    receiver_tensors: Any


def build_raw_serving_input_receiver_fn(
    features: Mapping[str, Any], default_batch_size: int | None = None
) -> Callable[[], ServingInputReceiver]:
    """A receiver whose requests give the features themselves.

    Args:
        features: A tensor or `tf.TensorSpec` for each, whose type and shape count, but for the first dimension.
        default_batch_size: The first dimension of every feature; None leaves it open.
    """

    def receive() -> ServingInputReceiver:
        import tensorflow as tf

        placeholders = {
            name: tf.compat.v1.placeholder(each.dtype, [default_batch_size, *each.shape[1:]], name)
            for name, each in features.items()
        }
        return ServingInputReceiver(dict(placeholders), dict(placeholders))

    return receive


def build_parsing_serving_input_receiver_fn(
    feature_spec: Mapping[str, Any], default_batch_size: int | None = None
) -> Callable[[], ServingInputReceiver]:
    """A receiver whose requests give serialized tf.Example messages.

    Args:
        feature_spec: `tf.io` features by name.
        default_batch_size: How many examples a request has; None for any number.
    """

    def receive() -> ServingInputReceiver:
        import tensorflow as tf

        serialized = tf.compat.v1.placeholder(tf.string, [default_batch_size], "input_example_tensor")
        return ServingInputReceiver(tf.io.parse_example(serialized, dict(feature_spec)), {"examples": serialized})

    return receive


@dataclass(frozen=True, slots=True)
class FromReceiver:
    """A signature by a `serving_input_receiver_fn`, which may be one that was written for an estimator.

    Attributes:
        receiver_fn: Makes placeholders and what becomes of them; called in a graph of its own.
        outputs: The model's own name of each output by alias, or aliases in the model's order; None for its own names.
        method: `predict`, `classify` or `regress`.
        function: Signature of a SavedModel or method of a `tf.Module` to ask; empty for the default one.
    """

    receiver_fn: Callable[[], Any]
    outputs: Mapping[str, str] | Sequence[str] | None = None
    method: str = "predict"
    function: str = ""

    def build(self, model: Model) -> Built:
        """See `signatures.Signature`."""
        import tensorflow as tf

        if self.method not in _METHODS:
            text = f"there is no method {self.method}; there are: {', '.join(_METHODS)}"
            raise ServingError(Code.INVALID_ARGUMENT, text)
        computation = model.computation(self.function)
        receivers: dict[str, Any] = {}

        def trace() -> dict[str, Any]:
            received = self.receiver_fn()
            receivers.update(_named(received.receiver_tensors, "input"))
            features = _matched(received.features, tuple(computation.inputs))
            return dict(renamed(computation, computation.call(features), self.outputs))

        wrapped = tf.compat.v1.wrap_function(trace, [])
        aliases = tuple(receivers)
        pruned = wrapped.prune([receivers[alias] for alias in aliases], wrapped.structured_outputs)
        specs = {alias: tf.TensorSpec(tensor.shape, tensor.dtype) for alias, tensor in receivers.items()}

        def call(tensors: Tensors) -> Tensors:
            outputs: Tensors = pruned(*(tensors[alias] for alias in aliases))
            return outputs

        return Built(specs, call, f"tensorflow/serving/{self.method}", (*computation.owners, pruned))


def _named(given: Any, name: str) -> dict[str, Any]:
    return dict(given) if isinstance(given, Mapping) else {name: given}


def _matched(features: Any, inputs: Sequence[str]) -> dict[str, Any]:
    """The features as inputs of the model: by name, or the only one for the only one."""
    if not isinstance(features, Mapping):
        features = {inputs[0]: features}
    if len(features) == len(inputs) == 1:
        return {inputs[0]: next(iter(features.values()))}
    missing = [name for name in inputs if name not in features]
    if missing:
        there = ", ".join(features)
        text = f"serving_input_receiver_fn gives no feature for input {missing[0]} of the model; it gives: {there}"
        raise ServingError(Code.INVALID_ARGUMENT, text)
    return {name: features[name] for name in inputs}
