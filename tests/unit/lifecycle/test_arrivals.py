# SPDX-License-Identifier: Apache-2.0
import threading

import pytest

from tensorserve.errors import Code, ServingError
from tensorserve.lifecycle.arrivals import Arrivals
from tensorserve.lifecycle.events import Event, EventBus, VersionsIncomplete, VersionsLeftOut
from tests.unit.fakes import PATIENCE_SECONDS
from tests.unit.lifecycle.test_startup import aspired, available, ended, failed, missing

EMPTY = "UNKNOWN: 1 model(s) did not become available: {{name: a} due to error: NOT_FOUND: no version was found}, }"


def outcome(models: str, *events: Event) -> str:
    bus = EventBus()
    with Arrivals(bus, models.split()) as arrivals:
        for event in events:
            bus.publish(event)
        try:
            arrivals.wait(0.0)
        except ServingError as error:
            return "waits" if error.code is Code.DEADLINE_EXCEEDED else str(error)
    return "arrived"


@pytest.mark.parametrize(
    ("models", "events", "expected"),
    [
        ("", [], "arrived"),
        ("a", [], "waits"),
        ("a", [aspired("a", 1)], "waits"),
        ("a", [aspired("a", 1), available("a", 1)], "arrived"),
        ("a b", [aspired("a", 1), available("a", 1)], "waits"),
        ("a", [aspired("b", 1), available("b", 1)], "waits"),
        ("a", [aspired("a", 1, 2), failed("a", 2), available("a", 1)], "arrived"),
        # Every model must answer, unlike at the start.
        (
            "a b",
            [aspired("a", 1), failed("a", 1), aspired("b", 1), available("b", 1)],
            "UNKNOWN: 1 model(s) did not become available: {{name: a version: 1} due to error: DATA_LOSS: corrupt}, }",
        ),
        (
            "a",
            [missing("a")],
            "UNKNOWN: 1 model(s) did not become available: {{name: a} due to error: NOT_FOUND: no such path}, }",
        ),
        ("a", [aspired("a")], EMPTY),
        ("a", [aspired("a", 1), aspired("a"), ended("a", 1)], EMPTY),
        (
            "a",
            [VersionsIncomplete("a", {3: "half"}), VersionsLeftOut("a", frozenset({4})), aspired("a")],
            "UNKNOWN: 1 model(s) did not become available: "
            "{{name: a version: 3} due to error: FAILED_PRECONDITION: half}, }",
        ),
    ],
)
def test_arrivals(models: str, events: list[Event], expected: str) -> None:
    assert outcome(models, *events) == expected


def test_what_is_still_loading_is_named() -> None:
    bus = EventBus()
    with Arrivals(bus, ["a", "b"]) as arrivals:
        bus.publish(aspired("a", 1))
        bus.publish(available("a", 1))
        with pytest.raises(ServingError, match=r"Still loading after 0\.0 seconds: b\."):
            arrivals.wait(0.0)


def test_cancel_ends_the_wait() -> None:
    with Arrivals(EventBus(), ["a"]) as arrivals:
        timer = threading.Timer(0.02, arrivals.cancel)
        timer.start()
        with pytest.raises(ServingError) as caught:
            arrivals.wait(PATIENCE_SECONDS)
        timer.join()
    assert caught.value.code is Code.CANCELLED


def test_it_listens_only_inside_its_block() -> None:
    bus = EventBus()
    with Arrivals(bus, ["a"]) as arrivals:
        pass
    bus.publish(aspired("a"))
    with pytest.raises(ServingError) as caught:
        arrivals.wait(0.0)
    assert caught.value.code is Code.DEADLINE_EXCEEDED
