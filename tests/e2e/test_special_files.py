# SPDX-License-Identifier: Apache-2.0
"""Named pipes, sockets and devices where files should be: an error, and nobody waits."""

import os
import shutil
import socket
from pathlib import Path

import pytest

from tests.e2e.test_startup_errors import assert_one_clear_line, flags, run
from tests.server_process import free_ports


def put(kind: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "a named pipe":
        os.mkfifo(path)
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    else:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(path))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("a named pipe", "saved_model.pb"),
        ("a named pipe", "variables/variables.data-00000-of-00001"),
        ("a named pipe", "assets/words"),
        ("a named pipe", "assets.extra/tf_serving_warmup_requests"),
        ("a device", "variables/variables.data-00000-of-00001"),
    ],
)
def test_in_a_model(kind: str, name: str, models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "half_plus_two" / "1", tmp_path / "m" / "1")
    put(kind, tmp_path / "m" / "1" / name)
    status, output = run(*flags(tmp_path / "m"), "--enable_batching", "--enable_per_model_batching_parameters")
    assert status == 255
    assert_one_clear_line(output, f"{name} is {kind}; it must be a regular file.")


FILES = [
    "model_config_file",
    "batching_parameters_file",
    "ssl_config_file",
    "admin_token_file",
]


@pytest.mark.parametrize("flag", FILES)
def test_as_a_configuration_file(flag: str, models: Path, tmp_path: Path) -> None:
    put("a named pipe", tmp_path / "pipe")
    status, output = run(*flags(models / "half_plus_two"), f"--{flag}={tmp_path / 'pipe'}", "--enable_batching")
    assert status == 255
    assert_one_clear_line(output, f"{tmp_path / 'pipe'} is a named pipe; it must be a regular file.")


def test_as_the_base_path_and_as_a_version(tmp_path: Path) -> None:
    put("a named pipe", tmp_path / "m" / "1")
    status, output = run(*flags(tmp_path / "m"))
    assert status == 255
    assert_one_clear_line(output, "1 is a named pipe")
    status, output = run(*flags(tmp_path / "m" / "1"))
    assert status == 255
    assert_one_clear_line(output, "Not a directory")


@pytest.mark.parametrize("flag", ["grpc_socket_path", "rest_socket_path"])
def test_as_the_path_of_a_socket(flag: str, models: Path, tmp_path: Path) -> None:
    put("a named pipe", tmp_path / "pipe")
    [port] = free_ports(1)
    base = f"--model_base_path={models / 'half_plus_two'}"
    status, output = run(f"--port={port}", base, f"--{flag}={tmp_path / 'pipe'}")
    assert status == 255
    assert_one_clear_line(output, f"unix:{tmp_path / 'pipe'}: Address already in use")
    assert "Loading" not in output
