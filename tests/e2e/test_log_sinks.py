# SPDX-License-Identifier: Apache-2.0
"""Whatever becomes of the log, models are loaded, requests answered, and signals obeyed."""

import fcntl
import json
import os
import pty
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.server_process import ServerProcess

NAME = "half_plus_two"


class Sink:
    """Where a server's log goes, and what became of it."""

    def __init__(self, descriptor: int, break_it: Callable[[], None] = lambda: None) -> None:
        self.descriptor = descriptor
        self.break_it = break_it


def full_pipe() -> Sink:
    _reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    return Sink(writing)


def closed_pipe() -> Sink:
    reading, writing = os.pipe()
    return Sink(writing, lambda: os.close(reading))


def full_disk() -> Sink:
    return Sink(os.open("/dev/full", os.O_WRONLY))


def stopped_terminal() -> Sink:
    _ours, theirs = pty.openpty()
    return Sink(theirs)


def vanished_terminal() -> Sink:
    ours, theirs = pty.openpty()
    return Sink(theirs, lambda: os.close(ours))


def silent_socket() -> Sink:
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return Sink(theirs.detach(), ours.getpeername)


def full_fifo(folder: Path) -> Sink:
    os.mkfifo(folder / "fifo")
    return Sink(os.open(folder / "fifo", os.O_RDWR))


class LoggingTo(ServerProcess):
    """Standard output and error go to a descriptor."""

    sink: int

    def start(self) -> None:
        words = [*self.command, f"--port={self.grpc_port}", f"--rest_api_port={self.rest_port}", *self.arguments]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=self.sink, stderr=self.sink)
        os.close(self.sink)


@contextmanager
def serving(sink: Sink, models: Path, *flags: str) -> Iterator[ServerProcess]:
    arguments = [f"--model_name={NAME}", f"--model_base_path={models / NAME}", "--drain_timeout_seconds=5", *flags]
    server = LoggingTo(arguments, Path(os.devnull))
    server.sink = sink.descriptor
    with server:
        yield server


def ask(server: ServerProcess, method: str, path: str, body: object = None) -> object:
    data = None if body is None else json.dumps(body).encode()
    request = Request(f"{server.rest_url}{path}", data, {"Content-Type": "application/json"}, method=method)
    with urlopen(request, timeout=90) as reply:
        return json.load(reply)


SINKS = [full_pipe, closed_pipe, full_disk, stopped_terminal, vanished_terminal, silent_socket, full_fifo]


@pytest.mark.parametrize("make", SINKS)
def test_the_server_goes_on(make: Callable[..., Sink], models: Path, tmp_path: Path) -> None:
    sink = make(tmp_path) if make is full_fifo else make()
    # TensorFlow's own lines go there too.
    with serving(sink, models, "--log_level=debug") as server:
        sink.break_it()
        for number in range(8):
            put = ask(server, "PUT", f"/v1/admin/models/m{'x' * 200}{number}", {"base_path": str(models / NAME)})
            assert put["base_path"] == str(models / NAME)  # type: ignore[index]
        ask(server, "POST", "/v1/admin/reload", {})
        last = f"m{'x' * 200}7"
        assert ask(server, "GET", f"/v1/admin/models/{last}?wait=true&timeout=60")["ready"]  # type: ignore[index]
        answer = ask(server, "POST", f"/v1/models/{last}:predict", {"instances": [2.0]})
        assert answer == ask(server, "POST", f"/v1/models/{NAME}:predict", {"instances": [2.0]})
        server.signal(signal.SIGTERM)
        assert server.exit_status(10) == 0


def test_a_server_that_cannot_start_ends_though_nobody_reads_why() -> None:
    for command in ("serve", None):
        sink = full_pipe()
        os.write(sink.descriptor, b"x" * 4096)
        server = LoggingTo(["--model_base_path=/nonexistent"], Path(os.devnull))
        if command is None:
            server.command = [server.command[0].replace("tensorserve", "tensorflow_model_server")]
        server.sink = sink.descriptor
        server.start()
        assert server.exit_status(20) == 255


def test_a_signal_ends_a_server_that_still_loads_though_nobody_reads(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    server = LoggingTo([f"--model_base_path={tmp_path / 'm'}", "--log_level=debug"], Path(os.devnull))
    sink = full_pipe()
    server.sink = sink.descriptor
    server.start()
    with pytest.raises(subprocess.TimeoutExpired):
        server.exit_status(2)
    server.signal(signal.SIGTERM)
    assert server.exit_status(5) == 0


def test_what_was_lost_is_told_once_somebody_reads(models: Path) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    with serving(Sink(writing), models) as server:
        # Each line has a long name, and a MiB of them may wait.
        for number in range(160):
            ask(server, "PUT", f"/v1/admin/models/m{'x' * 4000}{number}", {"base_path": "/nonexistent"})
        with os.fdopen(reading, errors="replace") as log:
            assert any("lines dropped: the log did not take them." in line for line in log)
            server.signal(signal.SIGTERM)
            assert any(line.endswith(" I Stopped.\n") for line in log)


@pytest.mark.parametrize("closed", [(2,), (0, 1, 2)])
def test_closed_descriptors_are_no_sockets(closed: tuple[int, ...], models: Path) -> None:
    close = " ".join(f"{descriptor}>&-" for descriptor in closed)
    command = ["sh", "-c", f'exec "$0" "$@" {close}']
    server = ServerProcess([f"--model_name={NAME}", f"--model_base_path={models / NAME}"], Path(os.devnull))
    server.command = [*command, *server.command]
    with server:
        ask(server, "POST", f"/v1/models/{NAME}:predict", {"instances": [2.0]})
        for descriptor in closed:
            assert os.readlink(f"/proc/{server.pid}/fd/{descriptor}") == os.devnull
            # Its standard error is read by its parent.
            assert not os.readlink(f"/proc/{server.serving_pid}/fd/{descriptor}").startswith("socket:")
        server.signal(signal.SIGTERM)
        assert server.exit_status(10) == 0
