# SPDX-License-Identifier: Apache-2.0
"""What the commands share that speak to a running server's admin API."""

import argparse
from collections.abc import Callable
from typing import Any

from tensorserve.cli.admin_client import NO_SERVER, AdminClient, ServerRefusedError, ServerUnreachableError
from tensorserve.cli.arguments import Parser
from tensorserve.cli.exit_status import OK, REFUSED, UNREACHABLE, USAGE
from tensorserve.cli.terminal import complain


def add_server_arguments(parser: Parser) -> None:
    """The flags that say which server is meant, and how it is reached."""
    parser.add_argument("--server", default="http://localhost:8501", help="http(s)://HOST:PORT or unix:PATH")
    parser.add_argument("--token_file", help="file whose first line is a token of the server")
    parser.add_argument("--ca_file", help="certificates to trust, for https")


def run_with_server(
    name: str, arguments: argparse.Namespace, ask: Callable[[AdminClient], Any], show: Callable[[Any], None]
) -> int:
    """Asks the server that the arguments name, and shows its answer or complains. Gives the exit status.

    Args:
        name: Of the command.
        arguments: With those of `add_server_arguments`.
        ask: Gives the answer.
        show: Prints it.
    """
    try:
        answer = ask(AdminClient(arguments.server, arguments.token_file, arguments.ca_file))
    except (OSError, ValueError) as error:
        text, status = str(error), USAGE
    except ServerUnreachableError as error:
        text, status = f"{error}\n{NO_SERVER}", UNREACHABLE
    except ServerRefusedError as error:
        text, status = str(error), REFUSED
    else:
        show(answer)
        return OK
    complain(f"tensorserve {name}: {text}")
    return status
