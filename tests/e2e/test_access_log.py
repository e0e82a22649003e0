# SPDX-License-Identifier: Apache-2.0
"""Ids and times of single requests, in replies and in the log."""

import json
import re
from pathlib import Path

import grpc
import pytest
import requests

from tests.clients import GrpcClient, predict_request
from tests.conftest import ServeModels
from tests.server_process import ServerProcess

MODEL = "half_plus_two"
ID = re.compile("[0-9a-f]{32}")


def post(server: ServerProcess, body: object, **headers: str) -> requests.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with requests.Session() as session:
        session.trust_env = False
        return session.post(f"{server.rest_url}/v1/models/{MODEL}:predict", json=body, headers=named, timeout=30)


def call(client: GrpcClient, name: str, *metadata: tuple[str, str]) -> dict[str, str]:
    """The metadata of the reply, be it an answer or an error."""
    _answer, call = client.prediction.Predict.with_call(
        predict_request(name, {"x": [1.0]}), metadata=metadata, timeout=30
    )
    return dict(call.initial_metadata())


@pytest.fixture(scope="module")
def server(serve_models: ServeModels, models: Path) -> ServerProcess:
    return serve_models({MODEL: models / MODEL})


def test_an_id_is_given_back_or_made_for_those_who_fail(server: ServerProcess) -> None:
    assert post(server, {"instances": [1.0]}, x_request_id="mine").headers["x-request-id"] == "mine"
    assert "x-request-id" not in post(server, {"instances": [1.0]}).headers
    failed = post(server, {"instances": ["x"]})
    assert failed.status_code == 400
    assert ID.fullmatch(failed.headers["x-request-id"])
    client = GrpcClient(server.grpc_target)
    assert call(client, MODEL, ("x-request-id", "mine"))["x-request-id"] == "mine"
    assert "x-request-id" not in call(client, MODEL)
    with pytest.raises(grpc.RpcError) as caught:
        call(client, "nobody", ("x-request-id", "mine"))
    told = dict(caught.value.initial_metadata()) | dict(caught.value.trailing_metadata())
    assert told["x-request-id"] == "mine"
    client.close()


def test_times_are_told_to_those_who_ask(server: ServerProcess) -> None:
    times = post(server, {"instances": [1.0]}, x_tensorserve_timing="1").headers["server-timing"]
    parts = dict(re.findall(r"(\w+);dur=([\d.]+)", times))
    assert list(parts) == ["receive", "compute", "reply", "total"]
    assert sum(float(parts[name]) for name in ("receive", "compute", "reply")) == pytest.approx(
        float(parts["total"]), abs=0.01
    )
    assert "server-timing" not in post(server, {"instances": [1.0]}).headers
    client = GrpcClient(server.grpc_target)
    assert "total;dur=" in call(client, MODEL, ("x-tensorserve-timing", "1"))["server-timing"]
    client.close()


def test_a_line_for_each_request(serve_models: ServeModels, models: Path) -> None:
    server = serve_models({MODEL: models / MODEL}, "--access_log=all", "--log_format=json")
    made = post(server, {"instances": [1.0]}).headers["x-request-id"]
    client = GrpcClient(server.grpc_target)
    call(client, MODEL, ("x-request-id", "mine"))
    post(server, {"instances": ["x"]}, x_request_id="bad")
    client.close()
    assert server.says('"request_id": "bad"')
    lines = [json.loads(line) for line in server.log.splitlines()]
    by_id = {line["request_id"]: line for line in lines if line["logger"] == "tensorserve.access"}
    assert list(by_id) == [made, "mine", "bad"]
    assert (by_id[made]["status"], by_id[made]["path"]) == ("OK", f"/v1/models/{MODEL}:predict")
    assert by_id["mine"]["path"] == "/tensorflow.serving.PredictionService/Predict"
    for line in (by_id[made], by_id["mine"]):
        assert (line["model"], line["version"]) == (MODEL, 4)
        assert 0 < line["compute_ms"] < line["duration_ms"]
    assert by_id["bad"]["status"] == "INVALID_ARGUMENT"


def test_only_those_that_fail(serve_models: ServeModels, models: Path) -> None:
    server = serve_models({MODEL: models / MODEL}, "--access_log=errors")
    for number in range(5):
        post(server, {"instances": [1.0]}, x_request_id=f"good-{number}")
        post(server, {"instances": ["x"]}, x_request_id=f"bad-{number}")
    assert server.says("request_id=bad-4")
    assert server.log.count("request_id=bad-") == 5
    assert "request_id=good-" not in server.log
