# SPDX-License-Identifier: Apache-2.0
"""What a runtime is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from tensorserve.config.flags import ServerOptions
from tensorserve.config.model_settings import ModelSettings
from tensorserve.lifecycle.loader import Loader

if TYPE_CHECKING:
    from tensorserve._core import Servable


class Runtime(Protocol):
    """Computes the models of one platform."""

    def loader(self, path: str) -> Loader[Servable]:
        """Gives what loads the version in a directory. Must be quick: nothing is read yet."""


@runtime_checkable
class Tunable(Protocol):
    """A runtime that loads models by settings of their own."""

    def loader_with(self, path: str, settings: ModelSettings) -> Loader[Servable]:
        """As `Runtime.loader`, for a model with these settings."""


@runtime_checkable
class Refreshable(Protocol):
    """A runtime whose options can change while it is in use."""

    def refresh(self, options: ServerOptions) -> None:
        """Reads the files that the flags name again; what they say counts for versions that are loaded from now on.

        Raises:
            ServingError: A file cannot be used; then nothing has changed.
        """
