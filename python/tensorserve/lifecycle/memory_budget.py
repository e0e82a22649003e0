# SPDX-License-Identifier: Apache-2.0
"""Keeps the estimated memory of all versions within a limit.

A version is loaded once memory was reserved for it. `decide` says from plain numbers what a load has to do;
`MemoryBudget` keeps the numbers. It is a subscriber of the event bus, from which it learns that a version is leaving
and that it is gone.
"""

import enum
import os
import threading
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from tensorserve.errors import Code, ServingError
from tensorserve.lifecycle.events import Event, StateChange
from tensorserve.lifecycle.loader import Loader
from tensorserve.types import ServableId, VersionState

S = TypeVar("S")

# TensorFlow Serving's estimate: a loaded model takes a fifth more than its files.
_MEMORY_PER_FILE_BYTE = 1.2


class Phase(enum.Enum):
    """Whether a reservation is there to stay."""

    LOADING = "loading"
    LOADED = "loaded"
    LEAVING = "leaving"


@dataclass(frozen=True, slots=True)
class Reservation:
    """Memory that belongs to a version.

    Attributes:
        id: Which version.
        byte_count: How much, by the estimate.
        phase: Only a loaded version keeps it for certain; a load may fail, and a leaving version gives it back.
    """

    id: ServableId
    byte_count: int
    phase: Phase


class Verdict(enum.Enum):
    """What a load has to do."""

    GRANT = "grant"
    WAIT = "wait"
    REFUSE = "refuse"


def decide(needed: int, limit: int, others: Collection[Reservation]) -> Verdict:
    """Whether a load that needs `needed` bytes may start.

    It waits if it would fit once the loads and unloads under way have ended and left nothing behind, and is refused if
    it would not fit even then.
    """
    if needed + sum(other.byte_count for other in others) <= limit:
        return Verdict.GRANT
    lasting = sum(other.byte_count for other in others if other.phase is Phase.LOADED)
    return Verdict.WAIT if needed + lasting <= limit else Verdict.REFUSE


def file_bytes(version_directory: str) -> int:
    """The size of all files under a version's directory.

    Raises:
        OSError: A directory cannot be read.
    """
    total = 0
    for folder, _folders, files in os.walk(version_directory, onerror=_raise):
        total += sum(os.stat(os.path.join(folder, file)).st_size for file in files)
    return total


def estimate_bytes(version_directory: str) -> int:
    """What a loaded version takes, judged by all files under its directory.

    Raises:
        OSError: A directory cannot be read.
    """
    return int(file_bytes(version_directory) * _MEMORY_PER_FILE_BYTE)


class MemoryBudget:
    """The reservations of all versions. Any thread may call it.

    Args:
        limit_bytes: Most bytes that may be reserved; 0 means no limit.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._reservations: dict[ServableId, Reservation] = {}
        self._changed = threading.Condition()

    def loader(self, id: ServableId, version_directory: str, loader: Loader[S]) -> Loader[S]:
        """A loader that first reserves what the version is estimated to take."""
        return _BudgetedLoader(self, id, version_directory, loader) if self._limit else loader

    def reserve(self, id: ServableId, byte_count: int) -> None:
        """Reserves memory for a load, and waits for loads and unloads under way if they may make room.

        Raises:
            ServingError: RESOURCE_EXHAUSTED if there will be no room.
        """
        with self._changed:
            self._reservations.pop(id, None)
            while (verdict := decide(byte_count, self._limit, self._reservations.values())) is Verdict.WAIT:
                self._changed.wait()
            if verdict is Verdict.REFUSE:
                raise self._refusal(id, byte_count)
            self._reservations[id] = Reservation(id, byte_count, Phase.LOADING)

    def release(self, id: ServableId) -> None:
        """Gives back what a version had reserved, if anything."""
        with self._changed:
            self._reservations.pop(id, None)
            self._changed.notify_all()

    def keep(self, id: ServableId) -> None:
        """The version was loaded: its reservation stays."""
        self._enter(id, Phase.LOADED)

    def reserved_bytes(self) -> int:
        """What all versions together have reserved."""
        with self._changed:
            return sum(reservation.byte_count for reservation in self._reservations.values())

    def __call__(self, event: Event) -> None:
        if isinstance(event, StateChange) and event.state is VersionState.UNLOADING:
            self._enter(event.id, Phase.LEAVING)
        elif isinstance(event, StateChange) and event.state is VersionState.END:
            self.release(event.id)

    def _enter(self, id: ServableId, phase: Phase) -> None:
        with self._changed:
            if id in self._reservations:
                self._reservations[id] = replace(self._reservations[id], phase=phase)
                self._changed.notify_all()

    def _refusal(self, id: ServableId, needed: int) -> ServingError:
        """Called with the lock held."""
        in_use = sum(reservation.byte_count for reservation in self._reservations.values())
        text = (
            f"Insufficient resources to load servable {id}: it needs {_megabytes(needed)}, and "
            f"{_megabytes(in_use)} of {_megabytes(self._limit)} (--model_memory_limit_mb) are in use. "
        )
        own = sum(r.byte_count for r in self._reservations.values() if r.id.name == id.name)
        if own and needed + in_use - own <= self._limit:
            text += (
                f"It would fit without the versions of {id.name} that are loaded, which take {_megabytes(own)} and "
                "stay until the new one answers; --version_transition_policy=resource_preserving unloads them first, "
                "and the model does not answer in between."
            )
        else:
            text += "Raise the limit, or serve fewer models or versions."
        return ServingError(Code.RESOURCE_EXHAUSTED, text)


@dataclass(frozen=True, slots=True)
class _BudgetedLoader(Generic[S]):
    budget: MemoryBudget
    id: ServableId
    version_directory: str
    loader: Loader[S]

    def load(self) -> S:
        self.budget.reserve(self.id, estimate_bytes(self.version_directory))
        try:
            servable = self.loader.load()
        except BaseException:
            self.budget.release(self.id)
            raise
        self.budget.keep(self.id)
        return servable


def _raise(error: OSError) -> None:
    raise error


def _megabytes(byte_count: int) -> str:
    return f"{byte_count / 1e6:,.1f} MB"
