# SPDX-License-Identifier: Apache-2.0
"""What the events tell of each model, for people: states, reasons, attempts and times."""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from tensorserve.errors import ServingError
from tensorserve.lifecycle.events import (
    Event,
    LoadAttemptFailed,
    SourceProblem,
    StateChange,
    VersionsAspired,
    VersionsIncomplete,
    VersionsLeftOut,
)
from tensorserve.types import VersionState

# Versions that were unloaded, of each model; those that failed are kept as long as they are wanted.
_MAX_ENDED = 20

# How often a wait asks whether anybody still waits for it.
_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class VersionReport:
    """One version of a model.

    Attributes:
        version: Its number.
        state: Its state.
        since: When it entered that state, in seconds since 1970.
        attempts: How many attempts to load it were begun.
        error: Why the last attempt failed, or why it ended.
    """

    version: int
    state: VersionState
    since: float
    attempts: int = 0
    error: ServingError | None = None


@dataclass(frozen=True, slots=True)
class ModelState:
    """What is known of a model.

    Attributes:
        versions: Its versions, the highest first.
        aspired: The versions that it should serve; None while that is not known.
        incomplete: Why versions that lie in its base path are not loaded.
        problem: Why its base path cannot be read.
        left_out: Versions that are newer than those that its policy names.
    """

    versions: tuple[VersionReport, ...] = ()
    aspired: frozenset[int] | None = None
    incomplete: Mapping[int, str] = field(default_factory=dict)
    problem: ServingError | None = None
    left_out: frozenset[int] = frozenset()

    @property
    def is_ready(self) -> bool:
        """Whether a version answers."""
        return any(version.state is VersionState.AVAILABLE for version in self.versions)

    @property
    def is_gone(self) -> bool:
        """Whether nothing of it is loaded or wanted."""
        return not self.aspired and all(version.state is VersionState.END for version in self.versions)

    def is_decided(self, version: int, after: float) -> bool:
        """Whether a version answers, or an attempt to load it has failed after a time in seconds since 1970."""
        found = self._find(version)
        if found is None:
            return False
        return found.state is VersionState.AVAILABLE or (found.error is not None and found.since >= after)

    def is_settled(self, versions: Collection[int], after: float) -> bool:
        """Whether each of these versions is decided (see `is_decided`) or, for a reason, not wanted yet."""
        wanted = frozenset(versions) - self.incomplete.keys()
        return wanted <= (self.aspired or frozenset()) and all(self.is_decided(version, after) for version in wanted)

    def has_ended(self, version: int) -> bool:
        """Whether a version is neither wanted nor loaded any more."""
        found = self._find(version)
        return version not in (self.aspired or ()) and (found is None or found.state is VersionState.END)

    def error_of(self, version: int) -> ServingError | None:
        """Why a version does not answer."""
        found = self._find(version)
        return None if found is None else found.error

    def _find(self, version: int) -> VersionReport | None:
        return next((report for report in self.versions if report.version == version), None)


class _Model:
    def __init__(self) -> None:
        self.versions: dict[int, VersionReport] = {}
        self.aspired: frozenset[int] | None = None
        self.incomplete: Mapping[int, str] = {}
        self.problem: ServingError | None = None
        self.left_out: frozenset[int] = frozenset()

    def snapshot(self) -> ModelState:
        versions = tuple(self.versions[number] for number in sorted(self.versions, reverse=True))
        return ModelState(versions, self.aspired, dict(self.incomplete), self.problem, self.left_out)

    def attempts(self, number: int) -> int:
        version = self.versions.get(number)
        return version.attempts if version else 0

    def enter(self, change: StateChange) -> None:
        number, before = change.id.version, self.versions.get(change.id.version)
        attempts = 0 if before is None or change.state is VersionState.START else before.attempts
        self.versions[number] = VersionReport(
            number, change.state, time.time(), attempts + _begun(before, change), change.error
        )
        if change.state is VersionState.END:
            self._forget_oldest()

    def fail(self, event: LoadAttemptFailed) -> None:
        before = self.versions.get(event.id.version)
        since = before.since if before else time.time()
        number = event.id.version
        self.versions[number] = VersionReport(number, VersionState.LOADING, since, event.attempt, event.error)

    def _forget_oldest(self) -> None:
        ended = [v for v in self.versions.values() if v.state is VersionState.END and v.error is None]
        for version in sorted(ended, key=lambda v: v.since)[:-_MAX_ENDED]:
            del self.versions[version.version]


def _begun(before: VersionReport | None, change: StateChange) -> int:
    """How many attempts to load a state change tells of; one that is repeated tells of itself when it ends."""
    if change.state is VersionState.LOADING:
        return 1
    repeated = before is not None and before.state is VersionState.LOADING and before.error is not None
    is_outcome = change.state is VersionState.AVAILABLE or change.error is not None
    return 1 if repeated and is_outcome and before is not None and change.error is not before.error else 0


class ModelStates:
    """Keeps what the events tell; subscribe it to the bus."""

    def __init__(self) -> None:
        self._models: dict[str, _Model] = {}
        self._changed = threading.Condition()
        self._load_attempts = 0

    def __call__(self, event: Event) -> None:
        """Takes in one event of the bus."""
        name = event.id.name if isinstance(event, (StateChange, LoadAttemptFailed)) else event.model
        with self._changed:
            model = self._models.setdefault(name, _Model())
            if isinstance(event, (StateChange, LoadAttemptFailed)):
                before = model.attempts(event.id.version)
                model.enter(event) if isinstance(event, StateChange) else model.fail(event)
                self._load_attempts += max(model.attempts(event.id.version) - before, 0)
            elif isinstance(event, VersionsAspired):
                model.aspired, model.problem = event.versions, None
            elif isinstance(event, SourceProblem):
                model.problem = event.error
            elif isinstance(event, VersionsIncomplete):
                model.incomplete = event.reasons
            elif isinstance(event, VersionsLeftOut):
                model.left_out = event.versions
            self._changed.notify_all()

    @property
    def load_attempts(self) -> int:
        """How many attempts to load a version were made, by all models ever."""
        return self._load_attempts

    def get(self, model: str) -> ModelState:
        """What is known of a model; nothing, if there is no such model."""
        with self._changed:
            found = self._models.get(model)
            return found.snapshot() if found else ModelState()

    def wait(
        self,
        condition: Callable[[], bool],
        timeout_seconds: float | None = None,
        is_awaited: Callable[[], bool] = lambda: True,
    ) -> bool:
        """Waits until a condition on states holds.

        Args:
            condition: Looks at states by `get`.
            timeout_seconds: How long; None means for ever.
            is_awaited: Asked now and then; the wait ends when it says no.

        Returns:
            Whether the condition holds.
        """
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while is_awaited():
            left = _LOOK_SECONDS if deadline is None else min(deadline - time.monotonic(), _LOOK_SECONDS)
            with self._changed:
                if self._changed.wait_for(condition, max(left, 0.0)):
                    return True
            if left <= 0:
                return False
        return False
