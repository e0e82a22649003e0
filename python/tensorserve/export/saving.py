# SPDX-License-Identifier: Apache-2.0
"""Writes signatures as a SavedModel, under the aliases and with the methods that they are to have."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tensorserve.errors import Code, ServingError
from tensorserve.export.signatures import Built

_MODEL = "saved_model.pb"


def save(folder: str, signatures: Mapping[str, Built], traced: Mapping[str, Any]) -> None:
    """Writes a SavedModel.

    Args:
        folder: Where to; it is there, and empty.
        signatures: By name.
        traced: The concrete function of each; see `trace`.

    Raises:
        ServingError: A signature holds what a SavedModel cannot.
        OSError: It cannot be written.
    """
    import tensorflow as tf

    root = tf.Module()
    # Each variable once: TensorFlow writes what it finds by different ways several times.
    root.variables_used = _distinct(variable for function in traced.values() for variable in function.variables)
    root.owners = _distinct(owner for built in signatures.values() for owner in built.owners)
    try:
        with quietly():
            tf.saved_model.save(root, folder, signatures=dict(traced))
    except (tf.errors.OpError, AssertionError, ValueError) as error:
        raise _explained(error) from error
    _name(folder, signatures)


def trace(signatures: Mapping[str, Built]) -> dict[str, Any]:
    """The concrete function of each signature.

    Raises:
        ServingError: The names of the inputs of one cannot be told apart.
    """
    return {name: _trace(name, built) for name, built in signatures.items()}


def _trace(name: str, built: Built) -> Any:
    import tensorflow as tf

    def serve(**tensors: Any) -> Any:
        return {alias: tf.identity(tensor) for alias, tensor in built.call(_by_alias(tensors, built)).items()}

    specs = {_word(alias): tf.TensorSpec(spec.shape, spec.dtype, _word(alias)) for alias, spec in built.inputs.items()}
    if len(specs) != len(built.inputs):
        text = f"the inputs of signature {name} have names that are too much alike: {', '.join(built.inputs)}"
        raise ServingError(Code.INVALID_ARGUMENT, text)
    return tf.function(serve, autograph=False).get_concrete_function(**specs)


def _word(alias: str) -> str:
    """An alias as a name of an argument."""
    word = re.sub(r"\W", "_", alias, flags=re.ASCII)
    return word if word and not word[0].isdigit() else f"_{word}"


def _by_alias(tensors: Mapping[str, Any], built: Built) -> dict[str, Any]:
    return {alias: tensors[_word(alias)] for alias in built.inputs}


def _distinct(objects: Any) -> list[Any]:
    return list({id(each): each for each in objects}.values())


def _name(folder: str, signatures: Mapping[str, Built]) -> None:
    """Gives the signatures what TensorFlow 2 has no argument for: their methods, and aliases that are no words."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    path = os.path.join(folder, _MODEL)
    with open(path, "rb") as file:
        model = SavedModel.FromString(file.read())
    for name, built in signatures.items():
        definition = model.meta_graphs[0].signature_def[name]
        definition.method_name = built.method_name
        for alias in built.inputs:
            if _word(alias) != alias:
                info = definition.inputs[_word(alias)]
                definition.inputs[alias].CopyFrom(info)
                del definition.inputs[_word(alias)]
    with open(path, "wb") as file:
        file.write(model.SerializeToString(deterministic=True))
    _write_fingerprint(folder)


def _write_fingerprint(folder: str) -> None:
    """Brings TensorFlow's checksums up to date with the file."""
    with contextlib.suppress(ImportError, AttributeError, ValueError):
        from tensorflow.python.saved_model import fingerprinting_utils

        fingerprinting_utils.write_fingerprint(folder)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """TensorFlow and Keras print progress that says nothing to whoever exports."""
    import logging

    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


def _explained(error: Exception) -> ServingError:
    text = str(error)
    if "untracked" in text or "Tried to export a function which references" in text:
        advice = (
            "The model uses a variable or table that it does not hold. Make it an attribute of the tf.Module or layer "
            "that uses it, and export that."
        )
        return ServingError(Code.FAILED_PRECONDITION, f"{advice} TensorFlow says: {text}")
    if "No space left" in text or "ResourceExhausted" in type(error).__name__:
        return ServingError(Code.RESOURCE_EXHAUSTED, f"the disk is full: {text}")
    return ServingError(Code.INTERNAL, f"TensorFlow cannot save the model: {text}")


def as_arguments(built: Built, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs by alias as arguments of the traced function."""
    return {_word(alias): inputs[alias] for alias in built.inputs}
