# SPDX-License-Identifier: Apache-2.0
"""In processes of their own, since descriptors 0 to 2 belong to the whole process."""

import fcntl
import os
import pty
import socket
import subprocess
import sys

import pytest

FILL = """
import os, sys
from tensorserve.log.descriptors import stop_waiting_for
stop_waiting_for(2)
written = 0
try:
    while written < 1 << 24:
        written += os.write(2, b"x" * 1024)
except BlockingIOError:
    os.write(1, b"did not wait")
"""


def fill(stderr: int) -> str:
    done = subprocess.run([sys.executable, "-c", FILL], stdout=subprocess.PIPE, stderr=stderr, timeout=60, check=True)
    return done.stdout.decode()


def waits(descriptor: int) -> bool:
    return not fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_NONBLOCK


def test_a_pipe() -> None:
    reading, writing = os.pipe()
    assert fill(writing) == "did not wait"
    assert waits(writing), "others who hold the pipe must not notice"
    os.close(reading)


def test_a_named_pipe(tmp_path) -> None:
    os.mkfifo(tmp_path / "fifo")
    both = os.open(tmp_path / "fifo", os.O_RDWR)
    assert fill(both) == "did not wait"
    assert waits(both)


def test_a_terminal() -> None:
    ours, theirs = pty.openpty()
    assert fill(theirs) == "did not wait"
    assert waits(theirs)
    os.close(ours)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_a_socket(kind: socket.SocketKind) -> None:
    ours, theirs = socket.socketpair(type=kind)
    assert fill(theirs.fileno()) == "did not wait"
    assert waits(theirs.fileno())
    ours.close()


def test_a_file_is_left_alone(tmp_path) -> None:
    with open(tmp_path / "log", "ab") as file:
        file.write(b"before")
        file.flush()
        assert fill(file.fileno()) == ""
    assert (tmp_path / "log").read_bytes().startswith(b"beforexxx")


CLOSED = """
import os
for descriptor in {closed}:
    os.close(descriptor)
from tensorserve.log import open_standard_descriptors
open_standard_descriptors()
import socket
got = socket.socket().fileno()
kept = os.open({path!r}, os.O_WRONLY | os.O_CREAT)
open_at = [os.fstat(d).st_rdev == os.stat(os.devnull).st_rdev for d in {closed}]
os.write(kept, repr((got > 2, all(open_at))).encode())
"""


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2), ()])
def test_no_socket_gets_a_number_that_is_written_to(closed: tuple[int, ...], tmp_path) -> None:
    path = str(tmp_path / "result")
    subprocess.run([sys.executable, "-c", CLOSED.format(closed=closed, path=path)], check=True, timeout=60)
    with open(path) as file:
        assert file.read() == "(True, True)"
