# SPDX-License-Identifier: Apache-2.0
"""`tensorserve serve`: strict about its flags."""

import sys
from collections.abc import Sequence

from tensorserve.cli.exit_status import OK, USAGE
from tensorserve.cli.terminal import complain
from tensorserve.config.flags import ServerOptions
from tensorserve.config.parser import nearest_flag, parse_command_line
from tensorserve.errors import FlagError, UnknownFlagError


def run(words: Sequence[str]) -> int:
    """Serves until a signal comes; `words` are the flags. Gives the exit status."""
    if "--help" in words or "-h" in words:
        from tensorserve.config.reference import usage

        print(usage("tensorserve serve"), end="")
        return OK
    try:
        options = read_options(words)
    except FlagError as error:
        complain(f"tensorserve serve: {error}")
        return USAGE
    if options.version:
        from tensorserve.cli.versions import print_versions

        return print_versions(options.tensorflow_library)
    from tensorserve.cli.supervision import run_supervised

    return run_supervised(options, sys.stderr)


def read_options(words: Sequence[str]) -> ServerOptions:
    """Reads the flags.

    Raises:
        FlagError: One of them is unknown, or its value does not fit.
    """
    parsed = parse_command_line(words)
    if parsed.leftover:
        unknown = parsed.leftover[0]
        raise UnknownFlagError(unknown, nearest_flag(unknown))
    return ServerOptions(**parsed.values)  # type: ignore[arg-type]  # the parser gives each flag its type
