# SPDX-License-Identifier: Apache-2.0
"""One request of a scenario, its reply checked by value. What the load generator receives must have the same size."""

import http.client
import json
from collections.abc import Sequence

import grpc

from benchmarks.load import InvalidRunError
from benchmarks.scenarios import MODEL_STATUS, PREDICT, Scenario
from benchmarks.verbs import Exchange

AVAILABLE = 30
TIMEOUT_SECONDS = 30
GRPC_FRAMING = 5
# Models whose output is a probability for each class.
CLASSES = {"mlp": 10, "mobilenet_v2": 1000}


def checked_reply_bytes(scenario: Scenario | Exchange, grpc_port: int, rest_port: int) -> int:
    """Sends the scenario's request once.

    Returns:
        The size of the reply's body; for gRPC with its framing.

    Raises:
        InvalidRunError: The reply is wrong.
    """
    if isinstance(scenario, Exchange):
        return _exchange(scenario, grpc_port, rest_port)
    if scenario.protocol == "rest":
        return _rest(scenario, rest_port)
    return _grpc(scenario, grpc_port)


def _exchange(scenario: Exchange, grpc_port: int, rest_port: int) -> int:
    if scenario.protocol == "rest":
        body = _post(scenario.name, rest_port, scenario.path, scenario.make(), scenario.media_type)
    else:
        body = _call(scenario.name, grpc_port, scenario.path, scenario.make())
    if not scenario.check(body):
        raise InvalidRunError(f"{scenario.name}: the reply is wrong: {body[:200]!r}")
    return len(body) + (GRPC_FRAMING if scenario.protocol == "grpc" else 0)


def _post(name: str, port: int, path: str, message: bytes, media_type: str = "application/json") -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    connection.request("POST", path, message, {"Content-Type": media_type})
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    if reply.status != 200:
        raise InvalidRunError(f"{name}: {reply.status} {body[:200]!r}")
    return body


def _call(name: str, port: int, path: str, message: bytes) -> bytes:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            return bytes(channel.unary_unary(path)(message, timeout=TIMEOUT_SECONDS))
        except grpc.RpcError as error:
            raise InvalidRunError(f"{name}: {error.code()} {error.details()}") from error


def _rest(scenario: Scenario, port: int) -> int:
    body = _post(scenario.name, port, f"/v1/models/{scenario.model}:predict", scenario.body())
    rows = json.loads(body)["predictions"]
    _check(scenario, [value for row in rows for value in (row if isinstance(row, list) else [row])])
    return len(body)


def _grpc(scenario: Scenario, port: int) -> int:
    from tensorserve import protos

    path = MODEL_STATUS if scenario.calls == "status" else PREDICT
    body = _call(scenario.name, port, path, scenario.grpc_message())
    if scenario.calls == "status":
        states = [entry.state for entry in protos.GetModelStatusResponse.FromString(body).model_version_status]
        if states != [AVAILABLE]:
            raise InvalidRunError(f"{scenario.name}: the states are {states}")
    else:
        (output,) = protos.PredictResponse.FromString(body).outputs.values()
        _check(scenario, output.float_val)
    return len(body) + GRPC_FRAMING


def _check(scenario: Scenario, found: Sequence[float]) -> None:
    """Compares with what the model computes, as far as that is simple; probabilities must add up to 1."""
    if classes := CLASSES.get(scenario.model):
        rows = [found[start : start + classes] for start in range(0, len(found), classes)]
        right = len(rows) == scenario.shape[0] and all(abs(sum(row) - 1.0) < 1e-4 for row in rows)
    else:
        expected = _expected(scenario)
        right = len(found) == len(expected) and all(abs(x - y) < 1e-4 for x, y in zip(found, expected, strict=True))
    if not right:
        raise InvalidRunError(f"{scenario.name}: the reply is wrong: {list(found)[:10]}")


def _expected(scenario: Scenario) -> list[float]:
    if scenario.model == "half_plus_two":
        return [0.5 * value + 2.0 for value in scenario.values]
    return [sum(scenario.values) / len(scenario.values)]
