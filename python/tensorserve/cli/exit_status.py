# SPDX-License-Identifier: Apache-2.0
"""How the commands end."""

import os
import sys
from contextlib import suppress
from typing import NoReturn

from tensorserve.errors import ServingError
from tensorserve.log import flush_log
from tensorserve.loops import start_thread

OK = 0
REFUSED = 1
"""A server that was asked for something answered with an error."""
USAGE = 2
"""The command line cannot be understood."""
UNREACHABLE = 3
"""There is no server at the address."""
NOBODY_READS = 141
"""Whoever read the output has gone; what a shell says of a program that SIGPIPE ended."""
FAILURE = 255
"""The server cannot start; TensorFlow Serving's status for every error."""


def end_process(status: int, flush_seconds: float | None = None) -> NoReturn:
    """Ends the process without tearing the interpreter down under native threads that may still run.

    Args:
        status: The exit status.
        flush_seconds: How long what was printed may take to be written; None means as long as it takes.
    """
    if flush_seconds is None:
        _flush()
    else:
        flush_log(flush_seconds)
        with suppress(ServingError):
            start_thread("flush", _flush).join(flush_seconds)
    os._exit(status)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # It was closed when this program began.
            with suppress(OSError, ValueError):
                stream.flush()
