# SPDX-License-Identifier: Apache-2.0
"""Warm-up while a server runs, its flags, and the command that makes its files."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import GrpcClient, predict_request, wait_until
from tests.conftest import StartServer
from tests.server_process import ServerProcess, program
from tests.warmup_files import PredictionLog, log_of, warmup_file, with_warmup

GOOD = log_of(predict_request("half_plus_two", {"x": [1.0]}), "predict_log")
BAD = log_of(predict_request("half_plus_two", {"wrong": [1.0]}), "predict_log")
FLAGS = ("--max_num_load_retries=0", "--file_system_poll_wait_seconds=1")


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program(), "warmup", *words], capture_output=True, text=True, timeout=60)


@pytest.fixture
def base_path(models: Path, tmp_path: Path) -> Path:
    path = tmp_path / "half_plus_two"
    path.mkdir()
    with_warmup(models / "half_plus_two" / "1", path, [GOOD])
    return path


@pytest.fixture
def running(start_server: StartServer, base_path: Path) -> ServerProcess:
    return start_server("--model_name=half_plus_two", f"--model_base_path={base_path}", *FLAGS)


@pytest.fixture
def client(running: ServerProcess) -> Iterator[GrpcClient]:
    found = GrpcClient(running.grpc_target)
    yield found
    found.close()


def test_a_version_whose_warm_up_fails_replaces_nothing(client: GrpcClient, models: Path, base_path: Path) -> None:
    with_warmup(models / "half_plus_two" / "2", base_path, [GOOD, BAD], version=2)
    wait_until(lambda: client.states("half_plus_two").get(2) == "END")
    assert client.states("half_plus_two") == {2: "END", 1: "AVAILABLE"}
    assert client.predict("half_plus_two", {"x": [1.0]}).model_spec.version.value == 1
    with_warmup(models / "half_plus_two" / "3", base_path, [GOOD], version=3)
    wait_until(lambda: client.states("half_plus_two").get(3) == "AVAILABLE")
    assert client.predict("half_plus_two", {"x": [1.0]}).model_spec.version.value == 3


def test_each_request_runs_as_often_as_asked(start_server: StartServer, models: Path, tmp_path: Path) -> None:
    """The model waits as long as a request says."""
    tenth = log_of(predict_request("slow", {"seconds": [0.2]}), "predict_log")
    with_warmup(models / "slow" / "1", tmp_path, [tenth])
    server = start_server("--model_name=slow", f"--model_base_path={tmp_path}", "--num_request_iterations_for_warmup=5")
    assert server.says("Finished reading warmup data"), server.log
    (line,) = (line for line in server.log.splitlines() if "Finished reading warmup data" in line)
    assert "Number of warmup records read: 1." in line
    assert int(line.removesuffix(".").rpartition(" ")[2]) >= 5 * 200_000


def test_warm_up_can_be_turned_off(start_server: StartServer, models: Path, tmp_path: Path) -> None:
    with_warmup(models / "half_plus_two" / "1", tmp_path, [BAD])
    flags = ("--model_name=half_plus_two", f"--model_base_path={tmp_path}", *FLAGS)
    server = start_server(*flags, "--enable_model_warmup=false")
    assert "warmup data" not in server.log
    assert "made-up" not in server.log


def test_made_up_requests_can_be_turned_off(start_server: StartServer, models: Path) -> None:
    base_path = models / "half_plus_two"
    server = start_server(
        "--model_name=half_plus_two", f"--model_base_path={base_path}", "--synthesize_warmup=false", "--log_level=debug"
    )
    assert server.says("No warmup data file found"), server.log
    assert "made-up" not in server.log


def test_a_file_from_json_warms_a_version_up(
    start_server: StartServer, running: ServerProcess, models: Path, tmp_path: Path
) -> None:
    base_path = tmp_path / "from_json"
    base_path.mkdir()
    version = with_warmup(models / "half_plus_two" / "1", base_path, [])
    requests = tmp_path / "requests.json"
    requests.write_text(json.dumps([{"instances": [1.0, 2.0]}, {"inputs": {"x": [3]}}, {"instances": [5.0, 6.0]}]))

    done = command("record", "--json", str(requests), "--out", str(version), "--distinct-signatures")
    assert done.returncode == 0, done.stderr
    assert f"{warmup_file(version)}: 2 requests" in done.stdout

    shown = command("inspect", str(version), "--json")
    records = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [(record["kind"], record["inputs"][0]["shape"]) for record in records] == [
        ("predict", [2]),
        ("predict", [1]),
    ]
    assert all(record["inputs"][0]["dtype"] == "DT_FLOAT" for record in records)
    assert "half_plus_two" not in shown.stdout
    assert "x DT_FLOAT [2]" in command("inspect", str(version)).stdout

    replayed = command("replay", str(version), "--iterations", "3")
    assert replayed.returncode == 0, replayed.stderr
    assert "6 runs, in milliseconds: first " in replayed.stdout

    sent = command("replay", str(version), "--server", running.rest_url, "--model_name", "half_plus_two")
    assert sent.returncode == 0, sent.stderr
    assert "2 runs, in milliseconds: first " in sent.stdout

    server = start_server("--model_name=half_plus_two", f"--model_base_path={base_path}")
    assert server.says("Number of warmup records read: 2."), server.log


def test_requests_of_examples_come_from_json_too(models: Path, tmp_path: Path) -> None:
    requests = tmp_path / "requests.jsonl"
    bodies = [
        {"examples": [{"x": 1.0}]},
        {"signature_name": "regress_flat", "context": {"x": 2.0}, "examples": [{}, {"x": 1.0}]},
    ]
    requests.write_text("\n".join(json.dumps(body) for body in bodies))
    file, model = tmp_path / "warmup", str(models / "heads" / "1")
    done = command("record", "--json", str(requests), "--out", str(file), "--model", model)
    assert done.returncode == 0, done.stderr
    kinds = [json.loads(line)["kind"] for line in command("inspect", "--json", str(file)).stdout.splitlines()]
    assert kinds == ["classify", "regress"]
    replayed = command("replay", model, "--file", str(file))
    assert replayed.returncode == 0, replayed.stderr


def test_what_is_wrong_is_said(models: Path, tmp_path: Path) -> None:
    requests = tmp_path / "requests.json"
    requests.write_text('[{"instances": [1.0]}, {"instances": ["text"]}]')
    model = str(models / "half_plus_two" / "1")
    done = command("record", "--json", str(requests), "--out", str(tmp_path / "out"), "--model", model)
    assert done.returncode == 255
    assert f"tensorserve warmup record: Request 1 of {requests}: " in done.stderr
    assert not (tmp_path / "out").exists()

    requests.write_text("{")
    done = command("record", "--json", str(requests), "--out", str(tmp_path / "out"), "--model", model)
    assert (done.returncode, "is no JSON" in done.stderr) == (255, True)

    requests.write_text("a text that is no TFRecord file")
    done = command("inspect", str(requests))
    assert done.returncode == 255
    assert done.stderr == (
        f"tensorserve warmup inspect: {requests}: corrupted record at 0 (Is this even a TFRecord file?)\n"
    )

    done = command("inspect", str(tmp_path / "none"))
    assert (done.returncode, "No such file" in done.stderr) == (255, True)

    done = command("record", "--from", "x", "--json", "y", "--out", "z")
    assert done.returncode == 2


def test_the_records_are_those_of_the_official_messages(models: Path, tmp_path: Path) -> None:
    requests = tmp_path / "requests.json"
    requests.write_text('{"signature_name": "serving_default", "instances": [1.5]}')
    file = tmp_path / "warmup"
    words = ("--out", str(file), "--model", str(models / "half_plus_two" / "1"), "--model_name", "m")
    assert command("record", "--json", str(requests), *words).returncode == 0

    import tensorflow as tf

    (record,) = tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    request = PredictionLog.FromString(record).predict_log.request
    assert (request.model_spec.name, request.model_spec.signature_name) == ("m", "serving_default")
    assert tf.make_ndarray(request.inputs["x"]).tolist() == [1.5]
