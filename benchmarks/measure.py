# SPDX-License-Identifier: Apache-2.0
"""Runs the scenarios, and what belongs to no scenario: the floor, the start-up time, the memory."""

import hashlib
import http.client
import json
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.server_process import ServerProcess, model_config

from benchmarks.load import LoadReport, run_load
from benchmarks.process import CpuReading, Memory, children_cpu_seconds, machine_busy_seconds
from benchmarks.replies import checked_reply_bytes
from benchmarks.scenarios import Scenario
from benchmarks.verbs import Exchange

Result = dict[str, Any]

# Runs of the floor, by model and shape of the input.
FLOORS = {"half_plus_two": {"3": 200_000}, "mlp": {"1,784": 50_000, "32,784": 20_000}}
STARTS = 7


@dataclass(frozen=True)
class Effort:
    """How much to measure.

    Attributes:
        repetitions: Runs of each scenario.
        seconds: Aim for the length of one run.
    """

    repetitions: int = 3
    seconds: float = 3.0

    def halved(self) -> "Effort":
        """For scenarios that are compared with each other only."""
        return Effort(self.repetitions, self.seconds / 2)


def base_paths(models: Path, folder: Path) -> dict[str, Path]:
    """A folder for each model that holds nothing but its version 1."""
    paths = {}
    for name in ("half_plus_two", "mlp", "image_mean", "heads", "echo"):
        paths[name] = folder / name
        paths[name].mkdir()
        (paths[name] / "1").symlink_to(models / name / "1")
    return paths


def server_for(paths: dict[str, Path], folder: Path, *flags: str) -> ServerProcess:
    config = folder / "models.config"
    config.write_text(model_config(paths))
    return ServerProcess([f"--model_config_file={config}", *flags], folder / "log")


def measure_scenario(scenario: Scenario | Exchange, server: ServerProcess, effort: Effort) -> Result:
    """Runs one scenario several times.

    Raises:
        InvalidRunError: A reply was wrong.
    """
    reply_bytes = checked_reply_bytes(scenario, server.grpc_port, server.rest_port)
    target = scenario.target(server.grpc_port, server.rest_port, reply_bytes)
    trial = run_load(target, max(200, 20 * scenario.concurrency.in_flight), scenario.concurrency)
    requests = max(int(trial.per_second * effort.seconds), 100)
    runs = []
    for _ in range(effort.repetitions):
        before, busy_before = CpuReading.of(server.pid), machine_busy_seconds()
        report = run_load(target, requests, scenario.concurrency)
        cpu_seconds = CpuReading.of(server.pid).seconds_since(before)
        others = machine_busy_seconds() - busy_before - cpu_seconds - report.generator_cpu_seconds
        runs.append(_run_result(report, cpu_seconds) | {"others_cpu_percent": round(100 * others / report.seconds, 1)})
    if checked_reply_bytes(scenario, server.grpc_port, server.rest_port) != reply_bytes:
        raise AssertionError(f"{scenario.name}: the size of the reply has changed")
    return {
        "name": scenario.name,
        "protocol": scenario.protocol,
        "model": scenario.model,
        "in_flight": scenario.concurrency.in_flight,
        "connections_x_streams": str(scenario.concurrency),
        "request_bytes": len(target.body),
        "reply_bytes": reply_bytes,
        "median": _median(runs),
        "best": {
            "requests_per_second": max(run["requests_per_second"] for run in runs),
            "server_cpu_us": min(run["server_cpu_us"] for run in runs),
        },
        "reference_ms": reference_ms(),
        "runs": runs,
    }


def _run_result(report: LoadReport, cpu_seconds: float) -> Result:
    return {
        "requests": report.requests,
        "requests_per_second": round(report.per_second, 1),
        "server_cpu_us": round(cpu_seconds / report.requests * 1e6, 2),
        "generator_cpu_us": round(report.generator_cpu_seconds / report.requests * 1e6, 2),
        "latency_us": {name: round(value, 1) for name, value in report.latency_us.items()},
    }


def _median(runs: list[Result]) -> Result:
    def middle(key: str) -> float:
        return round(statistics.median(run[key] for run in runs), 2)

    latency = {name: statistics.median(run["latency_us"][name] for run in runs) for name in runs[0]["latency_us"]}
    keys = ("requests_per_second", "server_cpu_us", "generator_cpu_us")
    return {key: middle(key) for key in keys} | {"latency_us": latency}


def measure_floor(models: Path, library: Path, program: Path) -> list[Result]:
    """Times bare runs of the models through TensorFlow's C API, in one calling thread, without any server.

    TensorFlow may use more threads within a run, so processor time can exceed elapsed time. What a process spends
    besides its runs is taken out by the difference between a long and a short one.
    """
    results = []
    for model, shapes in FLOORS.items():
        for shape, iterations in shapes.items():
            words = [str(program), str(library), str(models / model / "1"), "serving_default"]
            short = iterations // 10
            _, cpu_short = _run_floor([*words, str(short), shape])
            figures, cpu_long = _run_floor([*words, str(iterations), shape])
            cpu_us = (cpu_long - cpu_short) / (iterations - short) * 1e6
            results.append({"model": model, "shape": shape, **figures, "cpu_us_per_run": round(cpu_us, 2)})
    return results


def _run_floor(words: list[str]) -> tuple[Result, float]:
    """What the program prints, and the processor seconds it took."""
    before = children_cpu_seconds()
    printed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    figures: Result = json.loads(printed.splitlines()[-1])
    return figures, children_cpu_seconds() - before


def measure_start(folder: Path, base_path: Path) -> Result:
    """Seconds from starting the program to its first right answer over REST, with its files in the page cache."""
    seconds = [_start_once(folder, base_path) for _ in range(STARTS + 1)][1:]
    return {"seconds_median": round(statistics.median(seconds), 3), "seconds": [round(s, 3) for s in seconds]}


def _start_once(folder: Path, base_path: Path) -> float:
    server = ServerProcess(["--model_name=half_plus_two", f"--model_base_path={base_path}"], folder / "start-log")
    begin = time.monotonic()
    server.start()
    try:
        while not _answers(server.rest_port):
            if not server.is_running:
                raise RuntimeError(f"the server ended:\n{server.log}")
            time.sleep(0.001)
        return time.monotonic() - begin
    finally:
        server.stop()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", "/v1/models/half_plus_two:predict", '{"instances": [1.0, 2.0, 5.0]}')
        return bool(json.loads(connection.getresponse().read()) == {"predictions": [2.5, 3.0, 4.5]})
    except OSError:
        return False
    finally:
        connection.close()


def measure_idle_memory(folder: Path, base_path: Path) -> Result:
    """Memory of a server with half_plus_two after one request over each protocol."""
    from benchmarks.scenarios import SCENARIOS

    server = ServerProcess(["--model_name=half_plus_two", f"--model_base_path={base_path}"], folder / "memory-log")
    with server:
        for protocol in ("grpc", "rest"):
            scenario = next(s for s in SCENARIOS if s.model == "half_plus_two" and s.protocol == protocol)
            checked_reply_bytes(scenario, server.grpc_port, server.rest_port)
        return memory_result(server.pid)


def memory_result(pid: int) -> Result:
    memory = Memory.of(pid)
    return {"rss_anon_mb": round(memory.rss_anon, 1), "peak_rss_mb": round(memory.peak_rss, 1)}


def reference_ms() -> float:
    """Milliseconds of a fixed computation: it shows how steady the machine was between scenarios."""
    data = bytes(4_000_000)
    times = []
    for _ in range(7):
        begin = time.perf_counter()
        hashlib.sha256(data).digest()
        times.append((time.perf_counter() - begin) * 1e3)
    return round(min(times), 3)


def decode_speed(results: list[Result]) -> Result:
    """How fast the JSON of an image is read: with all that a request costs, and without what gRPC costs as well."""
    rest = next(r for r in results if r["name"].startswith("rest image"))
    grpc = next(r for r in results if r["name"].startswith("grpc image"))
    megabytes = rest["request_bytes"] / 1e6
    whole, shared = rest["median"]["server_cpu_us"] / 1e6, grpc["median"]["server_cpu_us"] / 1e6
    return {
        "json_mb": round(megabytes, 3),
        "mb_per_cpu_second_whole_request": round(megabytes / whole),
        "mb_per_cpu_second_less_grpc_request": round(megabytes / max(whole - shared, 1e-9)),
    }


def tensorflow_library() -> Path:
    """TensorFlow's C library in the environment of this interpreter."""
    import sysconfig

    folder = Path(sysconfig.get_paths()["purelib"]) / "tensorflow"
    found = sorted(folder.glob("libtensorflow_cc.*"))
    if not found:
        raise FileNotFoundError(f"no libtensorflow_cc in {folder}; run make setup")
    return found[0]


def required_programs(root: Path) -> Path:
    """Checks that what the measurements need is there; gives the program that measures the floor."""
    if shutil.which("h2load") is None:
        sys.exit("h2load is missing: apt-get install nghttp2-client")
    program = root / "target" / "release" / "examples" / "run_floor"
    if not program.exists():
        sys.exit("run_floor is missing: cargo build --release -p tensorserve-runtimes --example run_floor")
    return program
