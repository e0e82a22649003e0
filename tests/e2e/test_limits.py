# SPDX-License-Identifier: Apache-2.0
"""What happens when there is more to do than can be done at once: limits and priorities."""

import threading
from pathlib import Path
from typing import Any

from tests.clients import GrpcClient, RestClient, predict_request, rpc_error, wait_until
from tests.conftest import ServeModels
from tests.server_process import ServerProcess

PRIORITY = "x-tensorserve-priority"


def test_limits_refuse_with_a_hint_to_come_back(models: Path, serve_models: ServeModels) -> None:
    served = {name: models / name for name in ("slow", "half_plus_two")}
    server = serve_models(served, "--max_in_flight_per_model=2", "--max_in_flight=3")
    client, rest = GrpcClient(server.grpc_target), RestClient(server.rest_url)
    gate = predict_request("slow", {"seconds": [5.0]})
    # Two get in; that the third is refused at once shows that they have.
    waiting = [client.prediction.Predict.future(gate, 60) for _ in range(3)]
    wait_until(lambda: any(future.done() for future in waiting))
    assert [future.exception().code().name for future in waiting if future.done()] == ["UNAVAILABLE"]
    reply = rest.predict("slow", {"instances": [0.0]})
    assert (reply.status_code, reply.headers.get("Retry-After")) == (503, "1")
    code, text = rpc_error(lambda: client.predict("slow", {"seconds": [0.0]}))
    assert code == "UNAVAILABLE"
    assert "--max_in_flight_per_model" in text
    assert client.predict("half_plus_two", {"x": [1.0]}).outputs["y"].float_val == [5.5]
    assert sum(future.exception() is None for future in waiting) == 2
    assert client.predict("slow", {"seconds": [0.0]})
    client.close()
    rest.close()


def test_urgent_requests_overtake(models: Path, serve_models: ServeModels) -> None:
    server: ServerProcess = serve_models({"slow": models / "slow"}, "--execution_threads=1")
    client = GrpcClient(server.grpc_target)
    request = predict_request("slow", {"seconds": [0.3]})
    order: list[str] = []
    lock = threading.Lock()

    def send(priority: str) -> Any:
        future = client.prediction.Predict.future(request, 60, metadata=[(PRIORITY, priority)])

        def note(_: Any) -> None:
            with lock:
                order.append(priority)

        future.add_done_callback(note)
        return future

    futures = [send("low") for _ in range(8)]
    wait_until(lambda: bool(order))
    futures += [send("high") for _ in range(3)]
    for future in futures:
        future.result()
    wait_until(lambda: len(order) == len(futures))
    client.close()
    # One was running, and its successor may have been chosen, before they came.
    assert order[:7].count("high") == 3, order
