# SPDX-License-Identifier: Apache-2.0
"""Looks for versions in the file system, again and again."""

import math
import threading
import time
from collections.abc import Iterable, Sequence
from functools import partial

from tensorserve.loops import Loop
from tensorserve.sources.lookers import Lookers
from tensorserve.sources.source import SourceListener
from tensorserve.sources.storages import Storages
from tensorserve.sources.watch import Watch
from tensorserve.types import ModelConfig

# A look that takes longer is reported: a server that starts must not wait for ever for a mount that hangs.
_HANGING_SECONDS = 10.0
_MOST_FOLLOW_UP_FACTOR = 12


class _Schedule:
    """When one model is looked at; times are of the monotonic clock. Belongs to whoever holds the source's lock.

    Attributes:
        watch: What is looked at.
        regular: When the next regular look is due; infinite for never.
        follow_up: When to look again at what was incomplete; infinite if nothing was.
        incomplete_looks: How many looks in a row have found something incomplete.
        since: Since when a look is under way; None if none is.
        reported: Whether the look that is under way was reported as hanging.
    """

    __slots__ = ("follow_up", "incomplete_looks", "regular", "reported", "since", "watch")

    def __init__(self, watch: Watch, due: float) -> None:
        self.watch = watch
        self.regular = due
        self.follow_up = math.inf
        self.incomplete_looks = 0
        self.since: float | None = None
        self.reported = False

    @property
    def due(self) -> float:
        """When the next look is due."""
        return min(self.regular, self.follow_up)

    def begin_look(self, now: float, wait_seconds: float) -> bool:
        """Begins a look that is due; True if it is only a follow-up."""
        is_follow_up = self.regular > now
        if not is_follow_up:
            self.regular = now + wait_seconds
        self.follow_up = math.inf
        self.since = now
        return is_follow_up

    def end_look(self, incomplete: bool, follow_up_seconds: float) -> None:
        """Ends a look; a version that stays incomplete is looked at less and less often."""
        self.since = None
        self.reported = False
        self.incomplete_looks = self.incomplete_looks + 1 if incomplete else 0
        if incomplete:
            wait = follow_up_seconds * min(2 ** min(self.incomplete_looks - 1, 10), _MOST_FOLLOW_UP_FACTOR)
            self.follow_up = time.monotonic() + wait


class FileSystemSource:
    """Polls the base path of each model and tells its listener what changed.

    Each model stands alone: a base path that cannot be listed is reported for its own model, keeps what was aspired
    before, and holds up nobody else, even when reading it hangs.

    Args:
        models: What to watch.
        listener: Who is told.
        poll_wait_seconds: Pause between two polls. 0 polls once; a negative number never polls. Both still look at
            what `update` adds or changes, at what is incomplete, and when `poll_now` says so.
        storages: Where base paths lie; by default only in the file system.
    """

    def __init__(
        self,
        models: Iterable[ModelConfig],
        listener: SourceListener,
        poll_wait_seconds: float,
        storages: Storages | None = None,
    ) -> None:
        self._listener = listener
        self._storages = storages or Storages()
        self._poll_wait_seconds = poll_wait_seconds
        self._changed = threading.Condition()
        self._lookers = Lookers("file_system_source_look")
        self._stopped = False
        first = time.monotonic() if poll_wait_seconds >= 0 else math.inf
        self._schedules = {model.name: self._new_schedule(model, first) for model in models}
        self._update_lock = threading.Lock()
        self._loop = Loop("file_system_source", self._step)

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            schedules = list(self._schedules.values())
            self._changed.notify_all()
        self._lookers.stop()
        for schedule in schedules:
            schedule.watch.retire()
        self._loop.join()

    def update(self, models: Sequence[ModelConfig]) -> None:
        with self._update_lock:
            wanted = {model.name: model for model in models}
            for name in [name for name in self._schedules if name not in wanted]:
                self._remove(name)
            with self._changed:
                for model in wanted.values():
                    self._add_or_change(model)
                self._changed.notify_all()

    def poll_now(self) -> None:
        with self._changed:
            now = time.monotonic()
            for schedule in self._schedules.values():
                schedule.regular = now
            self._changed.notify_all()

    def poll(self) -> None:
        """Looks at every model once, in this thread."""
        for schedule in list(self._schedules.values()):
            if not self._stopped:
                schedule.watch.look()

    def _new_schedule(self, model: ModelConfig, due: float) -> _Schedule:
        return _Schedule(Watch(model, self._listener, self._storages), due)

    def _remove(self, name: str) -> None:
        with self._changed:
            schedule = self._schedules.pop(name)
        schedule.watch.remove(name)

    def _add_or_change(self, model: ModelConfig) -> None:
        schedule = self._schedules.get(model.name)
        if schedule is None:
            self._schedules[model.name] = self._new_schedule(model, time.monotonic())
        elif schedule.watch.config != model:
            schedule.watch.change(model)
            schedule.regular = time.monotonic()

    def _step(self) -> bool:
        with self._changed:
            if self._stopped:
                return False
            self._lookers.submit(self._due_looks())
            hanging = self._newly_hanging()
        for watch in hanging:
            watch.report_hanging(_HANGING_SECONDS)
        self._wait()
        return True

    def _due_looks(self) -> list[partial[None]]:
        now = time.monotonic()
        due = [s for s in self._schedules.values() if s.due <= now and s.since is None]
        looks = []
        for schedule in due:
            is_follow_up = schedule.begin_look(now, self._wait_seconds(schedule.watch))
            looks.append(partial(self._look, schedule, is_follow_up))
        return looks

    def _wait_seconds(self, watch: Watch) -> float:
        if self._poll_wait_seconds <= 0 or watch.config is None:
            return math.inf
        return self._storages.poll_wait_seconds(watch.config, self._poll_wait_seconds)

    def _look(self, schedule: _Schedule, is_follow_up: bool) -> None:
        incomplete = False
        try:
            incomplete = schedule.watch.look(is_follow_up)
        finally:
            config = schedule.watch.config
            with self._changed:
                schedule.end_look(incomplete, self._storages.follow_up_seconds(config) if config else 0.0)
                # It need not be woken for looks that are due later: while some are under way, it does not sleep long.
                if schedule.due <= time.monotonic() or incomplete:
                    self._changed.notify_all()

    def _newly_hanging(self) -> list[Watch]:
        latest = time.monotonic() - _HANGING_SECONDS
        hanging = [s for s in self._schedules.values() if s.since is not None and s.since < latest and not s.reported]
        for schedule in hanging:
            schedule.reported = True
        return [schedule.watch for schedule in hanging]

    def _wait(self) -> None:
        under_way = self._lookers.relieve()
        with self._changed:
            if self._stopped:
                return
            now = time.monotonic()
            next_due = min((s.due for s in self._schedules.values() if s.since is None), default=math.inf)
            under_way = under_way or any(s.since is not None and not s.reported for s in self._schedules.values())
            seconds = min(next_due - now, self._lookers.patience_seconds if under_way else math.inf)
            if seconds > 0:
                self._changed.wait(None if seconds == math.inf else seconds)
