# SPDX-License-Identifier: Apache-2.0
"""The server answers on sockets that whoever starts it has bound."""

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.e2e.test_supervisor import answers, kill_and_wait
from tests.server_process import program

# Binds the ports of the flags, as systemd does, and goes on as the server.
GIVER = """
import os, socket, sys

ports = [word.partition("=")[2] for word in sys.argv if word.startswith(("--port=", "--rest_api_port="))]
made = [socket.create_server(("", int(port))) for port in ports]
high = [os.dup2(one.fileno(), 100 + place) for place, one in enumerate(made)]
[os.dup2(number, 3 + place) for place, number in enumerate(high)]
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "tensorserve.socket:rest"}
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("supervise", ["true", "false"])
def test_it_answers_on_sockets_that_it_is_given(start_server: StartServer, models: Path, supervise: str) -> None:
    server = start_server(
        "--model_name=half_plus_two",
        f"--model_base_path={models / 'half_plus_two'}",
        f"--supervise={supervise}",
        command=[sys.executable, "-c", GIVER, program(), "serve"],
    )
    answers(server)
    if supervise == "true":
        kill_and_wait(server, signal.SIGKILL)
        answers(server)
    environment = Path(f"/proc/{server.serving_pid}/environ").read_bytes()
    assert (b"LISTEN_FDS=" in environment) == (supervise == "false"), "they are not for children"
    assert "which this process was given" not in server.log
    server.signal(signal.SIGTERM)
    assert server.exit_status() == os.EX_OK
