# SPDX-License-Identifier: Apache-2.0
"""What is asked of a server, before it is written for a protocol.

`grpc_codec` and `rest_codec` write each of these and read its answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from tensorserve_client.examples import Example
from tensorserve_client.results import Array, Signature


@dataclass(frozen=True, slots=True)
class Spec:
    """Which model, version and signature."""

    model: str
    version: int | None = None
    label: str = ""
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Predict:
    """Gives a `Prediction`. `known` is the signature, where the protocol needs it to read the answer."""

    spec: Spec
    inputs: Mapping[str, Array]
    outputs: Sequence[str] = ()
    known: Signature | None = None
    question: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Classify:
    """Gives a `Classification`."""

    spec: Spec
    examples: Sequence[Example]
    context: Example | None = None
    question: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Regress:
    """Gives an array of a number for each Example."""

    spec: Spec
    examples: Sequence[Example]
    context: Example | None = None
    question: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class MultiInference:
    """Several signatures on the same Examples; gives a list of what `Classify` and `Regress` give."""

    spec: Spec
    examples: Sequence[Example]
    tasks: Mapping[str, str]
    context: Example | None = None
    question: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Status:
    """Gives a list of `VersionStatus`."""

    spec: Spec
    question: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class GetMetadata:
    """Gives a `Metadata`."""

    spec: Spec
    question: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Reload:
    """Replaces the list of models; `config` is a serialized `ModelServerConfig`. Gives None."""

    config: bytes
    question: ClassVar[bool] = True  # Asking for the same list twice changes nothing the second time.


Verb = Predict | Classify | Regress | MultiInference | Status | GetMetadata | Reload
