# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks`: measures everything, writes the results and the page, prints the page.

`python -m benchmarks swap`, `models`, `overload` and `batching` measure that part alone, and keep the other results.
`python -m benchmarks compare OLD NEW` says whether one build is no worse than another.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.models.cache import exported

from benchmarks import compare, measure, report
from benchmarks.batching import measure_batching
from benchmarks.load import InvalidRunError
from benchmarks.many_models import measure_many_models
from benchmarks.overload import SECONDS as OVERLOAD_SECONDS
from benchmarks.overload import measure_overload
from benchmarks.scenarios import SCENARIOS
from benchmarks.setting import describe, stamp
from benchmarks.swaps import measure_swaps
from benchmarks.verbs import VERBS

# Above this share of one processor used by other processes, figures are no basis for a decision.
QUIET_PERCENT = 10


# Parts with a server of their own: key in the results, and what measures it.
PARTS: dict[str, Callable[..., Any]] = {
    "swap": measure_swaps,
    "models": measure_many_models,
    "overload": measure_overload,
    "batching": measure_batching,
}
# Their runs can be made longer or shorter.
OF_ANY_LENGTH = ("overload", "batching")
RUN_SECONDS = 3.0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=sorted(PARTS), help="what to measure; by default everything")
    parser.add_argument("--repetitions", type=int, default=3, help="runs of each scenario")
    length = f"length of one run; by default {RUN_SECONDS:.0f}, of the overload {OVERLOAD_SECONDS:.0f}"
    parser.add_argument("--seconds", type=float, help=length)
    parser.add_argument("--only", default="", help="print the scenarios whose name contains this; write nothing")
    parser.add_argument("--flag", action="append", default=[], help="a flag for the server, such as --flag=--port=1")
    return parser.parse_args()


def effort_of(options: argparse.Namespace) -> measure.Effort:
    return measure.Effort(options.repetitions, options.seconds or RUN_SECONDS)


def scenarios(
    options: argparse.Namespace, models: Path, folder: Path
) -> tuple[list[measure.Result], list[measure.Result], measure.Result]:
    """The results of the scenarios and of the other verbs and forms, and the server's memory after the former."""
    effort = effort_of(options)
    results = []
    with measure.server_for(measure.base_paths(models, folder), folder, *options.flag) as server:
        for scenario in SCENARIOS:
            if options.only in scenario.name:
                result = measure.measure_scenario(scenario, server, effort)
                _progress(scenario.name, result["median"])
                results.append(result)
        memory = measure.memory_result(server.pid)
        verbs = []
        for exchange in VERBS:
            if options.only in exchange.name:
                result = measure.measure_scenario(exchange, server, effort.halved()) | {"beside": exchange.beside}
                _progress(exchange.name, result["median"])
                verbs.append(result)
        return results, verbs, memory


def everything(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Results of one run, with the commit and the date of each part."""
    program = measure.required_programs(report.ROOT)
    models = exported()
    measured = {"floor": stamp(report.ROOT)}
    floor = measure.measure_floor(models, measure.tensorflow_library(), program)
    measured |= dict.fromkeys(("scenarios", "verbs"), stamp(report.ROOT))
    results, verbs, memory = scenarios(options, models, folder)
    base_path = folder / "half_plus_two"
    measured["start"] = stamp(report.ROOT)
    found = {
        "setting": describe(report.ROOT),
        "effort": dataclasses.asdict(effort_of(options)),
        "floor": floor,
        "scenarios": results,
        "verbs": verbs,
        "start": measure.measure_start(folder, base_path),
        "memory_idle": measure.measure_idle_memory(folder, base_path),
        "memory_after_load": memory,
        "json_decode": measure.decode_speed(results),
        "measured": measured,
    }
    for part in PARTS:
        found = with_part(found, part, options, folder)
    return found


def one_part(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The latest results with one part measured anew."""
    return with_part(json.loads(report.RESULTS.read_text()), options.part, options, folder)


def with_part(results: dict[str, Any], part: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """These results with one part measured now."""
    when = stamp(report.ROOT)
    return results | {
        part: measure_part(part, options, folder),
        "measured": results["measured"] | {part: when},
    }


def measure_part(part: str, options: argparse.Namespace, folder: Path) -> Any:
    length = {"seconds": options.seconds} if part in OF_ANY_LENGTH and options.seconds else {}
    return PARTS[part](exported(), folder, *options.flag, **length)


def _progress(name: str, median: measure.Result) -> None:
    figures = f"{median['requests_per_second']:>9,.0f}/s {median['server_cpu_us']:>9,.1f} us CPU"
    print(f"{name:<52}{figures} {median['latency_us']['p50']:>8,.0f} us p50", file=sys.stderr, flush=True)


def main() -> None:
    if sys.argv[1:2] == ["compare"]:
        sys.exit(compare.main(sys.argv[2:]))
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        try:
            if options.only:
                scenarios(options, exported(), Path(folder))
                return
            results = (one_part if options.part else everything)(options, Path(folder))
        except InvalidRunError as error:
            sys.exit(f"invalid run: {error}")
    report.RESULTS.parent.mkdir(parents=True, exist_ok=True)
    report.RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    page = report.render(results)
    report.DOCUMENT.write_text(page)
    print(page)
    if not options.part and (share := report.others_cpu_percent(results["scenarios"])) > QUIET_PERCENT:
        print(f"warning: other processes used {share:.0f} % of a processor; measure again on a quiet machine")


if __name__ == "__main__":
    main()
