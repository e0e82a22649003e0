# SPDX-License-Identifier: Apache-2.0
"""What the package is to whoever installs it alone."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

from tests.meta.repository import ROOT

PACKAGE = ROOT / "python" / "tensorserve_client"
PROJECT = ROOT / "packages" / "tensorserve-client"

SAMPLE = """
import asyncio
import numpy as np
from tensorserve.client import AsyncClient, Client, NotFoundError, Retries

def answer(url: str) -> float:
    with Client(url, timeout=5.0, retries=Retries(repeat=True)) as client:
        try:
            prediction = client.predict("m", {"x": np.zeros(3, np.float32)}, signature="s", version=3, priority="high")
        except NotFoundError as error:
            raise SystemExit(error.message) from error
        classes = client.classify("m", [{"x": 1.0}], timeout=None)
        return float(prediction["y"][0]) + classes[0][0].score

async def answers(url: str) -> list[int]:
    async with AsyncClient([url]) as client:
        await client.wait_ready("m", timeout=3.0)
        return [status.version for status in await client.status("m")]

print(answer("grpc://localhost"), asyncio.run(answers("grpc://localhost")))
"""


def test_it_imports_neither_tensorflow_nor_the_server() -> None:
    code = "import sys, tensorserve_client, tensorserve_client.grpc_codec, tensorserve_client.rest_transport\n"
    code += "print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {name.split(".")[0] for name in done.stdout.split()} & {"tensorflow", "tensorserve", "grpc"}


def test_the_server_package_has_all_of_it() -> None:
    code = "import sys, tensorserve.client as a, tensorserve_client as b, tensorserve\n"
    code += "assert a.Client is b.Client is tensorserve.Client and a.AsyncClient is tensorserve.AsyncClient\n"
    code += "assert set(b.__all__) <= set(dir(a)) | {'AsyncClient'}; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_it_depends_on_three_packages() -> None:
    allowed = {*sys.stdlib_module_names, "tensorserve_client", "numpy", "google", "grpc", "ml_dtypes"}
    typing_only = {"typing_extensions"}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= allowed | typing_only, path


def test_the_definitions_are_those_of_the_server() -> None:
    spec = importlib.util.spec_from_file_location("write_descriptors", PROJECT / "write_descriptors.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.definitions() == (PACKAGE / "descriptors.binpb").read_bytes()


def test_the_project_has_the_source_and_the_version_of_the_server() -> None:
    assert (PROJECT / "tensorserve_client").resolve() == PACKAGE.resolve()
    version = (PROJECT / "pyproject.toml").read_text().split('version = "')[1].split('"')[0]
    assert f'version = "{version}"' in (ROOT / "Cargo.toml").read_text()


def test_a_program_that_uses_it_is_typed(tmp_path: Path) -> None:
    file = tmp_path / "sample.py"
    file.write_text(SAMPLE)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout
    file.write_text(SAMPLE.replace("version=3", "version='3'"))
    assert subprocess.run(command, capture_output=True, cwd=tmp_path, check=False).returncode == 1
