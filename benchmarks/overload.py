# SPDX-License-Identifier: Apache-2.0
"""More requests than the server can compute, and urgent requests among patient ones.

`h2load` sends the requests of an overload at a fixed rate, whether those before were answered or not: it has far more
streams than may be in flight, and what the server refuses frees its stream at once. REST with a binary body is used as
its status tells an answer (200) from a refusal (503) in the generator's log.
"""

import io
import json
import os
import random
import re
import struct
import subprocess
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.models import cache
from tests.server_process import ServerProcess, model_config

from benchmarks.load import Concurrency, InvalidRunError
from benchmarks.process import CpuReading, Memory

Result = dict[str, Any]

# Much to compute for a small request: reading three times as many requests as can be computed takes processor time
# from the computation as well, here from the same processors, and the generator does too.
MODEL = "deep_mlp"
ROWS, COLUMNS = 1, 784
# One batch of a size that pays: if all of them are in it, nothing is there to be computed when it ends.
IN_FLIGHT_LIMIT = 64
TIMES_CAPACITY = 3
SECONDS = 60.0
# What fills the server, and what is open for a fixed rate: no more than 8 x 100 requests wait in the generator.
FULL, OPEN = Concurrency(8, 8), Concurrency(8, 100)
LOW = Concurrency(4, 8)
# Share of the capacity that urgent requests ask for.
URGENT_SHARE = 0.1
MEMORY_SECONDS = 0.25
ANSWERED, REFUSED = 200, 503


@dataclass(frozen=True)
class Load:
    """What one generator sends.

    Attributes:
        requests: How many.
        concurrency: How many at once at most.
        per_second: At a fixed rate; `None` for as soon as others are answered.
        priority: Of the requests.
    """

    requests: int
    concurrency: Concurrency
    per_second: float | None = None
    priority: str = "default"

    def command(self, body: Path, log: Path) -> list[str]:
        clients, streams = self.concurrency.clients, self.concurrency.streams
        words = ["h2load", "-t", "1", "-n", str(self.requests), "-c", str(clients), "-m", str(streams)]
        words += ["-d", str(body), f"--log-file={log}", "-H", "content-type: application/x-npy"]
        words += ["-H", f"x-tensorserve-priority: {self.priority}"]
        if self.per_second is not None:
            words += ["--rps", f"{self.per_second / clients:.3f}"]
        return words


@dataclass(frozen=True)
class Outcome:
    """What became of a load.

    Attributes:
        offered: Requests that were sent.
        micros: By status, how long each request took, in order.
        seconds: From the first request to the last reply.
        generator_cpu_seconds: Processor time of the generator.
    """

    offered: int
    micros: dict[int, list[int]]
    seconds: float
    generator_cpu_seconds: float

    def count(self, status: int) -> int:
        return len(self.micros.get(status, []))

    def millis(self, percent: int, status: int = ANSWERED) -> float:
        found = self.micros.get(status, [])
        return round(found[(len(found) - 1) * percent // 100] / 1e3, 3) if found else 0.0

    @property
    def goodput(self) -> float:
        return self.count(ANSWERED) / self.seconds


class Generator:
    """One `h2load` at work; ends with the block."""

    def __init__(self, server: ServerProcess, load: Load) -> None:
        self._folder = tempfile.TemporaryDirectory()
        body, self._log = Path(self._folder.name, "body"), Path(self._folder.name, "log")
        body.write_bytes(request_body())
        url = f"{server.rest_url}/v1/models/{MODEL}:predict"
        self._report = Path(self._folder.name, "report")
        with open(self._report, "wb") as report:
            self._process = subprocess.Popen([*load.command(body, self._log), url], stdout=report, stderr=report)
        self._usage: Any = None

    def is_running(self) -> bool:
        if self._usage is None:
            pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
            if pid:
                self._process.returncode, self._usage = os.waitstatus_to_exitcode(status), usage
        return self._usage is None

    def outcome(self) -> Outcome:
        """Waits for the end.

        Raises:
            InvalidRunError: The generator failed.
        """
        while self.is_running():
            time.sleep(0.01)
        report = self._report.read_text()
        if self._process.returncode != 0:
            raise InvalidRunError(f"h2load ended with {self._process.returncode}: {report}")
        started = re.search(r"(\d+) started", report)
        rows = [tuple(map(int, line.split("\t")[:3])) for line in self._log.read_text().splitlines()]
        if started is None or not rows:
            raise InvalidRunError(f"h2load sent nothing: {report}")
        micros: dict[int, list[int]] = {}
        for _, status, took in rows:
            micros.setdefault(status, []).append(took)
        for times in micros.values():
            times.sort()
        seconds = (max(start + took for start, _, took in rows) - min(start for start, _, _ in rows)) / 1e6
        return Outcome(int(started.group(1)), micros, seconds, self._usage.ru_utime + self._usage.ru_stime)

    def __enter__(self) -> "Generator":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        if self.is_running():
            self._process.kill()
            while self.is_running():
                time.sleep(0.01)
        self._folder.cleanup()


def request_body() -> bytes:
    """Rows of random numbers, always the same, in NumPy's format."""
    import numpy as np

    generator, file = random.Random(7), io.BytesIO()
    values = [generator.random() for _ in range(ROWS * COLUMNS)]
    np.save(file, np.asarray(values, np.float32).reshape(ROWS, COLUMNS))
    return file.getvalue()


def check_reply(server: ServerProcess) -> None:
    """Checks one answer by value: the probabilities of each row add up to 1.

    Raises:
        InvalidRunError: They do not.
    """
    url = f"{server.rest_url}/v1/models/{MODEL}:predict"
    request = urllib.request.Request(url, request_body(), {"Content-Type": "application/x-npy"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as reply:
        values = struct.unpack(f"<{ROWS * 10}f", reply.read()[-ROWS * 10 * 4 :])
    if any(abs(sum(values[row * 10 : row * 10 + 10]) - 1.0) > 1e-4 for row in range(ROWS)):
        raise InvalidRunError(f"the reply is wrong: {values[:10]}")


def send(server: ServerProcess, load: Load) -> Outcome:
    with Generator(server, load) as generator:
        return generator.outcome()


def capacity(server: ServerProcess, seconds: float) -> float:
    """Answers per second with as many in flight as may be, over about `seconds`.

    Raises:
        InvalidRunError: A request was refused.
    """
    requests, rate = 5 * FULL.in_flight, 0.0
    # The first run tells how many requests the second one needs.
    for _ in range(2):
        found = send(server, Load(requests, FULL))
        if found.count(ANSWERED) != found.offered:
            raise InvalidRunError(f"{found.offered - found.count(ANSWERED)} of {found.offered} requests failed")
        rate = found.goodput
        requests = max(int(rate * seconds), requests)
    return rate


def measure_overload(models: Path, folder: Path, *flags: str, seconds: float = SECONDS) -> Result:
    """Offers three times what the server can compute, then urgent requests among patient ones.

    Raises:
        InvalidRunError: A reply was wrong, or a run gave no figures.
    """
    config = folder / "overload.config"
    config.write_text(model_config({MODEL: cache.exported(cache.BATCHING) / MODEL}))
    words = [f"--model_config_file={config}", "--enable_batching", f"--max_in_flight={IN_FLIGHT_LIMIT}", *flags]
    result: Result = {"model": MODEL, "rows": ROWS, "in_flight_limit": IN_FLIGHT_LIMIT}
    with ServerProcess(words, folder / "overload-log") as server:
        check_reply(server)
        result |= _overload(server, seconds)
    with ServerProcess(words, folder / "priorities-log") as server:
        result["priorities"] = _priorities(server, seconds)
    return result


def _overload(server: ServerProcess, seconds: float) -> Result:
    # Batches that size themselves learn first.
    capacity(server, min(seconds, 5.0))
    before = capacity(server, seconds / 4)
    rate = TIMES_CAPACITY * before
    cpu, memory = CpuReading.of(server.pid), [_rss_anon(server)]
    with Generator(server, Load(int(rate * seconds), OPEN, rate)) as generator:
        while generator.is_running():
            time.sleep(MEMORY_SECONDS)
            memory.append(_rss_anon(server))
        found = generator.outcome()
    server_cpu = CpuReading.of(server.pid).seconds_since(cpu)
    after = capacity(server, seconds / 4)
    possible = (before + after) / 2
    answered, refused = found.count(ANSWERED), found.count(REFUSED)
    return {
        "seconds": round(found.seconds, 2),
        "capacity_before": round(before, 1),
        "capacity_after": round(after, 1),
        "offered_per_second": round(found.offered / found.seconds, 1),
        "offered": found.offered,
        "answered": answered,
        "refused": refused,
        "lost": found.offered - answered - refused,
        "goodput": round(found.goodput, 1),
        "goodput_of_capacity": round(found.goodput / possible, 3),
        "answered_ms": {f"p{percent}": found.millis(percent) for percent in (50, 90, 99)},
        "refused_ms": {f"p{percent}": found.millis(percent, REFUSED) for percent in (50, 90, 99)},
        # So long it takes to compute as many as may be in flight.
        "limit_ms": round(1e3 * IN_FLIGHT_LIMIT / found.goodput, 3),
        "rss_anon_mb": _memory(memory),
        "server_cpu_percent": round(100 * server_cpu / found.seconds, 1),
        "generator_cpu_percent": round(100 * found.generator_cpu_seconds / found.seconds, 1),
    }


def _rss_anon(server: ServerProcess) -> float:
    return round(Memory.of(server.pid).rss_anon, 1)


def _memory(samples: list[float]) -> Result:
    """Before, a tenth into the overload, at its end, and the most."""
    settled = samples[min(1 + len(samples) // 10, len(samples) - 1)]
    return {"before": samples[0], "start": settled, "end": samples[-1], "most": max(samples)}


def _priorities(server: ServerProcess, seconds: float) -> Result:
    """Urgent requests at a fixed rate, alone and while patient ones take all that the server can compute."""
    possible = capacity(server, min(seconds, 5.0))
    rate = URGENT_SHARE * possible
    urgent = Load(max(int(rate * seconds), 10), Concurrency(1, 100), rate, "high")
    quiet = send(server, urgent)
    # Enough to outlast the urgent ones, whose end ends them.
    patient = Load(int(10 * possible * seconds) + 1000, LOW, priority="low")
    with Generator(server, patient) as low:
        time.sleep(min(seconds / 10, 1.0))
        saturated = send(server, urgent)
        if not low.is_running():
            raise InvalidRunError(f"the patient requests ended first: {low.outcome()}")
        batch_rows, batch_ms = _batch(server)
    for found in (quiet, saturated):
        if found.count(ANSWERED) != found.offered:
            raise InvalidRunError(f"{found.offered - found.count(ANSWERED)} of {found.offered} urgent requests failed")
    percents = (50, 90, 99)
    return {
        "urgent_per_second": round(rate, 1),
        "patient_in_flight": LOW.in_flight,
        "alone_ms": {f"p{percent}": quiet.millis(percent) for percent in percents},
        "saturated_ms": {f"p{percent}": saturated.millis(percent) for percent in percents},
        "p99_raised_by_ms": round(saturated.millis(99) - quiet.millis(99), 3),
        "batch_rows": batch_rows,
        "batch_ms": batch_ms,
    }


def _batch(server: ServerProcess) -> tuple[int, float]:
    """Rows of a batch of patient requests, and milliseconds that its run takes, as the server learned them.

    Raises:
        InvalidRunError: The server has made no batch.
    """
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        f"{server.rest_url}/v1/admin/models/{MODEL}/batching", timeout=30
    ) as reply:
        queue = max(json.loads(reply.read())["versions"][0]["queues"], key=lambda queue: queue["batch_rows"]["count"])
    way = next(way for way in queue["ways"] if way["chosen"])
    if not way["batches_at_once"]:
        raise InvalidRunError("the server has made no batch")
    rows = round(LOW.in_flight * ROWS * way["part_of_rows_in_flight"])
    nearest = min(queue["cost"], key=lambda entry: abs(entry["rows"] - rows))
    return rows, round(rows * nearest["micros_per_row"] / 1e3, 3)
