# SPDX-License-Identifier: Apache-2.0
"""How a record is written: for people, with colours on a terminal, or as one JSON object a line for programs."""

import json
import logging
import os
import time
from collections.abc import Callable, Mapping

from tensorserve.log.lines import log_line, printable
from tensorserve.log.record import LEVELS, TENSORFLOW, Record

Layout = Callable[[Record], str]

# Escaping at most doubles them, so that an object fits into a line of the writer.
_MOST_TEXT_BYTES = 14 << 10
_MOST_FIELD_CHARACTERS = 500

_DIM, _YELLOW, _RED, _PLAIN = "\x1b[2m", "\x1b[33m", "\x1b[31m", "\x1b[0m"
_COLOURS = {"D": _DIM, "W": _YELLOW, "E": _RED, "F": _RED}


def layout_for(name: str, descriptor: int) -> Layout:
    """The layout `text` or `json`, for a log on this descriptor."""
    if name == "json":
        return as_json
    return as_coloured_text if _shows_colours(descriptor, os.environ) else as_text


def as_text(record: Record) -> str:
    """A line of text; what follows in the same record is indented."""
    if record.is_plain:
        return printable(record.text, keep="\t")
    return log_line(record.level, _with_source(record), record.seconds)


def as_coloured_text(record: Record) -> str:
    """The same with the level's colour."""
    text = as_text(record)
    if record.is_plain:
        return text
    date, clock, rest = text.split(" ", 2)
    colour = _COLOURS.get(rest[:1], "")
    return f"{_DIM}{date} {clock}{_PLAIN} {colour}{rest}{_PLAIN if colour else ''}"


def as_json(record: Record) -> str:
    """One object: `time` (with zone), `level`, `message`, `logger`, and what it is about."""
    level = LEVELS.get(record.level) or logging.getLevelName(record.level).lower()
    fields = {name: _limited(value) for name, value in record.fields.items()}
    facts = {"time": _time(record.seconds), "level": level, "message": _shortened(record.text), "logger": record.logger}
    return printable(json.dumps({**facts, **fields}, ensure_ascii=False, default=str))


def _with_source(record: Record) -> str:
    source = record.fields.get("source")
    if record.logger != TENSORFLOW or not source:
        return record.text
    first, end, others = record.text.partition("\n")
    return f"TensorFlow: {first} ({source}){end}{others}"


def _time(seconds: float) -> str:
    try:
        parts = time.localtime(seconds)
        zone = time.strftime("%z", parts)
        return f"{time.strftime('%Y-%m-%dT%H:%M:%S', parts)}.{int(seconds % 1 * 1e6):06d}{zone[:3]}:{zone[3:]}"
    except (OverflowError, OSError, ValueError):  # A clock that is far off.
        return f"{seconds:.6f}"


def _limited(value: object) -> object:
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    return str(value)[:_MOST_FIELD_CHARACTERS]


def _shortened(text: str) -> str:
    encoded = text.encode(errors="backslashreplace")
    if len(encoded) <= _MOST_TEXT_BYTES:
        return text
    return encoded[:_MOST_TEXT_BYTES].decode(errors="ignore") + f" ... ({len(encoded)} bytes in all)"


def _shows_colours(descriptor: int, environment: Mapping[str, str]) -> bool:
    return os.isatty(descriptor) and "NO_COLOR" not in environment and environment.get("TERM", "dumb") != "dumb"
