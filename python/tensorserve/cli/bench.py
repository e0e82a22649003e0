# SPDX-License-Identifier: Apache-2.0
"""`tensorserve bench`: what a running server can take, and how long its answers take."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tensorserve.cli.arguments import Parser, UsageError
from tensorserve.cli.exit_status import OK, REFUSED, UNREACHABLE, USAGE

if TYPE_CHECKING:
    from tensorserve.bench.measuring import Load, Measurement
    from tensorserve.bench.requests import Requests

_EXAMPLES = """\
examples:
  tensorserve bench grpc://localhost:8500 --model_name half_plus_two --concurrency 1,8,64
  tensorserve bench http://localhost:8501 --model_name cats --input image=@cat.png --rate 200
  tensorserve bench grpc://localhost:8500 --model_name cats --batch 1,8,32 --find_rate_at_p99_ms 20
  tensorserve bench grpc://old:8500 --compare grpc://new:8500 --model_name cats --rounds 10 --chart cats.svg
"""
_INTERRUPTED = 130


def run(words: Sequence[str]) -> int:
    """Runs the command; `words` are those after `bench`. Gives the exit status."""
    try:
        arguments = parser().read(words)
    except UsageError as error:
        return error.status
    from tensorserve import errors
    from tensorserve_client import Code, InputError, ServingError
    from tensorserve_client.errors import AddressError

    try:
        return _bench(arguments)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except (AddressError, InputError, OSError) as error:
        return _failed(str(error), USAGE)
    except ServingError as error:
        return _failed(str(error), UNREACHABLE if error.code == Code.UNAVAILABLE else REFUSED)
    except errors.ServingError as error:
        return _failed(str(error), UNREACHABLE if error.code == errors.Code.UNAVAILABLE else REFUSED)


def _failed(text: str, status: int) -> int:
    print(f"tensorserve bench: {text}", file=sys.stderr)
    return status


def _numbers(text: str) -> list[int]:
    numbers = [int(part) for part in text.split(",")]
    if min(numbers) < 1:
        raise ValueError
    return numbers


def _above_zero(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError
    return number


_numbers.__name__, _above_zero.__name__ = "list of whole numbers above 0", "number above 0"


def parser() -> Parser:
    """The arguments of the command."""
    made = Parser("tensorserve bench", description=__doc__, epilog=_EXAMPLES)
    made.add_argument("url", help="grpc://HOST:PORT, http://HOST:PORT, unix:PATH or http+unix:PATH")
    what = made.add_argument_group("what is sent")
    what.add_argument("--model_name", required=True, help="the model to ask for")
    what.add_argument("--signature", default="serving_default", help="its signature (serving_default)")
    what.add_argument("--version", type=int, help="number of its version (the latest)")
    what.add_argument(
        "--batch", type=_numbers, default=[1], metavar="N,...", help="rows of a request (1); several: a sweep"
    )
    what.add_argument("--input", action="append", default=[], metavar="ALIAS=VALUE", help="as for tensorserve predict")
    what.add_argument("--example", action="append", default=[], metavar="JSON", help="features of a tf.Example")
    what.add_argument("--shape", action="append", default=[], metavar="ALIAS=N,N", help="shape of an input, rows first")
    what.add_argument("--recorded", metavar="FILE", help="send the predict requests of a request log or warm-up file")
    what.add_argument("--rest_protobuf", action="store_true", help="REST bodies as protobuf")
    when = made.add_argument_group("when")
    when.add_argument("--concurrency", type=_numbers, default=None, metavar="N,...", help="closed loop: senders (8)")
    when.add_argument("--rate", type=_above_zero, default=None, metavar="R", help="open loop: requests a second")
    when.add_argument("--even", action="store_true", help="open loop: even distances instead of random ones")
    when.add_argument("--find_rate_at_p99_ms", type=_above_zero, metavar="MS", help="search the highest rate")
    when.add_argument("--seconds", type=_above_zero, default=5.0, help="length of a measurement (5)")
    when.add_argument("--warmup", type=float, default=1.0, metavar="SECONDS", help="not measured, before each (1)")
    when.add_argument("--timeout", type=_above_zero, default=10.0, metavar="SECONDS", help="a request has failed (10)")
    when.add_argument("--connections", type=int, default=0, help="to the server (as many as suit)")
    when.add_argument("--threads", type=int, default=1, help="that send (1)")
    when.add_argument("--seed", type=int, default=0, help="of everything random (0)")
    out = made.add_argument_group("results")
    out.add_argument("--compare", metavar="URL", help="measure another server in turns with the first")
    out.add_argument("--rounds", type=int, default=6, help="of a comparison (6)")
    out.add_argument("--json", metavar="FILE", help="write everything that was measured")
    out.add_argument("--chart", metavar="FILE.svg", help="write a chart of latency by percentile")
    return made


def _bench(arguments: Namespace) -> int:
    from tensorserve.bench.measuring import Load

    load = Load(
        even=arguments.even,
        connections=arguments.connections,
        threads=max(arguments.threads, 1),
        warm_up=max(arguments.warmup, 0.0),
        seconds=arguments.seconds,
        timeout=arguments.timeout,
        seed=arguments.seed,
    )
    if arguments.compare:
        return _compare(arguments, load)
    if arguments.find_rate_at_p99_ms:
        return _find(arguments, load)
    measured = [
        _measure(requests, one, f"{one.text}, {requests.rows} rows")
        for requests in _all_requests(arguments, arguments.url)
        for one in _loads(arguments, load)
    ]
    _print(measured)
    _write(arguments, measured, [(f"{one.load.text}, {one.rows} rows", one) for one in measured])
    return OK if all(one.answered for one in measured) else REFUSED


def _loads(arguments: Namespace, load: Load) -> list[Load]:
    if arguments.rate:
        return [replace(load, rate=arguments.rate)]
    return [replace(load, concurrency=concurrency) for concurrency in arguments.concurrency or [8]]


def _measure(requests: Requests, load: Load, text: str = "") -> Measurement:
    from tensorserve.bench import terminal
    from tensorserve.bench.measuring import measure

    try:
        return measure(requests, load, terminal.live(text or load.text))
    finally:
        terminal.clear()


def _print(measured: Sequence[Measurement]) -> None:
    from tensorserve.bench import terminal

    print(terminal.table(measured), end="")
    if len(measured) == 1:
        print("\n" + terminal.histogram(measured[0].counts), end="")
    for one in measured:
        for warning in terminal.warnings(one):
            print(f"{one.load.text}: {warning}", file=sys.stderr)


def _find(arguments: Namespace, load: Load) -> int:
    from tensorserve.bench import terminal
    from tensorserve.bench.search import Objective, find_highest_rate

    objective = Objective(seconds=arguments.find_rate_at_p99_ms / 1e3)
    tried: list[Measurement] = []
    status = OK
    for requests in _all_requests(arguments, arguments.url):
        found = find_highest_rate(partial(_measure, requests), objective, replace(load, rate=arguments.rate or 0.0))
        tried += found.tried
        print(terminal.table(found.tried), end="")
        if found.best is None:
            print(f"at no rate does {objective.text} hold with {requests.rows} rows in a request")
            status = REFUSED
        else:
            rate = found.best.load.rate
            print(f"{objective.text} holds up to {rate:,.0f} requests/s with {requests.rows} rows in each")
    _write(arguments, tried, [(one.load.text, one) for one in tried])
    return status


def _compare(arguments: Namespace, load: Load) -> int:
    from tensorserve.bench import terminal
    from tensorserve.bench.comparison import interleaved, ratios

    everything: list[Measurement] = []
    lines: list[tuple[str, Measurement]] = []
    both = zip(_all_requests(arguments, arguments.url), _all_requests(arguments, arguments.compare), strict=True)
    for first, second in both:
        for one in _loads(arguments, load):
            text = f"{one.text}, {first.rows} rows"
            pairs = interleaved(
                partial(_measure, first, one, f"first, {text}"),
                partial(_measure, second, one, f"second, {text}"),
                max(arguments.rounds, 1),
            )
            everything += [measured for pair in pairs for measured in pair]
            lines += [(f"first, {text}", pairs[-1][0]), (f"second, {text}", pairs[-1][1])]
            print(f"{text}, {len(pairs)} rounds; first is {arguments.url}, second {arguments.compare}")
            print(terminal.table([measured for pair in pairs for measured in pair]), end="")
            print(terminal.comparison(ratios(pairs)), end="")
    _write(arguments, everything, lines)
    return OK


def _all_requests(arguments: Namespace, url: str) -> list[Requests]:
    """The requests of each batch size."""
    from tensorserve.bench import requests as bench_requests
    from tensorserve.cli.input_values import read_inputs
    from tensorserve_client.verbs import Spec

    spec = Spec(arguments.model_name, arguments.version, "", arguments.signature)
    if arguments.recorded:
        return [bench_requests.recorded(url, spec, arguments.recorded)]
    signature = bench_requests.describe_model(url, spec)
    given = read_inputs(arguments.input, arguments.example, signature.inputs)
    shapes = dict(_shape(word) for word in arguments.shape)
    made = []
    for rows in arguments.batch:
        inputs = []
        for number in range(8 if len(given) < len(signature.inputs) else 1):
            missing = {alias: one for alias, one in signature.inputs.items() if alias not in given}
            rest = replace(signature, inputs=missing)
            sized = {alias: [rows, *shape[1:]] for alias, shape in shapes.items()}
            fill = bench_requests.made_up(rest, rows, sized, arguments.seed + number)
            inputs.append({**bench_requests.repeated(given, rows), **fill})
        made.append(bench_requests.predict(url, spec, inputs, as_protobuf=arguments.rest_protobuf))
    return made


def _shape(word: str) -> tuple[str, list[int]]:
    from tensorserve_client import InputError

    alias, _, text = word.partition("=")
    try:
        return alias, [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--shape {word}: write ALIAS=N,N, the first for the rows") from None


def _write(arguments: Namespace, measured: Sequence[Measurement], lines: Sequence[tuple[str, Measurement]]) -> None:
    if arguments.json:
        content: Mapping[str, Any] = {
            "url": arguments.url,
            "compared_with": arguments.compare,
            "model": arguments.model_name,
            "measurements": [one.as_json() for one in measured],
        }
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
            file.write("\n")
    if arguments.chart:
        from tensorserve.bench.chart import percentile_chart

        with open(arguments.chart, "w", encoding="utf-8") as file:
            file.write(percentile_chart(lines, f"{arguments.model_name} at {arguments.url}"))
