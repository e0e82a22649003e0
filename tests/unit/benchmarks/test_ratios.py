# SPDX-License-Identifier: Apache-2.0
"""Estimates from drawn data, whose true ratio is known."""

import math
import random
from collections.abc import Sequence

import pytest
from benchmarks.ratios import CONFIDENCE, FEWEST, Estimate, estimate, geometric_mean, no_worse

DRAWS = 2000


def drawn(
    generator: random.Random, ratio: float, turns: int, noise: float = 0.05, outliers: float = 0.0
) -> list[float]:
    """Ratios of turns around a true one; a share of them is far off, to either side."""
    found = []
    for _ in range(turns):
        spread = noise * (20 if generator.random() < outliers else 1)
        found.append(ratio * math.exp(generator.gauss(0, spread)))
    return found


def share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits)


@pytest.mark.parametrize("turns", [FEWEST, 8, 18])
@pytest.mark.parametrize("outliers", [0.0, 0.1])
def test_the_interval_holds_the_true_ratio_as_often_as_it_says(turns: int, outliers: float) -> None:
    generator = random.Random(1)
    found = [estimate(drawn(generator, 1.3, turns, outliers=outliers)) for _ in range(DRAWS)]
    assert CONFIDENCE - 0.015 <= share([each.low <= 1.3 <= each.high for each in found]) < 1.0


def test_equal_builds_are_no_worse() -> None:
    generator = random.Random(2)
    found = [no_worse([estimate(drawn(generator, 1.0, 18)) for _ in range(20)]) for _ in range(DRAWS // 10)]
    assert share(found) > 0.95


def test_one_row_that_is_much_worse_is_noticed() -> None:
    generator = random.Random(3)

    def rows() -> list[Estimate]:
        return [estimate(drawn(generator, 1.15 if row == 7 else 1.0, 18)) for row in range(20)]

    assert share([no_worse(rows()) for _ in range(DRAWS // 10)]) < 0.05


def test_all_rows_a_little_worse_are_noticed() -> None:
    generator = random.Random(4)

    def rows() -> list[Estimate]:
        return [estimate(drawn(generator, 1.04, 8)) for _ in range(20)]

    assert share([no_worse(rows()) for _ in range(DRAWS // 10)]) < 0.05


def test_one_bad_turn_moves_the_estimate_little() -> None:
    turns = [0.99, 1.0, 1.01, 1.0, 0.98, 1.02, 1.0, 9.0]
    assert 0.99 <= estimate(turns).ratio <= 1.03


def test_the_interval_of_known_ratios() -> None:
    """Of six turns the interval is the whole range, as no narrower one has 95 % (2 of 64 are 3 %, 4 are 6 %)."""
    found = estimate([1.0, 1.1, 1.2, 1.3, 1.4, 1.5])
    assert (found.low, found.high) == pytest.approx((1.0, 1.5))


def test_the_interval_is_symmetric_in_old_and_new() -> None:
    turns = drawn(random.Random(5), 1.1, 11)
    there, back = estimate(turns), estimate([1 / ratio for ratio in turns])
    assert (1 / back.high, 1 / back.ratio, 1 / back.low) == pytest.approx((there.low, there.ratio, there.high))


def test_too_few_turns_have_no_interval() -> None:
    with pytest.raises(ValueError, match="5 ratios"):
        estimate([1.0] * (FEWEST - 1))


def test_half_and_double_cancel_out() -> None:
    assert geometric_mean([0.5, 2.0, 1.0]) == pytest.approx(1.0)


def test_a_row_above_the_bound_counts_only_if_its_interval_does() -> None:
    others = [Estimate(0.98, 0.9, 1.0)] * 10
    unsure, sure = Estimate(1.12, 1.04, 1.2), Estimate(1.12, 1.06, 1.2)
    assert unsure.looks_worse
    assert no_worse([*others, unsure])
    assert not no_worse([*others, sure])
