# SPDX-License-Identifier: Apache-2.0
"""SavedModels, `tf.Module`, `tf.function` and Python functions of tensors."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tensorserve.errors import Code, ServingError
from tensorserve.export.computation import Computation, Tensors
from tensorserve.export.keras_models import named_outputs
from tensorserve.export.saving import quietly
from tensorserve.sources.version_directory import version_number

_DEFAULT = "serving_default"
_FILE = "saved_model.pb"
_METHODS = ("serve", "__call__", "predict")


def load_saved_model(path: str) -> Any:
    """Loads a SavedModel, or the newest of a base path.

    Raises:
        ServingError: There is none, or TensorFlow cannot load it.
    """
    import tensorflow as tf

    if not tf.saved_model.contains_saved_model(path):
        versions = {number: name for name in os.listdir(path) if (number := version_number(name)) is not None}
        if not versions:
            raise ServingError(Code.NOT_FOUND, f"{path} holds neither a SavedModel nor versions of one")
        path = os.path.join(path, versions[max(versions)])
    try:
        return tf.saved_model.load(path)
    except AttributeError as error:
        if "add_slot" not in str(error):
            raise _not_loaded(path, error) from error
        return _load_without_optimizer(path)
    except Exception as error:
        raise _not_loaded(path, error) from error


def _not_loaded(path: str, error: Exception) -> ServingError:
    import tensorflow as tf

    return ServingError(Code.INVALID_ARGUMENT, f"TensorFlow {tf.__version__} cannot load {path}: {error}")


def _load_without_optimizer(path: str) -> Any:
    """Loads a SavedModel with the optimizer of an older Keras, whose state TensorFlow has no place for."""
    import tensorflow as tf
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    with open(os.path.join(path, _FILE), "rb") as file:
        model = SavedModel.FromString(file.read())
    for graph in model.meta_graphs:
        for node in graph.object_graph_def.nodes:
            del node.slot_variables[:]
    folder = tempfile.TemporaryDirectory()
    for name in os.listdir(path):
        if name != _FILE:
            os.symlink(os.path.abspath(os.path.join(path, name)), os.path.join(folder.name, name))
    with open(os.path.join(folder.name, _FILE), "wb") as file:
        file.write(model.SerializeToString())
    with quietly():
        loaded = tf.saved_model.load(folder.name)
    loaded.files_folder = folder  # Assets are read from there when the model is saved.
    return loaded


def computation(given: Any, specs: Mapping[str, Any], samples: Mapping[str, Any], function: str) -> Computation:
    """What a function, or one of an object's, computes.

    Args:
        given: The function, or the object.
        specs: `tf.TensorSpec` of the inputs by name, where the caller says so.
        samples: The same by the caller's samples, for a function that does not know its own.
        function: Signature of a SavedModel, or method of another object; empty for the default one.

    Raises:
        ServingError: There is no such function, or its inputs are not known.
    """
    signatures = getattr(given, "signatures", None)
    if signatures and (function or not specs):
        return _of_signature(given, signatures, function)
    found = _method(given, function) if _is_module(given) else given
    if not callable(found):
        text = (
            f"{type(given).__name__} is nothing that can be exported. There are Keras models, tf.Module, tf.function, "
            "functions of tensors, .keras and .h5 files, and folders of SavedModels."
        )
        raise ServingError(Code.INVALID_ARGUMENT, text)
    inputs = dict(specs) or _declared_inputs(found) or dict(samples)
    if not inputs:
        text = (
            f"the inputs of {getattr(found, '__name__', type(given).__name__)} are not known. Give it an "
            "input_signature, or name them: inputs={'x': tf.TensorSpec([None, 4], tf.float32)}."
        )
        raise ServingError(Code.FAILED_PRECONDITION, text)
    owners = (given,) if _is_module(given) else ()
    return Computation(inputs, (), _caller(found, tuple(inputs)), owners)


def default_signature(names: Sequence[str]) -> str:
    """The signature of a SavedModel that is meant where none is named; `names` are sorted."""
    return _DEFAULT if _DEFAULT in names else names[0]


def _of_signature(loaded: Any, signatures: Any, function: str) -> Computation:
    names = sorted(signatures)
    name = function or default_signature(names)
    if name not in names:
        text = f"there is no signature {name}; the model has: {', '.join(names)}"
        raise ServingError(Code.NOT_FOUND, text)
    found = signatures[name]

    def call(tensors: Tensors) -> Tensors:
        outputs: Tensors = found(**tensors)
        return outputs

    inputs = dict(sorted(found.structured_input_signature[1].items()))
    return Computation(inputs, tuple(sorted(found.structured_outputs)), call, (loaded,))


def _is_module(given: Any) -> bool:
    import tensorflow as tf

    return isinstance(given, tf.Module) or (
        hasattr(given, "_trackable_children") and not hasattr(given, "get_concrete_function")
    )


def _method(module: Any, function: str) -> Any:
    for name in (function,) if function else _METHODS:
        if callable(getattr(module, name, None)):
            return getattr(module, name)
    wanted = function or " nor ".join(_METHODS)
    text = f"{type(module).__name__} has no function {wanted}; name one with Predict(function=...)"
    raise ServingError(Code.NOT_FOUND, text)


def _declared_inputs(function: Any) -> dict[str, Any]:
    """The inputs that a `tf.function` or a concrete function declares; empty if it declares none."""
    import tensorflow as tf

    structured = getattr(function, "structured_input_signature", None)
    if structured is None and getattr(function, "input_signature", None) is not None:
        structured = function.get_concrete_function().structured_input_signature
    if structured is None:
        return {}
    flat = tf.nest.flatten(structured)
    names = [spec.name or f"input_{index}" for index, spec in enumerate(flat)]
    return dict(zip(names, flat, strict=True))


def _caller(function: Any, names: tuple[str, ...]) -> Callable[[Tensors], Tensors]:
    """Calls a function with its inputs in order; a concrete function of keywords by name."""
    keywords: Mapping[str, Any] = getattr(function, "structured_input_signature", ((), {}))[1]

    def call(tensors: Tensors) -> Tensors:
        if keywords:
            return named_outputs(function(**{name: tensors[name] for name in names}))
        return named_outputs(function(*(tensors[name] for name in names)))

    return call
