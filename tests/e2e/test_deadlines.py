# SPDX-License-Identifier: Apache-2.0
"""Requests that nobody waits for any more: they never start a run, and hold up nobody.

One run happens at a time, so a request behind a slow one is queued. A request that is given up while it is queued asks
for a run of half a minute: whoever comes next is only answered if that run never started.
"""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.clients import GrpcClient, RestClient, predict_request, rpc_error, wait_until
from tests.conftest import ServeModels
from tests.server_process import ServerProcess

MODELS = ("half_plus_two", "slow")
FOREVER, BUSY = 30.0, 1.5
PATIENCE = 20.0
TIMED_OUT = "Timed out waiting for notification"


@pytest.fixture(scope="module")
def narrow(serve_models: ServeModels, models: Path) -> ServerProcess:
    """A server that runs one model at a time."""
    return serve_models({name: models / name for name in MODELS}, "--execution_threads=1")


@pytest.fixture(scope="module")
def hasty(serve_models: ServeModels, models: Path) -> ServerProcess:
    """The same, which gives REST requests a second."""
    entries = {name: models / name for name in MODELS}
    return serve_models(entries, "--execution_threads=1", "--rest_api_timeout_in_ms=1000")


@pytest.fixture
def client(narrow: ServerProcess) -> Iterator[GrpcClient]:
    client = GrpcClient(narrow.grpc_target)
    yield client
    client.close()


def start(client: GrpcClient, seconds: float, timeout: float = 60.0) -> Any:
    """Starts a run; it has been taken when this returns, for the server takes a connection's calls in their order."""
    call = client.prediction.Predict.future(predict_request("slow", {"seconds": [seconds]}), timeout)
    client.status("slow")
    return call


def runs(client: GrpcClient) -> None:
    """The slot is free, or will be soon."""
    reply = client.send(predict_request("slow", {"seconds": [0.0]}), timeout=PATIENCE)
    assert len(reply.outputs["waited"].float_val) == 1


def post_and_leave(server: ServerProcess, seconds: float) -> None:
    body = json.dumps({"instances": [seconds]}).encode()
    head = f"POST /v1/models/slow:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.rest_port), timeout=10) as connection:
        connection.sendall(head.encode() + body)
        time.sleep(0.3)  # So that it is queued; without that the test would prove less, but not fail.


def test_a_cancelled_call_that_is_queued_never_runs(client: GrpcClient) -> None:
    busy = start(client, BUSY)
    queued = start(client, FOREVER)
    assert queued.cancel()
    runs(client)
    assert busy.result(PATIENCE).outputs["waited"].float_val[0] >= BUSY


def test_a_connection_that_is_lost_takes_its_queued_calls_along(narrow: ServerProcess, client: GrpcClient) -> None:
    busy = start(client, BUSY)
    other = GrpcClient(narrow.grpc_target)
    start(other, FOREVER)
    other.close()
    runs(client)
    busy.result(PATIENCE)


def test_a_deadline_that_passes_in_the_queue(client: GrpcClient) -> None:
    busy = start(client, BUSY)
    begin = time.monotonic()
    error = rpc_error(lambda: client.send(predict_request("slow", {"seconds": [FOREVER]}), timeout=0.3))
    assert error[0] == "DEADLINE_EXCEEDED"
    assert time.monotonic() - begin < FOREVER / 2
    runs(client)
    busy.result(PATIENCE)


def test_a_rest_client_that_leaves_the_queue(narrow: ServerProcess, client: GrpcClient) -> None:
    busy = start(client, BUSY)
    post_and_leave(narrow, FOREVER)
    runs(client)
    busy.result(PATIENCE)


def test_a_rest_timeout_in_the_queue_and_in_a_run(hasty: ServerProcess) -> None:
    client = GrpcClient(hasty.grpc_target)
    rest = RestClient(hasty.rest_url)
    busy = start(client, 3 * BUSY)
    reply = rest.predict("slow", {"instances": [FOREVER]})
    assert (reply.status_code, reply.json()) == (504, {"error": TIMED_OUT})
    assert not busy.done(), "the request was queued"
    busy.result(PATIENCE)
    reply = rest.predict("slow", {"instances": [FOREVER]})
    assert (reply.status_code, reply.json()) == (504, {"error": TIMED_OUT})
    runs(client)
    client.close()


def test_a_deadline_interrupts_a_run(client: GrpcClient) -> None:
    error = rpc_error(lambda: client.send(predict_request("slow", {"seconds": [FOREVER]}), timeout=1.0))
    assert error[0] == "DEADLINE_EXCEEDED"
    runs(client)


def test_a_run_whose_client_left_holds_up_nothing_but_its_slot(narrow: ServerProcess, client: GrpcClient) -> None:
    """A run without a deadline cannot be interrupted; what needs no slot is answered meanwhile."""
    client.predict("half_plus_two", {"x": [1.0]})
    lost = start(client, 2 * BUSY)
    assert lost.cancel()
    begin = time.monotonic()
    assert client.states("slow") == {1: "AVAILABLE"}
    assert requests.get(f"{narrow.rest_url}/v1/models/slow", timeout=PATIENCE).status_code == 200
    # Small runs that are known to be small need no slot either.
    wait_until(lambda: bool(client.predict("half_plus_two", {"x": [1.0]}).outputs["y"].float_val), PATIENCE)
    assert time.monotonic() - begin < PATIENCE
    runs(client)
