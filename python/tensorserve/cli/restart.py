# SPDX-License-Identifier: Apache-2.0
"""`tensorserve restart`: has a running server start anew on the same ports, without losing a request."""

from collections.abc import Sequence
from typing import Any

from tensorserve.cli.admin_command import add_server_arguments, run_with_server
from tensorserve.cli.arguments import Parser, UsageError
from tensorserve.cli.terminal import say

# Longer than most models take to load.
_TIMEOUT_SECONDS = 600.0


def parser() -> Parser:
    """The arguments of the command."""
    made = Parser(
        "tensorserve restart",
        description="Starts the program of a running server anew, also a new release that was installed in its place, "
        "with the same flags. It takes over once its models answer; if it does not get that far, nothing happens.",
    )
    add_server_arguments(made)
    made.add_argument(
        "--timeout",
        type=float,
        default=_TIMEOUT_SECONDS,
        help="wait at most this many seconds (%(default)g) for the new process, which goes on after that",
    )
    return made


def run(words: Sequence[str]) -> int:
    """Restarts a server; `words` are those after `restart`. Gives the exit status."""
    try:
        arguments = parser().read(words)
    except UsageError as error:
        return error.status
    path = f"restart?timeout={arguments.timeout:g}"
    return run_with_server("restart", arguments, lambda client: client.ask("POST", path, {}), _show)


def _show(answer: Any) -> None:
    say("The server has been restarted.")
    if lost := answer.get("lost"):
        say("Lost, since neither its flags nor its files say it:")
        for text in lost:
            say(f"  {text}")
