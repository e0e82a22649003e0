# SPDX-License-Identifier: Apache-2.0
import logging

from tensorserve.log import Journal, Record


def journal() -> tuple[Journal, list[str]]:
    lines: list[str] = []
    return Journal(logging.INFO, lambda record: record.text, lines.append), lines


def test_the_level_may_change() -> None:
    log, lines = journal()
    log.take(Record(logging.DEBUG, "no", 0.0))
    log.level = logging.DEBUG
    log.take(Record(logging.DEBUG, "yes", 0.0))
    assert lines == ["yes"]


def test_what_was_folded_is_told() -> None:
    log, lines = journal()
    for _ in range(1000):
        log.take(Record(logging.WARNING, "again", 0.0, kind="k"))
    assert lines == ["again"]
    assert log._timer is not None
    log.tell_folded()
    assert lines[1:] == ["999 more like this in the last minute: again"]
    log._timer.cancel()


def test_a_minute_later_it_is_told_by_itself() -> None:
    log, lines = journal()
    for _ in range(3):
        log.take(Record(logging.WARNING, "again", 0.0, kind="k"))
    assert log._timer is not None
    log._timer.cancel()
    for kind in log._folding._kinds.values():
        kind.until = 0.0
    log._is_due()
    assert lines[1:] == ["2 more like this in the last minute: again"]
    assert log._timer is None


def test_secrets_are_taken_out() -> None:
    log, lines = journal()
    log.take(Record(logging.INFO, "Authorization: Bearer abcdefgh12345678", 0.0))
    assert lines == ["Authorization: Bearer [hidden]"]
