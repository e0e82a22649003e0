# SPDX-License-Identifier: Apache-2.0
import logging
import os

import pytest

from tensorserve.log import Journal, Record
from tensorserve.log.layout import as_text
from tensorserve.supervisor.output import Relay, ServerLog


def relay() -> tuple[Relay, int, list[bytes]]:
    source, writer = os.pipe()
    os.set_blocking(source, False)
    lines: list[bytes] = []
    return Relay(source, lines.extend), writer, lines


def test_lines_are_taken_whole() -> None:
    passed, writer, lines = relay()
    for number in range(50):
        os.write(writer, f"line {number}\n".encode())
    os.write(writer, b"half a ")
    assert passed.pump()
    assert lines == [f"line {number}".encode() for number in range(50)]
    os.write(writer, b"line \xff")
    os.close(writer)
    passed.close()
    assert lines[50:] == [b"half a line \xff"]
    assert not passed.is_open


def test_nothing_to_read_is_no_end() -> None:
    passed, writer, _lines = relay()
    assert not passed.pump()
    assert passed.is_open
    os.close(writer)
    assert not passed.pump()
    assert not passed.is_open


def test_a_line_without_an_end_is_taken_in_pieces() -> None:
    passed, writer, lines = relay()
    for _ in range(6):
        os.write(writer, b"x" * 60000)
        assert passed.pump()
    assert [len(line) for line in lines] == [300000]


@pytest.fixture
def written() -> list[str]:
    return []


@pytest.fixture
def log(written: list[str]) -> ServerLog:
    return ServerLog(Journal(logging.INFO, as_text, written.append))


def test_last_words_are_kept_whatever_their_level(log: ServerLog, written: list[str]) -> None:
    log.take_native([b"I0000 00:00:1795941148.000000 7 loader.cc:1] Restoring."])
    log.take_records([Record(logging.INFO, "Loading", 1795941147.0).encoded().encode()])
    log.take_native([b"terminate called"])
    assert [line[27:] for line in log.last_words()] == ["I Loading", "D Restoring.", ""]
    assert log.last_words()[-1] == "terminate called"
    assert len(written) == 2


def test_native_code_cannot_forge_records(log: ServerLog, written: list[str]) -> None:
    log.take_native([Record(logging.INFO, "forged", 0.0).encoded().encode()])
    assert written == [Record(logging.INFO, "forged", 0.0).encoded()]


@pytest.mark.parametrize("line", [b"", b"{}", b"[1]", b'["x", 1, 2, 3, 4, 5, 6]', b"\xff"])
def test_what_is_no_record_is_left_out(log: ServerLog, written: list[str], line: bytes) -> None:
    log.take_records([line])
    assert written == []
