# SPDX-License-Identifier: Apache-2.0
"""Tells a server that hangs from one that is busy."""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

# Threads say every second that they live; less than this would mistake one that was late for one that hangs.
_LEAST_SECONDS = 2.0

_MOST_LOOK_SECONDS = 1.0
_LOOKS = 20

# The kernel's PF_EXITING.
_EXITING = 0x4


def look_seconds(watchdog_seconds: float) -> float:
    """How often to look."""
    return min(max(watchdog_seconds, _LEAST_SECONDS) / _LOOKS, _MOST_LOOK_SECONDS)


def looks(watchdog_seconds: float) -> int:
    """Looks in a row after which a silent thread hangs."""
    return math.ceil(max(watchdog_seconds, _LEAST_SECONDS) / look_seconds(watchdog_seconds))


@dataclass(frozen=True, slots=True)
class ThreadReading:
    """What the system says of a thread.

    Attributes:
        state: `R` for one that runs or could, `S` and `D` for one that waits, `T` for one that was stopped.
        ticks: Processor time that it has had.
    """

    state: str
    ticks: int


class Watchdog:
    """Counts the looks at which a thread has neither said that it lives nor used the processor.

    Looks are counted rather than seconds: who looks may be held up as well. A thread that has ended, with or without
    its place in the page, is as silent as one that hangs.

    Args:
        limit: Looks in a row after which the server hangs.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._silent: dict[int, int] = {}
        self._beats: dict[int, int] = {}
        self._ticks: dict[int, int] = {}

    def look(
        self, beats: Mapping[int, int], readings: Mapping[int, ThreadReading], *, is_leaving: bool = False
    ) -> bool:
        """Whether a thread hangs, or has ended.

        Args:
            beats: How often each thread has said that it lives.
            readings: What the system says of these threads.
            is_leaving: Whether the server stops, so that threads may end.
        """
        threads = beats.keys() & readings.keys() if is_leaving else beats.keys() | self._silent.keys()
        silent = {}
        for thread in threads:
            lives = beats.get(thread) != self._beats.get(thread) or self._is_busy(thread, readings.get(thread))
            silent[thread] = 0 if lives else self._silent.get(thread, 0) + 1
        self._silent = silent
        self._beats = dict(beats)
        self._ticks = {thread: reading.ticks for thread, reading in readings.items()}
        return any(looks >= self._limit for looks in self._silent.values())

    def _is_busy(self, thread: int, reading: ThreadReading | None) -> bool:
        """Whether it runs, or would if it had the processor."""
        if reading is None:
            return False
        return reading.state == "R" or reading.ticks != self._ticks.get(thread, reading.ticks)


def is_ending(pid: int) -> bool:
    """Whether a process has ended or is about to, so that its threads are gone first."""
    with suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/stat") as file:
        return bool(int(file.read().rpartition(")")[2].split()[6]) & _EXITING)
    return True


def read_threads(pid: int, threads: Mapping[int, int]) -> dict[int, ThreadReading]:
    """What the system says of threads of a process; those that are gone are left out."""
    found = {}
    for thread in threads:
        with suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/task/{thread}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
            found[thread] = ThreadReading(fields[0], int(fields[11]) + int(fields[12]))
    return found
