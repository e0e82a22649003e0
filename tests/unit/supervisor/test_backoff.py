# SPDX-License-Identifier: Apache-2.0
from tensorserve.supervisor.backoff import Backoff, BackoffSettings


def backoff(random_part: float = 0.0) -> Backoff:
    return Backoff(BackoffSettings(), lambda: random_part)


def test_deaths_before_the_server_was_ready_are_waited_out_longer_and_longer() -> None:
    waits = backoff()
    assert [waits.died(None) for _ in range(8)] == [0, 1, 2, 4, 8, 16, 30, 30]
    assert waits.deaths == 8


def test_a_server_that_was_ready_is_started_at_once() -> None:
    waits = backoff()
    for _ in range(5):
        waits.died(None)
    assert waits.died(3.0) == 0
    assert waits.died(None) == 16, "a short service does not make good"
    assert waits.died(60.0) == 0
    assert waits.died(None) == 0, "a long one does"


def test_delays_differ_a_little() -> None:
    waits = backoff(1.0)
    waits.died(None)
    assert waits.died(None) == 1.1


def test_ports_are_closed_for_long_waits_only() -> None:
    waits = backoff()
    assert not waits.closes_ports(4.4)
    assert waits.closes_ports(8.0)
