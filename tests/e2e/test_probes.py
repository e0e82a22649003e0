# SPDX-License-Identifier: Apache-2.0
"""What an orchestrator asks: /livez, /readyz, /v1/models/NAME/ready, the health services; and the drain."""

import json
import shutil
import signal
import threading
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.clients import RestClient, wait_until
from tests.conftest import ServeModels, StartServer
from tests.e2e.test_broken_models import corrupt
from tests.server_process import accepts, free_ports


def get(url: str) -> tuple[int, str]:
    try:
        with urlopen(url, timeout=10) as reply:
            return reply.status, reply.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def health(target: str, service: str) -> int:
    with grpc.insecure_channel(target) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        return int(health_pb2_grpc.HealthStub(channel).Check(request, timeout=10).status)


SERVING, NOT_SERVING = 1, 2


@pytest.mark.parametrize(("mode", "status"), [("any", 200), ("all", 503)])
def test_one_model_or_each(serve_models: ServeModels, models: Path, tmp_path: Path, mode: str, status: int) -> None:
    broken = tmp_path / "broken" / "1"
    shutil.copytree(models / "half_plus_two" / "1", broken)
    corrupt(broken)
    entries = {"half_plus_two": models / "half_plus_two", "broken": broken.parent}
    server = serve_models(entries, f"--readiness={mode}")
    url = server.rest_url
    assert get(f"{url}/livez") == (200, "ok\n")
    found, text = get(f"{url}/readyz")
    assert found == status, text
    found, text = get(f"{url}/readyz?verbose")
    report = json.loads(text)
    assert (found, report["ready"], report["phase"]) == (status, status == 200, "serving")
    by_name = {model["name"]: model for model in report["models"]}
    assert by_name["half_plus_two"]["ready"]
    assert not by_name["broken"]["ready"]
    # A version that is tried again stays LOADING: an END would be final for InfraValidator.
    assert by_name["broken"]["versions"][0]["state"] == "LOADING"
    if mode == "all":
        assert report["reasons"] == ["model broken has no version that answers"]
    assert get(f"{url}/v1/models/half_plus_two/ready") == (200, '{"name":"half_plus_two","ready":true}')
    assert get(f"{url}/v1/models/broken/ready")[0] == 503
    assert get(f"{url}/v1/models/nobody/ready")[0] == 404
    assert health(server.grpc_target, "live") == SERVING
    assert health(server.grpc_target, "ready") == (SERVING if status == 200 else NOT_SERVING)
    assert health(server.grpc_target, "broken") == NOT_SERVING


def test_the_health_port_answers_before_there_are_models(start_server: StartServer, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    server = start_server(
        "--model_name=late", f"--model_base_path={tmp_path}", f"--health_port={port}", "--host=127.0.0.1", ready=False
    )
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: accepts(port), 30)
    assert not accepts(server.rest_port)
    assert not accepts(server.grpc_port)
    assert get(f"{url}/livez")[0] == 200
    found, text = get(f"{url}/readyz?verbose")
    report = json.loads(text)
    assert (found, report["phase"]) == (503, "starting")
    assert report["models"] == [{"name": "late", "ready": False, "versions": []}]
    assert get(f"{url}/v1/models/late")[0] == 404


def test_load_progress_is_told(start_server: StartServer, models: Path, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    start_server(
        "--model_name=m",
        f"--model_base_path={models / 'half_plus_two'}",
        f"--health_port={port}",
        ready=False,
    )
    wait_until(lambda: accepts(port), 30)
    seen: list[dict[str, object]] = []

    def ready() -> bool:
        found, text = get(f"http://127.0.0.1:{port}/readyz?verbose")
        seen.extend(version for model in json.loads(text)["models"] for version in model["versions"])
        return found == 200

    wait_until(ready, 60)
    loading = [version for version in seen if version["state"] == "LOADING"]
    assert all(float(str(version["loading_seconds"])) >= 0 for version in loading)
    assert all(version["bytes"] is None or int(str(version["bytes"])) > 0 for version in loading)
    assert seen[-1]["state"] == "AVAILABLE"
    assert "bytes" not in seen[-1]


def test_a_drain_delay_takes_requests_and_says_so(start_server: StartServer, models: Path) -> None:
    server = start_server(
        "--model_name=half_plus_two", f"--model_base_path={models / 'half_plus_two'}", "--drain_delay_seconds=3"
    )
    client = RestClient(server.rest_url)
    watched: list[int] = []

    def watch() -> None:
        with grpc.insecure_channel(server.grpc_target) as channel:
            try:
                for reply in health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service="ready")):
                    watched.append(reply.status)
            except grpc.RpcError as error:
                watched.append(-error.code().value[0])

    watcher = threading.Thread(target=watch)
    watcher.start()
    wait_until(lambda: watched == [SERVING], 10)
    server.signal(signal.SIGTERM)
    wait_until(lambda: get(f"{server.rest_url}/readyz")[0] == 503, 2)
    assert get(f"{server.rest_url}/readyz")[1] == "not ready: the server is stopping\n"
    assert get(f"{server.rest_url}/v1/models/half_plus_two/ready")[0] == 503
    assert get(f"{server.rest_url}/livez")[0] == 200
    assert health(server.grpc_target, "live") == SERVING
    assert health(server.grpc_target, "half_plus_two") == NOT_SERVING
    for _ in range(5):
        assert client.predict("half_plus_two", {"instances": [2.0]}).status_code == 200
        time.sleep(0.1)
    assert server.exit_status(30) == 0, server.log
    watcher.join(10)
    assert watched == [SERVING, NOT_SERVING, -grpc.StatusCode.UNAVAILABLE.value[0]]
