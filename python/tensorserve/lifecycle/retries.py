# SPDX-License-Identifier: Apache-2.0
"""What is to be tried again, and when."""

import heapq
import itertools
import time
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class RetryLimits(NamedTuple):
    """How a load that fails is tried again: attempts after the first one, and the pause before each."""

    most: int
    pause_seconds: float


class RetryQueue(Generic[T]):
    """Things in the order in which they fall due. Belongs to one thread."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._order = itertools.count()

    def add(self, thing: T, delay_seconds: float) -> None:
        """`thing` falls due after a delay; at once if that is negative."""
        due = time.monotonic() + max(delay_seconds, 0.0)
        heapq.heappush(self._heap, (due, next(self._order), thing))

    def seconds_to_next(self) -> float | None:
        """How long until something is due; 0 if something is, None if there is nothing."""
        return max(self._heap[0][0] - time.monotonic(), 0.0) if self._heap else None

    def pop_due(self) -> list[T]:
        """Takes out everything that is due."""
        now = time.monotonic()
        due = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[2])
        return due
