# SPDX-License-Identifier: Apache-2.0
"""Two servers, measured in turns on a machine that is never quite the same."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tensorserve.bench.measuring import Measurement

METRICS: dict[str, Callable[[Measurement], float]] = {
    "requests/s": lambda one: one.rate,
    "mean": lambda one: one.mean,
    "p50": lambda one: one.percentile(50),
    "p90": lambda one: one.percentile(90),
    "p99": lambda one: one.percentile(99),
}
# Quantiles of 97.5 % of Student's distribution with 1, 2, ... degrees of freedom.
_STUDENT = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131),
    *(2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


@dataclass(frozen=True, slots=True)
class Ratio:
    """What the second server has of what the first has.

    Attributes:
        metric: Of what.
        middle: The geometric mean of the rounds' ratios.
        low: Lower end of the confidence interval.
        high: Upper end.
    """

    metric: str
    middle: float
    low: float
    high: float

    @property
    def shows_difference(self) -> bool:
        """Whether 1 is outside of the interval."""
        return not self.low <= 1 <= self.high


def interleaved(
    first: Callable[[], Measurement], second: Callable[[], Measurement], rounds: int
) -> list[tuple[Measurement, Measurement]]:
    """Measures both in each round, in turns first and second, so that a drift of the machine hits both alike."""
    pairs = []
    for number in range(rounds):
        if number % 2 == 0:
            one = first()
            pairs.append((one, second()))
        else:
            other = second()
            pairs.append((first(), other))
    return pairs


def ratios(pairs: Sequence[tuple[Measurement, Measurement]]) -> list[Ratio]:
    """The ratio of each metric, second server by first, with a 95 % confidence interval by Student's distribution.

    Ratios multiply, so that means and intervals are taken of their logarithms. Of one round there is no interval: it is
    from 0 to infinity.
    """
    found = []
    for metric, of in METRICS.items():
        logs = [math.log(of(second) / of(first)) for first, second in pairs if of(first) > 0 and of(second) > 0]
        if not logs:
            continue
        center, half = statistics.fmean(logs), math.inf
        if len(logs) > 1:
            quantile = _STUDENT[min(len(logs) - 1, len(_STUDENT)) - 1]
            half = quantile * statistics.stdev(logs) / math.sqrt(len(logs))
        low, high = (0.0, math.inf) if math.isinf(half) else (math.exp(center - half), math.exp(center + half))
        found.append(Ratio(metric, math.exp(center), low, high))
    return found
