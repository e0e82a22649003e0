# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks compare OLD NEW`: whether one build is no worse than another.

OLD and NEW are commits, source trees or wheels. The servers of both run at once and are asked in turns, so that they
see the same machine. Each round has new servers: what a server measures at its start decides how it computes, so two
servers of one build differ more than two runs of one server. Each case gives two rows: the server's processor time for
a request, and the time that a request takes (its median where one is in flight, else the time of the run divided by the
number of requests). The exit status is 0 if NEW is no worse, 1 if it is worse, 2 if that could not be measured.
"""

import argparse
import contextlib
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.models import cache
from tests.server_process import ServerProcess, model_config

from benchmarks import ratios
from benchmarks.builds import ROOT, Build, BuildError, build_of
from benchmarks.load import InvalidRunError, run_load
from benchmarks.process import CpuReading
from benchmarks.replies import checked_reply_bytes
from benchmarks.scenarios import EIGHT, IMAGE, ONE, ROW, ROWS, SIXTY_FOUR, TINY, Scenario
from benchmarks.setting import describe

# Rounds that a row which looks worse gets in addition.
FURTHER_ROUNDS = 10


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        rounds: How many times each case is measured, each time with new servers.
        seconds: Aim for the length of one run.
        warm_seconds: How long a new server is asked before.
        learning_seconds: The same for one with batching.
    """

    rounds: int = 8
    seconds: float = 0.8
    warm_seconds: float = 0.2
    learning_seconds: float = 2.0


QUICK = Effort(ratios.FEWEST, 0.3, 0.1, 1.0)


@dataclass(frozen=True)
class Case:
    """A load, and whether the server has `--enable_batching`."""

    scenario: Scenario
    batching: bool = False


CASES = (
    Case(Scenario("grpc half_plus_two, 1 in flight", "grpc", "half_plus_two", TINY, ONE)),
    Case(Scenario("grpc half_plus_two, 64 in flight", "grpc", "half_plus_two", TINY, SIXTY_FOUR)),
    Case(Scenario("rest half_plus_two, 8 in flight", "rest", "half_plus_two", TINY, EIGHT)),
    Case(Scenario("grpc mlp, 1 row, 8 in flight", "grpc", "mlp", ROW, EIGHT)),
    Case(Scenario("rest mlp, 1 row, 8 in flight", "rest", "mlp", ROW, EIGHT)),
    Case(Scenario("grpc mlp, 32 rows, 8 in flight", "grpc", "mlp", ROWS, EIGHT)),
    Case(Scenario("grpc mobilenet_v2, 1 in flight", "grpc", "mobilenet_v2", IMAGE, ONE)),
    Case(Scenario("batching, grpc half_plus_two, 64 in flight", "grpc", "half_plus_two", TINY, SIXTY_FOUR), True),
    Case(Scenario("batching, grpc mlp, 1 row, 64 in flight", "grpc", "mlp", ROW, SIXTY_FOUR), True),
)


@dataclass(frozen=True)
class Contender:
    """A build, and its servers by whether they have batching."""

    build: Build
    servers: dict[bool, ServerProcess]


@dataclass
class Row:
    """One figure of one case, in microseconds for a request, by round."""

    case: Case
    what: str
    old: list[float] = field(default_factory=list)
    new: list[float] = field(default_factory=list)

    @property
    def estimate(self) -> ratios.Estimate:
        return ratios.estimate([new / old for old, new in zip(self.old, self.new, strict=True)])


CPU, TIME = "server CPU", "time"


Figures = dict[str, float]


def run_case(case: Case, contender: Contender, requests: int) -> Figures:
    """Microseconds for a request in one run.

    Raises:
        InvalidRunError: A reply was wrong.
    """
    scenario, server = case.scenario, contender.servers[case.batching]
    size = checked_reply_bytes(scenario, server.grpc_port, server.rest_port)
    target = scenario.target(server.grpc_port, server.rest_port, size)
    before = CpuReading.of(server.pid)
    report = run_load(target, requests, scenario.concurrency)
    cpu = CpuReading.of(server.pid).seconds_since(before)
    alone = scenario.concurrency.in_flight == 1
    return {
        CPU: cpu / report.requests * 1e6,
        TIME: report.latency_us["p50"] if alone else report.seconds / report.requests * 1e6,
    }


# Starts the servers of both builds: those that these cases need.
Start = Callable[[Sequence[Case]], contextlib.AbstractContextManager[tuple[Contender, Contender]]]


class Comparison:
    """What was measured of two builds."""

    def __init__(
        self,
        start: Start,
        cases: Sequence[Case],
        effort: Effort,
        run: Callable[[Case, Contender, int], Figures] = run_case,
    ) -> None:
        self._start, self._run = start, run
        self.cases, self.effort = cases, effort
        self.rows = [Row(case, what) for case in cases for what in (CPU, TIME)]
        self._per_second: dict[Case, float] = {}
        self._rounds = 0

    def measure(self) -> None:
        """All cases, then again those with a row that looks worse.

        Raises:
            InvalidRunError: A reply was wrong.
        """
        for _ in range(self.effort.rounds):
            self._round(self.cases)
        again = [case for case in self.cases if any(row.estimate.looks_worse for row in self._rows_of(case))]
        if again:
            print(f"again: {'; '.join(case.scenario.name for case in again)}", file=sys.stderr, flush=True)
            for _ in range(FURTHER_ROUNDS):
                self._round(again)

    def _round(self, cases: Sequence[Case]) -> None:
        """Both builds once in each case, the other way round each time, so that neither always comes second."""
        self._rounds += 1
        print(f"round {self._rounds}", file=sys.stderr, flush=True)
        with self._start(cases) as contenders:
            for case in cases:
                for contender in contenders:
                    self._warm(case, contender)
                requests = self._requests(case, self.effort.seconds)
                order = contenders if self._rounds % 2 else contenders[::-1]
                figures = {id(contender): self._run(case, contender, requests) for contender in order}
                old, new = (figures[id(contender)] for contender in contenders)
                for row in self._rows_of(case):
                    row.old.append(old[row.what])
                    row.new.append(new[row.what])

    def _warm(self, case: Case, contender: Contender) -> None:
        """Asks a new server for a while, and remembers how quick the quickest was."""
        if case not in self._per_second:
            self._per_second[case] = 1e6 / self._run(case, contender, self._fewest(case))[TIME]
        seconds = self.effort.learning_seconds if case.batching else self.effort.warm_seconds
        figures = self._run(case, contender, self._requests(case, seconds))
        if self._rounds == 1:
            self._per_second[case] = max(self._per_second[case], 1e6 / figures[TIME])

    def _requests(self, case: Case, seconds: float) -> int:
        return max(int(self._per_second[case] * seconds), self._fewest(case))

    @staticmethod
    def _fewest(case: Case) -> int:
        return max(2 * case.scenario.concurrency.in_flight, 10)

    def _rows_of(self, case: Case) -> list[Row]:
        return [row for row in self.rows if row.case is case]


def base_paths(folder: Path) -> dict[str, Path]:
    """A folder for each model that holds nothing but its version 1."""
    models = cache.exported()
    versions = {name: models / name / "1" for name in ("half_plus_two", "mlp")}
    versions["mobilenet_v2"] = cache.exported(cache.MOBILENET)
    for name, version in versions.items():
        (folder / name).mkdir()
        (folder / name / "1").symlink_to(version)
    return {name: folder / name for name in versions}


@dataclass(frozen=True)
class Servers:
    """Starts servers of two builds: one of each without batching, and one with it, as far as the cases need them."""

    builds: tuple[Build, Build]
    flags: tuple[Sequence[str], Sequence[str]]
    folder: Path

    @contextlib.contextmanager
    def __call__(self, cases: Sequence[Case]) -> Iterator[tuple[Contender, Contender]]:
        with contextlib.ExitStack() as stack:
            found = []
            for build, flags in zip(self.builds, self.flags, strict=True):
                kinds = sorted({case.batching for case in cases})
                servers = {batching: stack.enter_context(self._server(build, flags, batching)) for batching in kinds}
                found.append(Contender(build, servers))
            yield found[0], found[1]

    def _server(self, build: Build, flags: Sequence[str], batching: bool) -> ServerProcess:
        words = [f"--model_config_file={self.folder / 'models.config'}", *flags]
        return ServerProcess(
            [*words, "--enable_batching"] if batching else words,
            self.folder / "log",
            command=build.command,
            environment=build.environment,
            working_directory=build.folder,
        )


def table(rows: Sequence[Row]) -> str:
    """The rows in markdown."""
    lines = ["| case | what | old us | new us | **new / old** | 95 % interval | |", "| --- " * 7 + "|"]
    for row in rows:
        found = row.estimate
        verdict = "**worse**" if found.is_worse else "unsure" if found.looks_worse else ""
        figures = " | ".join(f"{statistics.median(values):,.1f}" for values in (row.old, row.new))
        lines.append(
            f"| {row.case.scenario.name} | {row.what} | {figures} | **{found.ratio:.3f}** "
            f"| {found.low:.3f} to {found.high:.3f} | {verdict} |"
        )
    return "\n".join(lines)


def summary(old: str, new: str, comparison: Comparison) -> tuple[str, bool]:
    """What is printed, and whether the new build is no worse."""
    estimates = [row.estimate for row in comparison.rows]
    good = ratios.no_worse(estimates)
    setting = describe(ROOT)
    text = [
        f"{new} against {old}, {setting['date']}, "
        f"{setting['processors_available']} processors ({setting['processor']})\n",
        table(comparison.rows),
        f"\nGeometric mean of all rows: **{ratios.geometric_mean([each.ratio for each in estimates]):.3f}** "
        f"(at most {ratios.GEOMETRIC_MEAN_AT_MOST}). {new} is **{'no worse' if good else 'worse'}** than {old}.",
    ]
    return "\n".join(text), good


def arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks compare", description=__doc__)
    parser.add_argument("old", help="a commit, a source tree or a wheel")
    parser.add_argument("new", help="a commit, a source tree or a wheel")
    parser.add_argument("--quick", action="store_true", help="a short look, with wide intervals")
    parser.add_argument("--build", action="store_true", help="only build what is not built yet")
    parser.add_argument("--only", default="", help="the cases whose name contains this")
    parser.add_argument("--flag", action="append", default=[], help="a flag for all servers, such as --flag=--x=1")
    parser.add_argument("--new-flag", action="append", default=[], help="a flag for the servers of NEW")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    options = arguments(words)
    if shutil.which("h2load") is None:
        print("h2load is missing: apt-get install nghttp2-client", file=sys.stderr)
        return 2
    cases = [case for case in CASES if options.only in case.scenario.name]
    try:
        old, new = build_of(options.old), build_of(options.new)
        if options.build:
            return 0
        with tempfile.TemporaryDirectory() as name:
            (Path(name) / "models.config").write_text(model_config(base_paths(Path(name))))
            servers = Servers((old, new), (options.flag, [*options.flag, *options.new_flag]), Path(name))
            comparison = Comparison(servers, cases, QUICK if options.quick else Effort())
            comparison.measure()
    except (BuildError, InvalidRunError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 2
    text, good = summary(old.name, new.name, comparison)
    print(text)
    return 0 if good else 1
