# SPDX-License-Identifier: Apache-2.0
"""Builds of this project that can be served side by side: of a commit, of a source tree, or from a wheel.

A build is an unpacked wheel, made with the release profile, in `target/compare`. It is found by `PYTHONPATH` and shares
TensorFlow and everything else with the environment of this interpreter.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "target" / "compare"


class BuildError(Exception):
    """A build that cannot be had; the message says of what, and why."""


@dataclass(frozen=True)
class Build:
    """A build that can be started.

    Attributes:
        name: What it is of, such as `a1b2c3d`.
        folder: Holds the package.
    """

    name: str
    folder: Path

    @property
    def command(self) -> list[str]:
        """The program and what comes before the flags."""
        return [sys.executable, "-m", "tensorserve", "serve"]

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": str(self.folder)}

    def check(self) -> "Build":
        """Makes sure that it is this package that starts.

        Raises:
            BuildError: It cannot be imported, or another is found instead.
        """
        words = [sys.executable, "-c", "import tensorserve, tensorserve._core; print(tensorserve.__file__)"]
        done = subprocess.run(words, env=self.environment, cwd=self.folder, capture_output=True, text=True)
        if done.returncode or not Path(done.stdout.strip()).is_relative_to(self.folder):
            raise BuildError(f"{self.name} does not start: {done.stdout}{done.stderr}")
        return self


def build_of(what: str) -> Build:
    """The build of a commit, of a source tree (a folder) or of a wheel (a file).

    That of a commit is kept for the next time.

    Raises:
        BuildError: There is no such thing, or it cannot be built.
    """
    path = Path(what)
    if path.suffix == ".whl":
        return _unpacked(path, path.stem).check()
    if path.is_dir():
        return _of_tree(path.resolve(), f"tree-{path.resolve().name}").check()
    commit = _git("rev-parse", "--verify", "--quiet", f"{what}^{{commit}}").strip()
    if not commit:
        raise BuildError(f"{what} is no commit, no folder and no wheel")
    build = Build(commit[:9], FOLDER / commit)
    if not build.folder.is_dir():
        # Cargo knows a crate by its place, so a commit always has the same one.
        source = FOLDER / "sources" / commit
        _check_out(commit, source)
        try:
            _of_tree(source, commit)
        finally:
            shutil.rmtree(source)
    return build.check()


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True).stdout


def _check_out(commit: str, folder: Path) -> None:
    """Copies the files of a commit into an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with subprocess.Popen(["git", "archive", commit], cwd=ROOT, stdout=subprocess.PIPE) as git:
        subprocess.run(["tar", "-x", "-C", str(folder)], stdin=git.stdout, check=True)


def _of_tree(source: Path, name: str) -> Build:
    """Builds a source tree; dependencies are compiled once for all builds."""
    print(f"building {name}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as wheels:
        words = [sys.executable, "-m", "maturin", "build", "--release", "--quiet", "--interpreter", sys.executable]
        environment = os.environ | {"CARGO_TARGET_DIR": str(FOLDER / "cargo")}
        done = subprocess.run([*words, "--out", wheels], cwd=source, env=environment, capture_output=True, text=True)
        found = list(Path(wheels).glob("*.whl"))
        if done.returncode or len(found) != 1:
            raise BuildError(f"{name} cannot be built:\n{done.stdout}{done.stderr}")
        return _unpacked(found[0], name)


def _unpacked(wheel: Path, name: str) -> Build:
    """Unpacks a wheel; the folder has its name only once it is complete."""
    folder, partial = FOLDER / name, FOLDER / f"{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with zipfile.ZipFile(wheel) as files:
            files.extractall(partial)
    except (OSError, zipfile.BadZipFile) as error:
        raise BuildError(f"{wheel} cannot be unpacked: {error}") from error
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return Build(name[:9] if len(name) == 40 else name, folder)
