# SPDX-License-Identifier: Apache-2.0
"""Readings are of a whole tree of processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from benchmarks.process import CpuReading, Memory, tree

# A parent that only waits; its child takes memory and processor time when told to, and says when that is done.
CHILD = """
import sys, time
for line in sys.stdin:
    if line.startswith("memory"):
        held = bytearray(b"x") * 100_000_000
    else:
        end = time.process_time() + 0.3
        while time.process_time() < end:
            pass
    print("done", flush=True)
"""
PARENT = f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {CHILD!r}]).returncode)"


class Family:
    """A process that waits for its child, which does what it is told."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.pid = process.pid

    def do(self, what: str) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"


@contextmanager
def family() -> Iterator[Family]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", PARENT], **pipes) as process:
        found = Family(process)
        found.do("begin")
        yield found
        assert process.stdin
        process.stdin.close()
        assert process.wait(10) == 0


def test_a_process_without_children_is_its_own_tree() -> None:
    assert tree(os.getpid())[0] == os.getpid()


def test_a_child_is_read_with_its_parent() -> None:
    with family() as process:
        assert len(tree(process.pid)) == 2
        before, memory = CpuReading.of(process.pid), Memory.of(process.pid)
        process.do("spend")
        process.do("memory")
        assert CpuReading.of(process.pid).seconds_since(before) >= 0.3
        grown = Memory.of(process.pid)
        assert grown.rss_anon - memory.rss_anon >= 99
        assert grown.peak_rss >= grown.rss_anon


def test_a_child_that_ended_has_spent_its_time() -> None:
    spend = "import time\nwhile time.process_time() < 0.3: pass"
    before = CpuReading.of(os.getpid())
    subprocess.run([sys.executable, "-c", spend], check=True)
    assert CpuReading.of(os.getpid()).seconds_since(before) >= 0.25


def test_there_is_no_such_process() -> None:
    with pytest.raises(psutil.NoSuchProcess):
        CpuReading.of(2**22 + 1)
