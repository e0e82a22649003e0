# SPDX-License-Identifier: Apache-2.0
"""Self-sizing batches and priorities; answers are those of an unbatched server, whoever shares their run."""

import random
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.clients import GrpcClient, RestClient, predict_request, wait_until
from tests.conftest import ServeModels
from tests.example_requests import CLASSIFY, REGRESS, classify, example_input, multi_inference, regress, task
from tests.models import cache
from tests.prometheus import Metrics
from tests.server_process import ServerProcess

PRIORITY = "x-tensorserve-priority"


@pytest.fixture(scope="module")
def entries(models: Path) -> dict[str, Path]:
    batching = cache.exported(cache.BATCHING)
    names = ("company", "divide", "share", "total", "wide_mlp", "deep_mlp")
    return {name: batching / name for name in names} | {
        name: models / name for name in ("slow", "mlp", "half_plus_two", "heads")
    }


@pytest.fixture(scope="module")
def servers(entries: dict[str, Path], serve_models: ServeModels) -> dict[str, ServerProcess]:
    """A server of each kind. The small queues of `fixed` see full batches and timeouts."""
    file = cache.exported(cache.BATCHING) / "fixed.config"
    parameters = "max_batch_size { value: 6 } batch_timeout_micros { value: 3000 } max_enqueued_batches { value: 100 }"
    file.write_text(parameters)
    kinds = {
        "off": ["--batching=off"],
        "auto": ["--enable_batching"],
        "fixed": [f"--batching_parameters_file={file}"],
    }
    return {kind: serve_models(entries, *flags) for kind, flags in kinds.items()}


@pytest.fixture(scope="module")
def clients(servers: dict[str, ServerProcess]) -> Iterator[dict[str, GrpcClient]]:
    found = {kind: GrpcClient(server.grpc_target) for kind, server in servers.items()}
    yield found
    for client in found.values():
        client.close()


@pytest.fixture(scope="module")
def rests(servers: dict[str, ServerProcess]) -> Iterator[dict[str, RestClient]]:
    found = {kind: RestClient(server.rest_url) for kind, server in servers.items()}
    yield found
    for client in found.values():
        client.close()


def floats(dims: tuple[int, ...], seed: int) -> Any:
    return np.random.default_rng(seed).normal(size=dims).astype(np.float32)


LEAVES = -1.0
Call = tuple[Any, float | None, str]


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """A request, its time limit in seconds (or `LEAVES` if its client does not wait for the answer), its priority."""
    seed, rows = draw(st.integers(0, 1000)), draw(st.integers(1, 5))
    kind = draw(
        st.sampled_from(["company", "words", "divide", "mlp", "wrong shape", "wrong type", "filtered", "total"])
    )
    match kind:
        case "company":
            request = predict_request(
                "company", {"x": floats((rows, draw(st.integers(1, 3))), seed)}, output_filter=["y", "sum"]
            )
        case "filtered":
            request = predict_request("company", {"x": floats((rows, 2), seed)}, output_filter=["sum"])
        case "words":
            text = np.array([[f"{seed}-{row}", "b"] for row in range(rows)], dtype=object)
            request = predict_request(
                "company", {"text": tf.make_tensor_proto(text)}, signature="words", output_filter=["upper"]
            )
        case "divide":
            x = np.array(draw(st.lists(st.integers(-3, 5), min_size=1, max_size=3)), np.int32)
            request = predict_request("divide", {"x": tf.make_tensor_proto(x)}, output_filter=["y"])
        case "mlp":
            request = predict_request("mlp", {"x": floats((rows, 784), seed)})
        case "wrong shape":
            request = predict_request("mlp", {"x": floats((rows, 7), seed)})
        case "wrong type":
            request = predict_request("mlp", {"x": tf.make_tensor_proto(np.ones((rows, 784), np.int32))})
        case _:
            request = predict_request("total", {"x": floats((rows,), seed)})
    timeout = draw(st.sampled_from([None, None, None, 0.001, 0.02, LEAVES]))
    return request, timeout, draw(st.sampled_from(["high", "default", "low"]))


def outcome(client: GrpcClient, call: Call) -> Any:
    request, timeout, priority = call
    metadata = [(PRIORITY, priority)]
    try:
        if timeout != LEAVES:
            return client.prediction.Predict(request, timeout or 30, metadata=metadata)
        future = client.prediction.Predict.future(request, 30, metadata=metadata)
        # Some leave at once, some while their request waits or runs, some with their answer.
        time.sleep(0.002 * random.random())
        future.cancel()
        return future.result()
    except grpc.FutureCancelledError:
        return grpc.StatusCode.CANCELLED, ""
    except grpc.RpcError as error:
        return error.code(), error.details()


def same(reply: Any, expected: Any) -> bool:
    if isinstance(expected, tuple) or isinstance(reply, tuple):
        # Addresses and node names apart, an error is the same.
        return isinstance(reply, tuple) and isinstance(expected, tuple) and reply[0] == expected[0]
    if set(reply.outputs) != set(expected.outputs):
        return False
    for alias, tensor in expected.outputs.items():
        a, b = tf.make_ndarray(reply.outputs[alias]), tf.make_ndarray(tensor)
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        is_float = a.dtype.kind == "f"
        if not (np.allclose(a, b, rtol=1e-5, atol=1e-6) if is_float else (a == b).all()):
            return False
    return True


TOO_LATE = {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED}


@pytest.mark.parametrize("kind", ["auto", "fixed"])
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(mixed=st.lists(calls(), min_size=2, max_size=24))
def test_every_answer_is_that_of_an_unbatched_server(
    kind: str, clients: dict[str, GrpcClient], mixed: list[Call]
) -> None:
    with ThreadPoolExecutor(len(mixed)) as pool:
        replies = list(pool.map(lambda call: outcome(clients[kind], call), mixed))
    for call, reply in zip(mixed, replies, strict=True):
        request, timeout, priority = call
        if timeout and isinstance(reply, tuple) and reply[0] in TOO_LATE:
            continue
        expected = outcome(clients["off"], (request, None, priority))
        assert same(reply, expected), f"{request.model_spec} {reply} instead of {expected}"


def test_clients_that_leave_harm_nobody(clients: dict[str, GrpcClient]) -> None:
    x = floats((1, 784), 1)
    request = predict_request("wide_mlp", {"x": x})
    expected = clients["off"].send(request)
    for kind in ("auto", "fixed"):
        futures = [clients[kind].prediction.Predict.future(request, 30) for _ in range(60)]
        for future in futures[::2]:
            future.cancel()
        assert all(same(future.result(), expected) for future in futures[1::2])


def shared(rest: RestClient, model: str, signature: str) -> bool:
    """Whether requests of this signature have shared a run."""
    queues = rest.get(f"/v1/admin/models/{model}/batching").json()["versions"][0]["queues"]
    return any(signature in queue["signatures"] and queue["batch_requests"]["p99"] > 1 for queue in queues)


def test_an_elementwise_model_gives_the_same_bits(clients: dict[str, GrpcClient], rests: dict[str, RestClient]) -> None:
    requests = [
        predict_request("company", {"x": floats((1 + seed % 3, 3), seed)}, output_filter=["y"]) for seed in range(24)
    ]
    expected = [tf.make_ndarray(clients["off"].send(request).outputs["y"]).tobytes() for request in requests]

    def merged(kind: str) -> bool:
        futures = [clients[kind].prediction.Predict.future(request, 30) for request in requests]
        found = [tf.make_ndarray(future.result().outputs["y"]).tobytes() for future in futures]
        assert found == expected
        return shared(rests[kind], "company", "serving_default")

    # Batches that size themselves are tried here, but need not pay.
    for _ in range(10):
        merged("auto")
    wait_until(lambda: merged("fixed"), 60)


Verb = Callable[[GrpcClient, RestClient, float], Any]


def rest_answer(verb: str, signature: str, key: str) -> Verb:
    def ask(_: GrpcClient, rest: RestClient, x: float) -> Any:
        body = {"signature_name": signature, "examples": [{"x": x}, {"x": x + 1.0}]}
        reply = rest.post(f"/v1/models/heads:{verb}", body)
        assert reply.status_code == 200, reply.text
        return reply.json()[key]

    return ask


def examples_from(x: float) -> Any:
    return example_input([{"x": x}, {"x": x + 1.0}])


VERBS: dict[str, tuple[str, Verb]] = {
    "grpc classify": ("serving_default", lambda client, _, x: classify(client, examples_from(x)).result),
    "grpc regress": (
        "regress_x_to_y",
        lambda client, _, x: regress(client, examples_from(x), signature="regress_x_to_y").result,
    ),
    "grpc multi inference": (
        # It fetches what both signatures give, so that it is a run of neither alone.
        "",
        lambda client, _, x: (
            multi_inference(
                client, [task(CLASSIFY), task(REGRESS, signature="regress_x_to_y")], examples_from(x)
            ).results
        ),
    ),
    "rest classify": ("serving_default", rest_answer("classify", "serving_default", "results")),
    "rest regress": ("regress_x_to_y", rest_answer("regress", "regress_x_to_y", "results")),
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_gives_the_same_in_a_batch(
    verb: str, clients: dict[str, GrpcClient], rests: dict[str, RestClient], servers: dict[str, ServerProcess]
) -> None:
    signature, ask = VERBS[verb]
    numbers = [float(number) for number in range(12)]
    expected = [ask(clients["off"], rests["off"], x) for x in numbers]
    assert len({str(answer) for answer in expected}) == len(numbers)

    def answer(kind: str, x: float) -> Any:
        rest = RestClient(servers[kind].rest_url)
        try:
            return ask(clients[kind], rest, x)
        finally:
            rest.close()

    def all_right(kind: str) -> bool:
        with ThreadPoolExecutor(len(numbers)) as pool:
            assert list(pool.map(lambda x: answer(kind, x), numbers)) == expected
        return not signature or shared(rests[kind], "heads", signature)

    all_right("auto")
    wait_until(lambda: all_right("fixed"), 60)


def once(server: ServerProcess, model: str, body: Any) -> requests.Response:
    """The answer to a request over a connection of its own."""
    client = RestClient(server.rest_url)
    try:
        return client.predict(model, body)
    finally:
        client.close()


def test_the_latency_objective_refuses_what_it_cannot_answer_in_time(
    clients: dict[str, GrpcClient], entries: dict[str, Path], serve_models: ServeModels
) -> None:
    flags = ("--enable_batching", "--latency_slo_ms=20", "--execution_threads=1")
    server = serve_models({"deep_mlp": entries["deep_mlp"]}, *flags)
    client, rest = GrpcClient(server.grpc_target), RestClient(server.rest_url)
    request = predict_request("deep_mlp", {"x": floats((1, 784), 4)})
    expected = clients["off"].send(request)
    # What is alone is never refused, however long it takes.
    for _ in range(5):
        assert same(client.send(request), expected)
    order: list[str] = []
    futures = [client.prediction.Predict.future(request, 30) for _ in range(100)]
    for future in futures:
        future.add_done_callback(lambda future: order.append(future.code().name))
    wait_until(lambda: len(order) == len(futures), 60)
    assert set(order) == {"OK", "UNAVAILABLE"}
    # Those that are refused do not wait for those that are computed.
    assert order.index("UNAVAILABLE") < len(order) - 1 - order[::-1].index("OK")
    for future in futures:
        if future.code() is grpc.StatusCode.OK:
            assert same(future.result(), expected)
        else:
            assert re.fullmatch(
                r"\d+ rows are in flight, which makes about \d+ ms for this request; "
                r"the latency objective is 20 ms\. Try again later or elsewhere\.",
                future.details(),
            )
    body = {"instances": floats((1, 784), 4).tolist()}
    with ThreadPoolExecutor(32) as pool:
        replies = list(pool.map(lambda _: once(server, "deep_mlp", body), range(64)))
    assert {reply.status_code for reply in replies} == {200, 503}
    assert {reply.headers["Retry-After"] for reply in replies if reply.status_code == 503} == {"1"}
    assert rest.predict("deep_mlp", body).status_code == 200
    client.close()
    rest.close()


def test_rest_keeps_its_answers_and_knows_priorities(
    clients: dict[str, GrpcClient], serve_models: ServeModels, models: Path
) -> None:
    urls = [
        serve_models({"half_plus_two": models / "half_plus_two"}, *flags).rest_url
        for flags in ([], ["--batching=auto"])
    ]
    rests = [RestClient(url) for url in urls]
    body = {"instances": [1.0, 2.0, 5.0]}
    plain, batched = [rest.predict("half_plus_two", body) for rest in rests]
    assert plain.json() == batched.json() == {"predictions": [5.5, 6.0, 7.5]}
    bad = rests[1].post("/v1/models/half_plus_two:predict", body, headers={PRIORITY: "urgent"})
    assert bad.status_code == 400
    assert bad.json()["error"] == f'{PRIORITY} must be high, default or low; it is "urgent"'
    for rest in rests:
        rest.close()


def test_the_report_explains_the_decision(entries: dict[str, Path], serve_models: ServeModels) -> None:
    served = {name: entries[name] for name in ("wide_mlp", "share", "total")}
    server = serve_models(served, "--enable_batching")
    client, rest = GrpcClient(server.grpc_target), RestClient(server.rest_url)
    request = predict_request("wide_mlp", {"x": floats((1, 784), 3)})

    def report(model: str) -> Any:
        return rest.get(f"/v1/admin/models/{model}/batching").json()["versions"][0]

    def chosen() -> bool:
        futures = [client.prediction.Predict.future(request, 30) for _ in range(64)]
        assert all(future.result() for future in futures)
        queue = report("wide_mlp")["queues"][0]
        return any(way["chosen"] and way["batches_at_once"] for way in queue["ways"])

    wait_until(chosen, 60)
    queue = report("wide_mlp")["queues"][0]
    assert queue["decision"].startswith("Requests that come while others are in flight are merged")
    assert queue["batch_rows"]["p99"] > 1
    assert queue["signatures"] == ["serving_default"]
    metrics = Metrics(rest.get("/metrics").text)
    assert metrics.sum("tensorserve_batching_decisions_total", model_name="wide_mlp", decision="better") >= 1
    assert metrics.sum("tensorserve_batching_strategy_queues", model_name="wide_mlp") == 1
    assert server.says("Batching of wide_mlp (serving_default): ")
    places = {name: report(name)["computes_in"] for name in served}
    alone, pool = "the thread of the run", "the pool that all models share"
    assert places == {"wide_mlp": pool, "share": alone, "total": alone}
    assert list(report("share")["signatures"]) == ["serving_default"], "TensorFlow's own signatures are none to ask"
    share, total = (report(name)["signatures"]["serving_default"] for name in ("share", "total"))
    assert not share["batched"]
    assert not total["batched"]
    assert "not the same together and apart" in share["reason"]
    assert "open first dimension" in total["reason"]
    client.close()
    rest.close()


def test_many_patient_requests_leave_places_for_others(entries: dict[str, Path], serve_models: ServeModels) -> None:
    server = serve_models({"slow": entries["slow"]}, "--execution_threads=4", "--max_in_flight=4")
    client = GrpcClient(server.grpc_target)

    def send(seconds: float, priority: str) -> Any:
        request = predict_request("slow", {"seconds": np.float32([seconds])})
        return client.prediction.Predict.future(request, 60, metadata=[(PRIORITY, priority)])

    patient = [send(2.0, "low") for _ in range(6)]
    wait_until(lambda: sum(future.done() for future in patient) == 3, 30)
    refused = [future for future in patient if future.done()]
    assert {future.code() for future in refused} == {grpc.StatusCode.UNAVAILABLE}
    assert all("which is as many as --max_in_flight allows at low priority" in future.details() for future in refused)
    assert send(0.0, "high").result()
    assert [future.code() for future in patient if future not in refused] == [grpc.StatusCode.OK] * 3
    client.close()
