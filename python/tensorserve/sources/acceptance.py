# SPDX-License-Identifier: Apache-2.0
"""Decides which of a model's versions are complete enough to be served."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tensorserve.errors import Code, ServingError
from tensorserve.sources.storage import Completeness, Inspection, Storage
from tensorserve.sources.version_selection import select_versions
from tensorserve.types import ModelConfig

# How long a directory must not have changed until it is believed to be what its publisher meant. After that a load
# says what is wrong with it. Half a model is never believed.
QUIET_SECONDS = {
    Completeness.WHOLE: 0.0,
    Completeness.UNPROVEN: 1.0,
    Completeness.UNRECOGNIZED: 5.0,
}
# The storage's clock may be behind ours.
CLOCK_SKEW_SECONDS = 2.0
_COMPLETED = "it was completed after it had been loaded, and is loaded anew"


@dataclass(frozen=True, slots=True)
class Selection:
    """What to serve of what is there.

    Attributes:
        versions: The versions to serve.
        reasons: Why each other version that would be served is not.
        is_final: Whether it stays as long as the same versions are there.
    """

    versions: frozenset[int]
    reasons: Mapping[int, str]
    is_final: bool


@dataclass(frozen=True, slots=True)
class _Memory:
    """What is remembered of a version.

    Attributes:
        path: Where it lies.
        contents: What was there at the last look.
        since: Since when it has not changed, by the monotonic clock.
        accepted: Whether it may be served.
        doubtful: Whether something was missing when it was accepted.
    """

    path: str
    contents: object = None
    since: float = 0.0
    accepted: bool = False
    doubtful: bool = False


class Acceptance:
    """Remembers what it has seen of one model's versions. Belongs to one thread at a time.

    A version that was accepted stays accepted until it is gone, and is not looked into again, unless something was
    missing: then it is given up and accepted anew once it is complete, so that it is loaded again.

    Args:
        monotonic: Tells the time for pauses.
        now: Tells the time in seconds since the epoch.
        quarantined: Why the version at a path is never accepted; empty if it may be.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        quarantined: Callable[[str], str] = lambda path: "",
    ) -> None:
        self._quarantined = quarantined
        self._monotonic = monotonic
        self._now = now
        self._memories: dict[int, _Memory] = {}

    def select(self, config: ModelConfig, paths: Mapping[int, str], storage: Storage) -> Selection:
        """Chooses by the model's policy among the complete versions.

        Looks only into versions that would be served: with the policy `latest`, into the highest, and into lower ones
        as long as those above are incomplete.
        """
        self._memories = {v: memory for v, memory in self._memories.items() if paths.get(v) == memory.path}
        present = set(paths)
        reasons: dict[int, str] = {}
        while True:
            chosen = select_versions(config.policy, present)
            refused = {v: reason for v in chosen if (reason := self._refusal(config, v, paths[v], storage))}
            if not refused:
                is_final = not reasons and not any(self._memories[version].doubtful for version in chosen)
                return Selection(chosen, reasons, is_final)
            present -= refused.keys()
            reasons |= refused

    def _refusal(self, config: ModelConfig, version: int, path: str, storage: Storage) -> str:
        """Why a version is not to be served yet; empty if it is."""
        memory = self._memories.setdefault(version, _Memory(path))
        if memory.accepted and not memory.doubtful:
            return ""
        if reason := self._quarantined(path):
            return reason
        try:
            inspection = storage.inspect(config, path)
        except (OSError, ServingError) as error:
            return self._without_inspection(version, memory, ServingError.wrap(error))
        if memory.accepted:
            return self._review(version, memory, inspection)
        return self._consider(version, memory, inspection)

    def _without_inspection(self, version: int, memory: _Memory, error: ServingError) -> str:
        if memory.accepted:
            return ""
        if error.code in (Code.NOT_FOUND, Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED):
            return str(error)
        self._memories[version] = _Memory(memory.path, accepted=True)  # Loading it says what is wrong.
        return ""

    def _review(self, version: int, memory: _Memory, inspection: Inspection) -> str:
        """A version that was accepted although something was missing."""
        if inspection.reason:
            return ""
        self._memories[version] = _Memory(memory.path, inspection.contents, self._monotonic())
        return _COMPLETED

    def _consider(self, version: int, memory: _Memory, inspection: Inspection) -> str:
        if memory.contents != inspection.contents:
            memory = _Memory(memory.path, inspection.contents, self._monotonic())
        if not self._is_quiet(memory, inspection):
            self._memories[version] = memory
            return inspection.reason or "its files have just been changed"
        self._memories[version] = _Memory(memory.path, accepted=True, doubtful=bool(inspection.reason))
        return ""

    def _is_quiet(self, memory: _Memory, inspection: Inspection) -> bool:
        needed = QUIET_SECONDS.get(inspection.completeness)
        if needed is None:
            return False
        age = self._now() - inspection.last_change
        return self._monotonic() - memory.since >= needed or age >= needed + CLOCK_SKEW_SECONDS
