# SPDX-License-Identifier: Apache-2.0
"""Every command of the README that sends a request works when it is pasted, and prints what stands beside it."""

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


def expected(kind: str, text: str) -> list[str]:
    """What a block says that it prints: comments behind `print`, or below the commands of a shell."""
    pattern = r"^ *print\(.*\)  # (.+)$" if kind == "python" else r"^# (.+)$"
    return re.findall(pattern, text, re.MULTILINE)


def is_printed(answers: list[str], output: str) -> bool:
    """Whether this is all that is printed; of an object in JSON the braces need not be told, nor any white space."""
    text = re.sub(r"\s+", "", output)
    return text in ("".join(re.sub(r"\s+", "", form % answer) for answer in answers) for form in ("%s", "{%s}"))


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
    answers = expected(kind, text)
    assert answers, f"the block does not say what it prints:\n{text}"
    assert is_printed(answers, done.stdout), done.stdout


def test_another_answer_is_noticed() -> None:
    shown = expected("bash", 'curl -d 1 http://x:1  # more\n# "predictions": [2.5, 3.0]\n')
    assert shown == ['"predictions": [2.5, 3.0]']
    assert is_printed(shown, '{\n    "predictions": [2.5, 3.0\n    ]\n}')
    for other in ('{"predictions": [2.5, 3.1]}', '{"error": "x", "predictions": [2.5, 3.0]}', ""):
        assert not is_printed(shown, other)
    assert expected("python", "print(1)  # [1]\nx = 2  # [2]\n") == ["[1]"]


UNITS = r"us|µs|ms|s|seconds?|MB|GB|MB/s|%|times|x|requests|requests/s|requests per second"
FIGURE = re.compile(rf"(?<![\w.,-])(\d[\d,]*(?:\.\d+)?)(?: |-)?(?:{UNITS})(?![\w/])")


def figures(page: str) -> set[str]:
    """The numbers with a unit of the text, commands aside: what was measured, not versions or ports."""
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page, flags=re.DOTALL | re.MULTILINE)
    return set(FIGURE.findall(text))


def test_figures_are_on_the_page_of_benchmarks() -> None:
    numbers = set(re.findall(r"\d[\d,]*(?:\.\d+)?", (ROOT / "docs" / "benchmarks.md").read_text()))
    unknown = figures((ROOT / "README.md").read_text()) - numbers
    assert unknown == set(), "docs/benchmarks.md, which make bench writes, does not have these figures"


def test_a_figure_is_recognised() -> None:
    page = "16.6 us, 59,784 requests/s, 2.5 times as fast, 3-ms, 12 %\n```sh\nsleep 7 s\n```\n`8 ms` Python 3.10 or 12"
    assert figures(page) == {"16.6", "59,784", "2.5", "3", "12"}
