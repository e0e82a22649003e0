# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest

from tensorserve.bench.comparison import interleaved, ratios
from tensorserve.bench.measuring import Load, Measurement


def measurement(rate: float, seconds: float = 0.001) -> Measurement:
    return Measurement(Load(concurrency=1), 1, {int(seconds * 1e9): 10}, {}, rate)


def test_servers_take_turns_to_be_first() -> None:
    order: list[str] = []

    def measure(name: str) -> Measurement:
        order.append(name)
        return measurement(1.0 if name == "a" else 2.0)

    pairs = interleaved(lambda: measure("a"), lambda: measure("b"), 4)
    assert "".join(order) == "abbaabba"
    assert all((first.rate, second.rate) == (1.0, 2.0) for first, second in pairs)


def test_ratios() -> None:
    pairs = [(measurement(100 + n), measurement(2 * (100 + n), 0.002)) for n in range(4)]
    found = {one.metric: one for one in ratios(pairs)}
    assert found["requests/s"].middle == pytest.approx(2)
    assert found["p99"].middle == pytest.approx(2)
    assert found["requests/s"].shows_difference


def test_one_round_shows_nothing() -> None:
    (rate, *_) = ratios([(measurement(1), measurement(5))])
    assert (rate.middle, rate.low, rate.high) == (pytest.approx(5), 0, math.inf)
    assert not rate.shows_difference
    assert ratios([(measurement(0), measurement(0, 0.0))]) == []


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    random, held = np.random.default_rng(3), 0
    for _ in range(600):
        noise = random.normal(0, 0.1, (6, 2))
        pairs = [(measurement(100 * math.exp(a)), measurement(120 * math.exp(b))) for a, b in noise]
        rate = ratios(pairs)[0]
        held += rate.low <= 1.2 <= rate.high
    assert 0.93 <= held / 600 <= 0.97
