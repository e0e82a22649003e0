# SPDX-License-Identifier: Apache-2.0
"""What a source is."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from tensorserve.errors import ServingError
from tensorserve.types import AspiredVersion, ModelConfig


class SourceListener(Protocol):
    """Who is told what a source found. Called from threads of the source, one call at a time for each model.

    Must not block for long.
    """

    def aspire(self, model: str, versions: tuple[AspiredVersion, ...]) -> None:
        """The complete list of versions of `model` that should be served from now on; may be empty."""

    def report_problem(self, model: str, error: ServingError) -> None:
        """The versions of `model` could not be listed; what was aspired before stays."""

    def report_incomplete(self, model: str, reasons: Mapping[int, str]) -> None:
        """The complete list of versions that are there but not aspired, since files are missing; may be empty.

        Told when it changes, and before `aspire`.
        """

    def report_left_out(self, model: str, versions: frozenset[int]) -> None:
        """The complete list of versions that are newer than those that the policy names; told when it changes."""


class Source(Protocol):
    """Finds versions and tells a listener."""

    def start(self) -> None:
        """Begins to tell the listener. Raises ServingError (RESOURCE_EXHAUSTED): there is no thread for it."""

    def update(self, models: Sequence[ModelConfig]) -> None:
        """Watches these models from now on instead of those before. Works at any time, also before `start`.

        An added model is looked at at once, even when there is no regular polling. For a removed one the listener is
        told an empty list before this returns, and nothing after that. A changed base path or policy is looked at at
        once; what was aspired before stays until then.
        """

    def poll_now(self) -> None:
        """Looks at every model soon, also when there is no regular polling; returns at once."""

    def stop(self) -> None:
        """Tells the listener nothing any more once this returns."""
