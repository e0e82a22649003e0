# SPDX-License-Identifier: Apache-2.0
"""How much a server can take while its answers stay within a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tensorserve.bench.measuring import Load, Measurement

Measure = Callable[[Load], Measurement]


@dataclass(frozen=True, slots=True)
class Objective:
    """What must hold of a load.

    Attributes:
        percent: The percentile that is looked at.
        seconds: What it may be at most.
        least_share: Share of the offered rate that must be answered in time, else the server is falling behind.
    """

    percent: float = 99.0
    seconds: float = 0.01
    least_share: float = 0.95

    def holds(self, measured: Measurement) -> bool:
        """Whether it does. No request may fail."""
        in_time = measured.percentile(self.percent) <= self.seconds
        keeps_up = measured.rate >= self.least_share * measured.load.rate
        return measured.answered > 0 and in_time and keeps_up and not measured.failed and not measured.unfinished

    @property
    def text(self) -> str:
        """Such as `p99 <= 10 ms`."""
        return f"p{self.percent:g} <= {self.seconds * 1e3:g} ms"


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    Attributes:
        best: The highest rate at which the objective held; None if it holds at none.
        tried: Every measurement, in order.
    """

    best: Measurement | None
    tried: tuple[Measurement, ...]


def find_highest_rate(
    measure: Measure, objective: Objective, load: Load, *, precision: float = 0.05, confirm_seconds: float = 0.0
) -> Found:
    """Searches the highest rate of an open loop at which the objective holds.

    The rate is doubled until it does not hold, and the gap then halved (on a scale of ratios) until it is within
    `precision`. What is found is measured once more, for longer; a rate that held by luck gives way to lower ones.

    Args:
        measure: Measures a load.
        objective: What must hold.
        load: Each measurement but for its rate; its rate is where the search begins, 100 requests/s if it is 0.
        precision: Ratio between the rates that hold and do not, less 1, at which the search ends.
        confirm_seconds: Length of the last measurement; three times that of the others if 0.
    """
    tried: list[Measurement] = []

    def holds(rate: float, seconds: float = load.seconds) -> bool:
        tried.append(measure(replace(load, concurrency=0, rate=rate, seconds=seconds, seed=load.seed + len(tried))))
        return objective.holds(tried[-1])

    low, high = _bracket(holds, load.rate or 100.0)
    while low and high / low > 1 + precision:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if holds(middle) else (low, middle)
    for rate in _downwards(low, precision):
        if holds(rate, confirm_seconds or 3 * load.seconds):
            return Found(tried[-1], tuple(tried))
    return Found(None, tuple(tried))


def _bracket(holds: Callable[[float], bool], rate: float) -> tuple[float, float]:
    """A rate that holds and one that does not; the first is 0 if none does."""
    if holds(rate):
        while rate < 1e7 and holds(2 * rate):
            rate *= 2
        return rate, 2 * rate
    while rate > 0.1:
        rate /= 2
        if holds(rate):
            return rate, 2 * rate
    return 0.0, rate


def _downwards(rate: float, precision: float) -> Iterator[float]:
    for _ in range(8 if rate else 0):
        yield rate
        rate /= 1 + precision
