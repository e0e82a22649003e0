# SPDX-License-Identifier: Apache-2.0
import os

import pytest

from tensorserve.supervisor.watchdog import ThreadReading, Watchdog, is_ending, look_seconds, looks, read_threads

WAITS = ThreadReading("S", 5)


def test_a_thread_that_lives_or_works_does_not_hang() -> None:
    watchdog = Watchdog(3)
    for count in range(10):
        assert not watchdog.look({7: count}, {7: WAITS})
    for ticks in range(10):
        assert not watchdog.look({7: 9}, {7: ThreadReading("S", ticks)})
    for _ in range(10):
        assert not watchdog.look({7: 9}, {7: ThreadReading("R", 9)}), "it waits for the processor"


def test_a_thread_that_waits_or_was_stopped_hangs() -> None:
    for reading in (WAITS, ThreadReading("T", 5), ThreadReading("D", 5)):
        watchdog = Watchdog(3)
        assert [watchdog.look({7: 1, 8: count}, {7: reading, 8: WAITS}) for count in range(4)] == [False] * 3 + [True]


@pytest.mark.parametrize(("seconds", "silent_seconds"), [(30.0, 30.0), (5.0, 5.0), (2.0, 2.0), (0.1, 2.0)])
def test_silence_is_as_long_as_the_flag_says_and_longer_than_a_beat(seconds: float, silent_seconds: float) -> None:
    assert looks(seconds) * look_seconds(seconds) == pytest.approx(silent_seconds)
    assert look_seconds(seconds) <= seconds / 20 or seconds < 2.0


@pytest.mark.parametrize("beats", [{7: 1, 8: 1}, {8: 1}], ids=["with its place", "without"])
def test_a_thread_that_has_ended_hangs_unless_the_server_stops(beats: dict[int, int]) -> None:
    for is_leaving in (False, True):
        watchdog = Watchdog(3)
        watchdog.look({7: 1, 8: 1}, {7: WAITS, 8: WAITS})
        looked = [watchdog.look(beats, {8: ThreadReading("R", 5)}, is_leaving=is_leaving) for _ in range(5)]
        assert looked[-1] is not is_leaving


def test_a_process_that_ends_is_told_from_one_that_lives() -> None:
    assert not is_ending(os.getpid())
    child = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert is_ending(child)
    os.waitpid(child, 0)
    assert is_ending(child)


def test_threads_are_read() -> None:
    readings = read_threads(os.getpid(), {os.getpid(): 0, 4_000_000: 0})
    assert list(readings) == [os.getpid()]
    assert readings[os.getpid()].state == "R"
