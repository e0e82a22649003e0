# SPDX-License-Identifier: Apache-2.0
"""The first screen of the README goes from `pip install` to an answer in at most eight lines, which work."""

import re
import sys
from pathlib import Path

from tests.guides import Block, run_blocks
from tests.meta.repository import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FENCE = re.compile(r"^```sh\n(pip install .*?)^```$", re.DOTALL | re.MULTILINE)


def block() -> str:
    found = FENCE.search("\n".join((ROOT / "README.md").read_text().splitlines()[:40]))
    assert found is not None, "the first 40 lines of the README have no block that begins with pip install"
    return found.group(1)


def test_at_most_eight_lines() -> None:
    commands = [line for line in block().splitlines() if not line.startswith("#")]
    assert len(commands) <= 8


def test_what_is_installed_is_there() -> None:
    (extra,) = re.findall(r"^pip install '\.\[(\w+)\]'$", block(), re.MULTILINE)
    assert extra in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def test_the_answer(tmp_path: Path) -> None:
    """The package is installed already: the first line is left out."""
    text = block().partition("\n")[2]
    printed = re.findall(r"^# (.+)$", text, re.MULTILINE)
    assert len(printed) == 1
    run_blocks([Block("sh", text, printed[0])], tmp_path)
