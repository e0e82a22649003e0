# SPDX-License-Identifier: Apache-2.0
"""Runs the blocks of a page of docs/guides, as a reader would: one after the other, in an empty folder."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.meta.repository import ROOT
from tests.server_process import free_ports

GUIDES = ROOT / "docs" / "guides"
_FENCE = re.compile(r"^```(sh|python|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_PORTS = ("8500", "8501")


@dataclass(frozen=True)
class Block:
    """Something to run.

    Attributes:
        language: `sh` or `python`.
        text: The program.
        printed: What the page says that it prints, with `...` for what differs; empty if it says nothing.
    """

    language: str
    text: str
    printed: str


def blocks(page: Path) -> list[Block]:
    found: list[Block] = []
    for language, text in _FENCE.findall(page.read_text()):
        if language == "text":
            found[-1] = Block(found[-1].language, found[-1].text, text)
        else:
            found.append(Block(language, text, ""))
    return found


def matches(printed: str, page: str) -> bool:
    """Whether what the page says was printed, white space aside; `...` stands for anything."""
    parts = (re.escape(re.sub(r"\s+", "", part)) for part in page.split("..."))
    return re.search(".*?".join(parts), re.sub(r"\s+", "", printed), re.DOTALL) is not None


def run_guide(page: Path, folder: Path) -> None:
    """Runs every block of a page; see `run_blocks`."""
    run_blocks(blocks(page), folder)


def run_blocks(found: Sequence[Block], folder: Path) -> None:
    """Runs blocks one after the other, on free ports.

    Raises:
        AssertionError: A block fails, or prints something else than the page says.
    """
    ports = dict(zip(_PORTS, map(str, free_ports(2)), strict=True))
    with _own_processes() as run:
        for number, block in enumerate(found):
            text = re.sub("|".join(_PORTS), lambda match: ports[match.group()], block.text)
            command = [sys.executable, "-c", text] if block.language == "python" else ["bash", "-euc", text]
            status, printed = run(command, folder)
            told = f"block {number}:\n{block.text}\nprinted:\n{printed}"
            assert status == 0, told
            assert matches(printed, block.printed), f"{told}\nbut the page says:\n{block.printed}"


@contextlib.contextmanager
def _own_processes() -> Iterator[Callable[[Sequence[str], Path], tuple[int, str]]]:
    """Runs commands in process groups of their own, which are ended with what they left running."""
    groups: list[int] = []
    program = os.path.dirname(sys.executable)
    environment = os.environ | {
        "PATH": f"{program}{os.pathsep}{os.environ['PATH']}",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
    }

    def run(command: Sequence[str], folder: Path) -> tuple[int, str]:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        groups.append(process.pid)
        printed, _ = process.communicate(timeout=300)
        return process.returncode, printed

    try:
        yield run
    finally:
        for group in groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
