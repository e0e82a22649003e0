# SPDX-License-Identifier: Apache-2.0
"""Sockets that this process is given, as systemd gives them."""

import json
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tensorserve.errors import ServingError
from tensorserve.given_sockets import GivenSockets
from tensorserve.listeners import Endpoints, Listeners

# In a process of its own, since descriptors from 3 on are meant. The sockets that it is given have the names of its
# arguments; it says where it is bound.
GIVEN = """
import json, os, socket, sys

made = [socket.create_server(("127.0.0.1", 0)) for _ in sys.argv[2:]]
ports = [one.getsockname()[1] for one in made]
high = [os.dup2(one.fileno(), 100 + place) for place, one in enumerate(made)]
[os.dup2(number, 3 + place) for place, number in enumerate(high)]

from tensorserve.given_sockets import GivenSockets
from tensorserve.listeners import Endpoints, Listeners

environment = {
    "LISTEN_FDS": str(len(made)),
    "LISTEN_PID": sys.argv[1].format(os.getpid()),
    "LISTEN_FDNAMES": ":".join(sys.argv[2:]),
}
given = GivenSockets.by_environment(environment)
assert not environment
bound = Listeners.bind(Endpoints(grpc_port=ports[0], rest_port=0, host="127.0.0.1"), given)
found = {name: socket.socket(fileno=os.dup(number)) for name, number in bound.descriptors().items()}
places = {name: ports.index(port) if (port := one.getsockname()[1]) in ports else None for name, one in found.items()}
print(json.dumps([places, bound.has_given, [os.get_inheritable(number) for number in bound.descriptors().values()]]))
"""


def bind_given(*names: str, pid: str = "{}") -> "tuple[dict[str, int | None], bool]":
    """Which of the given sockets each listener is, by name; gRPC's port is that of the first one."""
    done = subprocess.run([sys.executable, "-c", GIVEN, pid, *names], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    places, has_given, inheritable = json.loads(done.stdout)
    assert not any(inheritable)
    return places, has_given


def test_sockets_are_taken_by_name() -> None:
    assert bind_given("x.socket", "rest", "health") == ({"grpc": 0, "rest": 1, "health": 2}, True)


def test_a_name_goes_before_an_address() -> None:
    assert bind_given("rest", "grpc") == ({"grpc": 1, "rest": 0}, True)


def test_sockets_are_taken_by_their_port() -> None:
    assert bind_given("tensorserve.socket") == ({"grpc": 0, "rest": None}, True)


def test_sockets_for_another_process_are_left_alone() -> None:
    done = subprocess.run([sys.executable, "-c", GIVEN, "1", "rest"], capture_output=True, text=True)
    assert "Failed to BuildAndStart gRPC server" in done.stderr, "who has them listens on its port"


def test_unix_sockets_are_taken_by_their_path_which_stays(tmp_path: Path) -> None:
    given = socket.socket(socket.AF_UNIX)
    given.bind(str(tmp_path / "rest"))
    endpoints = Endpoints(grpc_port=0, rest_port=None, rest_socket_path=str(tmp_path / "." / "rest"))
    bound = Listeners.bind(endpoints, GivenSockets([("unknown", given)]))
    assert bound.descriptors()["rest_socket"] == given.fileno()
    bound.close()
    assert (tmp_path / "rest").exists()


def test_what_nobody_wants_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given, caplog.at_level(logging.WARNING):
        Listeners.bind(Endpoints(grpc_port=0, rest_port=None), GivenSockets([("other", given)])).close()
        assert given.fileno() == -1
    assert "Nothing is served on the socket other at ('127.0.0.1'," in caplog.text


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_FDS": "x", "LISTEN_PID": str(os.getpid() + 1)},
        {"LISTEN_FDS": "0", "LISTEN_PID": str(os.getpid())},
        {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid() + 1)},
    ],
)
def test_nothing_is_given(environment: dict[str, str]) -> None:
    assert GivenSockets.by_environment(environment).take("grpc", port=8500) is None
    assert environment == {}


@pytest.mark.parametrize("count", ["x", "\u00b2", "\u0663", "-1", "1001", "100000", "9" * 5000])
def test_a_number_that_makes_no_sense_is_refused(count: str) -> None:
    with pytest.raises(ServingError, match=r"LISTEN_FDS=.*: it must be a number from 0 to 1000") as refused:
        GivenSockets.by_environment({"LISTEN_FDS": count, "LISTEN_PID": str(os.getpid())})
    assert len(refused.value.message) < 100


# It was given one socket, and has opened another one itself before it looks.
GIVEN_ONE = """
import os, socket

made = socket.create_server(("127.0.0.1", 0))
high = os.dup2(made.fileno(), 100)
os.dup2(high, 3)
own = socket.create_server(("127.0.0.1", 0))
assert own.fileno() == 4

from tensorserve.errors import ServingError
from tensorserve.given_sockets import GivenSockets

try:
    GivenSockets.by_environment({"LISTEN_FDS": "2", "LISTEN_PID": str(os.getpid())})
except ServingError as error:
    print(error)
os.fstat(4)
"""


def test_what_this_process_has_opened_itself_was_not_given() -> None:
    done = subprocess.run([sys.executable, "-c", GIVEN_ONE], capture_output=True, text=True)
    said = "INVALID_ARGUMENT: LISTEN_FDS='2': this process was not given descriptor 4.\n"
    assert (done.stdout, done.returncode) == (said, 0), done.stderr
