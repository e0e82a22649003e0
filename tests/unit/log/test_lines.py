# SPDX-License-Identifier: Apache-2.0
import logging
import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensorserve.errors import Code, ServingError
from tensorserve.log import LineFormatter, cleaned, log_line, printable
from tensorserve.types import ServableId

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} [DIWEF] ")
FORGED = "m\n2026-01-01 00:00:00.000000 I forged"
# Line ends and commands of terminals, marks of direction, characters without a look.
TRICKS = ["\n", "\r", "\x1b[31m", "\x9b31m", "\x85", "\u2028", "\u2029", "\x07", "\x00", "\x7f", "\u202e", "\u2066"]
TRICKS += ["\u200f", "\u061c", "\u200b", "\ufeff", "\u00ad", "\U000e0041", "\x0b", "\x0c", "\x1c", "\ud800", "\x90q"]


def formatted(message: object, *arguments: object, level: int = logging.INFO) -> str:
    return LineFormatter().format(logging.LogRecord("n", level, "f", 1, message, arguments, None))


def test_one_line_with_time_level_and_text() -> None:
    line = formatted("%s models", 3, level=logging.WARNING)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} W 3 models", line)


@pytest.mark.parametrize("name", ["model", "Bücher", "模型", "a b", "m/v:1@2", "naïve\u0301", "\\n"])
def test_text_stays_as_it_is(name: str) -> None:
    assert printable(name) == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a\nb", r"a\nb"), ("\x1b[31m", r"\x1b[31m"), ("\u202e", r"\u202e"), ("\U000e0041", r"\U000e0041")],
)
def test_what_is_no_text_is_escaped(name: str, shown: str) -> None:
    assert printable(name) == shown
    assert printable(shown) == shown


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize(
    "argument",
    [
        str,
        lambda name: ServableId(name, 1),
        lambda name: ServingError(Code.INTERNAL, name),
        lambda name: [name],
        lambda name: {"name": name},
    ],
)
def test_names_cannot_forge_lines_or_reach_a_terminal(trick: str, argument) -> None:
    line = formatted("Loading %s", argument(f"a{trick}{FORGED}"))
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    assert "forged" in line


def test_arguments_by_name() -> None:
    assert formatted("%(name)s is %(number)d", {"name": "a\nb", "number": 3}).endswith(r" I a\nb is 3")


def test_lines_of_the_message_itself_stay_and_begin_no_line() -> None:
    line = formatted("Entry\n\tname : %s\nend", FORGED)
    first, *others = line.split("\n")
    assert first.endswith(" I Entry")
    assert others == [r"	name : m\n2026-01-01 00:00:00.000000 I forged", "\tend"]


def test_text_that_came_without_arguments_begins_no_line_either() -> None:
    _first, second = formatted(FORGED).split("\n")
    assert not LINE.match(second)
    assert "\x1b" not in formatted("\x1b[0m")


def test_a_traceback_begins_no_line() -> None:
    try:
        raise ValueError(f"{FORGED}\x1b[0m")
    except ValueError:
        record = logging.LogRecord("n", logging.ERROR, "f", 1, "%s failed", ("it",), sys.exc_info())
    first, *others = LineFormatter().format(record).split("\n")
    assert first.endswith(" E it failed")
    assert others[0] == "\tTraceback (most recent call last):"
    assert [line for line in others if LINE.match(line)] == []
    assert "\x1b" not in "".join(others)


@pytest.mark.parametrize("seconds", [-1e30, 1e30, float("nan"), float("inf"), -1.0, 0.0])
def test_any_clock(seconds: float) -> None:
    assert log_line(logging.INFO, "text", seconds).endswith(" I text")


def test_levels_of_others() -> None:
    assert log_line(15, "text", 0.0).endswith(" L text")
    assert log_line(logging.CRITICAL, "text", 0.0).endswith(" F text")


@given(st.text())
def test_any_text_becomes_one_printable_line(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert printable(shown) == shown
    assert formatted("%s", text).isprintable()


@given(st.binary())
def test_any_line_of_another_program(line: bytes) -> None:
    shown = cleaned(line)
    assert shown.replace("\t", "").isprintable()
