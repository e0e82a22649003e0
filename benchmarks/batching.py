# SPDX-License-Identifier: Apache-2.0
"""Batches that size themselves against none, and against a grid of parameters set by hand.

All servers run at once and are asked in turns, so that they see the same machine. `python -m benchmarks.batching`
prints what it finds; `python -m benchmarks batching` puts it on the page.
"""

import argparse
import contextlib
import shutil
import statistics
import struct
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.models import cache
from tests.server_process import ServerProcess, model_config

from benchmarks.load import Concurrency, LoadReport, run_load
from benchmarks.scenarios import IMAGE, ONE, ROW, SIXTY_FOUR, TINY, Scenario

Result = dict[str, Any]
# Rows of a batch, microseconds of waiting, threads.
Parameters = tuple[int, int, int]

SECONDS, REPETITIONS = 3.0, 5
# The best of many noisy figures is too good. So the best point of the grid is found first, and then measured anew:
# after one run of each, the best ones are asked `FINAL_RUNS` times more.
FINALISTS, FINAL_RUNS = 3, 2
GRID: tuple[Parameters, ...] = tuple(
    (rows, micros, threads) for rows in (16, 32, 64, 128) for micros in (0, 1000, 3000) for threads in (1, 2)
)
SMALL_GRID: tuple[Parameters, ...] = tuple(
    (rows, micros, threads) for rows in (2, 4, 8) for micros in (0, 20000) for threads in (1, 2)
)


@dataclass(frozen=True)
class Comparison:
    """A load, and the parameters set by hand for it.

    Attributes:
        scenario: The load.
        grid: Parameters.
        learning_seconds: How long batches that size themselves learn before anything is measured.
        times: How many times longer than others its runs are.
        rounds: How many times more runs than others it has, as latency and small differences are noisy.
    """

    scenario: Scenario
    grid: tuple[Parameters, ...] = ()
    learning_seconds: float = 10.0
    times: int = 1
    rounds: int = 2


EIGHT = Concurrency(4, 2)
COMPARISONS = (
    Comparison(Scenario("wide_mlp, 1 in flight", "grpc", "wide_mlp", ROW, ONE), rounds=4),
    Comparison(Scenario("wide_mlp, 64 in flight", "grpc", "wide_mlp", ROW, SIXTY_FOUR), GRID),
    Comparison(Scenario("mlp, 1 in flight", "grpc", "mlp", ROW, ONE), rounds=4),
    Comparison(Scenario("mlp, 64 in flight", "grpc", "mlp", ROW, SIXTY_FOUR), GRID),
    Comparison(Scenario("half_plus_two, 64 in flight", "grpc", "half_plus_two", TINY, SIXTY_FOUR)),
    Comparison(
        Scenario("mobilenet_v2, 1 image, 8 in flight", "grpc", "mobilenet_v2", IMAGE, EIGHT), SMALL_GRID, 60.0, 3
    ),
)
OFF, AUTO = "off", "auto"


def name_of(parameters: Parameters) -> str:
    return "-".join(map(str, parameters))


def command_line(setting: str, parameters: Parameters | None, folder: Path) -> tuple[str, ...]:
    """The flags of one server."""
    if parameters is None:
        return ("--enable_batching",) if setting == AUTO else ()
    rows, micros, threads = parameters
    file = folder / f"{setting}.config"
    file.write_text(
        f"max_batch_size {{ value: {rows} }} batch_timeout_micros {{ value: {micros} }} "
        f"num_batch_threads {{ value: {threads} }} max_enqueued_batches {{ value: 1000 }}"
    )
    return ("--enable_batching", f"--batching_parameters_file={file}")


def base_paths(folder: Path) -> dict[str, Path]:
    mobilenet = folder / "mobilenet_v2"
    mobilenet.mkdir()
    (mobilenet / "1").symlink_to(cache.exported(cache.MOBILENET))
    models = cache.exported()
    paths = {name: models / name for name in ("mlp", "half_plus_two")}
    return paths | {"wide_mlp": cache.exported(cache.BATCHING) / "wide_mlp", "mobilenet_v2": mobilenet}


@contextlib.contextmanager
def servers(comparison: Comparison, base_path: Path, flags: tuple[str, ...]) -> Iterator[dict[str, ServerProcess]]:
    """A server without batches, one whose batches size themselves, and one for each point of the grid."""
    settings: dict[str, Parameters | None] = {OFF: None, AUTO: None}
    settings |= {name_of(parameters): parameters for parameters in comparison.grid}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        config = folder / "models.config"
        config.write_text(model_config({comparison.scenario.model: base_path}))
        found = {}
        for setting, parameters in settings.items():
            words = (f"--model_config_file={config}", *command_line(setting, parameters, folder), *flags)
            found[setting] = stack.enter_context(ServerProcess(words, folder / f"{setting}.log"))
        yield found


def reply_bytes(scenario: Scenario, server: ServerProcess) -> int:
    """The size of the right reply with its framing."""
    import grpc

    from tensorserve import protos

    with grpc.insecure_channel(server.grpc_target) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        reply = call(scenario.grpc_message(), timeout=30)
    protos.PredictResponse.FromString(reply)
    return struct.calcsize(">BI") + len(reply)


def ask(scenario: Scenario, server: ServerProcess, size: int, seconds: float) -> LoadReport:
    """One run of about `seconds`, after one that tells how many requests that is."""
    target = scenario.target(server.grpc_port, server.rest_port, size)
    concurrency = scenario.concurrency
    first = run_load(target, max(5 * concurrency.in_flight, 20), concurrency)
    return run_load(target, max(int(first.per_second * seconds), concurrency.in_flight), concurrency)


def compare(comparison: Comparison, running: dict[str, ServerProcess], seconds: float, repetitions: int) -> Result:
    """The medians of the rates and latencies of the servers without a grid, and of the best point of the grid."""
    scenario, seconds = comparison.scenario, seconds * comparison.times
    size = reply_bytes(scenario, running[OFF])

    def run(name: str) -> LoadReport:
        return ask(scenario, running[name], size, seconds)

    ask(scenario, running[AUTO], size, max(comparison.learning_seconds, seconds))
    tried = {name: [run(name).per_second] for name in running if name not in (OFF, AUTO)}

    def best_first() -> list[str]:
        return sorted(tried, key=lambda name: -statistics.median(tried[name]))

    finalists = best_first()[:FINALISTS]
    for name in finalists * FINAL_RUNS:
        tried[name].append(run(name).per_second)
    best = [name for name in best_first() if name in finalists][:1]
    rates: dict[str, list[float]] = {name: [] for name in (OFF, AUTO, *best)}
    medians: dict[str, list[float]] = {name: [] for name in rates}
    order = list(rates)
    for _ in range(repetitions * comparison.rounds):
        # The other way round each time, so that nobody always comes after the same one.
        for name in (order := order[::-1]):
            report = run(name)
            rates[name].append(report.per_second)
            medians[name].append(report.latency_us["p50"])
    return {
        "name": scenario.name,
        "tried": {name: round(statistics.median(found), 1) for name, found in tried.items()},
        "rates": {name: round(statistics.median(found), 1) for name, found in rates.items()},
        "p50_us": {name: round(statistics.median(found), 1) for name, found in medians.items()},
    }


def measure_batching(
    models: Path,
    folder: Path,
    *flags: str,
    seconds: float = SECONDS,
    repetitions: int = REPETITIONS,
    only: str = "",
) -> list[Result]:
    """All comparisons whose name contains `only`, one after the other.

    Raises:
        InvalidRunError: A run gave no figures.
    """
    paths, results = base_paths(folder), []
    for comparison in COMPARISONS:
        if only in comparison.scenario.name:
            with servers(comparison, paths[comparison.scenario.model], flags) as running:
                results.append(compare(comparison, running, seconds, repetitions))
            _progress(results[-1])
    return results


def _progress(result: Result) -> None:
    rates = result["rates"]
    print(result["name"], file=sys.stderr)
    for name in sorted(rates, key=lambda name: -rates[name]):
        figures = (
            f"{rates[name]:>10,.0f} rows/s {rates[name] / rates[OFF]:>6.2f} of off {result['p50_us'][name]:>9,.0f} us"
        )
        print(f"  {name:<14}{figures} p50", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="loads whose name contains this")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length of one run")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS, help="runs of each server")
    parser.add_argument("--flag", action="append", default=[], help="a flag for all servers")
    options = parser.parse_args()
    if shutil.which("h2load") is None:
        sys.exit("h2load is missing: apt-get install nghttp2-client")
    with tempfile.TemporaryDirectory() as folder:
        length = {"seconds": options.seconds, "repetitions": options.repetitions}
        measure_batching(cache.exported(), Path(folder), *options.flag, only=options.only, **length)


if __name__ == "__main__":
    main()
