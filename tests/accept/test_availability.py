# SPDX-License-Identifier: Apache-2.0
"""What docs/availability.md promises, at length: 50 kills, 20 upgrades, and a drain behind HAProxy.

`make accept AREA=availability`. HAProxy is Debian's (`apt-get install haproxy`); without it that test is skipped.
"""

import os
import random
import shutil
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import requests

from tests.clients import GrpcClient, RestClient, wait_until
from tests.conftest import StartServer
from tests.e2e.test_supervisor import Clients, is_gone, start
from tests.server_process import ServerProcess, accepts, free_ports, program


@contextmanager
def asking(*calls: Callable[[], object]) -> Iterator[list[str]]:
    """Makes each call over and over in a thread of its own; gives what failed."""
    failures: list[str] = []
    counts = [0] * len(calls)
    stop = threading.Event()

    def ask(place: int, call: Callable[[], object]) -> None:
        while not stop.is_set():
            try:
                call()
                counts[place] += 1
            except Exception as error:
                failures.append(repr(error))
            time.sleep(0.005)

    threads = [threading.Thread(target=ask, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    try:
        yield failures
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
        assert min(counts) > 0, failures


def test_fifty_kills(start_server: StartServer, models: Path) -> None:
    server = start(start_server, models)
    times = []
    chance = random.Random(16)
    with Clients(server) as clients:
        wait_until(lambda: clients.right > 5, 10)
        for _ in range(50):
            time.sleep(chance.uniform(0.1, 0.5))
            served, begin = clients.right, time.monotonic()
            os.kill(server.serving_pid, chance.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT]))
            time.sleep(0.05)
            served = clients.right
            wait_until(partial(lambda least: clients.right > least, served), 30)
            times.append(time.monotonic() - begin)
    print(f"back after {statistics.median(times):.2f} s (median), {sorted(times)[47]:.2f} s (95th percentile)")
    assert clients.refused == []
    assert clients.wrong == []
    assert server.log.count("died after") == 50
    assert "quarantined" not in server.log


def test_twenty_upgrades(start_server: StartServer, models: Path) -> None:
    server = start(start_server, models)
    rest, grpc = RestClient(server.rest_url), GrpcClient(server.grpc_target)

    def over_a_new_connection() -> None:
        client = RestClient(server.rest_url)
        client.predict("half_plus_two", {"instances": [2.0]}).raise_for_status()
        client.close()

    with asking(
        lambda: grpc.predict("half_plus_two", {"x": [2.0]}),
        lambda: rest.predict("half_plus_two", {"instances": [2.0]}).raise_for_status(),
        over_a_new_connection,
    ) as failures:
        for _ in range(20):
            before = server.serving_pid
            server.signal(signal.SIGUSR2)
            wait_until(partial(is_gone, before), 60)
    assert failures == []
    assert server.log.count("serves from now on") == 20


HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option redispatch
frontend clients
  bind 127.0.0.1:{front}
  default_backend servers
backend servers
  option httpchk GET /readyz
  default-server inter 300ms fall 1 rise 1
  server a 127.0.0.1:{a} check
  server b 127.0.0.1:{b} check
"""


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed")
def test_a_drain_behind_a_proxy_that_follows_readyz(start_server: StartServer, models: Path, tmp_path: Path) -> None:
    servers = [start(start_server, models, "--drain_delay_seconds=5") for _ in range(2)]
    (front,) = free_ports(1)
    config = tmp_path / "haproxy.cfg"
    config.write_text(HAPROXY.format(front=front, a=servers[0].rest_port, b=servers[1].rest_port))
    proxy = subprocess.Popen(["haproxy", "-f", str(config), "-db"], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: accepts(front), 10)
        url = f"http://127.0.0.1:{front}/v1/models/half_plus_two:predict"
        wait_until(lambda: requests.post(url, json={"instances": [2.0]}, timeout=30).status_code == 200, 10)
        sessions = [requests.Session() for _ in range(4)]

        def ask(session: requests.Session) -> None:
            session.post(url, json={"instances": [2.0]}, timeout=30).raise_for_status()

        with asking(*(partial(ask, session) for session in sessions)) as failures:
            _stop(servers[0])
        assert failures == []
    finally:
        proxy.terminate()
        proxy.wait()


def _stop(server: ServerProcess) -> None:
    time.sleep(1)
    server.signal(signal.SIGTERM)
    assert server.exit_status(60) == 0
    time.sleep(1)


def test_start_up_costs_little(models: Path, tmp_path: Path) -> None:
    def seconds(*flags: str) -> float:
        words = ["--model_name=half_plus_two", f"--model_base_path={models / 'half_plus_two'}", *flags]
        server = ServerProcess(words, tmp_path / "log")
        begin = time.monotonic()
        with server:
            return time.monotonic() - begin

    alone, supervised = [], []
    for _ in range(7):
        alone.append(seconds("--supervise=false"))
        supervised.append(seconds())
    print(f"start: {statistics.median(alone):.2f} s alone, {statistics.median(supervised):.2f} s supervised")
    # Other programs of the machine count too; the figure that is promised is 0.15 s.
    assert statistics.median(supervised) - statistics.median(alone) <= 0.3, program()
