# SPDX-License-Identifier: Apache-2.0
"""Reads flags from a command line or from keyword arguments, by the rules of TensorFlow's own parser.

Beyond those rules a value may also be the next word (`--port 8500`), except for a bool, where `--flag` alone means
true.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tensorserve.config.flag import Flag, FlagValue, Kind
from tensorserve.config.flags import FLAGS_BY_NAME
from tensorserve.errors import FlagValueError, UnknownFlagError

_BOOLS = {"true": True, "false": False}
_INT_BITS = {Kind.INT32: 31, Kind.INT64: 63}


@dataclass(frozen=True, slots=True)
class ParsedFlags:
    """What a command line says.

    Attributes:
        values: Value by flag name; a repeated flag has its last value.
        leftover: The words that are no known flag, in order.
    """

    values: dict[str, FlagValue]
    leftover: tuple[str, ...]


def parse_command_line(words: Sequence[str]) -> ParsedFlags:
    """Reads the words after the program name.

    Raises:
        FlagValueError: A known flag has a value that does not fit, or none.
    """
    values: dict[str, FlagValue] = {}
    leftover: list[str] = []
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word == "--":
            leftover += words[position:]
            break
        name, equals, text = word.removeprefix("--").partition("=")
        flag = FLAGS_BY_NAME.get(name) if word.startswith("--") else None
        if flag is None:
            leftover.append(word)
            continue
        if not equals:
            if flag.kind is Kind.BOOL:
                text = "true"
            elif position < len(words) and not words[position].startswith("--"):
                text = words[position]
                position += 1
            else:
                raise FlagValueError(name, "")
        value = parse_value(flag, name, text)
        values[flag.name] = f"{values[flag.name]},{value}" if flag.repeatable and flag.name in values else value
    return ParsedFlags(values, tuple(leftover))


def parse_value(flag: Flag, spelling: str, text: str) -> FlagValue:
    """Converts the text of one flag.

    Args:
        flag: The row of the table.
        spelling: The name that was used, for the error message.
        text: What stands after the equals sign.
    """
    value: FlagValue | None
    if flag.kind is Kind.BOOL:
        value = _BOOLS.get(text)
    elif flag.kind is Kind.STRING:
        value = text
    elif flag.kind is Kind.FLOAT:
        value = _float(text)
    else:
        value = _int(text, _INT_BITS[flag.kind])
    if value is None:
        raise FlagValueError(spelling, text)
    return value


def check_keywords(keywords: Mapping[str, object]) -> dict[str, FlagValue]:
    """Checks flags that were given as Python values; a path object is taken as its string.

    Raises:
        UnknownFlagError: No flag has this name.
        FlagValueError: The value's type does not fit.
    """
    values: dict[str, FlagValue] = {}
    for name, given in keywords.items():
        flag = FLAGS_BY_NAME.get(name)
        if flag is None:
            raise UnknownFlagError(name, nearest_flag(name))
        value = os.fspath(given) if isinstance(given, os.PathLike) else given
        if not _fits(flag.kind, value):
            raise FlagValueError(name, repr(given))
        values[flag.name] = value  # type: ignore[assignment]  # _fits has checked it
    return values


def nearest_flag(word: str) -> str | None:
    """The known flag whose spelling is most like `word`, or None if none is alike."""
    import difflib

    name = word.lstrip("-").partition("=")[0].replace("-", "_")
    return next(iter(difflib.get_close_matches(name, FLAGS_BY_NAME, n=1, cutoff=0.5)), None)


def _int(text: str, bits: int) -> int | None:
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdigit()):
        return None
    value = int(text)
    return value if -(1 << bits) <= value < 1 << bits else None


def _float(text: str) -> float | None:
    if "_" in text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


def _fits(kind: Kind, value: object) -> bool:
    if kind is Kind.BOOL:
        return isinstance(value, bool)
    if kind is Kind.STRING:
        return isinstance(value, str)
    if isinstance(value, bool):
        return False
    if kind is Kind.FLOAT:
        return isinstance(value, (int, float))
    return isinstance(value, int) and -(1 << _INT_BITS[kind]) <= value < 1 << _INT_BITS[kind]
