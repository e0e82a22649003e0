# SPDX-License-Identifier: Apache-2.0
"""Keras models, of Keras 3 and of tf-keras."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tensorserve.errors import Code, ServingError
from tensorserve.export.computation import Computation, Tensors

_PACKAGES = ("keras", "tf_keras")


def is_keras_model(given: Any) -> bool:
    """Whether something is a model of one of the two packages; imports neither."""
    return any(isinstance(given, package.Model) for package in map(sys.modules.get, _PACKAGES) if package)


def load(path: str) -> Any:
    """Loads a `.keras` or `.h5` file, with Keras 3 or, if that cannot, with tf-keras.

    Raises:
        ServingError: INVALID_ARGUMENT, neither can.
    """
    import keras

    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:
        older = _load_with_tf_keras(path)
        if older is None:
            text = (
                f"{path} is no model that Keras {keras.__version__} can load: {_first_line(error)}. Models of Keras 2 "
                "may need `pip install tf-keras`; for custom layers load it in Python, and hand the model to "
                "tensorserve.export.export."
            )
            raise ServingError(Code.INVALID_ARGUMENT, text) from error
        return older


def _load_with_tf_keras(path: str) -> Any:
    try:
        import tf_keras

        return tf_keras.models.load_model(path, compile=False)
    except Exception:
        return None


def computation(model: Any, specs: Mapping[str, Any], samples: Mapping[str, Any]) -> Computation:
    """What a model computes when it is not trained.

    Args:
        model: The model.
        specs: `tf.TensorSpec` of its inputs by name, where the caller says so.
        samples: The same by the caller's samples; a model that is a class of its own does not know all of it.

    Raises:
        ServingError: FAILED_PRECONDITION, its inputs are not known, or Keras does not run on TensorFlow.
    """
    _check_backend(model)
    structure = _input_structure(model)
    if structure is None:
        return _subclassed(model, dict(specs) or _known_inputs(model, samples))
    flat = _flatten(structure)
    names = _unique([str(tensor.name).partition(":")[0] for tensor in flat])
    if isinstance(structure, dict):
        names = sorted(structure)  # The order of `tf.nest`.

    def call(tensors: Tensors) -> Tensors:
        packed = _pack(structure, [tensors[name] for name in names])
        return named_outputs(model(packed, training=False), _output_names(model))

    inputs = dict(zip(names, map(_open_spec, flat), strict=True))
    return Computation(inputs, _output_names(model), call, tuple(_owners(model)))


def _check_backend(model: Any) -> None:
    keras = sys.modules.get("keras")
    if keras is None or not isinstance(model, keras.Model) or keras.backend.backend() == "tensorflow":
        return
    text = (
        f"Keras runs on {keras.backend.backend()} in this process. Save the model with model.save('model.keras'), and "
        "run `KERAS_BACKEND=tensorflow tensorserve export model.keras BASE_PATH`."
    )
    raise ServingError(Code.FAILED_PRECONDITION, text)


def _subclassed(model: Any, inputs: Mapping[str, Any]) -> Computation:
    """A model whose inputs are arguments of `call`: as many as it takes, or one dictionary or list of them."""
    arguments = _arguments(model)
    takes_each = len(arguments) >= len(inputs) > 1

    def call(tensors: Tensors) -> Tensors:
        if takes_each:
            given = [tensors[name] for name in inputs]
            return named_outputs(model(*given, training=False) if _has_training(model) else model(*given))
        only = tensors[next(iter(inputs))] if len(inputs) == 1 else dict(tensors)
        return named_outputs(model(only, training=False) if _has_training(model) else model(only))

    return Computation(inputs, (), call, tuple(_owners(model)))


def _known_inputs(model: Any, samples: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a model that is a class of its own, by what it was built with and by samples."""
    import tensorflow as tf

    recorded = _recorded_inputs(model)
    if recorded and len(recorded) == len(samples):
        # Keras records shapes and not types; NumPy's floats have more bits than the model's.
        pairs = zip(samples.items(), recorded.values(), strict=True)
        return {
            alias: tf.TensorSpec(known.shape, known.dtype if sample.dtype.is_floating else sample.dtype)
            for (alias, sample), known in pairs
        }
    inputs = recorded or dict(samples)
    if not inputs:
        text = (
            f"the inputs of {type(model).__name__} are not known. If it has one, call it once; else give samples by "
            "name, or inputs={'x': tf.TensorSpec([None, 4], tf.float32)}."
        )
        raise ServingError(Code.FAILED_PRECONDITION, text)
    return inputs


def _recorded_inputs(model: Any) -> dict[str, Any]:
    """The inputs that a model was built with; empty if they are not known."""
    import tensorflow as tf

    shapes = getattr(model, "_build_shapes_dict", None) or {}
    # Keras records the first argument only.
    if not shapes or len(_arguments(model, required=True)) > len(shapes):
        return {}
    if len(shapes) == 1 and isinstance(next(iter(shapes.values())), dict):
        shapes = next(iter(shapes.values()))
    dtype = getattr(model, "input_dtype", None) or "float32"
    names = [str(name).removesuffix("_shape") for name in shapes]
    if names == ["input"]:
        names = _arguments(model)[:1] or names
    return {
        name: tf.TensorSpec([None, *shape[1:]], dtype, name) for name, shape in zip(names, shapes.values(), strict=True)
    }


def _arguments(model: Any, *, required: bool = False) -> list[str]:
    """The arguments of `call` that are inputs; only those without a default if they are to be required."""
    import inspect

    parameters = inspect.signature(model.call).parameters.values()
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    names = [each.name for each in positional if not required or each.default is each.empty]
    return [name for name in names if name not in ("self", "training", "mask")]


def _has_training(model: Any) -> bool:
    import inspect

    parameters = inspect.signature(model.call).parameters
    return "training" in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())


def _input_structure(model: Any) -> Any:
    """The symbolic inputs as the model takes them; None for a model that has none."""
    for name in ("_inputs_struct", "_nested_inputs"):
        structure = getattr(model, name, None)
        if structure is not None:
            return structure
    inner = getattr(model, "_functional", None)
    if inner is not None:
        return inner._inputs_struct
    try:
        return model.inputs[0] if model.inputs and len(model.inputs) == 1 else model.inputs or None
    except (AttributeError, ValueError):
        return None


def _output_names(model: Any) -> tuple[str, ...]:
    """Names of the outputs, in the order in which `tf.nest` has them; empty if the model does not know them."""
    structure = next(
        (
            getattr(each, name)
            for each in (model, getattr(model, "_functional", None))
            for name in ("_outputs_struct", "_nested_outputs")
            if getattr(each, name, None) is not None
        ),
        None,
    )
    if isinstance(structure, dict):
        return tuple(sorted(structure))
    inner = getattr(model, "_functional", None)
    names: Sequence[str] = getattr(model, "output_names", None) or getattr(inner, "output_names", None) or ()
    return tuple(_unique([str(name) for name in names]))


def named_outputs(value: Any, names: Sequence[str] = ()) -> dict[str, Any]:
    """The tensors of what a model gives, by name: keys of a dictionary, else the names, else `output_0` and so on."""
    import tensorflow as tf

    if isinstance(value, Mapping) and not any(isinstance(each, (Mapping, list, tuple)) for each in value.values()):
        return {str(name): tf.convert_to_tensor(each) for name, each in sorted(value.items())}
    flat = [tf.convert_to_tensor(each) for each in tf.nest.flatten(value)]
    if len(names) != len(flat):
        names = [f"output_{index}" for index in range(len(flat))]
    return dict(zip(names, flat, strict=True))


def _open_spec(tensor: Any) -> Any:
    """What an input takes, with its first dimension open."""
    import tensorflow as tf

    shape = tensor.shape
    if shape is not None and len(shape):
        shape = [None, *list(shape)[1:]]
    return tf.TensorSpec(shape, tf.as_dtype(tensor.dtype))


def _flatten(structure: Any) -> list[Any]:
    import tensorflow as tf

    found: list[Any] = tf.nest.flatten(structure)
    return found


def _pack(structure: Any, tensors: Sequence[Any]) -> Any:
    import tensorflow as tf

    return tf.nest.pack_sequence_as(structure, list(tensors))


def _owners(model: Any) -> Iterator[Any]:
    """The tables of a model and what else a graph cannot hold; variables are found by the functions that use them."""
    from tensorflow.saved_model.experimental import TrackableResource

    layers = model._flatten_layers() if hasattr(model, "_flatten_layers") else [model]
    for layer in layers:
        for value in list(vars(layer).values()):
            yield from (each for each in _members(value) if isinstance(each, TrackableResource))


def _members(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, (list, tuple)) else (value,)


def _unique(names: Sequence[str]) -> list[str]:
    """The names, each with a number behind it if it came before."""
    seen: dict[str, int] = {}
    made = []
    for name in names:
        count = seen.get(name, 0)
        seen[name] = count + 1
        made.append(f"{name}_{count}" if count else name)
    return made


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__
