# SPDX-License-Identifier: Apache-2.0
"""The state of one version. Belongs to the manager's thread."""

from typing import Generic, TypeVar

from tensorserve.errors import ServingError
from tensorserve.lifecycle.loader import Loader
from tensorserve.lifecycle.version_policy import Stage, VersionSnapshot
from tensorserve.types import ServableId

S = TypeVar("S")

_NEXT = {
    Stage.NEW: (Stage.LOADING, Stage.DISABLED),
    Stage.LOADING: (Stage.READY, Stage.ERROR, Stage.DISABLED, Stage.NEW),
    Stage.READY: (Stage.UNLOADING,),
    Stage.UNLOADING: (Stage.DISABLED,),
    Stage.ERROR: (Stage.DISABLED,),
    Stage.DISABLED: (),
}


class Harness(Generic[S]):
    """One version on its way from new to disabled.

    ```
    NEW -> LOADING -> READY -> UNLOADING -> DISABLED
     ^------' `-> ERROR ------------------------^
    ```

    It goes back to NEW when it was not aspired at the moment when its load should have begun, and is again now.

    Attributes:
        id: Which version.
        loader: Loads it; replaced when the version is aspired again while it is on its way out.
        stage: Where it is.
        aspired: Whether it should be served.
        failures: How many attempts to load it have failed.
        error: Why the last attempt failed.
        waiting: Whether it waits for its next attempt.
    """

    __slots__ = ("aspired", "error", "failures", "id", "loader", "stage", "waiting")

    def __init__(self, id: ServableId, loader: Loader[S]) -> None:
        self.id = id
        self.loader = loader
        self.stage = Stage.NEW
        self.aspired = True
        self.failures = 0
        self.error: ServingError | None = None
        self.waiting = False

    def enter(self, stage: Stage) -> None:
        """Moves on.

        Raises:
            AssertionError: `stage` does not follow the present one.
        """
        if stage not in _NEXT[self.stage]:
            raise AssertionError(f"{self.id} cannot go from {self.stage.value} to {stage.value}")
        self.stage = stage

    def fail(self, error: ServingError) -> None:
        """Counts a failed attempt; the version stays LOADING."""
        self.failures += 1
        self.error = error

    def snapshot(self) -> VersionSnapshot:
        """What a policy needs to know."""
        return VersionSnapshot(self.id.version, self.stage, self.aspired)
