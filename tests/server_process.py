# SPDX-License-Identifier: Apache-2.0
"""A real `tensorserve serve` process, started on free ports."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import psutil

START_SECONDS = 60.0
STOP_SECONDS = 20.0


def program(name: str = "tensorserve") -> str:
    """The installed command of that name: beside this interpreter, else on the path.

    Raises:
        FileNotFoundError: The package is not installed.
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed; run make setup")
    return found


def free_ports(count: int) -> list[int]:
    """Different TCP ports that nothing listens on now."""
    holders = [socket.socket() for _ in range(count)]
    try:
        for holder in holders:
            holder.bind(("127.0.0.1", 0))
        return [holder.getsockname()[1] for holder in holders]
    finally:
        for holder in holders:
            holder.close()


def accepts(port: int) -> bool:
    """Whether something accepts TCP connections on this port of the local host."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


@dataclass
class ServerProcess:
    """One server. As a context manager it waits until both ports answer, and ends the process on leaving.

    Attributes:
        arguments: Flags besides the two ports.
        log_path: File that collects the process's standard output and error.
        command: The program and what comes before the flags.
    """

    arguments: Sequence[str]
    log_path: Path
    command: Sequence[str] = field(default_factory=lambda: [program(), "serve"])
    working_directory: Path | None = None
    environment: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        self.grpc_port, self.rest_port = free_ports(2)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def grpc_target(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self.rest_port}"

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def says(self, text: str, seconds: float = 10.0) -> bool:
        """Whether the log has this text, or has it soon: lines reach it by a queue and a pipe."""
        end = time.monotonic() + seconds
        while text not in self.log:
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    @property
    def pid(self) -> int:
        assert self.process is not None, "the server was not started"
        return self.process.pid

    @property
    def serving_pid(self) -> int:
        """The process that answers: the child of the supervisor, if there is one."""
        children = psutil.Process(self.pid).children()
        return int(children[0].pid) if children else self.pid

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Starts the process and returns at once."""
        ports = [f"--port={self.grpc_port}", f"--rest_api_port={self.rest_port}"]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [*self.command, *ports, *self.arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.working_directory,
                # What one server holds against a model is nothing to the next.
                env={"XDG_STATE_HOME": f"{self.log_path}.state", **(self.environment or os.environ)},
            )

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        """Waits until both ports accept connections, which they do only once every model was loaded.

        Raises:
            RuntimeError: The process ended, or did not get ready in time; the message holds its log.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.is_running:
                raise RuntimeError(f"the server ended with {self.exit_status(1)}:\n{self.log}")
            if accepts(self.grpc_port) and accepts(self.rest_port):
                return
            time.sleep(0.02)
        raise RuntimeError(f"the server was not ready within {seconds} s:\n{self.log}")

    def exit_status(self, seconds: float = STOP_SECONDS) -> int:
        """Waits for the process to end.

        Raises:
            subprocess.TimeoutExpired: It is still running.
        """
        assert self.process is not None, "the server was not started"
        return self.process.wait(seconds)

    def signal(self, number: int) -> None:
        assert self.process is not None, "the server was not started"
        self.process.send_signal(number)

    def stop(self) -> None:
        """Ends the process: asks first, then forces."""
        if not self.is_running:
            return
        self.signal(signal.SIGTERM)
        try:
            self.exit_status()
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self.exit_status()

    def __enter__(self) -> "ServerProcess":
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def model_config(entries: Mapping[str, Path | str], extra: Mapping[str, str] | None = None) -> str:
    """A `--model_config_file` for models by name; `extra` adds text fields to a model's entry."""
    blocks = []
    for name, base_path in entries.items():
        more = (extra or {}).get(name, "")
        blocks.append(f'  config {{ name: "{name}" base_path: "{base_path}" model_platform: "tensorflow" {more} }}')
    return "model_config_list {\n" + "\n".join(blocks) + "\n}\n"
