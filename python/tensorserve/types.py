# SPDX-License-Identifier: Apache-2.0
"""Frozen value types that every part of the control plane shares."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

TENSORFLOW_PLATFORM = "tensorflow"


class VersionState(enum.IntEnum):
    """What a version is doing; the numbers are those of `ModelVersionStatus.State` on the wire."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True, slots=True, order=True)
class ServableId:
    """One version of one model."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{{name: {self.name} version: {self.version}}}"


@dataclass(frozen=True, slots=True)
class AspiredVersion:
    """A version that should be served, and the directory that holds it."""

    id: ServableId
    path: str


@dataclass(frozen=True, slots=True)
class Latest:
    """Serve the `num_versions` highest versions."""

    num_versions: int = 1

    def __str__(self) -> str:
        return f"latest:{self.num_versions}"


@dataclass(frozen=True, slots=True)
class All:
    """Serve every version."""

    def __str__(self) -> str:
        return "all"


@dataclass(frozen=True, slots=True)
class Specific:
    """Serve exactly these versions, as far as they exist."""

    versions: tuple[int, ...]

    def __str__(self) -> str:
        return f"specific:{','.join(map(str, self.versions))}"


VersionPolicy = Latest | All | Specific


@dataclass(frozen=True, slots=True)
class LoggingConfig:
    """Which requests of a model are logged, and where.

    Attributes:
        collector_type: What keeps the records; empty means TFRecord files.
        filename_prefix: Where it keeps them; for files the first part of their names.
        sampling_rate: Share of the requests that is logged, from 0 to 1.
    """

    collector_type: str = ""
    filename_prefix: str = ""
    sampling_rate: float = 0.0


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A model to serve.

    Attributes:
        name: What clients call it.
        base_path: Directory whose numbered sub-directories are its versions; absolute, or a URI.
        platform: Which runtime loads it.
        policy: Which of its versions to serve.
        version_labels: Names for versions, such as `stable` and `canary`.
        logging_config: How its requests are logged; None means not at all.
    """

    name: str
    base_path: str
    platform: str = TENSORFLOW_PLATFORM
    policy: VersionPolicy = Latest()
    version_labels: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    logging_config: LoggingConfig | None = None
