# SPDX-License-Identifier: Apache-2.0
"""What the commands print: names come from models, servers and files, and must not steer a terminal."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator

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


@contextlib.contextmanager
def without_native_output() -> Iterator[None]:
    """TensorFlow's native code greets on standard error; what goes wrong comes as an exception."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
