# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys

CODE = """
import os, signal, sys
from tensorserve.cli.serve import read_options
from tensorserve.cli.supervision import run_supervised
from tensorserve.supervisor import supervisor

class Starting:
    def __init__(self, options, errors):
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGUSR2)

    def run(self):
        return len(signal.sigpending() & {signal.SIGHUP, signal.SIGUSR2})

supervisor.Supervisor = Starting
sys.exit(run_supervised(read_options([]), sys.stderr))
"""


def test_signals_wait_until_a_supervisor_can_act_on_them() -> None:
    assert subprocess.run([sys.executable, "-c", CODE], timeout=60).returncode == 2
