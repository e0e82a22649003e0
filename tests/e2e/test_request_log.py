# SPDX-License-Identifier: Apache-2.0
"""Request logs of a running server hold what was sent and answered, and disturb nobody."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, inference_pb2, predict_pb2, regression_pb2

from tests.clients import DEADLINE_SECONDS, GrpcClient, RestClient, model_spec, predict_request, rpc_error, wait_until
from tests.conftest import ServeModels, StartServer
from tests.example_requests import CLASSIFY, REGRESS, example_input, task
from tests.server_process import ServerProcess, free_ports, model_config, program
from tests.warmup_files import read_live_logs, read_logs, warmup_file

GIVEN = example_input([{"x": 1.0}, {"x": 2.0}])


def logging_config(prefix: Path, rate: float = 1.0, collector_type: str = "") -> str:
    return (
        f'logging_config {{ log_collector_config {{ type: "{collector_type}" filename_prefix: "{prefix}" }} '
        f"sampling_config {{ sampling_rate: {rate} }} }}"
    )


class Logged:
    """A server whose models are logged."""

    def __init__(self, server: ServerProcess, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.grpc = GrpcClient(server.grpc_target)
        self.rest = RestClient(server.rest_url)

    def logs(self) -> list[Any]:
        return read_live_logs(self.folder)

    def new(self, since: int, count: int = 1) -> list[Any]:
        """Waits for records after the first `since`; gives them once there are `count`."""
        wait_until(lambda: len(self.logs()) >= since + count)
        return self.logs()[since:]

    def close(self) -> None:
        self.grpc.close()
        self.rest.close()


@pytest.fixture(scope="module")
def logged(serve_models: ServeModels, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    """All requests to half_plus_two and heads are logged, none to mlp."""
    folder = tmp_path_factory.mktemp("logs") / "new" / "folder"
    entries = {name: models / name for name in ("half_plus_two", "heads", "mlp")}
    extra = {name: logging_config(folder / "requests") for name in ("half_plus_two", "heads")}
    found = Logged(serve_models(entries, extra=extra), folder)
    found.grpc.predict("half_plus_two", {"x": [0.0]})
    wait_until(folder.exists)
    found.new(0)
    yield found
    found.close()


def test_grpc_requests_and_answers_are_kept_as_they_are(logged: Logged) -> None:
    before = len(logged.logs())
    predict = predict_request("half_plus_two", {"x": [1.0, 5.0]}, output_filter=["y"])
    classify = classification_pb2.ClassificationRequest(model_spec=model_spec("heads"), input=GIVEN)
    spec = model_spec("heads", version=1, signature="regress_x_to_y")
    regress = regression_pb2.RegressionRequest(model_spec=spec, input=GIVEN)
    tasks = [task(CLASSIFY), task(REGRESS, signature="regress_flat")]
    multiple = inference_pb2.MultiInferenceRequest(tasks=tasks, input=GIVEN)
    service = logged.grpc.prediction
    answers = [
        service.Predict(predict, DEADLINE_SECONDS),
        service.Classify(classify, DEADLINE_SECONDS),
        service.Regress(regress, DEADLINE_SECONDS),
        service.MultiInference(multiple, DEADLINE_SECONDS),
    ]
    logs = logged.new(before, 4)
    kept = [getattr(log, log.WhichOneof("log_type")) for log in logs]
    assert [log.WhichOneof("log_type") for log in logs] == [
        "predict_log",
        "classify_log",
        "regress_log",
        "multi_inference_log",
    ]
    assert [log.request for log in kept] == [predict, classify, regress, multiple]
    assert [log.response for log in kept] == answers


def test_the_metadata_say_who_answered(logged: Logged) -> None:
    before = len(logged.logs())
    earliest = int(time.time())
    logged.grpc.predict("half_plus_two", {"x": [1.0]})
    (log,) = logged.new(before)
    metadata = log.log_metadata
    assert metadata.model_spec == model_spec("half_plus_two", version=4, signature="serving_default")
    assert metadata.sampling_config.sampling_rate == 1.0
    assert list(metadata.saved_model_tags) == ["serve"]
    assert earliest <= metadata.timestamp_secs <= time.time()


def large() -> list[float]:
    return [float(value) for value in range(50_000)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"instances": [1.0, 2.0]}, [1.0, 2.0]),
        ({"inputs": {"x": [3.0]}}, [3.0]),
        ({"instances": large()}, large()),
    ],
    ids=["rows", "columns", "large"],
)
def test_rest_json_is_kept_as_the_same_tensors(logged: Logged, body: Any, expected: list[float]) -> None:
    before = len(logged.logs())
    assert logged.rest.predict("half_plus_two", body).status_code == 200
    (log,) = logged.new(before)
    request, response = log.predict_log.request, log.predict_log.response
    assert request.model_spec == model_spec("half_plus_two", signature="serving_default")
    assert tf.make_ndarray(request.inputs["x"]).tolist() == expected
    assert np.allclose(tf.make_ndarray(response.outputs["y"]), np.array(expected) / 2 + 5)
    assert response.model_spec == model_spec("half_plus_two", version=4, signature="serving_default")
    assert logged.grpc.send(request).outputs["y"].float_val == pytest.approx(tf.make_ndarray(response.outputs["y"]))
    logged.new(before, 2)


def test_binary_rest_bodies_are_kept(logged: Logged) -> None:
    before = len(logged.logs())
    request = predict_request("", {"x": [1.0]}, output_filter=["y"])
    path = "/v1/models/half_plus_two:predict"
    reply = logged.rest.post(path, request.SerializeToString(), headers={"Content-Type": "application/x-protobuf"})
    array = tmp_npy([7.0])
    logged.rest.post(path, array, headers={"Content-Type": "application/x-npy", "x-tensorserve-output-filter": "y"})
    first, second = (log.predict_log for log in logged.new(before, 2))
    request.model_spec.CopyFrom(model_spec("half_plus_two", signature="serving_default"))
    assert first.request == request
    answer = predict_pb2.PredictResponse.FromString(reply.content)
    assert tf.make_ndarray(first.response.outputs["y"]).tolist() == list(answer.outputs["y"].float_val)
    assert tf.make_ndarray(second.request.inputs["x"]).tolist() == [7.0]
    assert list(second.request.output_filter) == ["y"]


def tmp_npy(values: list[float]) -> bytes:
    import io

    buffer = io.BytesIO()
    np.save(buffer, np.array(values, np.float32))
    return buffer.getvalue()


def test_rest_examples_are_kept_as_the_same_messages(logged: Logged) -> None:
    before = len(logged.logs())
    logged.rest.post("/v1/models/heads:classify", {"examples": [{"x": 1.0}, {"x": 2.0}]})
    body = {"signature_name": "regress_flat", "context": {"x": 4.0}, "examples": [{}, {"x": 1.0}]}
    values = logged.rest.post("/v1/models/heads:regress", body).json()["results"]
    classify, regress = logged.new(before, 2)
    service = logged.grpc.prediction
    assert classify.classify_log.request.input == GIVEN
    assert service.Classify(classify.classify_log.request, DEADLINE_SECONDS) == classify.classify_log.response
    assert regress.regress_log.request.input == example_input([{}, {"x": 1.0}], {"x": 4.0})
    assert [found.value for found in regress.regress_log.response.result.regressions] == values
    logged.new(before, 3)


def test_what_failed_or_is_not_configured_is_not_logged(logged: Logged) -> None:
    before = len(logged.logs())
    assert rpc_error(lambda: logged.grpc.predict("half_plus_two", {"z": [1.0]}))[0] == "INVALID_ARGUMENT"
    assert logged.rest.predict("half_plus_two", {"instances": ["x"]}).status_code == 400
    logged.grpc.predict("mlp", {"x": [[0.0] * 784]})
    logged.grpc.predict("half_plus_two", {"x": [8.0]})
    (log,) = logged.new(before)
    assert tf.make_ndarray(log.predict_log.request.inputs["x"]).tolist() == [8.0]


def test_the_log_is_a_warm_up_file(logged: Logged, start_server: StartServer, models: Path, tmp_path: Path) -> None:
    before = len(logged.logs())
    logged.grpc.predict("half_plus_two", {"x": [1.0]})
    logged.rest.predict("half_plus_two", {"instances": [1.0, 2.0]})
    logged.new(before, 2)
    version = tmp_path / "1"
    shutil.copytree(models / "half_plus_two" / "1", version)
    files = [str(path) for path in sorted(logged.folder.glob("*.tfrecord"))]
    words = ["record", "--from", *files, "--out", str(version), "--model_name", "half_plus_two", "--max", "5"]
    done = subprocess.run([program(), "warmup", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    server = start_server("--model_name=half_plus_two", f"--model_base_path={tmp_path}", "--max_num_load_retries=0")
    assert server.says("Number of warmup records read: 5."), server.log
    assert warmup_file(version).stat().st_size < sum(os.path.getsize(file) for file in files)

    # As it is, with the responses, it is one too.
    whole = tmp_path / "whole" / "1"
    shutil.copytree(models / "half_plus_two" / "1", whole)
    warmup_file(whole).parent.mkdir(exist_ok=True)
    only = [log.SerializeToString() for log in logged.logs() if log.log_metadata.model_spec.name == "half_plus_two"]
    with tf.io.TFRecordWriter(str(warmup_file(whole))) as writer:
        for record in only:
            writer.write(record)
    flags = ("--model_name=half_plus_two", f"--model_base_path={whole.parent}", "--max_num_load_retries=0")
    assert f"Number of warmup records read: {len(only)}." in start_server(*flags).log


def test_a_part_of_the_requests_is_sampled(serve_models: ServeModels, models: Path, tmp_path: Path) -> None:
    extra = {"half_plus_two": logging_config(tmp_path / "sampled", 0.25)}
    server = serve_models({"half_plus_two": models / "half_plus_two"}, extra=extra)
    client = GrpcClient(server.grpc_target)
    for number in range(1000):
        client.predict("half_plus_two", {"x": [float(number)]})
    client.close()
    server.stop()
    logs = read_logs(tmp_path)
    assert 180 <= len(logs) <= 320
    sent = [tf.make_ndarray(log.predict_log.request.inputs["x"])[0] for log in logs]
    assert sent == sorted(sent)
    assert max(np.diff(sent)) < 100


def test_files_are_rotated_and_old_ones_go(serve_models: ServeModels, models: Path, tmp_path: Path) -> None:
    extra = {"image_mean": logging_config(tmp_path / "requests")}
    flags = ("--request_log_max_file_mb=1", "--request_log_max_files=3")
    server = serve_models({"image_mean": models / "image_mean"}, *flags, extra=extra)
    client = GrpcClient(server.grpc_target)
    image = np.zeros((1, 224, 224, 3), np.float32)
    for number in range(8):
        image[0, 0, 0, 0] = number
        client.predict("image_mean", {"x": image})
        wait_until(lambda at=number: last_image(tmp_path) == at)  # type: ignore[misc]
    client.close()
    server.stop()
    files = sorted(tmp_path.glob("*.tfrecord"))
    assert len(files) == 3
    assert all(file.stat().st_size < 1 << 20 for file in files)
    assert [first_value(log) for log in read_logs(tmp_path)] == [5.0, 6.0, 7.0]


def first_value(log: Any) -> float:
    return float(tf.make_ndarray(log.predict_log.request.inputs["x"]).flat[0])


def last_image(folder: Path) -> float | None:
    logs = read_live_logs(folder)
    return first_value(logs[-1]) if logs else None


def test_a_full_disk_disturbs_no_request(serve_models: ServeModels, models: Path, tmp_path: Path) -> None:
    """A file stands where the folder should be, so nothing can be written; then the way is free."""
    blocked = tmp_path / "blocked"
    blocked.write_text("not a folder")
    extra = {"half_plus_two": logging_config(blocked / "requests")}
    server = serve_models({"half_plus_two": models / "half_plus_two"}, extra=extra)
    client = GrpcClient(server.grpc_target)
    for _ in range(200):
        assert client.predict("half_plus_two", {"x": [0.0]}).outputs["y"].float_val == [5.0]
    wait_until(lambda: "Cannot write request logs to " in server.log)
    assert server.log.count("Cannot write request logs to ") == 1
    blocked.unlink()

    def written() -> bool:
        client.predict("half_plus_two", {"x": [1.0]})
        return blocked.is_dir() and bool(read_live_logs(blocked))

    wait_until(written)
    wait_until(lambda: "Request logs are written to " in server.log)
    client.close()


def test_an_unknown_type_ends_the_start(models: Path, tmp_path: Path) -> None:
    file = tmp_path / "models.config"
    extra = {"half_plus_two": logging_config(tmp_path / "x", collector_type="carrier_pigeon")}
    file.write_text(model_config({"half_plus_two": models / "half_plus_two"}, extra))
    port = free_ports(1)[0]
    words = [program(), "serve", f"--model_config_file={file}", f"--port={port}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 255
    reason = "Cannot find LogCollector::Factory for type: carrier_pigeon"
    assert done.stderr.strip().splitlines()[-1] == f"Failed to start server. Error: NOT_FOUND: {reason}"


def test_nothing_is_lost_when_the_server_stops(serve_models: ServeModels, models: Path, tmp_path: Path) -> None:
    extra = {"half_plus_two": logging_config(tmp_path / "requests")}
    server = serve_models({"half_plus_two": models / "half_plus_two"}, extra=extra)
    url = f"{server.rest_url}/v1/models/half_plus_two:predict"
    for number in range(50):
        assert requests.post(url, data=json.dumps({"instances": [number]}), timeout=30).status_code == 200
    server.stop()
    sent = [tf.make_ndarray(log.predict_log.request.inputs["x"])[0] for log in read_logs(tmp_path)]
    assert sent == list(range(50))
