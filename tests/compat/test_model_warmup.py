# SPDX-License-Identifier: Apache-2.0
"""What `assets.extra/tf_serving_warmup_requests` does to a version that is loaded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    prediction_log_pb2,
    regression_pb2,
    session_service_pb2,
)

from tests.clients import GrpcClient, model_spec, predict_request, tensor, wait_until
from tests.conftest import ServeModels
from tests.example_requests import CLASSIFY, REGRESS, example_input, task
from tests.server_process import ServerProcess
from tests.warmup_files import PredictionLog, log_of, warmup_file, with_warmup

ONE = example_input([{"x": 1.0}])


def predict_log(values: Any = (1.0,), **spec: Any) -> bytes:
    return log_of(predict_request("another_name", {"x": list(values)}, **spec), "predict_log")


def classify_log() -> bytes:
    request = classification_pb2.ClassificationRequest(model_spec=model_spec("x", version=99), input=ONE)
    return log_of(request, "classify_log")


def regress_log() -> bytes:
    spec = model_spec("x", signature="regress_x_to_y")
    return log_of(regression_pb2.RegressionRequest(model_spec=spec, input=ONE), "regress_log")


def multi_inference_log() -> bytes:
    tasks = [task(CLASSIFY, "x"), task(REGRESS, "x", signature="regress_flat")]
    return log_of(inference_pb2.MultiInferenceRequest(tasks=tasks, input=ONE), "multi_inference_log")


def session_run_log() -> bytes:
    request = session_service_pb2.SessionRunRequest(model_spec=model_spec("x"), fetch=["mm:0"])
    for name in ("a:0", "b:0"):
        feed = request.feed.add(name=name)
        feed.tensor.CopyFrom(tensor([[2.0]]))
    return log_of(request, "session_run_log")


def streamed_log() -> bytes:
    streamed = prediction_log_pb2.PredictStreamedLog(request=[predict_request("x", {"x": [1.0]})])
    return bytes(PredictionLog(predict_streamed_log=streamed).SerializeToString())


# Model and records of versions that become available.
GOOD: dict[str, tuple[str, list[bytes]]] = {
    "predict": ("half_plus_two", [predict_log(), predict_log(version=77), predict_log(signature="serving_default")]),
    "examples": ("heads", [classify_log(), regress_log(), multi_inference_log()]),
    "session_run": ("matmul", [session_run_log()]),
    "empty": ("half_plus_two", []),
    "no_log_type": ("half_plus_two", [b"", predict_log()]),
    "limit": ("half_plus_two", [predict_log()] * 1000),
    "no_model_spec": ("half_plus_two", [log_of(without_spec := predict_request("", {"x": [1.0]}), "predict_log")]),
}
without_spec.ClearField("model_spec")

VERIFY = "Please verify your warmup data is in TFRecord format."

# Model, records or bytes, code and part of the message of versions that do not.
BAD: dict[str, tuple[str, list[bytes] | bytes, int, str]] = {
    "streamed": ("half_plus_two", [streamed_log()], 12, "Unsupported log_type for warmup: 7"),
    "no_log": ("half_plus_two", [b"\xff\xff"], 3, "Failed to parse warmup record: "),
    "too_many": (
        "half_plus_two",
        [predict_log()] * 1001,
        3,
        "Number of warmup records exceeds the maximum (1000) at ",
    ),
    "no_tfrecord": ("half_plus_two", b"this is a text, not a TFRecord file", 15, VERIFY),
    "wrong_input": (
        "half_plus_two",
        [log_of(predict_request("x", {"z": [1.0]}), "predict_log")],
        3,
        "Signature input alias: x(feed name: serving_default_x:0) not found in request",
    ),
    "wrong_signature": ("half_plus_two", [predict_log(signature="none")], 9, 'Serving signature key "none" not found.'),
    "wrong_verb": ("half_plus_two", [classify_log()], 3, "No classification inputs found in SignatureDef"),
    "second_record": (
        "matmul",
        [
            log_of(predict_request("x", {"a": [[1.0]], "b": [[1.0]]}), "predict_log"),
            log_of(predict_request("x", {"a": [[1.0]], "b": [[1.0], [1.0]]}), "predict_log"),
        ],
        3,
        "Matrix size-incompatible",
    ),
}


@pytest.fixture(scope="module")
def base_paths(models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("warmup")
    cases = {name: case[:2] for name, case in {**GOOD, **BAD}.items()}
    for name, (model, records) in cases.items():
        (root / name).mkdir()
        with_warmup(models / model / "1", root / name, records)
    return {name: root / name for name in cases}


@pytest.fixture(scope="module")
def warmed(serve_models: ServeModels, base_paths: dict[str, Path]) -> ServerProcess:
    return serve_models(base_paths, "--max_num_load_retries=0")


def is_settled(client: GrpcClient, model: str) -> bool:
    """Whether version 1 was loaded or given up. A version that was written within the last second is not known yet."""
    try:
        return client.states(model).get(1) in ("AVAILABLE", "END")
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        return False


@pytest.fixture(scope="module")
def client(warmed: ServerProcess) -> Iterator[GrpcClient]:
    found = GrpcClient(warmed.grpc_target)
    wait_until(lambda: all(is_settled(found, name) for name in (*GOOD, *BAD)), 60.0)
    yield found
    found.close()


@pytest.mark.parametrize("name", GOOD)
def test_a_version_whose_requests_succeed_is_served(name: str, client: GrpcClient) -> None:
    assert client.states(name) == {1: "AVAILABLE"}


@pytest.mark.parametrize("name", BAD)
def test_a_version_whose_requests_fail_is_not(name: str, client: GrpcClient, base_paths: dict[str, Path]) -> None:
    _model, _records, code, message = BAD[name]
    (status,) = client.status(name).model_version_status
    assert type(status).State.Name(status.state) == "END"
    assert status.status.error_code == code
    assert message in status.status.error_message
    if name in ("no_log", "too_many"):
        assert status.status.error_message.endswith(str(warmup_file(base_paths[name] / "1")))


def test_the_error_of_damaged_data_is_complete(client: GrpcClient) -> None:
    (status,) = client.status("no_tfrecord").model_version_status
    assert status.status.error_message == f"corrupted record at 0 (Is this even a TFRecord file?). {VERIFY}"


def test_the_log_says_what_was_done(client: GrpcClient, warmed: ServerProcess, base_paths: dict[str, Path]) -> None:
    path = warmup_file(base_paths["limit"] / "1")
    assert f"Starting to read warmup data for model at {path}" in warmed.log
    finished = f"Finished reading warmup data for model at {path}. Number of warmup records read: 1000. "
    assert f"{finished}Elapsed time (microseconds): " in warmed.log


def test_without_a_file_the_log_says_so(server: ServerProcess, models: Path) -> None:
    path = warmup_file(models / "half_plus_two" / "1")
    assert server.says(f"No warmup data file found at {path}\n"), server.log
    wait_until(lambda: "Finished adding/updating models" in server.log)
    made_up = f"Warmed up the model at {models / 'heads_tf2' / '1'} with made-up requests to 2 signature(s)."
    assert server.says(made_up), server.log
