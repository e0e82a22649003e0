# SPDX-License-Identifier: Apache-2.0
import fcntl
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from tensorserve.log.writer import LogWriter
from tests.unit.fakes import PATIENCE_SECONDS, eventually

PIPE_BYTES = 4096


def writer_on(descriptor: int, **bounds: int) -> LogWriter:
    return LogWriter(descriptor, "{} lines dropped".format, **bounds)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends; writing does not wait."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    os.set_blocking(writing, False)
    yield reading, writing
    for descriptor in (reading, writing):
        try:
            os.close(descriptor)
        except OSError:
            continue


def read_until(descriptor: int, end: str) -> list[str]:
    text = b""
    while not text.endswith(f"{end}\n".encode()):
        text += os.read(descriptor, 65536)
    return text.decode().splitlines()


def test_lines_come_in_order(pipe: tuple[int, int]) -> None:
    writer = writer_on(pipe[1])
    for number in range(100):
        writer.write(f"line {number}")
    assert read_until(pipe[0], "line 99") == [f"line {number}" for number in range(100)]
    assert writer.flush(PATIENCE_SECONDS)


def test_nobody_waits_for_a_pipe_that_is_not_read_and_the_log_tells_how_much_is_missing(pipe: tuple[int, int]) -> None:
    writer = writer_on(pipe[1], max_bytes=10_000)
    for number in range(1000):
        writer.write(f"{number:099d}")
    assert not writer.flush(0.05)
    reader = threading.Thread(target=lambda: found.extend(read_until(pipe[0], "last")))
    found: list[str] = []
    reader.start()
    assert writer.flush(PATIENCE_SECONDS)
    writer.write("last")
    reader.join(PATIENCE_SECONDS)
    expected = 0
    for line in found[:-1]:
        if line.isdigit():
            assert int(line) == expected
            expected += 1
        else:
            expected += int(line.removesuffix(" lines dropped"))
    assert (expected, found[-1]) == (1000, "last")
    assert 100 <= sum(line.isdigit() for line in found) < 200


def test_what_is_missing_is_told_where_it_would_be(pipe: tuple[int, int]) -> None:
    writer = writer_on(pipe[1], max_bytes=2 * PIPE_BYTES)
    long = "x" * (PIPE_BYTES - 10)
    for _ in range(20):
        writer.write(long)
    assert os.read(pipe[0], 65536)
    assert eventually(lambda: writer._waiting_bytes <= PIPE_BYTES)
    writer.write("after the gap")
    lines = read_until(pipe[0], "after the gap")
    assert lines[-2].endswith("lines dropped")


def test_a_blocking_descriptor_holds_up_only_the_thread() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    writer = writer_on(writing, max_bytes=10_000)
    for number in range(1000):
        writer.write(f"{number:099d}")
    assert not writer.flush(0.01)
    threading.Thread(target=read_until, args=(reading, "the end"), daemon=True).start()
    assert writer.flush(PATIENCE_SECONDS)


def test_a_pipe_that_nobody_holds_any_more(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    writer = writer_on(pipe[1])
    for _ in range(100):
        writer.write("lost")
    assert writer.flush(PATIENCE_SECONDS)


def test_a_full_disk_that_is_not_full_any_more(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full refuses every byte as a full disk does."""
    full = os.open("/dev/full", os.O_WRONLY)
    writer = writer_on(full)
    for _ in range(3):
        writer.write("lost")
    assert writer.flush(PATIENCE_SECONDS)
    file = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    os.dup2(file, full)
    writer.write("kept")
    assert writer.flush(PATIENCE_SECONDS)
    assert (tmp_path / "log").read_text() == "3 lines dropped\nkept\n"


def test_a_descriptor_that_is_closed() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    writer = writer_on(writing)
    writer.write("lost")
    assert writer.flush(PATIENCE_SECONDS)


def test_a_socket_that_is_not_read() -> None:
    ours, others = socket.socketpair()
    # Less than may wait, so that lines are left however late the thread comes to write.
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PIPE_BYTES)
    ours.setblocking(False)
    writer = writer_on(ours.fileno(), max_bytes=10_000)
    for number in range(1000):
        writer.write(f"{number:099d}")
    assert not writer.flush(0.05)
    others.close()
    assert writer.flush(PATIENCE_SECONDS)


def test_a_write_that_takes_a_part(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, line: write(descriptor, line[:3]))
    writer_on(pipe[1]).write("a long line")
    assert read_until(pipe[0], "a long line") == ["a long line"]


def test_a_long_line_is_cut(pipe: tuple[int, int]) -> None:
    writer_on(pipe[1], max_line_bytes=10).write("0123456789abcdef")
    assert read_until(pipe[0], "in all)") == ["0123456789 ... (16 bytes in all)"]


def test_text_that_no_encoding_has(pipe: tuple[int, int]) -> None:
    writer_on(pipe[1]).write("a\ud800b")
    assert read_until(pipe[0], "b") == [r"a\ud800b"]


def test_a_thread_that_cannot_be_started_is_started_with_the_next_line(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    writer = writer_on(pipe[1])
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        writer.write("first")
    writer.write("second")
    assert read_until(pipe[0], "second") == ["first", "second"]


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("x"), KeyboardInterrupt(), OSError(5, "I/O error")])
def test_whatever_fails_once_the_log_goes_on(
    error: BaseException, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, write, failures = writer_on(pipe[1]), os.write, [error]

    def fail_once(descriptor: int, line: bytes) -> int:
        if failures:
            raise failures.pop()
        return write(descriptor, line)

    monkeypatch.setattr(os, "write", fail_once)
    writer.write("first")
    assert writer.flush(PATIENCE_SECONDS)
    writer.write("second")
    assert read_until(pipe[0], "second")[-1] == "second"


def test_many_threads(pipe: tuple[int, int]) -> None:
    writer = writer_on(pipe[1])
    threads = [threading.Thread(target=lambda n=n: [writer.write(f"{n} {i}") for i in range(200)]) for n in range(8)]
    for thread in threads:
        thread.start()
    found = []
    while len(found) < 1600:
        found += os.read(pipe[0], 65536).decode().splitlines()
        if found and not found[-1].count(" "):
            break
    for thread in threads:
        thread.join()
    assert len(found) >= 1600
