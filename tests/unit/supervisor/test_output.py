# SPDX-License-Identifier: Apache-2.0
import os

from tensorserve.supervisor.output import Relay


def relay() -> tuple[Relay, int, list[str]]:
    source, writer = os.pipe()
    os.set_blocking(source, False)
    lines: list[str] = []
    return Relay(source, lines.append), writer, lines


def test_lines_are_passed_on_and_the_last_are_kept() -> None:
    passed, writer, lines = relay()
    for number in range(50):
        os.write(writer, f"line {number}\n".encode())
    os.write(writer, b"half a ")
    assert passed.pump()
    assert lines == [f"line {number}" for number in range(50)]
    os.write(writer, b"line \xff")
    os.close(writer)
    passed.close()
    assert lines[50:] == ["half a line \\xff"]
    assert passed.last_words() == [f"line {number}" for number in range(21, 50)] + ["half a line \\xff"]
    assert not passed.is_open


def test_nothing_to_read_is_no_end() -> None:
    passed, writer, _lines = relay()
    assert not passed.pump()
    assert passed.is_open
    os.close(writer)
    assert not passed.pump()
    assert not passed.is_open


def test_a_line_without_an_end_is_passed_on_in_pieces() -> None:
    passed, writer, lines = relay()
    os.write(writer, b"x" * 60000)
    assert passed.pump()
    assert [len(line) for line in lines] == [60000]
