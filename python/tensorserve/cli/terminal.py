# SPDX-License-Identifier: Apache-2.0
"""What the commands print: names come from models, servers and files, and must not steer a terminal."""

import json
import sys

from tensorserve.log import printable


def say(text: object, *, end: str = "\n") -> None:
    """Prints to the standard output; only line ends and tabs of the text reach a terminal as they are."""
    print(printable(str(text), keep="\n\t"), end=end)


def as_json(value: object, *, indent: int | None = 2) -> str:
    """JSON of ASCII letters alone, which needs no escaping."""
    return json.dumps(value, indent=indent).replace("\x7f", "\\u007f")


def complain(text: object) -> None:
    """The same to the standard error."""
    print(printable(str(text), keep="\n\t"), file=sys.stderr)
