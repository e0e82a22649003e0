# SPDX-License-Identifier: Apache-2.0
"""`tensorserve warmup`: makes, shows and tries the files that warm up a version."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tensorserve.cli.arguments import Parser, UsageError
from tensorserve.cli.exit_status import FAILURE, OK
from tensorserve.cli.terminal import as_json, complain, say
from tensorserve.errors import Code, ServingError
from tensorserve.log import printable

if TYPE_CHECKING:
    from tensorserve._core import Servable
    from tensorserve.warmup.records import Record

_MILLISECONDS = 1e3


def run(words: Sequence[str]) -> int:
    """Runs `record`, `inspect` or `replay`; `words` are those after `warmup`. Gives the exit status."""
    try:
        arguments = parser().read(words)
    except UsageError as error:
        return error.status
    try:
        {"record": _record, "inspect": _inspect, "replay": _replay}[arguments.action](arguments)
    except ServingError as error:
        complain(f"tensorserve warmup {arguments.action}: {error.message}")
        return FAILURE
    return OK


def parser() -> Parser:
    """The arguments of the command."""
    made = Parser("tensorserve warmup", description="Makes, shows and tries the files that warm up a version.")
    actions = made.add_subparsers(dest="action", required=True, metavar="ACTION")
    record = actions.add_parser("record", help="make a warm-up file from request logs or from requests in JSON")
    source = record.add_mutually_exclusive_group(required=True)
    source.add_argument("--from", dest="logs", nargs="+", metavar="FILE", help="request logs of a server")
    source.add_argument("--json", metavar="FILE", help="bodies of REST requests: a list, one, or one on each line")
    record.add_argument("--out", required=True, metavar="PATH", help="version directory, or the file to write")
    record.add_argument("--max", type=int, default=100, metavar="N", help="write at most N requests (100)")
    record.add_argument("--model_name", default="", help="only requests to this model; the name in JSON requests")
    record.add_argument(
        "--distinct_signatures", action="store_true", help="only the first of each verb, signature and input shape"
    )
    record.add_argument("--model", metavar="DIR", help="version directory that says what --json means (that of --out)")
    inspect = actions.add_parser("inspect", help="show what a warm-up file or a request log holds")
    inspect.add_argument("path", help="the file, or the version directory that it belongs to")
    inspect.add_argument("--json", action="store_true", help="one JSON object on each line")
    replay = actions.add_parser("replay", help="run the requests and show what they take")
    replay.add_argument("path", help="version directory")
    replay.add_argument("--file", metavar="FILE", help="warm-up file or request log, instead of the version's own")
    replay.add_argument("--iterations", type=int, default=1, metavar="N", help="run each request N times (1)")
    replay.add_argument("--server", metavar="URL", help="send predict requests to this server over REST instead")
    replay.add_argument("--model_name", default="", help="the model to ask with --server")
    for action in (record, replay):
        action.add_argument("--saved_model_tags", default="serve", help="tags of the meta graph to load (serve)")
        action.add_argument("--tensorflow_library", default="", help="path of libtensorflow_cc")
    return made


def _record(arguments: argparse.Namespace) -> None:
    from tensorserve.warmup.recording import Choice, from_json, from_request_logs, write_warmup_file
    from tensorserve.warmup.records import warmup_path

    if arguments.max < 1:
        raise ServingError(Code.INVALID_ARGUMENT, "--max must be above 0")
    choice = Choice(arguments.max, arguments.model_name, arguments.distinct_signatures)
    if arguments.logs:
        records = from_request_logs(arguments.logs, choice)
    else:
        directory = arguments.model or arguments.out
        name = arguments.model_name or os.path.basename(os.path.dirname(os.path.abspath(directory)))
        records = from_json(arguments.json, _load(directory, arguments), dataclasses.replace(choice, model=name))
    path = warmup_path(arguments.out)
    write_warmup_file(path, records)
    say(f"{path}: {len(records)} requests, {sum(map(len, records))} bytes")


def _inspect(arguments: argparse.Namespace) -> None:
    from tensorserve.warmup.records import describe, read_logs, warmup_path

    for number, log in enumerate(read_logs(warmup_path(arguments.path))):
        record = describe(log)
        described = {"record": number, **dataclasses.asdict(record)}
        say(as_json(described, indent=None) if arguments.json else _line(number, record))


def _line(number: int, record: Record) -> str:
    inputs = ", ".join(f"{given.name} {given.dtype} {list(given.shape)}" for given in record.inputs)
    response = " with response" if record.has_response else ""
    kind, signature = record.kind or "nothing", record.signature or "serving_default"
    return printable(f"{number}: {kind} {record.model}/{signature} ({inputs}), {record.request_bytes} bytes{response}")


def _replay(arguments: argparse.Namespace) -> None:
    from tensorserve.warmup.records import warmup_path

    path = arguments.file or warmup_path(arguments.path)
    iterations = max(arguments.iterations, 1)
    if arguments.server:
        from tensorserve.warmup.sending import send

        replayed = send(path, arguments.server, arguments.model_name, iterations)
    else:
        replayed = _run_in_process(path, _load(arguments.path, arguments), iterations)
    for number, (signature, seconds) in enumerate(replayed):
        times = ", ".join(f"{value * _MILLISECONDS:.3f}" for value in seconds) or "not run"
        say(f"{number}: {printable(signature)}: {times}")
    runs = [value * _MILLISECONDS for _, seconds in replayed for value in seconds]
    if runs:
        median = sorted(runs)[len(runs) // 2]
        print(f"{len(runs)} runs, in milliseconds: first {runs[0]:.3f}, median {median:.3f}, longest {max(runs):.3f}")


def _run_in_process(path: str, servable: Servable, iterations: int) -> list[tuple[str, list[float]]]:
    from tensorserve import _core
    from tensorserve.warmup.records import describe, read_logs

    records = map(describe, read_logs(path))
    names = [f"{record.kind or 'nothing'} {record.signature or 'serving_default'}" for record in records]
    try:
        replayed = servable.replay(path, iterations=iterations, max_records=len(names))
    except _core.ServingError as error:
        raise ServingError.wrap(error) from error
    return [(name, seconds) for name, (_, seconds) in zip(names, replayed, strict=True)]


def _load(directory: str, arguments: argparse.Namespace) -> Servable:
    """Loads the model, as a server would."""
    from tensorserve import _core
    from tensorserve.config.batching import Batching
    from tensorserve.config.flags import ServerOptions
    from tensorserve.runtimes.tensorflow import TensorFlow

    options = ServerOptions(
        saved_model_tags=arguments.saved_model_tags, tensorflow_library=arguments.tensorflow_library
    )
    try:
        return TensorFlow.open(options, Batching()).loader(directory).load()
    except _core.ServingError as error:
        raise ServingError.wrap(error) from error
