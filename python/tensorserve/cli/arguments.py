# SPDX-License-Identifier: Apache-2.0
"""The parser of the sub-commands' arguments: argparse, which names the nearest flag when one is wrong."""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from tensorserve.cli.exit_status import OK, USAGE
from tensorserve.cli.terminal import complain


class UsageError(Exception):
    """The command line has been found wrong, or the help was asked for; the text is printed already.

    Attributes:
        status: How the process is to end.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors say what to do.

    Flags may be written with `-` or `_` between words, as those of `tensorserve serve` are.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options.setdefault("allow_abbrev", False)
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*arguments, **options)

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """Reads the words after the command.

        Raises:
            UsageError: They are wrong, or ask for help.
        """
        try:
            arguments, unknown = self.parse_known_args(self._spelled(words))
            if unknown:
                self.error(f"unknown argument: {unknown[0]}{self._nearest(unknown[0])}")
        except SystemExit as end:
            raise UsageError(USAGE if end.code else OK) from end
        return arguments

    def error(self, message: str) -> NoReturn:
        """Prints what is wrong and where the flags are listed."""
        complain(f"{self.prog}: {message}\n`{self.prog} --help` lists the arguments.")
        raise SystemExit(USAGE)

    def flags(self) -> Iterator[str]:
        """The spellings of all flags, with those of sub-commands."""
        for action in self._actions:
            yield from action.option_strings
            if isinstance(action, argparse._SubParsersAction):
                for parser in action.choices.values():
                    if isinstance(parser, Parser):
                        yield from parser.flags()

    def commands(self) -> "dict[str, Parser]":
        """The sub-commands by name."""
        found: dict[str, Parser] = {}
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                found |= action.choices
        return found

    def _spelled(self, words: Sequence[str]) -> list[str]:
        """The words with each flag in the spelling that the parser knows."""
        known = {flag.replace("_", "-"): flag for flag in self.flags()}
        spelled: list[str] = []
        for number, word in enumerate(words):
            if word == "--":
                return [*spelled, *words[number:]]
            name, equals, value = word.partition("=")
            found = known.get(name.replace("_", "-")) if word.startswith("--") else None
            spelled.append(f"{found}{equals}{value}" if found else word)
        return spelled

    def _nearest(self, word: str) -> str:
        if not word.startswith("-"):
            return ""
        import difflib

        def letters(flag: str) -> str:
            return flag.lstrip("-").replace("_", "-")

        known = {letters(flag): flag for flag in self.flags()}
        nearest = difflib.get_close_matches(letters(word.partition("=")[0]), known, n=1, cutoff=0.6)
        return f"; did you mean {known[nearest[0]]}?" if nearest else ""
