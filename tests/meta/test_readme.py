# SPDX-License-Identifier: Apache-2.0
"""Every command of the README that sends a request works when it is pasted."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.meta.repository import ROOT
from tests.server_process import ServerProcess

DOCUMENTS = ("README.md",)
FENCE = re.compile(r"^```(bash|sh|shell|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks() -> list[tuple[str, str]]:
    """The `(language, text)` of each fenced block that is to be run: those that send a request or run Python."""
    found = [match for name in DOCUMENTS for match in FENCE.findall((ROOT / name).read_text())]
    found = [block for block in found if not block[1].startswith("pip install")]  # test_first_screen.py runs that one.
    return [(kind, text) for kind, text in found if kind == "python" or re.search(r"\bcurl\b|\bpython\b", text)]


def expected_answers(text: str) -> list[str]:
    """What the comments of a block say is printed, such as `# [2.5, 3.0, 4.5]`."""
    return re.findall(r"#\s*(\[[^\]]*\])", text)


@pytest.fixture(scope="module")
def demo(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """half_plus_two with the factors of its name, on ports that the blocks are rewritten to."""
    folder = tmp_path_factory.mktemp("readme") / "half_plus_two"
    shutil.copytree(models / "half_plus_two" / "1", folder / "1")
    server = ServerProcess(["--model_name=half_plus_two", f"--model_base_path={folder}"], folder.parent / "log")
    with server:
        yield server


def test_the_readme_has_requests() -> None:
    assert any("curl" in text for _kind, text in blocks())


@pytest.mark.parametrize("index", range(len(blocks()) if (ROOT / "README.md").exists() else 0))
def test_block_runs(demo: ServerProcess, models: Path, index: int) -> None:
    kind, text = blocks()[index]
    runnable = text.replace("8500", str(demo.grpc_port)).replace("8501", str(demo.rest_port))
    runnable = runnable.replace(".demo/models/half_plus_two", str(demo.log_path.parent / "half_plus_two"))
    python = str(Path(sys.executable))
    if kind == "python":
        command = [python, "-c", runnable]
    else:
        command = ["bash", "-euc", re.sub(r"(?:\.venv/bin/)?\bpython3?\b(?= )", python, runnable)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    printed = re.sub(r"\s+", "", done.stdout)
    for answer in expected_answers(text):
        assert re.sub(r"\s+", "", answer) in printed
    assert '"error"' not in done.stdout
