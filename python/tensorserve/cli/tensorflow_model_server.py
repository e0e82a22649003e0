# SPDX-License-Identifier: Apache-2.0
"""The command `tensorflow_model_server`: treats its command line, output and exit status as the original does."""

import os
import sys
from collections.abc import Sequence

from tensorserve.cli.exit_status import FAILURE, end_process
from tensorserve.cli.terminal import complain, say
from tensorserve.config.flags import ServerOptions
from tensorserve.config.parser import parse_command_line
from tensorserve.config.reference import usage
from tensorserve.errors import FlagValueError
from tensorserve.log import open_standard_descriptors
from tensorserve.supervisor.channel import VARIABLE

_PROGRAM = "tensorflow_model_server"


def main(words: Sequence[str] | None = None) -> None:
    """Runs the command and ends the process with its exit status."""
    open_standard_descriptors()
    end_process(run(sys.argv[1:] if words is None else words))


def run(words: Sequence[str]) -> int:
    """Serves until a signal comes; `words` are the flags. Gives the exit status."""
    try:
        parsed = parse_command_line(words)
    except FlagValueError as error:
        complain(error)
        print(usage(_PROGRAM), end="")
        return FAILURE
    if parsed.leftover[:1] == ("--help",):
        print(usage(_PROGRAM), end="")
        return FAILURE
    options = ServerOptions(**parsed.values)  # type: ignore[arg-type]  # the parser gives each flag its type
    if options.version:
        from tensorserve.cli.versions import print_versions

        return print_versions(options.tensorflow_library)
    # The server that a supervisor starts has the same words; one of the two says it.
    if parsed.leftover and VARIABLE not in os.environ:
        say(f"unknown argument: {parsed.leftover[0]}\n{usage(_PROGRAM)}", end="")
        sys.stdout.flush()
    from tensorserve.cli.supervision import run_supervised

    return run_supervised(options, sys.stdout)


if __name__ == "__main__":
    main()
