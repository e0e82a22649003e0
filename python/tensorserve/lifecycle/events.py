# SPDX-License-Identifier: Apache-2.0
"""What happens to versions, told to whoever wants to know."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tensorserve.errors import ServingError
from tensorserve.types import ServableId, VersionState

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StateChange:
    """A version reached a state; at END, `error` says why if it did not end by being unloaded."""

    id: ServableId
    state: VersionState
    error: ServingError | None = None


@dataclass(frozen=True, slots=True)
class LoadAttemptFailed:
    """An attempt to load a version failed and will be repeated; `attempt` counts from 1."""

    id: ServableId
    attempt: int
    error: ServingError


@dataclass(frozen=True, slots=True)
class VersionsAspired:
    """The manager has taken in the complete set of versions to serve of a model."""

    model: str
    versions: frozenset[int]


@dataclass(frozen=True, slots=True)
class SourceProblem:
    """The versions of a model could not be found out."""

    model: str
    error: ServingError


@dataclass(frozen=True, slots=True)
class VersionsIncomplete:
    """Why versions of a model that lie in its base path are not aspired yet: the complete list, empty when all are."""

    model: str
    reasons: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class VersionsLeftOut:
    """Newer versions of a model than those that its policy names: the complete list, empty when there are none."""

    model: str
    versions: frozenset[int]


Event = StateChange | LoadAttemptFailed | VersionsAspired | SourceProblem | VersionsIncomplete | VersionsLeftOut
Subscriber = Callable[[Event], None]


class EventBus:
    """Hands every event to every subscriber, in the order of subscription, in the thread that publishes it.

    Events of one model's versions come in the order in which they happened. Subscribers must be quick.
    """

    def __init__(self) -> None:
        self._subscribers: tuple[Subscriber, ...] = ()
        self._lock = threading.Lock()

    def subscribe(self, subscriber: Subscriber) -> None:
        with self._lock:
            self._subscribers = (*self._subscribers, subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """An event that is being published now may still come."""
        with self._lock:
            self._subscribers = tuple(other for other in self._subscribers if other is not subscriber)

    def publish(self, event: Event) -> None:
        for subscriber in self._subscribers:
            try:
                subscriber(event)
            except BaseException:  # A panic in Rust is no Exception.
                logger.exception("A subscriber failed on %s", event)
