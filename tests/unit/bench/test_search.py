# SPDX-License-Identifier: Apache-2.0
"""The search against servers that are formulas."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tensorserve.bench.measuring import Load, Measurement
from tensorserve.bench.search import Objective, find_highest_rate

OBJECTIVE = Objective(seconds=0.010)


def server(capacity: float, errors_above: float = 1e9) -> Callable[[Load], Measurement]:
    """Its p99 is 2 ms with nothing to do and grows without bound towards the capacity, as queues do."""

    def measure(load: Load) -> Measurement:
        busy = load.rate / capacity
        seconds = 0.002 / (1 - busy) if busy < 1 else 60.0
        errors = {"gRPC status 14": 1} if load.rate > errors_above else {}
        counts = {int(seconds * 1e9): int(load.rate * load.seconds) or 1}
        return Measurement(load, 1, counts, {}, min(load.rate, capacity), errors)

    return measure


@pytest.mark.parametrize("capacity", [0.7, 30.0, 1000.0, 123_456.0])
@pytest.mark.parametrize("start", [0.0, 1.0, 5000.0])
def test_the_highest_rate_is_found(capacity: float, start: float) -> None:
    found = find_highest_rate(server(capacity), OBJECTIVE, Load(rate=start))
    assert found.best is not None
    assert 0.75 * capacity <= found.best.load.rate <= 0.8 * capacity  # 2 ms / (1 - 0.8) = 10 ms
    assert len(found.tried) < 45
    assert found.best.load.seconds == 3 * Load().seconds


def test_errors_bound_the_rate_too() -> None:
    found = find_highest_rate(server(1000, errors_above=300), OBJECTIVE, Load())
    assert found.best is not None
    assert 280 <= found.best.load.rate <= 300


def test_no_rate_is_low_enough() -> None:
    found = find_highest_rate(server(1000), Objective(seconds=0.001), Load())
    assert found.best is None
    assert len(found.tried) < 20


def test_what_held_by_luck_gives_way() -> None:
    honest = server(1000)

    def lucky(load: Load) -> Measurement:
        # Short measurements do not see the queue of the last fifth.
        return honest(replace(load, rate=load.rate * 0.8) if load.seconds < 10 else load)

    found = find_highest_rate(lucky, OBJECTIVE, Load(seconds=5))
    assert found.best is not None
    assert OBJECTIVE.holds(honest(found.best.load))


def test_falling_behind_is_no_success() -> None:
    one = Measurement(Load(rate=100), 1, {1_000_000: 50}, {}, 90.0)
    assert not OBJECTIVE.holds(one)
    assert OBJECTIVE.holds(replace(one, rate=96.0))
    assert not OBJECTIVE.holds(replace(one, rate=96.0, unfinished=1))
