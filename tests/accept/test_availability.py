# SPDX-License-Identifier: Apache-2.0
"""What docs/availability.md promises, at length: 50 kills, a hang, a dead parent, 20 upgrades, a drain behind HAProxy.

`make accept AREA=availability`. HAProxy is Debian's (`apt-get install haproxy`); without it that test is skipped. The
times that are asserted are those of a machine that does nothing else meanwhile.
"""

import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import psutil
import pytest

from tests.clients import wait_until
from tests.conftest import StartServer
from tests.e2e.test_supervisor import is_gone
from tests.server_process import ServerProcess, accepts, free_ports, model_config
from tests.soak.prober import Probe

KILLS = 50
UPGRADES = 20

# Each prober asks 50 times a second over each protocol, and connects anew after 25 answers and after each failure.
PROBERS = 2

# How gRPC and HTTP clients say that nobody listens.
REFUSALS = ("refused", "Failed to connect", "failed to connect")
# How they say that a connection broke, which a request in flight must expect when the process dies.
BREAKS = (
    "ConnectionResetError",
    "RemoteDisconnected",
    "BrokenPipeError",
    "IncompleteRead",
    "StatusCode.UNAVAILABLE",
)


class Probes:
    """What the probers have written so far."""

    def __init__(self, files: list[Path]) -> None:
        self.all: list[Probe] = []
        self._files: list[IO[bytes]] = [file.open("rb") for file in files]
        self._rests = [b""] * len(files)

    def read(self) -> list[Probe]:
        """Those that are new."""
        new = []
        for place, file in enumerate(self._files):
            *lines, self._rests[place] = (self._rests[place] + file.read()).split(b"\n")
            new += [Probe(**json.loads(line)) for line in lines]
        self.all += new
        return new

    def first_right(self, since: float, seconds: float) -> float:
        """When the first right answer was there to a question that was asked after a moment."""
        seen = [probe for probe in self.all if probe.at >= since]
        end = time.monotonic() + seconds
        while not (right := [probe.at + probe.seconds for probe in seen if probe.wrong is None]):
            assert time.monotonic() < end, f"no right answer within {seconds} s"
            time.sleep(0.01)
            seen += [probe for probe in self.read() if probe.at >= since]
        return min(right)

    def failures(self) -> list[str]:
        return [f"{probe.protocol}: {probe.wrong}" for probe in self.all if probe.wrong is not None]

    def refused(self) -> list[str]:
        return [failure for failure in self.failures() if any(word in failure for word in REFUSALS)]

    def wrong(self) -> list[str]:
        """Answers that are wrong, or are errors that say something else than that a connection broke."""
        return [failure for failure in self.failures() if not any(word in failure for word in BREAKS + REFUSALS)]


@contextmanager
def probed(grpc_port: int, rest_port: int, folder: Path) -> Iterator[Probes]:
    """Asks 200 times a second over both protocols."""
    files = [folder / f"probes-{number}" for number in range(PROBERS)]
    for file in files:
        file.touch()
    command = [sys.executable, "-m", "tests.soak.prober", str(grpc_port), str(rest_port)]
    processes = [subprocess.Popen([*command, str(file)], start_new_session=True) for file in files]
    probes = Probes(files)
    try:
        for protocol in ("grpc", "rest"):
            wait_until(lambda name=protocol: bool(probes.read()) and any(it.protocol == name for it in probes.all), 30)  # type: ignore[misc]
        yield probes
        assert all(process.poll() is None for process in processes), "a prober has ended"
    finally:
        for process in processes:
            process.kill()
            process.wait()
        probes.read()


def start(start_server: StartServer, models: Path, folder: Path, *flags: str) -> ServerProcess:
    """Serves the version whose answers the probers know."""
    config = folder / "models.config"
    only_first = {"half_plus_two": "model_version_policy { specific { versions: 1 } }"}
    config.write_text(model_config({"half_plus_two": models / "half_plus_two"}, only_first))
    return start_server(f"--model_config_file={config}", *flags)


def at_percent(times: list[float], percent: int) -> float:
    return sorted(times)[min(len(times) * percent // 100, len(times) - 1)]


def test_fifty_kills(start_server: StartServer, models: Path, tmp_path: Path) -> None:
    server = start(start_server, models, tmp_path)
    times = []
    chance = random.Random(16)
    with probed(server.grpc_port, server.rest_port, tmp_path) as probes:
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.0, 0.5))
            victim, begin = server.serving_pid, time.monotonic()
            os.kill(victim, chance.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT]))
            # Until it is gone, its other threads may answer.
            wait_until(partial(is_gone, victim), 10)
            times.append(probes.first_right(time.monotonic(), 30) - begin)
    print(f"back after {statistics.median(times):.2f} s (median), {at_percent(times, 95):.2f} s (95th percentile)")
    print(f"{len(probes.all)} questions, {len(probes.failures())} failed when the process died that worked on them")
    assert probes.refused() == []
    assert probes.wrong() == []
    assert server.log.count("died after") == KILLS
    assert "quarantined" not in server.log
    assert at_percent(times, 95) <= 2.0


def test_a_stopped_server_is_back_in_time(start_server: StartServer, models: Path, tmp_path: Path) -> None:
    watchdog_seconds = 5.0
    begin = time.monotonic()
    server = start(start_server, models, tmp_path, f"--watchdog_seconds={watchdog_seconds:g}")
    load_seconds = time.monotonic() - begin
    with probed(server.grpc_port, server.rest_port, tmp_path) as probes:
        victim, begin = server.serving_pid, time.monotonic()
        os.kill(victim, signal.SIGSTOP)
        wait_until(partial(is_gone, victim), 30)
        seconds = probes.first_right(time.monotonic(), 30) - begin
    print(
        f"back after {seconds:.2f} s; the watchdog waits for {watchdog_seconds:g} s, a start takes {load_seconds:.2f} s"
    )
    assert probes.refused() == []
    assert probes.wrong() == []
    assert seconds <= watchdog_seconds + load_seconds + 1.0


def test_a_dead_parent_under_load(start_server: StartServer, models: Path, tmp_path: Path) -> None:
    server = start(start_server, models, tmp_path)
    with probed(server.grpc_port, server.rest_port, tmp_path) as probes:
        child = server.serving_pid
        server.signal(signal.SIGKILL)
        begin = time.monotonic()
        server.exit_status()
        wait_until(partial(is_gone, child), 1)
        wait_until(lambda: not accepts(server.grpc_port) and not accepts(server.rest_port), 1)
        for port in (server.grpc_port, server.rest_port):
            with socket.socket() as again:
                # Connections of the server that is gone still fade away.
                again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                again.bind(("0.0.0.0", port))
        assert time.monotonic() - begin <= 1.0
    assert probes.wrong() == []


def is_upgraded(server: ServerProcess, times: int) -> bool:
    """Whether this many upgrades have been made, and the last process that was replaced is gone."""
    return server.log.count("serves from now on") == times and len(psutil.Process(server.pid).children()) == 1


def test_twenty_upgrades(start_server: StartServer, models: Path, tmp_path: Path) -> None:
    server = start(start_server, models, tmp_path)
    with probed(server.grpc_port, server.rest_port, tmp_path) as probes:
        for number in range(1, UPGRADES + 1):
            server.signal(signal.SIGUSR2)
            wait_until(partial(is_upgraded, server, number), 60)
    print(f"{len(probes.all)} questions during {UPGRADES} upgrades")
    assert probes.failures() == []
    assert "died after" not in server.log


# No connection is tried again: what fails is seen.
HAPROXY = """
defaults
  mode http
  retries 0
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  default-server inter 300ms fall 1 rise 1
frontend rest
  bind 127.0.0.1:{rest}
  default_backend rest
frontend grpc
  bind 127.0.0.1:{grpc} proto h2
  default_backend grpc
backend rest
  option httpchk GET /readyz
  server a 127.0.0.1:{a.rest_port} check
  server b 127.0.0.1:{b.rest_port} check
backend grpc
  option httpchk GET /readyz
  server a 127.0.0.1:{a.grpc_port} proto h2 check port {a.rest_port} check-proto h1
  server b 127.0.0.1:{b.grpc_port} proto h2 check port {b.rest_port} check-proto h1
"""


@contextmanager
def haproxy(a: ServerProcess, b: ServerProcess, folder: Path) -> Iterator[tuple[int, int]]:
    """A proxy in front of two servers; gives its ports for gRPC and REST."""
    grpc, rest = free_ports(2)
    config = folder / "haproxy.cfg"
    config.write_text(HAPROXY.format(grpc=grpc, rest=rest, a=a, b=b))
    with (folder / "haproxy.log").open("w") as log:
        proxy = subprocess.Popen(["haproxy", "-f", str(config), "-db"], stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: accepts(grpc) and accepts(rest), 10)
        yield grpc, rest
    finally:
        proxy.terminate()
        proxy.wait()


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed: apt-get install haproxy")
def test_a_drain_behind_a_proxy_that_follows_readyz(start_server: StartServer, models: Path, tmp_path: Path) -> None:
    a, b = (start(start_server, models, tmp_path, "--drain_delay_seconds=5") for _ in range(2))
    with haproxy(a, b, tmp_path) as ports, probed(*ports, tmp_path) as probes:
        time.sleep(1)
        begin = time.monotonic()
        a.signal(signal.SIGTERM)
        assert a.exit_status(60) == 0
        assert time.monotonic() - begin >= 5.0
        # What goes on is answered by the other one.
        probes.first_right(time.monotonic() + 1.0, 10)
    print(f"{len(probes.all)} questions through the proxy")
    assert probes.failures() == []


def start_seconds(models: Path, log: Path, *flags: str) -> float:
    words = ["--model_name=half_plus_two", f"--model_base_path={models / 'half_plus_two'}", *flags]
    begin = time.monotonic()
    with ServerProcess(words, log):
        return time.monotonic() - begin


def test_start_up_costs_little(models: Path, tmp_path: Path) -> None:
    ways: dict[str, Callable[[], float]] = {
        "alone": partial(start_seconds, models, tmp_path / "log", "--supervise=false"),
        "supervised": partial(start_seconds, models, tmp_path / "log"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(11):
        for name, measure in ways.items():
            seconds[name].append(measure())
    alone, supervised = (statistics.median(seconds[name]) for name in ways)
    print(f"start: {alone:.2f} s alone, {supervised:.2f} s supervised")
    assert supervised - alone <= 0.15
