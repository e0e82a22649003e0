# SPDX-License-Identifier: Apache-2.0
"""`tensorserve check` finds what a server would find, one line each."""

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.e2e.test_broken_models import with_other_tags
from tests.server_process import model_config, program


def check(*flags: str) -> tuple[int, list[str]]:
    done = subprocess.run([program(), "check", *flags], capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr
    return done.returncode, (done.stderr if done.returncode == 2 else done.stdout).splitlines()


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


def test_flags_that_do_not_go_together(models: Path, tmp_path: Path) -> None:
    assert check() == (
        1,
        ["models: none is named; give --model_base_path with --model_name, --model_config_file or --model_repository"],
    )
    base_path = f"--model_base_path={models / 'half_plus_two'}"
    shared = "ports: --port, --rest_api_port and --health_port must differ; 8500 is given twice"
    assert check("--port=8500", "--rest_api_port=8500", base_path) == (1, [shared])
    config = tmp_path / "models.config"
    config.write_text(model_config({"m": models / "half_plus_two"}))
    text = "model_base_path: it does not count beside --model_config_file; give only one"
    assert check(f"--model_config_file={config}", base_path) == (1, [text])


def test_a_folder_of_models_is_no_base_path(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "half_plus_two", tmp_path / "half_plus_two")
    status, lines = check(f"--model_base_path={tmp_path}")
    assert status == 1
    assert lines[-1] == (
        f"model default: sub-folders of {tmp_path} hold versions: use --model_repository={tmp_path}, or "
        f"--model_base_path={tmp_path / 'half_plus_two'}"
    )


def test_a_port_in_use_is_noted(models: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = [program(), "check", f"--port={port}", f"--model_base_path={models / 'half_plus_two'}"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")
    assert f"note: port {port} is in use on this machine now" in done.stderr


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
