# SPDX-License-Identifier: Apache-2.0
"""What a line of the log looks like, and what may not be in it."""

import logging
import time
import unicodedata
from typing import Any

_LEVELS = {logging.DEBUG: "D", logging.INFO: "I", logging.WARNING: "W", logging.ERROR: "E", logging.CRITICAL: "F"}


_TRACEBACKS = logging.Formatter()


def printable(text: str, keep: str = "") -> str:
    r"""Writes characters that are no text as Python does, such as `\n`, `\x1b` or `\u202e`.

    These are control characters, separators of lines, marks that turn the direction of writing, and whatever else has
    no look of its own: a name that holds them could forge lines, or change what a terminal shows.

    Args:
        text: From whoever may name something.
        keep: Characters that stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _escaped(char) for char in text)


def is_one_line(text: str) -> bool:
    """Whether no control character and no separator of lines is in a text."""
    return text.isprintable() or not {unicodedata.category(char) for char in text} & {"Cc", "Zl", "Zp"}


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def log_line(level: int, text: str, seconds: float) -> str:
    """A line of the log, without its end. What follows a line end in the text is indented, so that it begins no line.

    Args:
        level: A level of `logging`.
        text: What happened.
        seconds: When, since 1970.
    """
    first, *others = text.split("\n")
    letter = _LEVELS.get(level) or logging.getLevelName(level)[0]
    lines = [f"{_time(seconds)} {letter} {printable(first)}"]
    lines += [f"{'' if other.startswith((' ', chr(9))) else chr(9)}{printable(other, keep=chr(9))}" for other in others]
    return "\n".join(lines)


def cleaned(line: bytes) -> str:
    """A line that another program has written, without its end."""
    return printable(line.decode(errors="backslashreplace"), keep="\t")


def _time(seconds: float) -> str:
    try:
        return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(seconds))}.{int(seconds % 1 * 1e6):06d}"
    except (OverflowError, OSError, ValueError):  # A clock that is far off.
        return f"{seconds:.6f}"


def text_of(record: logging.LogRecord) -> str:
    """What a record of `logging` says, without its time and level.

    Line ends of the message itself are kept; those in its arguments, such as names and texts of errors, are escaped.
    """
    text = str(record.msg)
    if record.args:
        text %= _printable_arguments(record.args)
    if record.exc_info:
        text = f"{text}\n{_TRACEBACKS.formatException(record.exc_info)}"
    return text


class LineFormatter(logging.Formatter):
    """Time with microseconds, first letter of the level, text."""

    def format(self, record: logging.LogRecord) -> str:
        return log_line(record.levelno, text_of(record), record.created)


def _printable_arguments(arguments: Any) -> Any:
    if isinstance(arguments, tuple):
        return tuple(map(_printable_argument, arguments))
    return {name: _printable_argument(value) for name, value in arguments.items()}


def _printable_argument(value: object) -> object:
    return value if isinstance(value, (int, float)) else printable(str(value))
