# SPDX-License-Identifier: Apache-2.0
"""What the requests of one model notice while another one, of 500 MB, changes its version again and again."""

import http.client
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.models import cache
from tests.server_process import ServerProcess, model_config

from benchmarks.load import InvalidRunError, Target, check_replies
from benchmarks.process import Memory, machine_busy_seconds
from benchmarks.replies import checked_reply_bytes
from benchmarks.scenarios import SCENARIOS

Result = dict[str, Any]

SCENARIO = next(scenario for scenario in SCENARIOS if scenario.name == "grpc mlp, 1 row, 1 in flight")
LARGE = "large"
QUIET_SECONDS = 8
SWAPPING_SECONDS = 30
LEAST_SWAPS = 3
# Far below what the server can do, so that requests wait for nothing but what the swaps do to them.
REQUESTS_PER_SECOND = 500
IN_FLIGHT = 4
# The longest swap that is waited for, and how long before the end of the load no more are begun.
SWAP_SECONDS = 20
LAST_SECONDS = 4
# How often the state of the swap is asked for; through the quiet time as well, so that both cost the same.
ASK_SECONDS = 0.02

Window = tuple[float, float]


def measure_swaps(models: Path, folder: Path, *flags: str) -> Result:
    """Swaps the large model under steady load on the small one.

    Raises:
        InvalidRunError: A request failed, or there were too few swaps.
    """
    base_paths = {SCENARIO.model: folder / "swap-small", LARGE: folder / "swap-large"}
    for path in base_paths.values():
        path.mkdir()
    source = cache.exported(cache.LARGE)
    (base_paths[SCENARIO.model] / "1").symlink_to(models / SCENARIO.model / "1")
    (base_paths[LARGE] / "1").symlink_to(source)
    config = folder / "swap.config"
    config.write_text(model_config(base_paths))
    with ServerProcess([f"--model_config_file={config}", *flags], folder / "swap-log") as server:
        reply_bytes = checked_reply_bytes(SCENARIO, server.grpc_port, server.rest_port)
        target = SCENARIO.target(server.grpc_port, server.rest_port, reply_bytes)
        busy, begin = machine_busy_seconds(), time.monotonic()
        requests = SteadyRequests(target, QUIET_SECONDS + SWAPPING_SECONDS)
        quiet = _quiet_window(server.rest_port)
        swaps, memory = [], []
        while time.time() < quiet[0] + QUIET_SECONDS + SWAPPING_SECONDS - LAST_SECONDS:
            version = len(swaps) + 2
            (base_paths[LARGE] / str(version)).symlink_to(source)
            swaps.append(_swap_window(server.rest_port, version))
            memory.append(round(Memory.of(server.pid).rss_anon, 1))
        times = requests.times()
        busy_percent = 100 * (machine_busy_seconds() - busy) / (time.monotonic() - begin)
    if len(swaps) < LEAST_SWAPS:
        raise InvalidRunError(f"only {len(swaps)} swaps in {SWAPPING_SECONDS} s")
    return {
        "scenario": SCENARIO.name,
        "requests_per_second": REQUESTS_PER_SECOND,
        "swaps": len(swaps),
        "seconds_per_swap": round(sum(end - start for start, end in swaps) / len(swaps), 2),
        "quiet_us": _latencies(times, [quiet]),
        "during_swaps_us": _latencies(times, swaps),
        "rss_anon_mb_after_each": memory,
        "machine_busy_percent": round(busy_percent, 1),
    }


class SteadyRequests:
    """The load generator at a fixed rate for `seconds`, with the time of each request."""

    def __init__(self, target: Target, seconds: int) -> None:
        self._folder = tempfile.TemporaryDirectory()
        body, self._log = Path(self._folder.name, "body"), Path(self._folder.name, "log")
        body.write_bytes(target.body)
        command = ["h2load", "-t", "1", "-c", "1", "-m", str(IN_FLIGHT), "--rps", str(REQUESTS_PER_SECOND)]
        command += ["-D", str(seconds), "-d", str(body), f"--log-file={self._log}"]
        command += [word for header in target.headers for word in ("-H", header)]
        self._reply_bytes = target.reply_bytes
        self._process = subprocess.Popen(
            [*command, target.url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def times(self) -> list[tuple[float, int]]:
        """Waits for the end; gives start (seconds since the epoch) and duration (us) of each request.

        Raises:
            InvalidRunError: One failed.
        """
        report = self._process.communicate()[0]
        rows = [line.split("\t") for line in self._log.read_text().splitlines()]
        self._folder.cleanup()
        check_replies(report, len(rows), self._reply_bytes)
        return [(int(start) / 1e6, int(micros)) for start, _status, micros in rows]


def _quiet_window(port: int) -> Window:
    # The first second warms up.
    begin = time.time() + 1
    while time.time() < begin + QUIET_SECONDS - 1:
        _states(port)
        time.sleep(ASK_SECONDS)
    return begin, time.time()


def _swap_window(port: int, version: int) -> Window:
    """From the moment that the new version is loading until the old one is gone."""
    begin: float | None = None
    deadline = time.time() + SWAP_SECONDS
    while time.time() < deadline:
        states = _states(port)
        if begin is None and version in states:
            begin = time.time()
        if begin is not None and states[version] == "AVAILABLE" and states.get(version - 1) == "END":
            return begin, time.time()
        time.sleep(ASK_SECONDS)
    raise InvalidRunError(f"version {version} did not replace the one before within {SWAP_SECONDS} s")


def _states(port: int) -> dict[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", f"/v1/models/{LARGE}")
        statuses = json.loads(connection.getresponse().read())["model_version_status"]
        return {int(status["version"]): status["state"] for status in statuses}
    finally:
        connection.close()


def _latencies(times: list[tuple[float, int]], windows: list[Window]) -> Result:
    micros = sorted(took for start, took in times if any(begin <= start <= end for begin, end in windows))
    if len(micros) < 100:
        raise InvalidRunError(f"only {len(micros)} requests fall into {len(windows)} windows")
    quantiles = {f"p{percent}": micros[(len(micros) - 1) * percent // 100] for percent in (50, 90, 99)}
    return {"requests": len(micros), **quantiles, "longest": micros[-1]}
