# SPDX-License-Identifier: Apache-2.0
"""The server dies in every way there is, and its clients hardly notice."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.clients import GrpcClient, RestClient, wait_until
from tests.conftest import StartServer
from tests.server_process import ServerProcess, accepts, free_ports, program

KILLS = 6


def start(start_server: StartServer, models: Path, *flags: str, name: str = "half_plus_two") -> ServerProcess:
    return start_server(f"--model_name={name}", f"--model_base_path={models / name}", *flags)


def answers(server: ServerProcess) -> None:
    """Asks over a new connection of each protocol."""
    grpc = GrpcClient(server.grpc_target)
    try:
        reply = grpc.predict("half_plus_two", {"x": [2.0]})
        assert list(reply.outputs["y"].float_val) == [6.0]
        rest = RestClient(server.rest_url).predict("half_plus_two", {"instances": [2.0]})
        assert (rest.status_code, rest.json()) == (200, {"predictions": [6.0]})
    finally:
        grpc.close()


def kill_and_wait(server: ServerProcess, number: signal.Signals) -> None:
    """Ends the process that answers, and waits for the next one."""
    before = server.serving_pid
    os.kill(before, number)
    wait_until(lambda: server.serving_pid not in (before, server.pid), 20)


def is_gone(pid: int) -> bool:
    """Whether a process has ended, also if nobody has asked for its status yet."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


class Clients:
    """Connect anew for each question, to both ports, and count what is not as it should be."""

    def __init__(self, server: ServerProcess) -> None:
        self.refused: list[str] = []
        self.wrong: list[str] = []
        self.right = 0
        self._server = server
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(port,)) for port in 2 * [server.rest_port]]
        self._threads += [threading.Thread(target=self._connect, args=(server.grpc_port,))]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _ask(self, port: int) -> None:
        body = b'{"instances": [2.0]}'
        request = b"POST /v1/models/half_plus_two:predict HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        while not self._stop.is_set():
            reply = b""
            with self._connection(port) as connection:
                try:
                    connection.sendall(request)
                    while piece := connection.recv(4096):
                        reply += piece
                except ConnectionError:
                    continue  # It was answered by a process that is dead.
            if reply.startswith(b"HTTP/1.0 200") and b"6.0" in reply:
                self.right += 1
            elif reply:
                self.wrong.append(reply.decode())

    def _connect(self, port: int) -> None:
        while not self._stop.is_set():
            self._connection(port).close()
            time.sleep(0.002)

    def _connection(self, port: int) -> socket.socket:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=60)
        except OSError as error:
            self.refused.append(repr(error))
            return socket.socket()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_no_connection_is_refused_while_the_server_is_killed(
    start_server: StartServer, models: Path, number: signal.Signals
) -> None:
    server = start(start_server, models)
    with Clients(server) as clients:
        wait_until(lambda: clients.right > 5, 10)
        for _ in range(2):
            kill_and_wait(server, number)
            served = clients.right
            wait_until(partial(lambda least: clients.right > least, served + 5), 30)
    assert clients.refused == []
    assert clients.wrong == []
    assert server.is_running
    assert server.says("died after"), server.log
    assert server.says(number.name), server.log
    assert "quarantined" not in server.log
    server.signal(signal.SIGTERM)
    assert server.exit_status() == 0, server.log


def test_a_reload_does_not_end_a_server_that_starts(start_server: StartServer, models: Path) -> None:
    server = start(start_server, models)
    kill_and_wait(server, signal.SIGKILL)
    # From its first moment on, in which it knows no signals yet.
    for _ in range(50):
        server.signal(signal.SIGHUP)
        time.sleep(0.01)
    answers(server)
    assert server.says("Reading the configuration files again."), server.log
    assert server.log.count("died after") == 1, server.log


def test_a_stop_while_it_starts_is_a_stop(start_server: StartServer, models: Path) -> None:
    server = start(start_server, models)
    kill_and_wait(server, signal.SIGKILL)
    server.signal(signal.SIGTERM)
    assert server.exit_status() == 0, server.log


def test_a_dead_parent_takes_the_server_with_it(start_server: StartServer, models: Path) -> None:
    server = start(start_server, models)
    child = server.serving_pid
    assert child != server.pid
    server.signal(signal.SIGKILL)
    server.exit_status()
    wait_until(lambda: is_gone(child), 1)
    wait_until(lambda: not accepts(server.grpc_port) and not accepts(server.rest_port), 1)
    with socket.socket() as again:
        again.bind(("0.0.0.0", server.grpc_port))


def test_a_server_that_cannot_start_is_not_started_again(tmp_path: Path) -> None:
    port, rest_port = free_ports(2)
    words = [program(), "serve", f"--port={port}", f"--rest_api_port={rest_port}", "--readiness=maybe"]
    done = subprocess.run([*words, f"--model_base_path={tmp_path}"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 255
    assert done.stderr == "Failed to start server. Error: INVALID_ARGUMENT: readiness must be one of any, all.\n"


def test_without_a_supervisor_there_is_one_process(start_server: StartServer, models: Path) -> None:
    server = start(start_server, models, "--supervise=false")
    assert psutil.Process(server.pid).children() == []
    answers(server)
    server.signal(signal.SIGTERM)
    assert server.exit_status() == 0


def test_the_parent_is_small(start_server: StartServer, models: Path) -> None:
    server = start(start_server, models)
    lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    anonymous = next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
    assert anonymous <= 12 * 1024
    maps = Path(f"/proc/{server.pid}/maps").read_text()
    assert "_core" not in maps
    assert "tensorflow" not in maps


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_both(start_server: StartServer, models: Path, number: signal.Signals) -> None:
    server = start(start_server, models, "--drain_delay_seconds=60")
    child = server.serving_pid
    server.signal(number)
    wait_until(lambda: "Not ready any more" in server.log, 10)
    # A container's runtime or systemd may signal every process of the group.
    os.kill(child, number)
    time.sleep(0.3)
    assert server.is_running
    server.signal(number)
    assert server.exit_status(5) == 128 + number
    wait_until(lambda: is_gone(child), 1)


def test_unix_sockets_stay_too(start_server: StartServer, models: Path, tmp_path: Path) -> None:
    path = tmp_path / "rest.sock"
    server = start(start_server, models, f"--rest_socket_path={path}")
    before = server.serving_pid
    os.kill(before, signal.SIGKILL)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(path))
        client.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.0 200")
    server.signal(signal.SIGTERM)
    assert server.exit_status() == 0
    assert not path.exists()


def test_a_server_that_dies_before_it_is_ready_is_waited_for_longer_and_longer(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server(f"--model_base_path={tmp_path}", "--crash_loop_exit_status=70", ready=False)

    def said(text: str, times: int) -> None:
        wait_until(lambda: server.log.count(text) >= times, 20)

    for deaths in range(1, 4):
        said("No versions of servable", deaths)
        os.kill(server.serving_pid, signal.SIGKILL)
        said("died after", deaths)
    assert server.says("started again in 1."), server.log
    assert server.says("started again in 2."), server.log
    server.signal(signal.SIGTERM)
    assert server.exit_status() == 0


def test_a_stopped_server_is_ended_and_started_again(start_server: StartServer, models: Path) -> None:
    server = start(start_server, models, "--watchdog_seconds=2")
    before = server.serving_pid
    # The watchdog has seen its threads alive.
    wait_until(lambda: accepts(server.rest_port), 5)
    time.sleep(1.5)
    os.kill(before, signal.SIGSTOP)
    wait_until(lambda: server.serving_pid not in (before, server.pid), 30)
    answers(server)
    assert server.says("somebody had stopped it, and it was ended (hang)"), server.log


def test_another_process_takes_over_without_a_failure(start_server: StartServer, models: Path) -> None:
    server = start(start_server, models)
    failures: list[str] = []
    stop = threading.Event()

    def ask(call: Callable[[], object]) -> None:
        while not stop.is_set():
            try:
                call()
            except Exception as error:
                failures.append(repr(error))

    rest, grpc = RestClient(server.rest_url), GrpcClient(server.grpc_target)
    calls = [
        lambda: grpc.predict("half_plus_two", {"x": [2.0]}),
        lambda: rest.predict("half_plus_two", {"instances": [2.0]}).raise_for_status(),
    ]
    threads = [threading.Thread(target=ask, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    restart = [program(), "restart", f"--server={server.rest_url}"]
    for _ in range(2):
        before = server.serving_pid
        done = subprocess.run(restart, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (0, "The server has been restarted.\n"), done.stderr
        wait_until(partial(is_gone, before), 30)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert "died after" not in server.log
    server.signal(signal.SIGTERM)
    assert server.exit_status() == 0


def test_no_change_is_lost_to_the_process_that_leaves(start_server: StartServer, models: Path) -> None:
    server = start(start_server, models)
    where = f"--server={server.rest_url}"
    subprocess.run([program(), "restart", where], check=True, capture_output=True, timeout=60)
    names = [f"m{number}" for number in range(6)]
    for name in names:
        add = [program(), "models", "add", name, str(models / "half_plus_two"), where]
        subprocess.run(add, check=True, capture_output=True, timeout=60)
    listed = subprocess.run([program(), "models", "list", where, "--json"], check=True, capture_output=True, timeout=60)
    assert {model["name"] for model in json.loads(listed.stdout)["models"]} == {"half_plus_two", *names}
    again = subprocess.run([program(), "restart", where], check=True, capture_output=True, text=True, timeout=60)
    assert again.stdout.splitlines()[1:] == [
        "Lost, since neither its flags nor its files say it:",
        *(f"  model {name}, which was added" for name in names),
    ]
    assert server.says("does not know model m5, which was added"), server.log


def test_a_program_that_does_not_get_ready_takes_nothing_over(
    start_server: StartServer, models: Path, tmp_path: Path
) -> None:
    shutil.copytree(models / "half_plus_two" / "4", tmp_path / "m" / "4")
    server = start_server(
        "--model_name=half_plus_two", f"--model_base_path={tmp_path / 'm'}", "--max_num_load_retries=0"
    )
    before = server.serving_pid
    shutil.rmtree(tmp_path / "m")
    done = subprocess.run([program(), "restart", f"--server={server.rest_url}"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Nothing was restarted: the new process did not get ready (it ended with status 255): " in done.stderr
    assert "Failed to start server. Error: " in done.stderr
    assert server.serving_pid == before
    answers(server)
