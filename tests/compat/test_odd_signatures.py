# SPDX-License-Identifier: Apache-2.0
"""An input or output that no request can carry hides nothing but itself; the errors are the original's."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import tensorflow as tf

from tests.clients import GrpcClient, RestClient, tensor
from tests.conftest import ServeModels
from tests.models import cache
from tests.server_process import ServerProcess

NOT_FOUND = "Tensor {}, specified in either feed_devices or fetch_devices was not found in the Graph"
WORDS = tensor(["a b", "c"], object)
HALVES = {"x": [0.5, 1.0]}


@pytest.fixture(scope="module")
def odd_models() -> Path:
    return cache.exported(cache.ODD)


@pytest.fixture(scope="module")
def odd_server(serve_models: ServeModels, odd_models: Path) -> ServerProcess:
    return serve_models({name: odd_models / name for name in ("composites", "missing", "many", "unset", "exported")})


@pytest.fixture(scope="module")
def client(odd_server: ServerProcess) -> Iterator[GrpcClient]:
    client = GrpcClient(odd_server.grpc_target)
    yield client
    client.close()


def outputs(reply: Any) -> dict[str, Any]:
    return {alias: tf.make_ndarray(value).tolist() for alias, value in reply.outputs.items()}


def error_of(client: GrpcClient, model: str, inputs: Any, **more: Any) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        client.predict(model, inputs, **more)
    return caught.value.code().name, caught.value.details()


def test_plain_outputs_beside_a_ragged_one_can_be_had(client: GrpcClient) -> None:
    both = client.predict("composites", {"text": WORDS}, output_filter=["upper", "length"])
    assert outputs(both) == {"length": [3, 1], "upper": [b"A B", b"C"]}


@pytest.mark.parametrize(
    ("signature", "only"), [("serving_default", ["tokens"]), ("serving_default", []), ("only_ragged", [])]
)
def test_a_ragged_output_has_the_originals_error(client: GrpcClient, signature: str, only: list[str]) -> None:
    code, text = error_of(client, "composites", {"text": WORDS}, signature=signature, output_filter=only)
    assert (code, text.startswith(NOT_FOUND.format(":0"))) == ("INVALID_ARGUMENT", True), text
    assert "ragged" in text


def test_plain_outputs_beside_a_sparse_one_can_be_had(client: GrpcClient) -> None:
    reply = client.predict("composites", {"text": WORDS}, signature="sparse_output", output_filter=["length"])
    assert outputs(reply) == {"length": [3, 1]}
    code, text = error_of(client, "composites", {"text": WORDS}, signature="sparse_output", output_filter=["table"])
    assert (code, text.startswith(NOT_FOUND.format(":0"))) == ("INVALID_ARGUMENT", True), text


def test_a_ragged_input_is_given_by_its_parts(client: GrpcClient) -> None:
    parts = {"a": [1.0, 2.0], "a_1": tensor([0, 1, 2], "int64"), "b": 1.0}
    assert outputs(client.predict("composites", parts, signature="ragged_input")) == {"y": 4.0}


def test_missing_tensors_hide_nothing_but_themselves(client: GrpcClient) -> None:
    assert outputs(client.predict("missing", HALVES, output_filter=["y"])) == {"y": [1.0, 2.0]}
    code, text = error_of(client, "missing", HALVES)
    assert (code, text.startswith(NOT_FOUND.format("gone:0"))) == ("INVALID_ARGUMENT", True), text
    assert outputs(client.predict("missing", HALVES, signature="no_such_output", output_filter=["y"])) == {
        "y": [1.0, 2.0]
    }
    code, text = error_of(client, "missing", HALVES, signature="no_such_output", output_filter=["third"])
    assert (code, text.startswith("Node 'y' (type: 'Mul', num of outputs: 1) does not have output 3")) == (
        "OUT_OF_RANGE",
        True,
    )
    code, text = error_of(client, "missing", {**HALVES, "z": [1.0]}, signature="no_such_input")
    assert (code, text.startswith(NOT_FOUND.format("z:0"))) == ("INVALID_ARGUMENT", True), text


def test_the_request_is_checked_before_the_graph(client: GrpcClient) -> None:
    code, text = error_of(
        client, "missing", {**HALVES, "z": [1.0]}, signature="no_such_input", output_filter=["nothing"]
    )
    assert (code, text.startswith("output tensor alias not found in signature: nothing")) == (
        "INVALID_ARGUMENT",
        True,
    ), text


def test_the_initialization_op_gives_no_tensor(client: GrpcClient) -> None:
    code, text = error_of(client, "composites", {}, signature="__saved_model_init_op")
    assert (code, text.startswith("Node 'NoOp' (type: 'NoOp', num of outputs: 0) does not have output 0")) == (
        "OUT_OF_RANGE",
        True,
    )


def test_rest_answers_so_too(odd_server: ServerProcess) -> None:
    client = RestClient(odd_server.rest_url)
    reply = client.post("/v1/models/missing:predict", {"instances": [1.0]})
    assert reply.status_code == 400
    assert NOT_FOUND.format("gone:0") in reply.json()["error"]
    reply = client.post("/v1/models/many:predict", {"instances": [1.0], "signature_name": "s7"})
    assert reply.json() == {"predictions": [8.0]}
    client.close()


def test_many_signatures_answer(client: GrpcClient) -> None:
    for number in (0, 9, 399):
        assert outputs(client.predict("many", HALVES, signature=f"s{number}")) == {"y": [number + 0.5, number + 1.0]}


def test_the_log_names_what_cannot_be_used(odd_server: ServerProcess) -> None:
    log = odd_server.log_path.read_text(errors="replace")
    assert "Output tokens of signature serving_default cannot be used" in log
    assert "Input z of signature no_such_input cannot be used" in log
    assert "Output gone of signature serving_default cannot be used" in log
    assert "__saved_model_init_op cannot be used" not in log


def test_variables_that_are_never_set_are_named_with_the_remedy(odd_server: ServerProcess) -> None:
    log = odd_server.log_path.read_text(errors="replace")
    warned = [line for line in log.splitlines() if "model.export(" in line]
    assert len(warned) == 1, warned
    assert "/unset/1" in warned[0]
    assert "2 variable(s)" in warned[0]
