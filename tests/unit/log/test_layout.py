# SPDX-License-Identifier: Apache-2.0
import json
import logging
import os
import pty
import re

import pytest

from tensorserve.log import Record
from tensorserve.log.layout import as_coloured_text, as_json, as_text, layout_for

RECORD = Record(
    logging.WARNING, "a\n\tb", 1795941148.25, "tensorflow", {"source": "x.cc:1", "model": "m", "version": 2}
)


def test_text() -> None:
    assert re.fullmatch(r"\S+ \S+\.250000 W TensorFlow: a \(x\.cc:1\)\n\tb", as_text(RECORD))
    assert as_text(Record(logging.ERROR, "as\tit is", 0.0, is_plain=True)) == "as\tit is"


def test_json_is_one_line_with_fields() -> None:
    line = as_json(RECORD)
    assert "\n" not in line
    value = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.250000[+-]\d\d:\d\d", value.pop("time"))
    assert value == {
        "level": "warning",
        "message": "a\n\tb",
        "logger": "tensorflow",
        "source": "x.cc:1",
        "model": "m",
        "version": 2,
    }


@pytest.mark.parametrize("text", ["\x1b[31m", "\u202e\u2028", '"\\' * 50_000, "ü" * 50_000, "\ud800", "{}"])
def test_any_text_is_one_object_that_fits_a_line(text: str) -> None:
    line = as_json(Record(logging.INFO, text, float("nan"), "x", {"model": text}))
    assert line.isprintable()
    assert len(line.encode()) < 32 << 10
    assert json.loads(line)["message"].startswith(text[:1])


def test_colours_are_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    reading, writing = os.pipe()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert layout_for("text", theirs) is as_coloured_text
    assert layout_for("text", writing) is as_text
    assert layout_for("json", theirs) is as_json
    monkeypatch.setenv("NO_COLOR", "1")
    assert layout_for("text", theirs) is as_text
    for descriptor in (ours, theirs, reading, writing):
        os.close(descriptor)
    assert re.sub(r"\x1b\[\d+m", "", as_coloured_text(RECORD)) == as_text(RECORD)
    assert "\x1b[33mW" in as_coloured_text(RECORD)
