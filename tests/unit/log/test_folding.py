# SPDX-License-Identifier: Apache-2.0
import logging

import pytest

from tensorserve.log import Record
from tensorserve.log.folding import PERIOD_SECONDS, Folding


def said(text: str, kind: str = "", level: int = logging.WARNING, *, is_plain: bool = False) -> Record:
    return Record(level, text, 0.0, "x", {"model": "m"}, kind, is_plain)


def admitted(folding: Folding, records: list[Record], now: float = 0.0) -> int:
    return sum(folding.admits(record, now) for record in records)


@pytest.mark.parametrize(
    ("records", "number"),
    [
        ([said("equal")] * 1000, 5),
        ([said(f"m{number}") for number in range(900)], 900),
        ([said("equal", "k")] * 1000, 1),
        ([said(f"m{number}", "k") for number in range(1000)], 3),
        ([said("  File x", "k", is_plain=True)] * 1000, 30),
        ([said("equal", level=logging.DEBUG)] * 1000, 1000),
    ],
)
def test_how_many_are_written_at_once(records: list[Record], number: int) -> None:
    assert admitted(Folding(), records) == number


def test_the_others_are_counted_once_a_minute() -> None:
    folding = Folding()
    admitted(folding, [said("a\nb", "k")] * 99)
    assert folding.next_due == PERIOD_SECONDS
    assert list(folding.due(PERIOD_SECONDS - 1)) == []
    (summary,) = folding.due(PERIOD_SECONDS)
    assert summary.text == "98 more like this in the last minute: a"
    assert summary.fields == {"model": "m", "repeated": 98}
    assert folding.next_due is None
    assert admitted(folding, [said("a\nb", "k")], PERIOD_SECONDS) == 1


def test_a_kind_that_was_not_folded_begins_anew_after_a_minute() -> None:
    folding = Folding()
    assert admitted(folding, [said("a", "k")]) == 1
    assert admitted(folding, [said("a", "k")], PERIOD_SECONDS) == 1
    assert folding.next_due is None


def test_levels_are_told_apart() -> None:
    folding = Folding()
    assert admitted(folding, [said("a", "k"), said("a", "k", logging.ERROR)]) == 2


def test_kinds_are_bounded() -> None:
    folding = Folding()
    admitted(folding, [said("kept", "kept")] * 2)
    admitted(folding, [said(str(number)) for number in range(5000)])
    assert len(folding._kinds) <= 1000
    assert [record.text for record in folding.due(PERIOD_SECONDS)] == ["1 more like this in the last minute: kept"]
