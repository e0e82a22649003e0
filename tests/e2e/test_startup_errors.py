# SPDX-License-Identifier: Apache-2.0
"""What cannot start says why in one line and ends with a failure status."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.server_process import free_ports, program


def run(*flags: str, command: str = "tensorserve", seconds: float = 30.0) -> tuple[int, str]:
    """Exit status and whole output of a server that is expected to end by itself."""
    words = [program(command), *(["serve"] if command == "tensorserve" else []), *flags]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds)
    return done.returncode, done.stdout


def assert_one_clear_line(output: str, *parts: str) -> None:
    """One line of the output holds all parts, it is the last, and there is no traceback."""
    assert "Traceback" not in output
    assert "panicked" not in output
    last = output.strip().splitlines()[-1]
    for part in parts:
        assert part in last, output


def flags(base_path: Path | str, *, port: int | None = None, rest_port: int | None = None) -> list[str]:
    free = free_ports(2)
    return [
        f"--port={free[0] if port is None else port}",
        f"--rest_api_port={free[1] if rest_port is None else rest_port}",
        "--model_name=half_plus_two",
        f"--model_base_path={base_path}",
        "--max_num_load_retries=0",
    ]


@pytest.mark.parametrize("which", ["port", "rest_port"])
def test_port_in_use(models: Path, which: str) -> None:
    with socket.socket() as holder:
        holder.bind(("0.0.0.0", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        status, output = run(*flags(models / "half_plus_two", **{which: taken}))
    assert status != 0
    assert_one_clear_line(output, str(taken), "in use")
    assert "Loading" not in output, "it is found before models are loaded"


def test_missing_base_path(tmp_path: Path) -> None:
    status, output = run(*flags(tmp_path / "nowhere"))
    assert status != 0
    assert_one_clear_line(output, str(tmp_path / "nowhere"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every directory")
def test_unreadable_base_path_by_mode(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "half_plus_two", tmp_path / "closed")
    (tmp_path / "closed").chmod(0)
    try:
        status, output = run(*flags(tmp_path / "closed"))
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert status != 0
    assert_one_clear_line(output, str(tmp_path / "closed"), "ermission denied")


def test_base_path_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    status, output = run(*flags(tmp_path / "file"))
    assert status != 0
    assert_one_clear_line(output, str(tmp_path / "file"))


def test_only_model_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "model" / "1").mkdir(parents=True)
    (tmp_path / "model" / "1" / "saved_model.pb").write_bytes(b"\xff" * 50)
    status, output = run(*flags(tmp_path / "model"))
    assert status != 0
    assert_one_clear_line(output, "half_plus_two", "saved_model.pb")


def test_no_model_at_all() -> None:
    status, output = run(f"--port={free_ports(1)[0]}")
    assert status != 0
    assert_one_clear_line(output, "model_base_path", "model_config_file")


def test_missing_config_file(tmp_path: Path) -> None:
    status, output = run(f"--model_config_file={tmp_path / 'none.config'}")
    assert status != 0
    assert_one_clear_line(output, str(tmp_path / "none.config"))


def test_unparsable_config_file(tmp_path: Path) -> None:
    file = tmp_path / "models.config"
    file.write_text("model_config_list { confg {} }")
    status, output = run(f"--model_config_file={file}")
    assert status != 0
    assert_one_clear_line(output, "Invalid protobuf file", str(file))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ("config { name: 'a' base_path: '/a' }", "Illegal setting neither ModelServerConfig::model_type"),
        (
            "config { name: 'a' base_path: '/a' model_platform: 'tensorflow' } "
            "config { name: 'a' base_path: '/b' model_platform: 'tensorflow' }",
            "Illegal to list model a multiple times in config list",
        ),
        ("config { name: 'a' base_path: '/a' model_platform: 'abacus' }", "abacus"),
    ],
)
def test_config_that_makes_no_sense(tmp_path: Path, entries: str, message: str) -> None:
    file = tmp_path / "models.config"
    file.write_text(f"model_config_list {{ {entries} }}")
    status, output = run(f"--model_config_file={file}")
    assert status != 0
    assert_one_clear_line(output, message)


def test_unknown_flag_names_the_nearest() -> None:
    status, output = run("--rest_api_prot=8501")
    assert status != 0
    assert "rest_api_prot" in output
    assert "rest_api_port" in output


@pytest.mark.parametrize("flag", ["--port=abc", "--enable_batching=1", "--port"])
def test_bad_flag_value(flag: str) -> None:
    status, output = run(flag)
    assert status != 0
    assert flag.lstrip("-").partition("=")[0] in output
    assert "Traceback" not in output


def test_contradicting_parallelism(models: Path) -> None:
    several = [f"--tensorflow_{name}_parallelism=1" for name in ("session", "intra_op", "inter_op")]
    status, output = run(*flags(models / "half_plus_two"), *several)
    assert status != 0
    assert "You cannot configure all." in output
