# SPDX-License-Identifier: Apache-2.0
"""The page of metrics: what is counted, under which names, and where it is found."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow_serving.apis import classification_pb2, regression_pb2

from tests.clients import GrpcClient, RestClient, model_spec, predict_request, rpc_error, wait_until
from tests.conftest import ServeModels, StartServer
from tests.e2e.test_startup_errors import assert_one_clear_line, flags, run
from tests.example_requests import example_input
from tests.meta.repository import ROOT
from tests.prometheus import Metrics
from tests.server_process import ServerProcess
from tests.warmup_files import log_of, with_warmup

SERVING = ":tensorflow:serving:"
REQUESTS = SERVING + "request_count"
LATENCY = SERVING + "request_latency"
RUNTIME = SERVING + "runtime_latency"
PATH = "/monitoring/prometheus/metrics"
BATCHES = """max_batch_size { value: 8 } batch_timeout_micros { value: 0 } num_batch_threads { value: 2 }
allowed_batch_sizes: 4 allowed_batch_sizes: 8 max_enqueued_batches { value: 10 }"""


def page(server: ServerProcess, path: str = PATH) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(server.rest_url + path, timeout=10)


def metrics(server: ServerProcess, path: str = PATH) -> Metrics:
    reply = page(server, path)
    assert reply.status_code == 200
    return Metrics(reply.text)


class Growth:
    """What requests add to the numbers of a server that others have asked before."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._before = metrics(server)

    def of(self, name: str, **labels: str) -> float:
        return metrics(self._server).sum(name, **labels) - self._before.sum(name, **labels)


@pytest.fixture
def growth(server: ServerProcess) -> Growth:
    return Growth(server)


def test_grpc_requests_are_counted(growth: Growth, grpc_client: GrpcClient) -> None:
    for _ in range(3):
        grpc_client.predict("half_plus_two", {"x": [1.0]})
    examples = example_input([{"x": 1.0}])
    grpc_client.prediction.Classify(
        classification_pb2.ClassificationRequest(model_spec=model_spec("heads"), input=examples)
    )
    spec = model_spec("heads", signature="regress_x_to_y")
    grpc_client.prediction.Regress(regression_pb2.RegressionRequest(model_spec=spec, input=examples))
    assert growth.of(REQUESTS, model_name="half_plus_two", status="OK") == 3
    assert growth.of(REQUESTS, model_name="heads", status="OK") == 2
    for name, extra in ((LATENCY, {"entrypoint": "GRPC"}), (RUNTIME, {"runtime": "TF1"})):
        assert growth.of(f"{name}_count", model_name="half_plus_two", API="Predict", **extra) == 3
        assert growth.of(f"{name}_count", model_name="heads", API="Classify", **extra) == 1
        assert growth.of(f"{name}_count", model_name="heads", API="Regress", **extra) == 1
        assert growth.of(f"{name}_sum", model_name="half_plus_two", API="Predict", **extra) > 0
    assert growth.of(":tensorflow:core:graph_runs") == 5


def test_rest_requests_are_counted(growth: Growth, rest_client: RestClient) -> None:
    assert rest_client.predict("half_plus_two", {"instances": [1.0, 2.0]}).status_code == 200
    assert rest_client.post("/v1/models/heads:classify", {"examples": [{"x": 1.0}]}).status_code == 200
    assert rest_client.get("/v1/models/half_plus_two").status_code == 200
    assert rest_client.get("/v1/models/half_plus_two/metadata").status_code == 200
    assert growth.of(REQUESTS, model_name="half_plus_two", status="OK") == 3
    rest = {"entrypoint": "REST"}
    assert growth.of(f"{LATENCY}_count", model_name="half_plus_two", API="predict", **rest) == 1
    assert growth.of(f"{LATENCY}_count", model_name="half_plus_two", API="", **rest) == 2
    assert growth.of(f"{LATENCY}_count", model_name="heads", API="classify", **rest) == 1
    # As in the original, the verb of a run is spelled as in gRPC.
    assert growth.of(f"{RUNTIME}_count", model_name="half_plus_two", API="Predict") == 1
    assert growth.of(f"{RUNTIME}_count", model_name="heads", API="Classify") == 1


def test_errors_are_counted_with_their_status(growth: Growth, grpc_client: GrpcClient, rest_client: RestClient) -> None:
    assert rpc_error(lambda: grpc_client.predict("half_plus_two", {"y": [1.0]}))[0] == "INVALID_ARGUMENT"
    assert rpc_error(lambda: grpc_client.predict("half_plus_two", {"x": [1.0]}, version=99))[0] == "NOT_FOUND"
    assert rpc_error(lambda: grpc_client.predict("", {"x": [1.0]}))[0] == "INVALID_ARGUMENT"
    assert rest_client.predict("half_plus_two", "{").status_code == 400
    assert rest_client.predict("half_plus_two", {"instances": ["a"]}).status_code == 400
    assert rest_client.get("/v1/nonsense").status_code == 400
    assert rest_client.session.options(rest_client.url + "/v1/models/x").status_code == 400
    assert rest_client.get("/elsewhere").status_code == 404
    assert growth.of(REQUESTS, model_name="half_plus_two", status="INVALID_ARGUMENT") == 3
    assert growth.of(REQUESTS, model_name="half_plus_two", status="NOT_FOUND") == 1
    assert growth.of(REQUESTS, model_name="", status="INVALID_ARGUMENT") == 3
    assert growth.of(REQUESTS) == 7
    assert growth.of(f"{LATENCY}_count") == 0


def test_calls_that_do_not_count(growth: Growth, grpc_client: GrpcClient) -> None:
    grpc_client.status("half_plus_two")
    grpc_client.metadata("half_plus_two")
    assert growth.of(REQUESTS) == 0


def test_a_call_whose_client_leaves_is_counted_as_cancelled(
    growth: Growth, server: ServerProcess, rest_client: RestClient
) -> None:
    """The body never comes whole."""
    with socket.create_connection(("127.0.0.1", server.rest_port), timeout=10) as client:
        client.sendall(b"POST /v1/models/half_plus_two:predict HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n{")
    wait_until(lambda: growth.of(REQUESTS, model_name="half_plus_two", status="CANCELLED") == 1)


def test_the_page_is_the_originals(server: ServerProcess, grpc_client: GrpcClient) -> None:
    grpc_client.predict("half_plus_two", {"x": [1.0]})
    reply = page(server)
    assert reply.headers["Content-Type"] == "text/plain"
    assert reply.text.endswith("\n")
    lines = reply.text.splitlines()
    assert "# HELP" not in reply.text
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    original = [name for name in names if name.startswith(":")]
    assert original == sorted(original)
    assert len(names) == len(set(names))
    assert f"# TYPE {SERVING}request_latency histogram" in lines
    assert f"# TYPE {SERVING}batching_session:wrapped_run_count counter" in lines
    limits = [
        labels["le"]
        for labels, _ in Metrics(reply.text).samples(
            f"{LATENCY}_bucket", model_name="half_plus_two", API="Predict", entrypoint="GRPC"
        )
    ]
    assert limits[:5] == ["10", "18", "32.4", "58.32", "104.976"]
    assert (limits[-2], limits[-1], len(limits)) == ("1.47476e+09", "+Inf", 34)


def test_buckets_are_cumulative(server: ServerProcess, grpc_client: GrpcClient) -> None:
    grpc_client.predict("half_plus_two", {"x": [1.0]})
    labels = {"model_name": "half_plus_two", "API": "Predict", "entrypoint": "GRPC"}
    found = metrics(server)
    counts = [count for _, count in found.samples(f"{LATENCY}_bucket", **labels)]
    assert counts == sorted(counts)
    assert counts[-1] == found.sum(f"{LATENCY}_count", **labels)


def test_any_method_but_no_query(server: ServerProcess, rest_client: RestClient) -> None:
    for path in (PATH, "/metrics"):
        assert rest_client.post(path, "").status_code == 200
        reply = rest_client.get(f"{path}?x=1")
        assert (reply.status_code, reply.text) == (400, f"Unexpected path: {path}?x=1. Should be {path}")
        assert reply.headers["Content-Type"] == "text/plain"
    assert rest_client.get("/Metrics").status_code == 404


def test_ours_say_what_runs(server: ServerProcess) -> None:
    found = metrics(server, "/metrics")
    assert found.samples("tensorserve_build_info")[0][0]["version"]
    assert found.sum("process_start_time_seconds") > 1_600_000_000
    assert found.sum("process_resident_memory_bytes") > 50_000_000
    assert found.sum("tensorserve_model_version_state", model_name="half_plus_two", state="available") >= 1
    assert not [name for name in found.types if ":" in name]
    assert not [name for name in metrics(server).types if not name.startswith(":tensorflow:")]


def test_requests_are_counted_under_our_names_too(server: ServerProcess, grpc_client: GrpcClient) -> None:
    def count(name: str, **labels: str) -> float:
        return metrics(server, "/metrics").sum(f"tensorserve_{name}", model_name="half_plus_two", **labels)

    names = ("requests_total", "request_duration_seconds_count", "model_run_duration_seconds_count")
    before = [count(name) for name in names]
    phases = count("request_phase_duration_seconds_count", phase="compute")
    grpc_client.predict("half_plus_two", {"x": [1.0]})
    assert [count(name) for name in names] == [number + 1 for number in before]
    assert count("request_phase_duration_seconds_count", phase="compute") == phases + 1
    assert count("requests_in_flight") == 0
    failures = count("request_failures_total", reason="INVALID_ARGUMENT")
    rpc_error(lambda: grpc_client.predict("half_plus_two", {"no_input": [1.0]}))
    assert count("request_failures_total", reason="INVALID_ARGUMENT") == failures + 1


def test_open_metrics_are_understood(server: ServerProcess) -> None:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    accept = {"Accept": "application/openmetrics-text; version=1.0.0, text/plain; version=0.0.4; q=0.5"}
    with requests.Session() as session:
        session.trust_env = False
        reply = session.get(f"{server.rest_url}/metrics", headers=accept, timeout=10)
    assert reply.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(reply.text)}
    assert all(family.documentation for family in families.values())
    assert families["tensorserve_request_duration_seconds"].unit == "seconds"


@pytest.mark.parametrize("file", ["grafana/tensorserve.json", "prometheus/alerts.yml"])
def test_dashboards_and_alerts_use_names_that_there_are(server: ServerProcess, file: str) -> None:
    text = (ROOT / "deploy" / file).read_text()
    used = set(re.findall(r"\b(?:tensorserve|process)_[a-z_]+", text))
    assert used
    known = {
        line.split()[2] + suffix
        for line in page(server, "/metrics").text.splitlines()
        if line.startswith("# TYPE ")
        for suffix in (("_bucket", "_sum", "_count") if line.endswith(" histogram") else ("",))
    }
    # They are there under a supervisor only.
    assert used - known <= {"tensorserve_server_deaths_total", "tensorserve_quarantined_versions"}


@given(name=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_name_that_a_client_makes_up_breaks_the_page(
    server: ServerProcess, grpc_client: GrpcClient, name: str
) -> None:
    assert rpc_error(lambda: grpc_client.predict(name, {"x": [1.0]}))[0] in ("NOT_FOUND", "INVALID_ARGUMENT")
    text = page(server).content.decode()
    for line in text.removesuffix("\n").split("\n"):
        assert line.startswith((":", "# TYPE ")), line
    for line in page(server, "/metrics").content.decode().removesuffix("\n").split("\n"):
        assert line.startswith(("tensorserve_", "process_", "# TYPE ", "# HELP ")), line
    names = [labels["model_name"] for labels, _ in Metrics(text).samples(REQUESTS)]
    assert name in names or "__other__" in names or "\r" in name


def test_names_that_clients_make_up_are_bounded(server: ServerProcess, grpc_client: GrpcClient) -> None:
    before = len(metrics(server).samples(REQUESTS, status="NOT_FOUND"))
    growth = Growth(server)
    for number in range(300):
        assert rpc_error(lambda number=number: grpc_client.predict(f"made_up_{number}", {}))[0] == "NOT_FOUND"
    found = metrics(server)
    assert len(found.samples(REQUESTS, status="NOT_FOUND")) <= before + 101
    assert found.sum(REQUESTS, model_name="__other__", status="NOT_FOUND") >= 200
    assert growth.of(REQUESTS, status="NOT_FOUND") == 300


def test_loads_are_counted(server: ServerProcess, models: Path) -> None:
    found, path = metrics(server), str(models / "half_plus_two")
    attempts = found.samples(":tensorflow:cc:saved_model:load_attempt_count", status="success")
    assert sorted(labels["model_path"] for labels, _ in attempts if labels["model_path"].startswith(path)) == [
        f"{path}/00000{number}" if (models / "half_plus_two" / f"00000{number}").exists() else f"{path}/{number}"
        for number in (1, 2, 3)
    ]
    assert found.sum(":tensorflow:cc:saved_model:load_latency") > 0


@pytest.fixture(scope="module")
def batching_server(serve_models: ServeModels, models: Path, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    folder = tmp_path_factory.mktemp("monitoring")
    (folder / "batching").write_text(BATCHES)
    (folder / "monitoring").write_text("prometheus_config { enable: true }")
    record = log_of(predict_request("any", {"x": [1.0]}), "predict_log")
    (folder / "warm").mkdir()
    with_warmup(models / "half_plus_two" / "1", folder / "warm", [record, record])
    return serve_models(
        {"m": folder / "warm"},
        f"--batching_parameters_file={folder / 'batching'}",
        f"--monitoring_config_file={folder / 'monitoring'}",
    )


@pytest.fixture(scope="module")
def batching_client(batching_server: ServerProcess) -> Iterator[GrpcClient]:
    client = GrpcClient(batching_server.grpc_target)
    yield client
    client.close()


def test_batches_are_counted(batching_server: ServerProcess, batching_client: GrpcClient) -> None:
    for _ in range(5):
        batching_client.predict("m", {"x": [1.0, 2.0, 3.0]})
    found = metrics(batching_server, PATH)
    session = SERVING + "batching_session:"
    assert found.sum(f"{session}wrapped_run_count") == 5
    assert found.sum(f"{session}queuing_latency_count", thread_pool_name="") == 5
    assert found.sum(f"{session}input_batch_size_sum") == 15
    assert found.sum(f"{session}processed_batch_size_sum") == 20
    assert found.sum(f"{session}padding_size_sum", execution_batch_size="4") == 5
    ours = {"model_name": "m", "version": "1", "signature": "serving_default"}
    found = metrics(batching_server, "/metrics")
    waits = found.samples("tensorserve_batching_wait_seconds_count")
    # Those of the warm-up went through the same queue.
    assert [(labels, value) for labels, value in waits if labels == ours] == [(ours, 7.0)]
    assert found.sum("tensorserve_batching_waiting_requests", **ours) == 0
    assert found.sum("tensorserve_batching_padding_rows_total", **ours) == 5 + 2 * 3
    assert found.samples("tensorserve_batching_rejected_total", **ours)[0][1] == 0
    assert found.samples("tensorserve_batching_expired_total", **ours)[0][1] == 0


def test_warm_ups_are_counted_apart_from_requests(batching_server: ServerProcess) -> None:
    found = metrics(batching_server, PATH)
    assert found.sum(SERVING + "model_warmup_records_read", status="OK") == 2
    assert found.sum(SERVING + "model_warmup_latency_count", status="OK") == 1
    assert found.sum(REQUESTS) == found.sum(REQUESTS, model_name="m", status="OK")


def test_the_file_says_where(batching_server: ServerProcess) -> None:
    assert page(batching_server, PATH).status_code == 200
    assert page(batching_server, "/metrics").status_code == 200


def one_model(models: Path, *more: str) -> list[str]:
    return ["--model_name=half_plus_two", f"--model_base_path={models / 'half_plus_two'}", *more]


def test_a_path_of_ones_own(start_server: StartServer, models: Path, tmp_path: Path) -> None:
    file = tmp_path / "monitoring"
    file.write_text('prometheus_config { enable: true path: "/v1/my/metrics" }')
    server = start_server(*one_model(models, f"--monitoring_config_file={file}"))
    assert metrics(server, "/v1/my/metrics").types
    assert page(server, PATH).status_code == 404


def test_metrics_can_be_turned_off(start_server: StartServer, models: Path) -> None:
    server = start_server(*one_model(models, "--enable_metrics=false"))
    assert page(server).status_code == 404
    assert page(server, "/metrics").status_code == 404


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("prometheus { enable: true }", ["Invalid protobuf file", "monitoring"]),
        ('prometheus_config { enable: true path: "metrics" }', ["monitoring", "prometheus_config.path"]),
    ],
)
def test_a_wrong_file_ends_the_start(models: Path, tmp_path: Path, text: str, parts: list[str]) -> None:
    file = tmp_path / "monitoring"
    file.write_text(text)
    status, output = run(*flags(models / "half_plus_two"), f"--monitoring_config_file={file}")
    assert status != 0
    assert_one_clear_line(output, *parts)
