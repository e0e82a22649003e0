# SPDX-License-Identifier: Apache-2.0
"""`tensorserve inspect`: shows what a model takes and gives, without loading it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from tensorserve.cli.arguments import Parser, UsageError
from tensorserve.cli.exit_status import OK, REFUSED, UNREACHABLE, USAGE
from tensorserve.cli.terminal import as_json, complain, say
from tensorserve.errors import Code, ServingError

if TYPE_CHECKING:
    from tensorserve.inspect.description import Model


def parser() -> Parser:
    """The arguments of the command."""
    made = Parser(
        "tensorserve inspect",
        description="Shows what a model takes and gives, what is in it, and how to ask it. Loads nothing.",
        epilog=(
            "The exit status is 0, 1 if --diff finds a change that breaks clients, 2 if there is no model that can be "
            "read,\n3 if there is no server."
        ),
    )
    made.add_argument(
        "path",
        help="version, base path, URL of an object store, or a running server (http://HOST:PORT[/v1/models/NAME])",
    )
    made.add_argument("--json", action="store_true", help="print JSON")
    made.add_argument("--ops", action="store_true", help="list the op types that are served")
    made.add_argument("--diff", metavar="OTHER", help="show what changed from PATH to OTHER in the signatures")
    made.add_argument("--version", type=int, metavar="N", help="version of a base path (the newest)")
    made.add_argument("--saved_model_tags", default="serve", metavar="TAGS", help="tags of the graph (serve)")
    return made


def run(words: Sequence[str]) -> int:
    """Prints a description; `words` are those after `inspect`. Gives the exit status."""
    try:
        arguments = parser().read(words)
    except UsageError as error:
        return error.status
    from tensorserve.inspect.places import inspect_model

    tags = tuple(filter(None, arguments.saved_model_tags.split(",")))
    try:
        model = inspect_model(arguments.path, tags, arguments.version)
        if arguments.diff:
            return _print_difference(model, inspect_model(arguments.diff, tags), in_json=arguments.json)
    except ServingError as error:
        complain(f"tensorserve inspect: {error.message}")
        return UNREACHABLE if error.code is Code.UNAVAILABLE else USAGE
    from tensorserve.inspect import text

    if arguments.json:
        from tensorserve.inspect.samples import samples

        requests = {signature.name: asdict(samples(model, signature)) for signature in model.signatures}
        say(as_json({**model.as_dict(), "requests": requests}))
    else:
        say(text.ops_report(model) if arguments.ops else text.report(model), end="")
    return OK


def _print_difference(before: Model, after: Model, *, in_json: bool) -> int:
    from tensorserve.inspect import text
    from tensorserve.inspect.difference import differences

    changes = differences(before, after)
    if in_json:
        say(as_json({"changes": [asdict(change) for change in changes]}))
    else:
        say(text.changes_report(before, after, changes), end="")
    return REFUSED if any(change.breaks for change in changes) else OK
