# SPDX-License-Identifier: Apache-2.0
"""How the commands end."""

import os
import sys
from contextlib import suppress
from typing import NoReturn

OK = 0
REFUSED = 1
"""A server that was asked for something answered with an error."""
USAGE = 2
"""The command line cannot be understood."""
UNREACHABLE = 3
"""There is no server at the address."""
FAILURE = 255
"""The server cannot start; TensorFlow Serving's status for every error."""


def end_process(status: int) -> NoReturn:
    """Ends the process without tearing the interpreter down under native threads that may still run."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)
