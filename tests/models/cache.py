# SPDX-License-Identifier: Apache-2.0
"""The folders of exported models, keyed by what they are made from."""

import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = Path(__file__).parent


@dataclass(frozen=True)
class ModelSet:
    """Models that are exported together.

    Attributes:
        name: First part of their folder's name.
        sources: Files, beside this one, that decide what is exported.
        command: Python arguments that export the models into a folder, which is appended.
    """

    name: str
    sources: tuple[str, ...]
    command: tuple[str, ...]

    def folder(self) -> Path:
        """Where the models of these sources lie, exported or not."""
        root = Path(os.environ.get("TENSORSERVE_TEST_CACHE", REPOSITORY / ".cache"))
        return root / f"{self.name}-{key(SOURCES / source for source in self.sources)}"


SERVED = ModelSet("models", ("example_models.py", "graph_models.py", "keras_models.py"), ("-m", "tests.models.export"))
RUNTIME = ModelSet("runtime-models", ("runtime_models.py",), (str(SOURCES / "runtime_models.py"),))
BATCHING = ModelSet("batching-models", ("batching_models.py",), (str(SOURCES / "batching_models.py"),))
ODD = ModelSet("odd-models", ("odd_models.py",), (str(SOURCES / "odd_models.py"),))
MOBILENET = ModelSet("mobilenet", ("mobilenet.py",), (str(SOURCES / "mobilenet.py"),))
WAITING = ModelSet("waiting-models", ("waiting_models.py",), (str(SOURCES / "waiting_models.py"),))
LARGE = ModelSet("large-model", ("large_model.py",), (str(SOURCES / "large_model.py"),))


def tensorflow_version() -> str:
    """The version of the installed TensorFlow wheel, without importing it.

    Raises:
        importlib.metadata.PackageNotFoundError: No TensorFlow wheel is installed.
    """
    for package in ("tensorflow", "tensorflow-cpu", "tensorflow-gpu"):
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    raise importlib.metadata.PackageNotFoundError("tensorflow; pip install tensorflow-cpu")


def key(sources: Iterable[Path]) -> str:
    """A digest of the exporters' sources and TensorFlow's version."""
    digest = hashlib.sha256(tensorflow_version().encode())
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def exported(models: ModelSet = SERVED) -> Path:
    """The folder of a set of models; exports them on the first call.

    Safe to call from several processes at once. A folder appears under its name only when it is complete.
    """
    target = models.folder()
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            _export(models, target)
    return target


def _export(models: ModelSet, target: Path) -> None:
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, *models.command, str(partial)]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"exporting the {models.name} failed:\n{done.stdout}{done.stderr}")
    partial.rename(target)
