# SPDX-License-Identifier: Apache-2.0
"""The values that an inspection gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Shape = tuple[int | None, ...]
"""The dimensions of a tensor; None is a dimension that is open."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a signature.

    Attributes:
        alias: What requests call it.
        name: What the graph calls it.
        dtype: NumPy's name of the element type; `string` for bytes.
        shape: Its dimensions; None if not even their number is known.
        default: What an input is if a request leaves it out, as nested lists; None if requests must give it.
        encoding: `dense`, `sparse` or `composite`; only dense ones can cross the wire.
    """

    alias: str
    name: str
    dtype: str
    shape: Shape | None
    default: Any = None
    encoding: str = "dense"


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature that the graph takes out of tf.Example messages.

    Attributes:
        name: Its key.
        dtype: `float32`, `int64` or `string`.
        shape: How many values it has, as dimensions; None if any number will do.
        required: Whether an example without it is refused.
    """

    name: str
    dtype: str
    shape: Shape | None
    required: bool


@dataclass(frozen=True, slots=True)
class Batching:
    """Whether requests to a signature may share a run.

    Attributes:
        possible: Whether the signature allows it.
        reason: Why, or why not.
    """

    possible: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Risk:
    """An op that does more than compute, and is run by requests.

    Attributes:
        op: Its type.
        reason: What it does.
    """

    op: str
    reason: str


@dataclass(frozen=True, slots=True)
class Signature:
    """A function of a model that clients may ask.

    Attributes:
        name: What requests call it.
        method: `predict`, `classify`, `regress`, or what the model says if that is neither.
        inputs: By alias.
        outputs: By alias.
        features: What it takes out of tf.Example messages, if it parses any.
        batching: Whether requests may share a run; None if the graph is not known.
        risks: Ops that do more than compute.
    """

    name: str
    method: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    features: tuple[Feature, ...] = ()
    batching: Batching | None = None
    risks: tuple[Risk, ...] = ()


@dataclass(frozen=True, slots=True)
class CustomOp:
    """An op that TensorFlow itself does not have.

    Attributes:
        op: Its type.
        package: The PyPI package that brings it; empty if that is not known.
        installed: Whether a library of an installed package has it.
    """

    op: str
    package: str
    installed: bool


@dataclass(frozen=True, slots=True)
class Variables:
    """What a model has learned.

    Attributes:
        count: Number of variables.
        elements: Number of their elements, by element type.
        size: Their bytes.
    """

    count: int
    elements: Mapping[str, int]
    size: int


@dataclass(frozen=True, slots=True)
class Model:
    """A version of a model.

    Attributes:
        place: Where it lies: a folder, or a URL.
        name: What a server would call it: the name of its base path.
        version: Its number; None if its folder has none.
        versions: All versions beside it.
        signatures: What clients may ask.
        tags: The tag set of each meta graph; the signatures and ops are those of the first that is for serving.
        tensorflow_version: The release that wrote it.
        fingerprint: TensorFlow's checksum of the graph, in hexadecimal digits; empty if there is none.
        files: Size in bytes of each file, by its path in the version's folder.
        assets: Paths of the files that the graph reads.
        variables: What it has learned; None if it has no variables.
        ops: How many nodes of each type what is served has, functions included.
        custom_ops: Ops that TensorFlow does not have. Without them the model cannot be loaded.
        problems: What would keep a server from loading it.
        server: URL of the server that was asked, else empty.
    """

    place: str
    name: str
    version: int | None
    signatures: tuple[Signature, ...]
    versions: tuple[int, ...] = ()
    tags: tuple[tuple[str, ...], ...] = ()
    tensorflow_version: str = ""
    fingerprint: str = ""
    files: Mapping[str, int] = field(default_factory=dict)
    assets: tuple[str, ...] = ()
    variables: Variables | None = None
    ops: Mapping[str, int] = field(default_factory=dict)
    custom_ops: tuple[CustomOp, ...] = ()
    problems: tuple[str, ...] = ()
    server: str = ""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(self.files.values())

    def as_dict(self) -> dict[str, Any]:
        """The same as values that JSON has."""
        return {**dataclasses.asdict(self), "size": self.size}
