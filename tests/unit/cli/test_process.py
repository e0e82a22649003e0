# SPDX-License-Identifier: Apache-2.0
"""Real processes and real signals, around a server whose data plane is a stand-in."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tensorserve.cli.exit_status import FAILURE
from tests.unit.test_server import add_version

ROOT = Path(__file__).parents[3]

SERVING = """
import sys, threading
from tensorserve.cli.exit_status import end_process
from tensorserve.cli.process import run_server
from tensorserve.cli.serve import read_options
from tensorserve.server import ModelServer
from tests.unit.fakes import FakeDataPlane, FakeRuntime

class Plane(FakeDataPlane):
    def shutdown(self, drain_seconds, idle_seconds=0.0):
        print("draining", drain_seconds, flush=True)
        threading.Event().wait({drain})
        return True

def make(options, listeners):
    stand_ins = {{"data_plane": lambda o: Plane(), "runtimes": {{"tensorflow": FakeRuntime}}}}
    return ModelServer.from_options(options, listeners=listeners, **stand_ins)

end_process(run_server(read_options(sys.argv[1:]), sys.stdout, make))
"""


@contextmanager
def serving(*flags: str, drain: float = 0.0) -> "Iterator[subprocess.Popen[str]]":
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    process = subprocess.Popen(
        [sys.executable, "-c", SERVING.format(drain=drain), *flags],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stderr is not None
    assert any(text in line for line in process.stderr)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_ends_with_0(tmp_path: Path, number: signal.Signals) -> None:
    add_version(tmp_path, 1)
    with serving(f"--model_base_path={tmp_path}", "--drain_timeout_seconds=7") as process:
        wait_for(process, "Running gRPC ModelServer at 0.0.0.0:8500 ...")
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
        assert process.returncode == 0
        assert out == "draining 7.0\n"
        assert err.endswith(" I Stopped.\n")


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    add_version(tmp_path, 1)
    with serving(f"--model_base_path={tmp_path}", drain=60.0) as process:
        wait_for(process, "Running gRPC")
        process.terminate()
        assert process.stdout is not None
        assert process.stdout.readline() == "draining 30.0\n"
        process.terminate()
        assert process.wait(timeout=10) == 128 + signal.SIGTERM


def test_a_signal_while_models_load_ends_it(tmp_path: Path) -> None:
    with serving(f"--model_base_path={tmp_path}") as process:
        wait_for(process, "No versions of servable default found")
        process.terminate()
        assert process.wait(timeout=10) == 0


def test_a_start_that_fails_says_why_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "none"
    with serving(f"--model_base_path={path}", "--log_level=error") as process:
        out, err = process.communicate(timeout=10)
        assert process.returncode == FAILURE
        assert out == (
            "draining 0.0\n"
            f"Failed to start server. Error: NOT_FOUND: Could not find base path {path} for servable default "
            f"with error NOT_FOUND: {path}; No such file or directory\n"
        )
        assert "Traceback" not in err
