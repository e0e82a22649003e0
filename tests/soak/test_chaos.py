# SPDX-License-Identifier: Apache-2.0
"""Everything at once: kills, bad requests, slow clients, half-closed connections, new versions, other configurations.

`make soak SUITE=chaos SOAK_SECONDS=900`. A prober asks over new connections all the while: no answer is wrong, no
connection refused, every model is there at the end, and the memory of the supervisor does not grow.
"""

import os
import random
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from tests.clients import GrpcClient, RestClient, wait_until
from tests.conftest import StartServer
from tests.server_process import ServerProcess, model_config

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
# Ports are closed, as promised, after the fifth death before the server was ready that no minute of service follows.
EARLY_KILLS = 3
# More than processes that are dead by now can have answered.
ENOUGH_ANSWERS = 20
KILLS = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT)


def configuration(folder: Path, models: Path, *, extra: bool) -> str:
    """Two models, and a third one if there shall be `extra`."""
    entries = {"half_plus_two": models / "half_plus_two", "swapped": folder / "swapped"}
    return model_config(entries | ({"extra": models / "half_plus_two"} if extra else {}))


class Chaos:
    """Harms one server in ways of its own until it is stopped, each in a thread."""

    def __init__(self, server: ServerProcess, folder: Path, config: Path, models: Path) -> None:
        self.server = server
        self.wrong: list[str] = []
        self.refused: list[str] = []
        self.right = 0
        self.kills = self.early_kills = 0
        self._right_before = 0
        self._folder, self._config, self._models = folder, config, models
        self._random = random.Random(20)
        self._has_extra = False
        self._stop = threading.Event()
        ways = [self._kill, self._send_nonsense, self._dawdle, self._swap, self._flip, self._probe, self._probe]
        self._threads = [threading.Thread(target=self._repeat, args=(way,), name=way.__name__) for way in ways]

    def __enter__(self) -> "Chaos":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _repeat(self, way: Callable[[], None]) -> None:
        while not self._stop.is_set():
            # A server that dies breaks connections; what must not happen is noted by the prober.
            with suppress(OSError, psutil.Error):
                way()

    def _kill(self) -> None:
        self._stop.wait(self._random.uniform(1.0, 6.0))
        is_early = self.right < self._right_before + ENOUGH_ANSWERS
        if is_early and self.early_kills == EARLY_KILLS:
            return
        child = self.server.serving_pid
        if child != self.server.pid:
            self._right_before = self.right
            os.kill(child, self._random.choice(KILLS))
            self.kills += 1
            self.early_kills += is_early

    def _connect(self, port: int | None = None) -> socket.socket:
        return socket.create_connection(("127.0.0.1", port or self.server.rest_port), timeout=60)

    def _send_nonsense(self) -> None:
        with self._connect(self._random.choice([self.server.rest_port, self.server.grpc_port])) as connection:
            connection.sendall(self._random.randbytes(self._random.randrange(1, 5000)))
            connection.shutdown(socket.SHUT_WR)
            connection.recv(100)

    def _dawdle(self) -> None:
        with self._connect() as connection:
            for byte in b"POST /v1/models/half_plus_two:predict HTTP/1.1\r\nHost: x\r\n":
                connection.sendall(bytes([byte]))
                if self._stop.wait(0.05):
                    return

    def _swap(self) -> None:
        """Version 2 comes and goes."""
        self._stop.wait(2.0)
        target = self._folder / "swapped" / "2"
        if target.exists():
            shutil.rmtree(target)
        else:
            shutil.copytree(self._models / "half_plus_two" / "2", self._folder / "beside")
            os.rename(self._folder / "beside", target)

    def _flip(self) -> None:
        """A model comes and goes."""
        self._stop.wait(1.5)
        self._has_extra = not self._has_extra
        beside = self._config.with_suffix(".new")
        beside.write_text(configuration(self._folder, self._models, extra=self._has_extra))
        os.replace(beside, self._config)
        self.server.signal(signal.SIGHUP)

    def _probe(self) -> None:
        body = b'{"instances": [2.0]}'
        head = b"POST /v1/models/half_plus_two:predict HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body)
        try:
            connection = self._connect()
        except OSError as error:
            self.refused.append(repr(error))
            return
        reply = b""
        with connection, suppress(ConnectionError):
            connection.sendall(head + body)
            while piece := connection.recv(4096):
                reply += piece
        if reply.startswith(b"HTTP/1.0 200") and b"6.0" in reply:
            self.right += 1
        elif reply:
            self.wrong.append(reply.decode(errors="replace"))
        self._stop.wait(0.005)


def rss_anon(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def test_chaos(start_server: StartServer, models: Path, tmp_path: Path) -> None:
    survive(start_server, models, tmp_path, SECONDS)


def survive(start_server: StartServer, models: Path, tmp_path: Path, seconds: float) -> None:
    """Has a server harmed for a while, and checks that nobody but it has noticed."""
    shutil.copytree(models / "half_plus_two" / "1", tmp_path / "swapped" / "1")
    config = tmp_path / "models.config"
    config.write_text(configuration(tmp_path, models, extra=False))
    server = start_server(f"--model_config_file={config}", "--drain_timeout_seconds=5")
    before = rss_anon(server.pid)
    with Chaos(server, tmp_path, config, models) as chaos:
        time.sleep(seconds)
    wait_until(lambda: RestClient(server.rest_url).get("/readyz").status_code == 200, 60)
    print(f"{chaos.kills} kills, {chaos.right} right answers, {len(chaos.wrong)} wrong, {len(chaos.refused)} refused")
    assert chaos.refused == []
    assert chaos.wrong == []
    assert chaos.kills >= seconds / 10
    assert chaos.right > chaos.kills
    client = GrpcClient(server.grpc_target)
    assert client.predict("half_plus_two", {"x": [2.0]}).model_spec.version.value == 4
    assert 1 in client.states("swapped") or 2 in client.states("swapped")
    assert client.predict("swapped", {"x": [2.0]}).outputs["y"].float_val[0] > 0
    assert "quarantined" not in server.log, "signals from outside convict nobody"
    assert rss_anon(server.pid) <= before + 4096
    server.signal(signal.SIGTERM)
    assert server.exit_status(30) == 0, server.log
