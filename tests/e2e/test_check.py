# SPDX-License-Identifier: Apache-2.0
"""`tensorserve check` finds what a server would find, one line each."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.test_broken_models import with_other_tags
from tests.server_process import model_config, program


def check(*flags: str) -> tuple[int, list[str]]:
    done = subprocess.run([program(), "check", *flags], capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr
    return done.returncode, (done.stdout or done.stderr).splitlines()


def test_nothing_is_wrong(models: Path) -> None:
    assert check("--model_name=m", f"--model_base_path={models / 'half_plus_two'}") == (0, [])


@pytest.mark.parametrize(
    ("flag", "status", "text"),
    [
        ("--readiness=maybe", 1, "flags: readiness must be one of any, all."),
        ("--model_weights=a", 1, "model_weights: "),
        ("--ssl_config_file=/nowhere", 1, "ssl_config_file: /nowhere; No such file"),
        ("--no_such_flag", 2, "tensorserve check: unknown argument: --no_such_flag"),
    ],
)
def test_flags_and_files(models: Path, flag: str, status: int, text: str) -> None:
    found, lines = check(f"--model_base_path={models / 'half_plus_two'}", flag)
    assert found == status
    assert lines[0].startswith(text), lines


def test_settings_of_models(models: Path, tmp_path: Path) -> None:
    settings = tmp_path / "settings.pbtxt"
    flags = ("--model_name=m", f"--model_base_path={models / 'half_plus_two'}", f"--model_settings_file={settings}")
    settings.write_text('model { name: "n" }')
    assert check(*flags) == (1, ["model_settings_file: model n is not configured"])
    settings.write_text('model {\n  name: "m"\n  weigth { value: 2 }\n}')
    status, lines = check(*flags)
    assert (status, len(lines)) == (1, 1)
    assert lines[0].startswith(f"model_settings_file: {settings}:3: "), lines


def test_models(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "half_plus_two" / "1", tmp_path / "tags" / "7")
    with_other_tags(tmp_path / "tags" / "7")
    (tmp_path / "empty").mkdir()
    entries = {
        "good": models / "half_plus_two",
        "tags": tmp_path / "tags",
        "empty": tmp_path / "empty",
        "none": tmp_path / "none",
    }
    config = tmp_path / "models.config"
    config.write_text(model_config(entries, {"good": 'version_labels { key: "canary" value: 99 }'}))
    status, lines = check(f"--model_config_file={config}")
    assert status == 1
    by_model = {line.split(":")[0]: line for line in lines}
    assert "label canary points to version 99" in by_model["model good"]
    assert "No versions of servable empty found" in by_model["model empty"]
    assert "Could not find base path" in by_model["model none"]
    assert any(line.startswith("model tags version 7: ") for line in lines), lines
