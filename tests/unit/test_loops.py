# SPDX-License-Identifier: Apache-2.0
import logging
import threading
import time

import pytest

from tensorserve.errors import Code, ServingError
from tensorserve.loops import Loop, start_thread
from tests.unit.fakes import PATIENCE_SECONDS


class Panic(BaseException):
    """As PyO3 raises it."""


@pytest.mark.parametrize(
    "error", [ValueError("x"), MemoryError(), OSError(24, "Too many open files"), Panic("panicked"), SystemExit(1)]
)
def test_a_step_that_raises_ends_nothing(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    steps: list[int] = []

    def step() -> bool:
        steps.append(len(steps))
        if len(steps) == 2:
            raise error
        return len(steps) < 4

    loop = Loop("steps", step)
    loop.start()
    loop.join()
    assert steps == [0, 1, 2, 3]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "steps failed, and goes on" in caplog.text


def test_it_pauses_longer_and_longer_while_every_step_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("tensorserve.loops.time.sleep", pauses.append)
    fails = iter([True] * 12 + [False, True])

    def step() -> bool:
        fail = next(fails, None)
        if fail:
            raise ValueError
        return fail is not None

    Loop("steps", step).run()
    assert pauses[:3] == [0.05, 0.1, 0.2]
    assert pauses[:12] == sorted(pauses[:12])
    assert pauses[11:] == [5.0, 0.05]


def test_it_survives_a_log_and_a_clock_that_fail_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **keywords: object) -> None:
        raise MemoryError

    steps = iter([True, True, False])

    def step() -> bool:
        if next(steps):
            raise ValueError
        return False

    monkeypatch.setattr("tensorserve.loops.logger.error", fail)
    monkeypatch.setattr("tensorserve.loops.time.sleep", fail)
    Loop("steps", step).run()


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()])
def test_a_thread_that_cannot_be_started_is_tried_again(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    start, failures, ran = threading.Thread.start, [error, error], threading.Event()

    def fail_twice(thread: threading.Thread) -> None:
        if failures:
            raise failures.pop()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", fail_twice)
    thread = start_thread("late", ran.set)
    assert ran.wait(PATIENCE_SECONDS)
    assert thread.daemon
    assert thread.name == "late"


def test_a_system_without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(ServingError, match="The thread x cannot be started: can't start new thread") as caught:
        start_thread("x", lambda: None)
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
