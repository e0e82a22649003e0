# SPDX-License-Identifier: Apache-2.0
"""`tensorserve restart`: has a running server start anew on the same ports, without losing a request."""

from collections.abc import Sequence

from tensorserve.cli.admin_client import NO_SERVER, AdminClient, ServerRefusedError, ServerUnreachableError
from tensorserve.cli.arguments import Parser, UsageError
from tensorserve.cli.exit_status import OK, REFUSED, UNREACHABLE, USAGE
from tensorserve.cli.terminal import complain, say

# Longer than most models take to load.
_TIMEOUT_SECONDS = 600.0


def parser() -> Parser:
    """The arguments of the command."""
    made = Parser(
        "tensorserve restart",
        description="Starts the program of a running server anew, also a new release that was installed in its place, "
        "with the same flags. It takes over once its models answer; if it does not get that far, nothing happens.",
    )
    made.add_argument("--server", default="http://localhost:8501", help="http(s)://HOST:PORT or unix:PATH")
    made.add_argument("--token_file", help="file whose first line is a token of the server")
    made.add_argument("--ca_file", help="certificates to trust, for https")
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
    try:
        answer = AdminClient(arguments.server, arguments.token_file, arguments.ca_file).ask("POST", path, {})
    except (OSError, ValueError) as error:
        return _failed(str(error), USAGE)
    except ServerUnreachableError as error:
        return _failed(f"{error}\n{NO_SERVER}", UNREACHABLE)
    except ServerRefusedError as error:
        return _failed(str(error), REFUSED)
    say("The server has been restarted.")
    if lost := answer.get("lost"):
        say("Lost, since neither its flags nor its files say it:")
        for text in lost:
            say(f"  {text}")
    return OK


def _failed(text: str, status: int) -> int:
    complain(f"tensorserve restart: {text}")
    return status
