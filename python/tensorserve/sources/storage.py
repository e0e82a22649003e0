# SPDX-License-Identifier: Apache-2.0
"""What a kind of storage is: a file system, or an object store."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tensorserve.types import ModelConfig


@dataclass(frozen=True, slots=True)
class VersionListing:
    """What lies under a base path.

    Attributes:
        paths: Directory by version.
        warnings: What an operator should know about it.
        names: Everything that was found, in the storage's order.
    """

    paths: Mapping[int, str]
    warnings: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


class Completeness(enum.Enum):
    """How much of a version is there.

    WHOLE: Everything, each file proven by its format, or there is nothing to wait for. UNPROVEN: Everything, but of
    some files only time can tell whether they are finished. UNRECOGNIZED: None of the files that make a model.
    HALF: Something that the model needs is missing or too short.
    """

    WHOLE = enum.auto()
    UNPROVEN = enum.auto()
    UNRECOGNIZED = enum.auto()
    HALF = enum.auto()


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a look into a version's directory says.

    Attributes:
        completeness: How much is there.
        reason: What is missing; empty if nothing is.
        contents: Compares equal as long as nothing in the directory changes.
        last_change: When something in it changed last, in seconds since the epoch, by the storage's clock.
    """

    completeness: Completeness
    reason: str = ""
    contents: object = field(default=None, repr=False)
    last_change: float = 0.0


class Storage(Protocol):
    """Where versions lie. Called from several threads, and may hang."""

    def list_versions(self, config: ModelConfig, known: VersionListing | None = None) -> VersionListing:
        """Lists the versions of a model.

        Args:
            config: The model.
            known: What was there before; given back, the same object, if nothing has changed.

        Raises:
            ServingError: The base path is missing or cannot be read.
        """

    def inspect(self, config: ModelConfig, path: str) -> Inspection:
        """Looks into the directory of a version.

        Raises:
            OSError: It cannot be read.
            ServingError: The same.
        """
