# SPDX-License-Identifier: Apache-2.0
"""The supervisor in a process of its own, around programs that are no servers."""

import os
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

import psutil
import pytest

from tests.clients import wait_until
from tests.server_process import free_ports

CODE = """
import sys
from tensorserve.cli.serve import read_options
from tensorserve.supervisor.supervisor import Supervisor

sys.exit(Supervisor(read_options(sys.argv[2:]), sys.stdout, [sys.argv[1], "-c", {program!r}]).run())
"""


def supervise(program: str, executable: str, state: Path, *flags: str) -> "subprocess.CompletedProcess[str]":
    (port,) = free_ports(1)
    words = [sys.executable, "-c", CODE.format(program=program), executable, f"--port={port}", f"--state_dir={state}"]
    return subprocess.run([*words, *flags], capture_output=True, text=True, timeout=60)


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    done = supervise("", "/nowhere/program", tmp_path)
    assert (done.returncode, done.stdout) == (
        255,
        "Failed to start server. Error: UNAVAILABLE: The program cannot be started: /nowhere/program: "
        "No such file or directory\n",
    )


@pytest.mark.parametrize("status", [0, 2, 7, 255])
def test_a_server_that_ends_by_itself_before_it_was_ready_ends_it(tmp_path: Path, status: int) -> None:
    program = f"import sys; print('last words', file=sys.stderr); sys.exit({status})"
    done = supervise(program, sys.executable, tmp_path)
    assert (done.returncode, done.stderr) == (status, "last words\n")


EXITS = """
import json, os, socket, sys
facts = json.load(open(int(os.environ["TENSORSERVE_SUPERVISED"])))
with socket.socket(fileno=facts["channel"]) as channel:
    channel.sendall(b'{"kind": "ready"}\\n')
os._exit(2)
"""


def test_a_server_that_ends_by_itself_after_it_was_ready_has_died(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    words = [sys.executable, "-c", CODE.format(program=EXITS), sys.executable, f"--port={port}"]
    with subprocess.Popen([*words, f"--state_dir={tmp_path}"], stderr=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stderr is not None
        deaths = list(islice((line for line in supervisor.stderr if "died after" in line), 2))
        supervisor.kill()
    assert [line.rpartition(": ")[2] for line in deaths] == 2 * ["it ended with status 2.\n"]


# The first of them does not stop.
SERVES = """
import json, os, signal, socket, sys, time
facts = json.load(open(int(os.environ["TENSORSERVE_SUPERVISED"])))
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
channel = socket.socket(fileno=facts["channel"])
channel.sendall(b'{"kind": "ready"}\\n')
print("process", os.getpid(), file=sys.stderr, flush=True)
while True:
    time.sleep(60)
"""


def test_a_second_signal_ends_one_that_was_replaced(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    words = [sys.executable, "-c", CODE.format(program=SERVES), sys.executable, f"--port={port}"]
    with subprocess.Popen([*words, f"--state_dir={tmp_path}"], stderr=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stderr is not None
        lines = (line for line in supervisor.stderr if line.startswith("process") or "serves from now on" in line)
        old = int(next(lines).split()[1])
        supervisor.send_signal(signal.SIGUSR2)
        # Both lines, in either order.
        new = next(int(line.split()[1]) for line in list(islice(lines, 2)) if line.startswith("process"))
        supervisor.send_signal(signal.SIGTERM)
        wait_until(lambda: not psutil.pid_exists(new), 10)
        assert supervisor.poll() is None
        assert psutil.pid_exists(old)
        supervisor.send_signal(signal.SIGTERM)
        try:
            assert supervisor.wait(10) == 128 + signal.SIGTERM
            assert not psutil.pid_exists(old)
        finally:
            # A supervisor that waits for the old process would hold up this test for good.
            if psutil.pid_exists(old):
                os.kill(old, signal.SIGKILL)


PANICS = """
import json, mmap, os, struct, sys, threading, time
facts = json.load(open(int(os.environ["TENSORSERVE_SUPERVISED"])))
page = mmap.mmap(facts["page"], 0)

def beat():
    for count in range(5):
        page[4256:4264] = struct.pack("<iI", threading.get_native_id(), count)
        time.sleep(0.1)

threading.Thread(target=beat).start()
time.sleep(60)
"""


def test_a_server_one_of_whose_threads_has_ended_is_ended(tmp_path: Path) -> None:
    patched = CODE.replace(
        "sys.exit(", "import tensorserve.supervisor.supervisor as s\ns._CRASH_LOOP_DEATHS = 1\nsys.exit(", 1
    )
    (port,) = free_ports(1)
    words = [sys.executable, "-c", patched.format(program=PANICS), sys.executable, f"--port={port}"]
    flags = [f"--state_dir={tmp_path}", "--crash_loop_exit_status=70", "--watchdog_seconds=2"]
    done = subprocess.run([*words, *flags], capture_output=True, text=True, timeout=60)
    assert done.returncode == 70
    assert "hangs: an I/O thread does not answer, or has ended" in done.stderr


def test_a_crash_loop_is_given_up_if_that_is_wanted(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; print('the end', file=sys.stderr, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    patched = CODE.replace(
        "sys.exit(", "import tensorserve.supervisor.supervisor as s\ns._CRASH_LOOP_DEATHS = 2\nsys.exit(", 1
    )
    (port,) = free_ports(1)
    words = [sys.executable, "-c", patched.format(program=program), sys.executable, f"--port={port}"]
    done = subprocess.run(
        [*words, f"--state_dir={tmp_path}", "--crash_loop_exit_status=70"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 70
    assert done.stderr.count("died after") == 2
    assert done.stderr.count("\n  Its last words:\n    the end\n") == 2
    assert "The server died 2 times before it was ready; giving up." in done.stderr
