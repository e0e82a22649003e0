# SPDX-License-Identifier: Apache-2.0
"""The two interfaces that a manager works with: loaders, and a table of servables."""

from typing import Protocol, TypeVar

S_co = TypeVar("S_co", covariant=True)
S_contra = TypeVar("S_contra", contravariant=True)


class Loader(Protocol[S_co]):
    """Knows how to load one version."""

    def load(self) -> S_co:
        """Loads the version, warm and ready to serve; called on a load thread, again after a failure.

        Raises:
            Exception: Any; `ServingError.wrap` gives it a code.
        """


class ServableTable(Protocol[S_contra]):
    """What answers requests."""

    def publish(self, model: str, version: int, servable: S_contra, /) -> None:
        """Makes a version answer requests at once. Must not block."""

    def retire(self, model: str, version: int, timeout_seconds: float | None = None, /) -> bool:
        """Takes a version out, waits until its last request is done, and frees it. Called on an unload thread."""
