# SPDX-License-Identifier: Apache-2.0
"""Batching with fixed parameters, as clients see it: who shares a run, who fails, and with what words."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf

from tests.clients import GrpcClient, RestClient, predict_request, rpc_error, wait_until, without_explanation
from tests.conftest import ServeModels
from tests.models import cache
from tests.server_process import ServerProcess, model_config

# A run waits long for company, so that those that are sent together run together even on a busy machine.
PATIENT = "max_batch_size { value: 4 } batch_timeout_micros { value: 2000000 } num_batch_threads { value: 2 }"
TUTORIAL = """max_batch_size { value: 128 }
batch_timeout_micros { value: 1000 }
num_batch_threads { value: 4 }
max_enqueued_batches { value: 1000 }
"""


@pytest.fixture(scope="module")
def batching_models() -> Path:
    return cache.exported(cache.BATCHING)


Serve = Callable[..., ServerProcess]


@pytest.fixture(scope="module")
def serve(serve_models: ServeModels, batching_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """Starts a server with these batching parameters."""

    def start(parameters: str, *flags: str) -> ServerProcess:
        file = tmp_path_factory.mktemp("batching") / "batching.config"
        file.write_text(parameters)
        entries = {name: batching_models / name for name in ("company", "divide", "share", "total")}
        return serve_models(entries, "--enable_batching", f"--batching_parameters_file={file}", *flags)

    return start


@pytest.fixture(scope="module")
def patient(serve: Serve) -> ServerProcess:
    return serve(PATIENT)


@pytest.fixture(scope="module")
def client(patient: ServerProcess) -> Iterator[GrpcClient]:
    client = GrpcClient(patient.grpc_target)
    yield client
    client.close()


def together(*calls: Callable[[], Any]) -> list[Any]:
    """The results of calls that are made at the same time; an error is a result."""

    def outcome(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except grpc.RpcError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(outcome, call) for call in calls]]


def arrays(reply: Any) -> dict[str, np.ndarray[Any, Any]]:
    return {alias: tf.make_ndarray(tensor) for alias, tensor in reply.outputs.items()}


def rows_of(reply: Any) -> list[int]:
    return list(arrays(reply)["rows"])


def test_requests_share_a_run_and_get_their_own_rows(client: GrpcClient) -> None:
    def call(number: int, rows: int) -> Callable[[], Any]:
        return lambda: client.predict("company", {"x": np.full((rows, 3), number)})

    replies = together(call(1, 1), call(2, 2), call(3, 1))
    assert [rows_of(reply) for reply in replies] == [[4], [4, 4], [4]]
    for number, reply in zip((1, 2, 3), replies, strict=True):
        assert (arrays(reply)["y"] == 2 * number).all()


def test_grpc_and_rest_share_runs(client: GrpcClient, patient: ServerProcess) -> None:
    rest = RestClient(patient.rest_url)
    body = {"inputs": [[5.0, 5.0, 5.0], [6.0, 6.0, 6.0]]}
    first, second = together(
        lambda: client.predict("company", {"x": np.ones((2, 3))}), lambda: rest.predict("company", body)
    )
    rest.close()
    assert rows_of(first) == [4, 4]
    assert second.json()["outputs"]["rows"] == [4, 4]
    assert second.json()["outputs"]["sum"] == [15.0, 18.0]


def test_other_shapes_outputs_and_signatures_have_queues_of_their_own(client: GrpcClient) -> None:
    text = tf.constant([["a", "bc"]] * 4)
    calls = (
        lambda: client.predict("company", {"x": np.ones((4, 3))}),
        lambda: client.predict("company", {"x": np.ones((4, 2))}),
        lambda: client.predict("company", {"x": np.ones((4, 3))}, output_filter=["rows"]),
        lambda: client.predict("company", {"text": tf.make_tensor_proto(text)}, signature="words"),
    )
    replies = together(*calls)
    assert [rows_of(reply) for reply in replies] == [[4] * 4] * 4
    assert set(arrays(replies[2])) == {"rows"}
    assert arrays(replies[3])["upper"].tolist() == [[b"A", b"BC"]] * 4


def test_an_error_hits_only_the_request_that_caused_it(client: GrpcClient) -> None:
    def call(x: int) -> Callable[[], Any]:
        value = tf.make_tensor_proto(np.int32([x]))
        return lambda: client.predict("divide", {"x": value})

    replies = together(call(1), call(2), call(0), call(3))
    assert [arrays(replies[at])["y"].tolist() for at in (0, 1, 3)] == [[12], [6], [4]]
    assert replies[2].code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "division by zero" in replies[2].details().lower()


def test_a_task_may_not_be_larger_than_a_batch(client: GrpcClient) -> None:
    code, text = rpc_error(lambda: client.predict("company", {"x": np.ones((5, 3))}))
    assert (code, without_explanation(text)) == (
        "INVALID_ARGUMENT",
        "Task size 5 is larger than maximum input batch size 4",
    )


def test_an_output_without_rows_is_served_unbatched(client: GrpcClient) -> None:
    replies = together(*[lambda: client.predict("total", {"x": np.ones(3)})] * 3)
    assert [float(arrays(reply)["y"]) for reply in replies] == [3.0] * 3


def test_a_deadline_that_passes_in_the_queue_is_kept(client: GrpcClient) -> None:
    request = predict_request("company", {"x": np.ones((1, 7))})
    code, _ = rpc_error(lambda: client.send(request, timeout=0.2))
    assert code == "DEADLINE_EXCEEDED"


def test_a_full_queue_refuses_with_the_words_of_the_original(serve: Serve) -> None:
    server = serve(
        "max_batch_size { value: 2 } batch_timeout_micros { value: 5000000 } max_enqueued_batches { value: 1 }"
    )
    client = GrpcClient(server.grpc_target)
    waiting = client.prediction.Predict.future(predict_request("company", {"x": np.ones((1, 3))}), 20)
    rest = RestClient(server.rest_url)
    wait_until(lambda: '"waiting_requests":1' in rest.get("/v1/admin/models/company/batching").text.replace(" ", ""))
    rest.close()
    code, text = rpc_error(lambda: client.predict("company", {"x": np.ones((2, 3))}))
    client.send(predict_request("company", {"x": np.ones((1, 3))}))
    assert rows_of(waiting.result()) == [2]
    client.close()
    assert code == "UNAVAILABLE"
    assert text == (
        "The batch scheduling queue to which this task was submitted is full; currently 1 batches enqueued and "
        "max_enqueued_batches is 1"
    )


def test_batches_are_padded_to_allowed_sizes(serve: Serve) -> None:
    server = serve("max_batch_size { value: 8 } allowed_batch_sizes: 3 allowed_batch_sizes: 8")
    client = GrpcClient(server.grpc_target)
    reply = client.predict("company", {"x": np.ones((2, 3))})
    client.close()
    assert rows_of(reply) == [3, 3]


def test_variable_lengths_are_padded_together(serve: Serve) -> None:
    parameters = PATIENT.replace("value: 4", "value: 2", 1) + " pad_variable_length_inputs: true"
    client = GrpcClient(serve(parameters, "--batching_pad_values=text=?").grpc_target)
    short, long = together(
        lambda: client.predict("company", {"x": [[3.0]]}), lambda: client.predict("company", {"x": [[1.0, 2.0]]})
    )
    assert arrays(short)["y"].tolist() == [[6.0, 6.0]]
    assert arrays(long)["y"].tolist() == [[2.0, 4.0]]
    words = [tf.make_tensor_proto([line]) for line in (["a"], ["b", "c"])]
    replies = together(
        *[lambda text=text: client.predict("company", {"text": text}, signature="words") for text in words]
    )
    client.close()
    assert [arrays(reply)["upper"].tolist() for reply in replies] == [[[b"A", b"?"]], [[b"B", b"C"]]]


def test_large_requests_are_split(serve: Serve) -> None:
    parameters = (
        "max_batch_size { value: 100 } max_execution_batch_size { value: 4 } "
        "enable_large_batch_splitting { value: true }"
    )
    client = GrpcClient(serve(parameters).grpc_target)
    reply = arrays(client.predict("company", {"x": np.arange(30).reshape(10, 3)}))
    client.close()
    assert reply["rows"].tolist() == [4] * 8 + [2] * 2
    assert reply["y"].tolist() == (2.0 * np.arange(30).reshape(10, 3)).tolist()


def test_the_file_of_the_tutorial_works(serve: Serve) -> None:
    client = GrpcClient(serve(TUTORIAL).grpc_target)
    values = [np.full((1, 3), number) for number in range(64)]
    replies = together(*[lambda x=x: client.predict("company", {"x": x}) for x in values])
    client.close()
    for number, reply in enumerate(replies):
        assert (arrays(reply)["y"] == 2 * number).all()


def test_models_can_bring_parameters_of_their_own(
    start_server: Callable[..., ServerProcess], batching_models: Path, tmp_path: Path
) -> None:
    for name, parameters in (
        ("with", "max_batch_size { value: 2 } batch_timeout_micros { value: 2000000 }"),
        ("without", ""),
    ):
        shutil.copytree(batching_models / "company", tmp_path / name)
        if parameters:
            (tmp_path / name / "1" / "batching_params.pbtxt").write_text(parameters)
    config = tmp_path / "models.config"
    config.write_text(model_config({name: tmp_path / name for name in ("with", "without")}))
    flags = ("--enable_batching", "--enable_per_model_batching_parameters", f"--model_config_file={config}")
    client = GrpcClient(start_server(*flags).grpc_target)
    assert rpc_error(lambda: client.predict("with", {"x": np.ones((3, 3))}))[1].startswith("Task size 3 is larger")
    replies = together(*[lambda: client.predict("with", {"x": np.ones((1, 3))})] * 2)
    assert [rows_of(reply) for reply in replies] == [[2], [2]]
    assert rows_of(client.predict("without", {"x": np.ones((3, 3))})) == [3, 3, 3]
    client.close()


def test_bad_parameters_are_load_errors_with_the_words_of_the_original(
    start_server: Callable[..., ServerProcess], batching_models: Path, tmp_path: Path
) -> None:
    file = tmp_path / "batching.config"
    file.write_text("max_batch_size { value: 8 } allowed_batch_sizes: 4")
    flags = (
        f"--batching_parameters_file={file}",
        f"--model_base_path={batching_models / 'total'}",
        "--max_num_load_retries=0",
    )
    server = start_server(*flags, ready=False)
    assert server.exit_status() != 0
    text = "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 8"
    assert server.says(text), server.log
