# SPDX-License-Identifier: Apache-2.0
"""What a model computes: named tensors in, named tensors out."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tensorserve.errors import Code, ServingError
from tensorserve.sources.completeness import SAVED_MODEL

_KERAS_FILES = (".keras", ".h5", ".hdf5")

Tensors = Mapping[str, Any]
"""TensorFlow tensors by name."""


@dataclass(frozen=True, slots=True)
class Computation:
    """A function of tensors, with whatever it needs kept alive.

    Attributes:
        inputs: `tf.TensorSpec` of each input, by the model's own name, in order.
        outputs: The model's own names of the outputs, in order; empty if they are known only once it has run.
        call: Computes the outputs, by name.
        owners: Trackable objects that hold variables, tables and assets.
    """

    inputs: Mapping[str, Any]
    outputs: tuple[str, ...]
    call: Callable[[Tensors], Tensors]
    owners: tuple[Any, ...] = ()


class Model:
    """A trained model of any kind.

    Args:
        given: A Keras model (Keras 3 or tf-keras), a `tf.Module`, a `tf.function`, a Python function of tensors, or a
            path: a `.keras` or `.h5` file, or the folder of a SavedModel.
        specs: `tf.TensorSpec` of the inputs by name, where the caller says so.
        samples: The same by the caller's samples, for a model that does not know its own.

    Raises:
        ServingError: It cannot be read, or is nothing that can be exported.
    """

    def __init__(self, given: Any, specs: Mapping[str, Any], samples: Mapping[str, Any]) -> None:
        self._given = _load(given) if isinstance(given, (str, os.PathLike)) else given
        self._specs = dict(specs)
        self._samples = dict(samples)
        self._computations: dict[str, Computation] = {}

    def computation(self, function: str = "") -> Computation:
        """What the model computes.

        Args:
            function: Name of a signature of a SavedModel, or of a method of a `tf.Module`; empty for the default one.

        Raises:
            ServingError: There is no such function, or its inputs are not known.
        """
        if function not in self._computations:
            self._computations[function] = self._make(function)
        return self._computations[function]

    def left_out(self, functions: Collection[str]) -> tuple[str, ...]:
        """The signatures of a SavedModel that none of these functions is; the default one is an empty name."""
        from tensorserve.export.functions import default_signature

        names = () if self._specs else tuple(sorted(getattr(self._given, "signatures", None) or ()))
        used = {function or default_signature(names) for function in functions} if names else set()
        return tuple(name for name in names if name not in used)

    def replace(self, function: str, computation: Computation) -> None:
        """Puts another computation in the place of one, such as its quantized form."""
        self._computations[function] = computation

    def _make(self, function: str) -> Computation:
        from tensorserve.export import functions, keras_models

        if keras_models.is_keras_model(self._given):
            if function:
                raise ServingError(Code.INVALID_ARGUMENT, f"a Keras model has no function {function}; leave it out")
            return keras_models.computation(self._given, self._specs, self._samples)
        return functions.computation(self._given, self._specs, self._samples, function)


def _load(path: str | os.PathLike[str]) -> Any:
    from tensorserve.export import functions, keras_models

    name = os.fspath(path)
    if os.path.isdir(name):
        return functions.load_saved_model(name)
    if not os.path.exists(name):
        raise ServingError(Code.NOT_FOUND, f"{name}; No such file or directory")
    if os.path.basename(name) == SAVED_MODEL:
        return functions.load_saved_model(os.path.dirname(os.path.abspath(name)))
    if not name.endswith(_KERAS_FILES):
        text = f"{name} is neither a {', '.join(_KERAS_FILES)} file of Keras nor the folder of a SavedModel"
        raise ServingError(Code.INVALID_ARGUMENT, text)
    return keras_models.load(name)


def names_of(kind: str, given: Mapping[str, Any] | Sequence[str] | None, known: Sequence[str]) -> dict[str, str]:
    """The model's own name for each alias.

    Args:
        kind: `input` or `output`, for messages.
        given: Names by alias, some of the model's own names, aliases in the model's order, or None for all its own
            names.
        known: The model's own names, in order.

    Raises:
        ServingError: INVALID_ARGUMENT, a name is unknown, used twice, or one is missing.
    """
    there = f"the model's {kind}s are: {', '.join(known)}"
    if given is None:
        return {name: name for name in known}
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, Mapping) and all(name in known for name in given):
        given = {name: name for name in given}
    if not isinstance(given, Mapping):
        if len(given) != len(known):
            text = f"{len(given)} names were given for {len(known)} {kind}s; {there}"
            raise ServingError(Code.INVALID_ARGUMENT, text)
        given = dict(zip(given, known, strict=True))
    names: dict[str, str] = {}
    for position, (alias, value) in enumerate(given.items()):
        # Where specs are given instead of names, their order says which is which.
        name = _found(value, known) if isinstance(value, str) else known[position] if position < len(known) else None
        if name is None:
            raise ServingError(Code.INVALID_ARGUMENT, f"there is no {kind} {value}; {there}")
        if name in names.values():
            raise ServingError(Code.INVALID_ARGUMENT, f"{kind} {name} was given two names")
        names[alias] = name
    missing = [name for name in known if name not in names.values()]
    if kind == "input" and missing:
        raise ServingError(Code.INVALID_ARGUMENT, f"input {missing[0]} has no name; {there}")
    return names


def _found(name: str, known: Sequence[str]) -> str | None:
    """The known name that is meant; `:0` may follow, as graphs write it."""
    return next((each for each in (name, name.removesuffix(":0")) if each in known), None)
