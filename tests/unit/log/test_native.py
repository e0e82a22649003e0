# SPDX-License-Identifier: Apache-2.0
import logging

import pytest

from tensorserve.log import NativeLines, Record


def records(*lines: str) -> list[Record]:
    return list(NativeLines().records([line.encode() for line in lines]))


@pytest.mark.parametrize(
    "line",
    [
        "W0000 00:00:1795941148.084790   12567 op_kernel.cc:1858] OP_REQUIRES failed",
        "W1129 08:32:28.084790   12567 op_kernel.cc:1858] OP_REQUIRES failed",
        "2026-11-29 08:32:28.084790: W tensorflow/core/framework/op_kernel.cc:1858] OP_REQUIRES failed",
    ],
)
def test_each_form_of_a_line(line: str) -> None:
    (record,) = records(line)
    assert (record.level, record.text, record.logger) == (logging.WARNING, "OP_REQUIRES failed", "tensorflow")
    assert (record.fields, record.kind) == ({"source": "op_kernel.cc:1858"}, "op_kernel.cc:1858")


def test_the_time_is_the_lines_own() -> None:
    (record,) = records("E0000 00:00:1795941148.084790   12567 a.cc:1] x")
    assert record.seconds == 1795941148.08479


@pytest.mark.parametrize(
    ("letter", "level"), [("I", logging.DEBUG), ("W", logging.WARNING), ("E", logging.ERROR), ("F", logging.CRITICAL)]
)
def test_levels(letter: str, level: int) -> None:
    assert records(f"{letter}0000 00:00:1795941148.084790   12567 a.cc:1] x")[0].level == level


def test_the_banner_goes() -> None:
    assert records("WARNING: All log messages before absl::InitializeLog() is called are written to STDERR") == []


def test_a_message_of_several_lines_is_one_record() -> None:
    head = "I0000 00:00:1795941148.084790 1 a.cc:1] "
    first, second = records(f"{head}one", "\t [[{{node x}}]]", "To enable", f"{head}two")
    assert (first.text, second.text) == ("one\n\t [[{{node x}}]]\nTo enable", "two")


def test_the_rest_of_a_message_has_its_level() -> None:
    native = NativeLines()
    list(native.records([b"I0000 00:00:1795941148.084790 1 a.cc:1] one"]))
    (rest,) = native.records([b"\t [[{{node x}}]]"])
    (other,) = native.records([b"malloc(): corrupted top size"])
    (stack,) = native.records([b"  File x"])
    assert [record.level for record in (rest, other, stack)] == [logging.DEBUG, logging.ERROR, logging.ERROR]
    assert all(record.is_plain for record in (rest, other, stack))


def test_names_in_lines_are_escaped() -> None:
    assert records("W0000 00:00:1795941148.084790 1 a.cc:1] \x1b[31m")[0].text == r"\x1b[31m"
