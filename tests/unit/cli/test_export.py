# SPDX-License-Identifier: Apache-2.0
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tensorserve.cli import export
from tensorserve.cli.exit_status import FAILURE, OK, USAGE


def test_a_saved_model(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = tmp_path / "mine"
    assert export.run([str(models / "half_plus_two"), str(base), "--input=input=x", "--output=output", "--json"]) == OK
    found = json.loads(capsys.readouterr().out)
    assert (found["version"], found["checked"]) == (1, ["serving_default"])
    assert [each["alias"] for each in found["model"]["signatures"][0]["inputs"]] == ["input"]
    assert (base / "1" / "assets.extra" / "tf_serving_warmup_requests").exists()


def test_mistakes(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, base = str(models / "half_plus_two"), str(tmp_path / "mine")
    assert export.run([model, base, "--quantise=int8"]) == USAGE
    assert "unknown argument: --quantise=int8; did you mean --quantize?" in capsys.readouterr().err
    assert export.run([model, base, "--input=a=b"]) == USAGE
    assert "there is no input b; the model's inputs are: x" in capsys.readouterr().err
    assert export.run([str(tmp_path / "none.keras"), base]) == FAILURE
    assert "No such file or directory" in capsys.readouterr().err
    (tmp_path / "broken.keras").write_bytes(b"no model")
    assert export.run([str(tmp_path / "broken.keras"), base]) == USAGE
    assert "is no model that Keras" in capsys.readouterr().err


def test_a_full_disk_leaves_nothing(models: Path, tmp_path: Path) -> None:
    """No file may become larger than what is left, which is how a full disk looks from here."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))

    base = tmp_path / "mine"
    command = [sys.executable, "-m", "tensorserve", "export", str(models / "half_plus_two"), str(base)]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == FAILURE
    assert done.stderr.splitlines()[-1].startswith("tensorserve export: ")
    assert "Traceback" not in done.stderr
    assert list(base.iterdir()) == []
