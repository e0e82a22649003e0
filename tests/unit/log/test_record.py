# SPDX-License-Identifier: Apache-2.0
import logging

from tensorserve.log import Record, about


def test_a_record_travels_whole() -> None:
    record = Record(logging.ERROR, "a\nb\ud800", 1.5, "tensorserve.x", {"model": "m", "version": 3}, "kind", True)
    line = record.encoded()
    assert "\n" not in line
    assert Record.decoded(line.encode()) == record


def test_what_is_not_known_is_left_out() -> None:
    assert about("m", request_id="r") == {"fields": {"model": "m", "request_id": "r"}, "kind": ""}
