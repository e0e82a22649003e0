# SPDX-License-Identifier: Apache-2.0
"""How far one model is on its way to its first version that answers."""

import enum
from collections.abc import Iterable, Iterator, Mapping

from tensorserve.errors import ServingError
from tensorserve.lifecycle.events import (
    Event,
    LoadAttemptFailed,
    SourceProblem,
    StateChange,
    VersionsAspired,
    VersionsIncomplete,
)
from tensorserve.types import ServableId, VersionState


class Progress(enum.Enum):
    """What can be said of a model.

    PENDING: Something is still to come. EMPTY: There is no version to load. FAILED: The base path cannot be read, or
    the first attempt to load each version failed. AVAILABLE: It answers, and no version is on its first attempt.
    """

    PENDING = enum.auto()
    EMPTY = enum.auto()
    FAILED = enum.auto()
    AVAILABLE = enum.auto()


class ModelStart:
    """What the events say of one model.

    Attributes:
        name: Which model.
        incomplete: Why versions are not aspired, by number.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.incomplete: Mapping[int, str] = {}
        self._aspired: frozenset[int] | None = None
        self._problem: ServingError | None = None
        self._outcomes: dict[int, ServingError | None] = {}

    def take_in(self, event: Event) -> None:
        """Takes in an event of this model."""
        if isinstance(event, VersionsAspired):
            self._aspired = event.versions
            self._problem = None
        elif isinstance(event, SourceProblem):
            self._problem = event.error
        elif isinstance(event, VersionsIncomplete):
            self.incomplete = event.reasons
        elif isinstance(event, LoadAttemptFailed):
            self._outcomes[event.id.version] = event.error
        elif isinstance(event, StateChange):
            self._take_in_state(event)

    def progress(self) -> Progress:
        if self._aspired is None:
            return Progress.PENDING if self._problem is None else Progress.FAILED
        outcomes = [self._outcomes[version] for version in self._aspired if version in self._outcomes]
        if len(outcomes) < len(self._aspired):
            return Progress.PENDING
        if not self._aspired:
            return Progress.EMPTY
        return Progress.AVAILABLE if None in outcomes else Progress.FAILED

    def has_available(self) -> bool:
        return None in self._outcomes.values()

    def base_path_problem(self) -> ServingError | None:
        """Why there are no versions at all, if the base path cannot be read."""
        return None if self._outcomes else self._problem

    def reason(self) -> str:
        """Why the model does not answer; its highest version speaks for it."""
        failed = [(version, error) for version, error in self._outcomes.items() if error is not None]
        for version, error in sorted(failed, key=lambda item: item[0], reverse=True):
            return f"{ServableId(self.name, version)} due to error: {error}"
        for version in sorted(self.incomplete, reverse=True):
            return f"{ServableId(self.name, version)} due to error: FAILED_PRECONDITION: {self.incomplete[version]}"
        return f"{{name: {self.name}}} due to error: {self._problem or 'NOT_FOUND: no version was found'}"

    def _take_in_state(self, change: StateChange) -> None:
        version = change.id.version
        if change.state is VersionState.AVAILABLE or (change.state is VersionState.END and change.error):
            self._outcomes[version] = change.error
        elif change.state in (VersionState.UNLOADING, VersionState.END):
            self._outcomes.pop(version, None)


class ModelStarts:
    """The same of several models.

    Args:
        names: Which models; events of others are ignored.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._starts = {name: ModelStart(name) for name in names}

    def take_in(self, event: Event) -> bool:
        """Takes in an event; False if it is of no model that is followed."""
        name = event.id.name if isinstance(event, (StateChange, LoadAttemptFailed)) else event.model
        start = self._starts.get(name)
        if start is None:
            return False
        start.take_in(event)
        return True

    def all(self) -> list[ModelStart]:
        return list(self._starts.values())

    def having(self, *progress: Progress) -> Iterator[ModelStart]:
        """Those that are that far."""
        return (start for start in self._starts.values() if start.progress() in progress)

    def any_has(self, *progress: Progress) -> bool:
        """Whether one is that far; looks no further than the first."""
        return next(self.having(*progress), None) is not None
