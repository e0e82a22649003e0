# SPDX-License-Identifier: Apache-2.0
"""Runs that wait for other runs end at their deadline, take nothing afterwards, and are in nobody's way."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.clients import GrpcClient, RestClient, predict_request, rpc_error, tensor
from tests.conftest import ServeModels
from tests.models.cache import WAITING, exported
from tests.server_process import ServerProcess

QUEUES = ("fifo", "shuffle", "priority", "barrier")
KINDS = (*QUEUES, "full", "staging")
SIZED, TIMED_OUT = "sized", "DEADLINE_EXCEEDED"
NO_MACHINE_HAS = 10**12
# More than execution threads, and than runs of one signature that may wait at once.
MANY = 40


@pytest.fixture(scope="module")
def waiting_models() -> Path:
    return exported(WAITING)


@pytest.fixture(scope="module", params=["alone", "batched"])
def server(request: pytest.FixtureRequest, serve_models: ServeModels, waiting_models: Path) -> ServerProcess:
    entries = {name: waiting_models / name for name in (*KINDS, SIZED)}
    flags = ["--enable_batching"] if request.param == "batched" else []
    return serve_models(entries, "--execution_threads=2", "--rest_api_timeout_in_ms=500", *flags)


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[GrpcClient]:
    client = GrpcClient(server.grpc_target)
    yield client
    client.close()


def ask(client: GrpcClient, model: str, signature: str, x: float = 0.0, timeout: float | None = 20.0) -> float:
    request = predict_request(model, {"x": x}, signature=signature)
    return float(client.send(request, timeout=timeout).outputs["y"].float_val[0])


@pytest.mark.parametrize("model", QUEUES)
def test_a_deadline_ends_the_wait_and_nothing_is_taken_after_it(model: str, client: GrpcClient) -> None:
    assert rpc_error(lambda: ask(client, model, "take", timeout=0.3))[0] == TIMED_OUT
    time.sleep(0.3)
    assert ask(client, model, "put", 5.0) == 5.0
    assert ask(client, model, "take") == 5.0


def test_rest_deadlines_end_the_wait_as_well(server: ServerProcess, client: GrpcClient) -> None:
    rest = RestClient(server.rest_url)
    assert rest.predict("fifo", {"signature_name": "take", "inputs": {"x": 1.0}}).status_code == 504
    rest.close()
    assert ask(client, "fifo", "put", 7.0) == 7.0
    assert ask(client, "fifo", "take") == 7.0


def test_nothing_is_put_after_the_deadline_of_a_put_that_found_no_room(client: GrpcClient) -> None:
    assert ask(client, "full", "put", 1.0) == 1.0
    assert rpc_error(lambda: ask(client, "full", "put", 2.0, timeout=0.3))[0] == TIMED_OUT
    time.sleep(0.3)
    assert ask(client, "full", "take") == 1.0
    assert rpc_error(lambda: ask(client, "full", "take", timeout=0.3))[0] == TIMED_OUT


@pytest.mark.parametrize("model", ["fifo", "staging"])
def test_many_that_wait_without_a_deadline_hold_up_nobody(model: str, client: GrpcClient) -> None:
    with ThreadPoolExecutor(MANY) as threads:
        takes = [threads.submit(ask, client, model, "take", timeout=None) for _ in range(MANY)]
        time.sleep(0.5)
        # As many execution threads as there are have nothing to do with those.
        assert ask(client, model, "double", 4.0) == 8.0
        assert ask(client, "shuffle", "put", 1.0) == ask(client, "shuffle", "take")
        for number in range(MANY):
            ask(client, model, "put", float(number))
        assert sorted(take.result(20) for take in takes) == [float(number) for number in range(MANY)]


def test_memory_that_is_not_there_is_refused_at_once_and_stops_nobody(client: GrpcClient) -> None:
    def sized(number: int) -> float:
        return (
            client.send(predict_request(SIZED, {"n": tensor(number, np.int64)}), timeout=20.0).outputs["y"].float_val[0]
        )

    assert sized(4) == 6.0
    start = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        refusals = [threads.submit(rpc_error, lambda: sized(NO_MACHINE_HAS)) for _ in range(8)]
        assert ask(client, "fifo", "double", 3.0) == 6.0
        codes = {refusal.result(20)[0] for refusal in refusals}
    assert codes == {"RESOURCE_EXHAUSTED"}
    # TensorFlow's own allocator would wait for 10 s, with a lock that every large tensor needs.
    assert time.monotonic() - start < 8
