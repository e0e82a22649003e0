# SPDX-License-Identifier: Apache-2.0
"""`tensorserve log`: shows or changes the log level of a running server."""

from collections.abc import Sequence

from tensorserve.cli.admin_client import AdminClient, ServerRefusedError, ServerUnreachableError
from tensorserve.cli.arguments import Parser, UsageError
from tensorserve.cli.exit_status import OK, REFUSED, UNREACHABLE, USAGE
from tensorserve.cli.terminal import complain, say
from tensorserve.config.flags import LOG_LEVELS


def parser() -> Parser:
    """The arguments of the command."""
    made = Parser(
        "tensorserve log",
        description="Shows the level of a running server's log or, with LEVEL, changes it, TensorFlow's lines "
        "included. It lasts until the server is stopped, also when its process is started anew.",
    )
    made.add_argument("level", nargs="?", choices=LOG_LEVELS, metavar="LEVEL", help=", ".join(LOG_LEVELS))
    made.add_argument("--server", default="http://localhost:8501", help="http(s)://HOST:PORT or unix:PATH")
    made.add_argument("--token_file", help="file whose first line is a token of the server")
    made.add_argument("--ca_file", help="certificates to trust, for https")
    return made


def run(words: Sequence[str]) -> int:
    """Shows or changes the level; `words` are those after `log`. Gives the exit status."""
    try:
        arguments = parser().read(words)
    except UsageError as error:
        return error.status
    try:
        client = AdminClient(arguments.server, arguments.token_file, arguments.ca_file)
        if arguments.level is None:
            answer = client.ask("GET", "log")
        else:
            answer = client.ask("PUT", "log", {"level": arguments.level})
    except (OSError, ValueError) as error:
        return _failed(str(error), USAGE)
    except ServerUnreachableError as error:
        return _failed(f"{error}\nIs the server running with --rest_api_port? Name it with --server.", UNREACHABLE)
    except ServerRefusedError as error:
        return _failed(str(error), REFUSED)
    say(answer["level"])
    return OK


def _failed(text: str, status: int) -> int:
    complain(f"tensorserve log: {text}")
    return status
