# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.batching`: batches that size themselves against none, and against parameters set by hand.

Prints a table. All servers run at once and are asked in turns, so that they see the same machine.
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

from tests.models import cache
from tests.server_process import ServerProcess, model_config

from benchmarks.load import Concurrency, LoadReport, run_load
from benchmarks.scenarios import Scenario

ONE, SIXTY_FOUR = Concurrency(1, 1), Concurrency(8, 8)
ROW = (1, 784)

SCENARIOS = (
    Scenario("grpc wide_mlp, 1 row, 1 in flight", "grpc", "wide_mlp", ROW, ONE),
    Scenario("grpc wide_mlp, 1 row, 64 in flight", "grpc", "wide_mlp", ROW, SIXTY_FOUR),
    Scenario("grpc mlp, 1 row, 1 in flight", "grpc", "mlp", ROW, ONE),
    Scenario("grpc mlp, 1 row, 64 in flight", "grpc", "mlp", ROW, SIXTY_FOUR),
    Scenario("grpc half_plus_two, 64 in flight", "grpc", "half_plus_two", (3,), SIXTY_FOUR),
)

GRID = tuple((rows, micros, threads) for rows in (16, 32, 64, 128) for micros in (0, 1000) for threads in (1, 2))


@dataclass(frozen=True)
class Setting:
    """A server's name and flags; `parameters` are rows of a batch, microseconds of waiting, and threads."""

    name: str
    flags: tuple[str, ...] = ()
    parameters: tuple[int, int, int] | None = None

    def command_line(self, folder: Path) -> tuple[str, ...]:
        if self.parameters is None:
            return self.flags
        rows, micros, threads = self.parameters
        file = folder / f"{self.name}.config"
        file.write_text(
            f"max_batch_size {{ value: {rows} }} batch_timeout_micros {{ value: {micros} }} "
            f"num_batch_threads {{ value: {threads} }} max_enqueued_batches {{ value: 1000 }}"
        )
        return ("--enable_batching", f"--batching_parameters_file={file}")


OFF, AUTO = Setting("off"), Setting("auto", ("--enable_batching",))


def grid() -> list[Setting]:
    return [Setting("-".join(map(str, parameters)), parameters=parameters) for parameters in GRID]


@contextlib.contextmanager
def servers(settings: list[Setting], folder: Path) -> Iterator[dict[str, ServerProcess]]:
    models = cache.exported()
    entries = {"wide_mlp": cache.exported(cache.BATCHING) / "wide_mlp"}
    entries |= {name: models / name for name in ("mlp", "half_plus_two")}
    config = folder / "models.config"
    config.write_text(model_config(entries))
    with contextlib.ExitStack() as stack:
        found = {}
        for setting in settings:
            flags = (f"--model_config_file={config}", *setting.command_line(folder))
            found[setting.name] = stack.enter_context(ServerProcess(flags, folder / f"{setting.name}.log"))
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
    """One run of about so many seconds, after one that tells how many requests that is."""
    target = scenario.target(server.grpc_port, server.rest_port, size)
    concurrency = scenario.concurrency
    first = run_load(target, 20 * concurrency.in_flight, concurrency)
    return run_load(target, max(int(first.per_second * seconds), concurrency.in_flight), concurrency)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="scenarios whose name contains this")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one run")
    parser.add_argument("--repetitions", type=int, default=3, help="runs of each server")
    parser.add_argument("--no-grid", action="store_true", help="leave the grid out")
    options = parser.parse_args()
    settings = [OFF, AUTO, *([] if options.no_grid else grid())]
    if shutil.which("h2load") is None:
        sys.exit("h2load is missing: apt-get install nghttp2-client")
    with tempfile.TemporaryDirectory() as name, servers(settings, Path(name)) as running:
        for scenario in SCENARIOS:
            if options.only in scenario.name:
                compare(scenario, running, options.seconds, options.repetitions)


def compare(scenario: Scenario, running: dict[str, ServerProcess], seconds: float, repetitions: int) -> None:
    size = reply_bytes(scenario, running[OFF.name])
    # What sizes itself learns first.
    ask(scenario, running[AUTO.name], size, seconds)
    rates: dict[str, list[float]] = {name: [] for name in running}
    medians: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(repetitions):
        for name, server in running.items():
            report = ask(scenario, server, size, seconds)
            rates[name].append(report.per_second)
            medians[name].append(report.latency_us["p50"])
    rate = {name: statistics.median(found) for name, found in rates.items()}
    print(scenario.name)
    for name in sorted(rate, key=lambda name: -rate[name]):
        p50 = statistics.median(medians[name])
        share = rate[name] / rate[OFF.name]
        print(f"  {name:<14}{rate[name]:>10,.0f} rows/s {share:>6.2f} of off {p50:>9,.0f} us p50", flush=True)


if __name__ == "__main__":
    main()
