# SPDX-License-Identifier: Apache-2.0
"""What pyproject.toml promises: the wheel works with each Python and TensorFlow that it allows.

Every Python of this machine gets clean environments with the oldest, a middle and the newest TensorFlow for it.
Each exports a model with that TensorFlow, and serves it.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

from tests.clients import GrpcClient, RestClient
from tests.meta.repository import ROOT
from tests.server_process import ServerProcess, model_config

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENGINE = "tensorflow-cpu"
EXPORT = """
import sys, tensorflow as tf
class Module(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def serve(self, x): return {"y": x * 0.5 + 2}
module = Module()
tf.saved_model.save(module, sys.argv[1], signatures=module.serve)
"""

Version = tuple[int, ...]


def version(text: str) -> Version:
    return tuple(map(int, text.split(".")[:2]))


def bound(requirement: str) -> Version:
    """The least version that a requirement allows."""
    found = re.search(r">=([\d.]+)", requirement)
    assert found is not None, requirement
    return version(found[1])


OLDEST_PYTHON = bound(PROJECT["requires-python"])
[OLDEST_ENGINE] = (bound(need) for need in PROJECT["optional-dependencies"]["tensorflow"] if need.startswith(ENGINE))


def run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, f"{words}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def pythons() -> dict[str, str]:
    """The interpreters of this machine that the project allows: those on the path, and those that pyenv has."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    names = [f"python3.{minor}" for minor in range(OLDEST_PYTHON[1], 30)]
    candidates = [*filter(None, map(shutil.which, names)), *map(str, sorted(root.glob("versions/*/bin/python3")))]
    found: dict[str, str] = {}
    for candidate in [sys.executable, *candidates]:
        program = "import sys; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([candidate, "-c", program], capture_output=True, text=True)
        text = done.stdout.strip()
        if done.returncode == 0 and version(text) >= OLDEST_PYTHON:
            found.setdefault(text, candidate)
    return dict(sorted(found.items(), key=lambda item: version(item[0])))


PYTHONS = pythons()


@cache
def engines(python: str) -> Sequence[str]:
    """The last release of each minor version of TensorFlow that there is for a Python, the oldest first."""
    listed = run(PYTHONS[python], "-m", "pip", "index", "versions", ENGINE)
    [line] = (line for line in listed.splitlines() if line.startswith("Available versions:"))
    last: dict[Version, str] = {}
    for release in line.partition(":")[2].replace(" ", "").split(","):
        if re.fullmatch(r"[\d.]+", release) and version(release) >= OLDEST_ENGINE:
            last.setdefault(version(release), release)
    return [last[minor] for minor in sorted(last)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    manifest = str(ROOT / "crates" / "bindings" / "Cargo.toml")
    run(sys.executable, "-m", "maturin", "build", "--profile", "ci", "--out", str(folder), "--manifest-path", manifest)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "environment"
    # One takes more than a GB.
    shutil.rmtree(tmp_path / "environment", ignore_errors=True)


def test_this_machine_has_several_pythons() -> None:
    """Else this would show little."""
    assert len(PYTHONS) >= 2, f"there is only {PYTHONS}; install others, with pyenv for example"


@pytest.mark.parametrize("which", ["oldest", "middle", "newest"])
@pytest.mark.parametrize("python", PYTHONS)
def test_a_clean_environment_serves(python: str, which: str, wheel: Path, environment: Path, tmp_path: Path) -> None:
    releases = engines(python)
    chosen = {"oldest": releases[0], "newest": releases[-1], "middle": releases[len(releases) // 2]}
    release = chosen[which]
    if which == "middle" and release in (chosen["oldest"], chosen["newest"]):
        pytest.skip(f"Python {python} has no other TensorFlow than {', '.join(releases)}")
    run(PYTHONS[python], "-m", "venv", str(environment))
    own = str(environment / "bin" / "python")
    run(own, "-m", "pip", "install", "--quiet", f"{wheel}[tensorflow]", f"{ENGINE}=={release}")
    run(own, "-m", "pip", "check")
    base = tmp_path / "models" / "m"
    run(own, "-c", EXPORT, str(base / "1"))
    config = tmp_path / "models.config"
    config.write_text(model_config({"m": base}))
    program = str(environment / "bin" / "tensorserve")
    assert f"TensorFlow Library: {release}" in run(program, "--version")
    server = ServerProcess([f"--model_config_file={config}"], tmp_path / "log", [program, "serve"])
    with server:
        rest, grpc = RestClient(server.rest_url), GrpcClient(server.grpc_target)
        assert rest.predict("m", {"instances": [2.0, 4.0]}).json() == {"predictions": [3.0, 4.0]}
        assert list(grpc.predict("m", {"x": [2.0]}).outputs["y"].float_val) == [3.0]
        grpc.close()
        rest.close()
        where = f"--server={server.rest_url}"
        assert "AVAILABLE" in run(program, "models", "list", where)
        assert run(program, "models", "reload", "--wait", where) == "Nothing has changed.\n"
