# SPDX-License-Identifier: Apache-2.0
from dataclasses import asdict
from typing import Any

import pytest

from tensorserve.supervisor.docket import Docket
from tensorserve.supervisor.record import Record, read_record

STORED = asdict(Record("m", 3, "/m/3", "/m/3", "abc", [1, 2.5], [3.0], [("s", [1, 7], 2)], "SIGABRT", "it is"))
STORED["shapes"] = [["s", [1, 7], 2]]


def test_a_record_is_read_as_it_was_stored() -> None:
    record = read_record(STORED)
    assert record is not None
    assert asdict(record) == STORED


def test_fields_of_a_later_release_are_left_out() -> None:
    assert read_record({**STORED, "engine": {"a": 1}}) == read_record(STORED)


@pytest.mark.parametrize(
    "stored",
    [
        5,
        {"foo": 1},
        {name: value for name, value in STORED.items() if name != "path"},
        *({**STORED, name: None} for name in STORED),
        {**STORED, "version": "3"},
        {**STORED, "version": True},
        {**STORED, "version": 2**63},
        {**STORED, "loading": ["x"]},
        {**STORED, "shapes": [1]},
        {**STORED, "shapes": [["s", [1]]]},
        {**STORED, "shapes": [["s", 1, 1]]},
        {**STORED, "shapes": [["s", ["1"], 1]]},
        {**STORED, "shapes": [["s", [1], 1, 1]]},
    ],
)
def test_what_makes_no_sense_does_not_count(stored: Any) -> None:
    assert read_record(stored) is None
    docket = Docket({"sound": STORED, "damaged": stored})
    assert docket.damaged == ["damaged"]
    assert [row[:2] for row in docket.quarantined()] == [("m", 3)]
