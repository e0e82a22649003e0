# SPDX-License-Identifier: Apache-2.0
"""Retries in simulated time."""

from typing import Any

import pytest

from tensorserve_client.attempts import Deadline, Hosts, Send, Wait, send
from tensorserve_client.errors import Code, ServingError, serving_error
from tensorserve_client.options import Retries
from tensorserve_client.verbs import Predict, Spec, Status

PREDICT = Predict(Spec("m"), {})
STATUS = Status(Spec("m"))
NEVER_SENT = serving_error(Code.UNAVAILABLE, "refused", may_have_run=False)
BROKE = serving_error(Code.UNAVAILABLE, "broke")


class World:
    """Answers steps from a script and moves the clock."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.now = 100.0
        self.sent: list[str] = []
        self.waits: list[float] = []

    def clock(self) -> float:
        return self.now

    def run(
        self, verb: Any, *, hosts: tuple[str, ...] = ("a",), retries: Retries | None = None, timeout: float | None = 60
    ) -> Any:
        deadline = Deadline(timeout, self.clock)
        flow = send(verb, {}, Hosts(hosts, self.clock), retries or Retries(), deadline, draw=lambda low, high: high)
        return self.play(flow)

    def play(self, flow: Any) -> Any:
        try:
            step = next(flow)
            while True:
                step = flow.send(self.perform(step))
        except StopIteration as end:
            return end.value

    def perform(self, step: Any) -> Any:
        if isinstance(step, Wait):
            self.waits.append(step.seconds)
            self.now += step.seconds
            return None
        assert isinstance(step, Send)
        self.sent.append(step.host)
        return self.outcomes.pop(0)


def test_what_was_never_sent_is_sent_again_with_growing_pauses() -> None:
    world = World(NEVER_SENT, NEVER_SENT, NEVER_SENT, "answer")
    assert world.run(PREDICT, retries=Retries(initial_seconds=0.1, max_seconds=0.3)) == "answer"
    assert world.waits == pytest.approx([0.1, 0.2, 0.3])


def test_what_may_have_run_is_not_repeated_unless_told() -> None:
    world = World(BROKE, "answer")
    with pytest.raises(ServingError, match="broke"):
        world.run(PREDICT)
    assert world.sent == ["a"]
    assert World(BROKE, "answer").run(PREDICT, retries=Retries(repeat=True)) == "answer"


def test_a_question_is_repeated() -> None:
    assert World(BROKE, "answer").run(STATUS) == "answer"


@pytest.mark.parametrize("code", [code for code in Code if code not in (Code.OK, Code.UNAVAILABLE)])
def test_what_would_fail_again_is_not_repeated(code: Code) -> None:
    world = World(serving_error(code, "no", may_have_run=False))
    with pytest.raises(ServingError):
        world.run(STATUS)


def test_the_server_says_when_to_come_back() -> None:
    refused = serving_error(Code.RESOURCE_EXHAUSTED, "later", may_have_run=False, retry_after=3.0)
    world = World(refused, "answer")
    assert world.run(PREDICT, hosts=("a", "b")) == "answer"
    assert world.waits == pytest.approx([3.3])


def test_no_pause_goes_beyond_the_deadline() -> None:
    refused = serving_error(Code.UNAVAILABLE, "later", may_have_run=False, retry_after=3.0)
    world = World(refused)
    with pytest.raises(ServingError, match="later"):
        world.run(PREDICT, timeout=2.0)
    assert world.waits == []


def test_attempts_are_counted() -> None:
    world = World(*[NEVER_SENT] * 4)
    with pytest.raises(ServingError, match="refused"):
        world.run(PREDICT, retries=Retries(attempts=4))
    assert len(world.sent) == 4
    assert world.outcomes == []


def test_other_addresses_are_tried_at_once_and_a_dead_one_is_passed_over() -> None:
    world = World(NEVER_SENT, "one", "two", "three")
    hosts = Hosts(("a", "b"), world.clock)
    flows = [send(PREDICT, {}, hosts, Retries(), Deadline(9, world.clock)) for _ in range(3)]
    for flow in flows:
        world.play(flow)
    dead, alive = world.sent[:2]
    assert dead != alive
    assert world.sent[2:] == [alive, alive]
    assert world.waits == []
    world.now += 1.5
    assert {hosts.all[hosts.next()] for _ in range(2)} == {"a", "b"}


def test_addresses_take_turns() -> None:
    hosts = Hosts(("a", "b", "c"))
    assert sorted(hosts.next() for _ in range(30)) == [0] * 10 + [1] * 10 + [2] * 10


def test_a_deadline_that_is_over() -> None:
    world = World(NEVER_SENT, "answer")
    with pytest.raises(ServingError, match="refused") as caught:
        world.run(PREDICT, timeout=0.01, retries=Retries(initial_seconds=5))
    assert not caught.value.may_have_run
    with pytest.raises(ValueError, match="above 0"):
        Deadline(0)
