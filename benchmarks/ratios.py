# SPDX-License-Identifier: Apache-2.0
"""How one build compares with another: the ratio of a figure, its confidence interval, the verdict over all figures.

A figure is measured with both builds in turns; each turn gives one ratio. On a shared machine a turn may be far off, so
the estimate is a rank statistic (Hodges-Lehmann: the median of the means of all pairs of ratios), and its interval is
from the distribution of Wilcoxon's signed rank: neither assumes a normal distribution, nor is moved by one bad turn.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
# Below this no interval has that confidence: two signs of n ratios are equal by chance in 2 of 2^n cases.
FEWEST = 6

# What "no worse" means.
GEOMETRIC_MEAN_AT_MOST = 1.02
ROW_AT_MOST = 1.05


@dataclass(frozen=True)
class Estimate:
    """A ratio, new to old, and the interval that holds it with `CONFIDENCE`."""

    ratio: float
    low: float
    high: float

    @property
    def looks_worse(self) -> bool:
        """Worth measuring again."""
        return self.ratio > ROW_AT_MOST

    @property
    def is_worse(self) -> bool:
        return self.low > ROW_AT_MOST


def estimate(ratios: Sequence[float]) -> Estimate:
    """The ratio behind these measured ones.

    Args:
        ratios: New to old of each turn, positive; at least `FEWEST`.

    Raises:
        ValueError: There are too few.
    """
    if len(ratios) < FEWEST:
        raise ValueError(f"{len(ratios)} ratios have no interval of {CONFIDENCE:.0%}; at least {FEWEST} do")
    logs = [math.log(ratio) for ratio in ratios]
    means = sorted((a + b) / 2 for index, a in enumerate(logs) for b in logs[index:])
    outside = _means_outside(len(logs))
    return Estimate(*(math.exp(value) for value in (statistics.median(means), means[outside], means[-1 - outside])))


def _means_outside(count: int) -> int:
    """How many of the means of pairs lie outside of the interval on each side.

    The number of pairs whose mean is above the true centre is distributed like Wilcoxon's signed rank: the sum of those
    ranks 1 to `count` whose coin shows heads.
    """
    ways = [1]
    for rank in range(1, count + 1):
        shifted = [0] * rank + ways
        ways = [a + b for a, b in zip(ways + [0] * rank, shifted, strict=True)]
    below = 0
    for rank_sum, times in enumerate(ways):
        below += times
        if below > (1 - CONFIDENCE) / 2 * 2**count:
            return rank_sum - 1
    raise AssertionError("the ways add up to all of them")


def geometric_mean(ratios: Sequence[float]) -> float:
    """The mean of ratios, where a half and a double cancel out."""
    return math.exp(statistics.fmean(math.log(ratio) for ratio in ratios))


def no_worse(estimates: Sequence[Estimate]) -> bool:
    """Whether the new build is no worse: in the geometric mean of all rows, and in each row for itself."""
    mean = geometric_mean([each.ratio for each in estimates])
    return mean <= GEOMETRIC_MEAN_AT_MOST and not any(each.is_worse for each in estimates)
