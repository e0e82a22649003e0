# SPDX-License-Identifier: Apache-2.0
"""The command `tensorserve`, and its drop-in alias `tensorflow_model_server`."""

import socket
import subprocess
from pathlib import Path

import pytest
import requests

from tests.conftest import StartServer
from tests.server_process import ServerProcess, program

NAME = "half_plus_two"


def output(*words: str) -> tuple[int, str]:
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout


def assert_serves(server: ServerProcess) -> None:
    reply = requests.post(f"{server.rest_url}/v1/models/{NAME}:predict", json={"instances": [2.0]}, timeout=10)
    assert reply.json() == {"predictions": [6.0]}


def test_values_as_the_next_word(start_server: StartServer, models: Path) -> None:
    assert_serves(start_server("--model_name", NAME, "--model_base_path", str(models / NAME)))


def test_alias_serves(start_server: StartServer, models: Path) -> None:
    alias = [program("tensorflow_model_server")]
    assert_serves(start_server(f"--model_name={NAME}", f"--model_base_path={models / NAME}", command=alias))


def test_alias_warns_of_an_unknown_flag_and_serves(start_server: StartServer, models: Path) -> None:
    flags = (f"--model_name={NAME}", f"--model_base_path={models / NAME}", "--no_such_flag=1")
    server = start_server(*flags, command=[program("tensorflow_model_server")])
    assert_serves(server)
    assert server.says("unknown argument: --no_such_flag=1"), server.log


def test_module_serves(start_server: StartServer, models: Path) -> None:
    import sys

    command = [sys.executable, "-m", "tensorserve", "serve"]
    assert_serves(start_server(f"--model_name={NAME}", f"--model_base_path={models / NAME}", command=command))


def test_names_that_the_tutorial_uses(start_server: StartServer, models: Path, tmp_path: Path) -> None:
    batching = tmp_path / "batching.config"
    batching.write_text("max_batch_size { value: 128 }\nbatch_timeout_micros { value: 0 }\n")
    server = start_server(
        f"--model_name={NAME}",
        f"--model_base_path={models / NAME}",
        "--tensorflow_gpu_memory_fraction=0.9",
        f"--batching_parameters_file={batching}",
        command=[program("tensorflow_model_server")],
    )
    assert_serves(server)
    assert server.says("enable_batching"), server.log


def test_flags_of_the_tutorial_in_full(start_server: StartServer, models: Path) -> None:
    flags = ("--enable_batching=true", "--rest_api_num_threads=8", "--file_system_poll_wait_seconds=5")
    assert_serves(start_server(f"--model_name={NAME}", f"--model_base_path={models / NAME}", *flags))


def test_version_of_the_alias() -> None:
    status, text = output(program("tensorflow_model_server"), "--version")
    lines = text.splitlines()
    assert status == 0
    assert lines[0].startswith("TensorFlow ModelServer: ")
    assert lines[1].startswith("TensorFlow Library: 2.")
    assert len(lines) == 2


def test_help_of_the_alias_lists_every_flag() -> None:
    status, text = output(program("tensorflow_model_server"), "--help")
    assert status == 255
    for flag in ("--port", "--model_config_file", "--enable_serialization_as_tensor_content"):
        assert flag in text


@pytest.mark.parametrize("words", [("--help",), ("serve", "--help")])
def test_help(words: tuple[str, ...]) -> None:
    status, text = output(program(), *words)
    assert status == 0
    assert "serve" in text


def test_ready_lines_that_tools_look_for(start_server: StartServer, models: Path) -> None:
    server = start_server(f"--model_name={NAME}", f"--model_base_path={models / NAME}")
    assert server.says(f"Running gRPC ModelServer at 0.0.0.0:{server.grpc_port} ..."), server.log
    assert server.says(f"Exporting HTTP/REST API at:localhost:{server.rest_port} ..."), server.log
    assert server.says(f"Successfully loaded servable version {{name: {NAME} version: 4}}"), server.log


@pytest.mark.parametrize("options", [[], [("grpc.default_authority", "localhost")]], ids=["the path", "localhost"])
def test_grpc_over_a_unix_socket(
    start_server: StartServer, models: Path, tmp_path: Path, options: list[tuple[str, str]]
) -> None:
    """By default this client library sends the path as the authority, with percent signs."""
    from tests.clients import GrpcClient

    path = tmp_path / "grpc.sock"
    start_server(f"--model_name={NAME}", f"--model_base_path={models / NAME}", f"--grpc_socket_path={path}")
    client = GrpcClient(f"unix:{path}", options=options)
    client.predict(NAME, {"x": [1.0]})
    assert list(client.predict(NAME, {"x": [2.0]}).outputs["y"].float_val) == [6.0]
    client.close()


def test_rest_over_a_unix_socket(start_server: StartServer, models: Path, tmp_path: Path) -> None:
    path = tmp_path / "rest.sock"
    start_server(f"--model_name={NAME}", f"--model_base_path={models / NAME}", f"--rest_socket_path={path}")
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(10)
        stream.connect(str(path))
        stream.sendall(f"GET /v1/models/{NAME} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        reply = b"".join(iter(lambda: stream.recv(65536), b""))
    assert reply.startswith(b"HTTP/1.1 200 OK")
    assert b"AVAILABLE" in reply


def test_tensor_content_on_request(start_server: StartServer, models: Path) -> None:
    from tests.clients import GrpcClient

    flag = "--enable_serialization_as_tensor_content"
    server = start_server(f"--model_name={NAME}", f"--model_base_path={models / NAME}", flag)
    client = GrpcClient(server.grpc_target)
    y = client.predict(NAME, {"x": [2.0]}).outputs["y"]
    assert (y.tensor_content.hex(), list(y.float_val)) == ("0000c040", [])
    client.close()


def test_cors_on_request(start_server: StartServer, models: Path) -> None:
    server = start_server(
        f"--model_name={NAME}", f"--model_base_path={models / NAME}", "--rest_api_enable_cors_support"
    )
    for path in (f"/v1/models/{NAME}", "/v1/models/none"):
        headers = requests.get(server.rest_url + path, timeout=10).headers
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert headers["Access-Control-Allow-Methods"] == "POST, GET"
        assert headers["Access-Control-Allow-Headers"] == "Content-Type"
    assert "Access-Control-Allow-Origin" not in requests.get(server.rest_url + "/", timeout=10).headers
