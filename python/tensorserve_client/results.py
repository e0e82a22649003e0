# SPDX-License-Identifier: Apache-2.0
"""What calls give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Prediction(dict[str, Array]):
    """Outputs by alias. Strings are arrays of `bytes` objects.

    Attributes:
        version: Number of the version that answered; None if the server does not tell, as over REST.
    """

    __slots__ = ("version",)

    def __init__(self, outputs: dict[str, Array], version: int | None = None) -> None:
        super().__init__(outputs)
        self.version = version

    def __missing__(self, alias: str) -> Array:
        raise KeyError(f"there is no output {alias!r}; there are {', '.join(sorted(self)) or 'none'}")


class Scored(NamedTuple):
    """One class and its score; a class without a label has the empty text."""

    label: str
    score: float


Classification = list[list[Scored]]
"""The classes of each Example, in the order of the Examples."""


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """The state of a version.

    Attributes:
        version: Its number.
        state: START, LOADING, AVAILABLE, UNLOADING or END.
        code: Name of the canonical code of what went wrong; `OK` if nothing did.
        message: What went wrong.
    """

    version: int
    state: str
    code: str = "OK"
    message: str = ""

    @property
    def available(self) -> bool:
        """Whether it answers requests."""
        return self.state == "AVAILABLE"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a signature.

    Attributes:
        name: Its name in the graph, such as `x:0`.
        dtype: NumPy's type of its elements, `object` for strings; None for types that NumPy does not have.
        dtype_name: TensorFlow's name of the type, such as `DT_FLOAT`.
        shape: Its dimensions, -1 for those that are open; None if even their number is.
    """

    name: str
    dtype: np.dtype[Any] | None
    dtype_name: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature of a model.

    Attributes:
        method: Its method name, such as `tensorflow/serving/predict`.
        inputs: Its inputs by alias.
        outputs: Its outputs by alias.
    """

    method: str
    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a model's version says of itself.

    Attributes:
        model: Its name.
        version: Number of the version.
        signatures: Its signatures by name.
    """

    model: str
    version: int | None
    signatures: dict[str, Signature]
