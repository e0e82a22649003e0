# SPDX-License-Identifier: Apache-2.0
"""`tensorserve log`: shows or changes the log level of a running server."""

from collections.abc import Sequence
from typing import Any

from tensorserve.cli.admin_client import AdminClient
from tensorserve.cli.admin_command import add_server_arguments, run_with_server
from tensorserve.cli.arguments import Parser, UsageError
from tensorserve.cli.terminal import say
from tensorserve.config.flags import LOG_LEVELS


def parser() -> Parser:
    """The arguments of the command."""
    made = Parser(
        "tensorserve log",
        description="Shows the level of a running server's log or, with LEVEL, changes it, TensorFlow's lines "
        "included. It lasts until the server is stopped, also when its process is started anew.",
    )
    made.add_argument("level", nargs="?", choices=LOG_LEVELS, metavar="LEVEL", help=", ".join(LOG_LEVELS))
    add_server_arguments(made)
    return made


def run(words: Sequence[str]) -> int:
    """Shows or changes the level; `words` are those after `log`. Gives the exit status."""
    try:
        arguments = parser().read(words)
    except UsageError as error:
        return error.status

    def ask(client: AdminClient) -> Any:
        if arguments.level is None:
            return client.ask("GET", "log")
        return client.ask("PUT", "log", {"level": arguments.level})

    return run_with_server("log", arguments, ask, lambda answer: say(answer["level"]))
