# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus (Debian's package `prometheus`) scrapes both pages; the alerts and the dashboard have data."""

import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.clients import GrpcClient, rpc_error
from tests.conftest import StartServer
from tests.meta.repository import ROOT
from tests.server_process import ServerProcess, free_ports

ORIGINAL = "/monitoring/prometheus/metrics"
MODEL = "half_plus_two"


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    for name in ("prometheus", "promtool"):
        if shutil.which(name) is None:
            pytest.fail(f"{name} is not installed: apt-get install prometheus")


@pytest.fixture(scope="module")
def server(start_server: StartServer, models: Path) -> ServerProcess:
    return start_server(f"--model_name={MODEL}", f"--model_base_path={models / MODEL}", "--batching=auto")


@pytest.fixture(scope="module")
def load(server: ServerProcess) -> Iterator[None]:
    over = threading.Event()

    def ask() -> None:
        client = GrpcClient(server.grpc_target)
        while not over.is_set():
            client.predict(MODEL, {"x": [1.0, 2.0]})
            rpc_error(lambda: client.predict(MODEL, {"no_input": [1.0]}))
        client.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    yield
    over.set()
    for thread in threads:
        thread.join(30)


@pytest.fixture(scope="module")
def prometheus(server: ServerProcess, load: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    target = f"127.0.0.1:{server.rest_port}"
    jobs = [
        {"job_name": name, "metrics_path": path, "static_configs": [{"targets": [target]}]}
        for name, path in (("ours", "/metrics"), ("original", ORIGINAL))
    ]
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "scrape_configs": jobs,
        "rule_files": [str(ROOT / "deploy/prometheus/alerts.yml")],
    }
    (folder / "prometheus.yml").write_text(json.dumps(settings))
    (port,) = free_ports(1)
    words = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder}"]
    process = subprocess.Popen(
        ["prometheus", *words, f"--web.listen-address=127.0.0.1:{port}"], stderr=subprocess.DEVNULL
    )
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(30)


def asked(prometheus: str, query: str) -> list[object]:
    with requests.Session() as session:
        session.trust_env = False
        reply = session.get(f"{prometheus}/api/v1/query", params={"query": query}, timeout=10).json()
    assert reply["status"] == "success", (query, reply)
    found: list[object] = reply["data"]["result"]
    return found


def eventually(prometheus: str, query: str, seconds: float = 60.0) -> list[object]:
    end = time.monotonic() + seconds
    while True:
        try:
            if (found := asked(prometheus, query)) or time.monotonic() > end:
                return found
        except requests.ConnectionError:
            if time.monotonic() > end:
                raise
        time.sleep(0.5)


def test_promtool_has_nothing_to_say(server: ServerProcess, load: None) -> None:
    page = requests.get(f"{server.rest_url}/metrics", timeout=10).content
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_alerts_are_rules() -> None:
    subprocess.run(["promtool", "check", "rules", ROOT / "deploy/prometheus/alerts.yml"], check=True, timeout=60)


@pytest.mark.parametrize("job", ["ours", "original"])
def test_both_pages_are_scraped(prometheus: str, job: str) -> None:
    assert eventually(prometheus, f'up{{job="{job}"}} == 1')
    name = "tensorserve_requests_total" if job == "ours" else ":tensorflow:serving:request_count"
    assert eventually(prometheus, f'rate({name}{{job="{job}"}}[10s]) > 0')


def dashboard_queries() -> list[str]:
    dashboard = json.loads((ROOT / "deploy/grafana/tensorserve.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("query", dashboard_queries())
def test_each_panel_has_data(prometheus: str, query: str) -> None:
    query = query.replace("$__rate_interval", "10s").replace('"$instance"', '".*"').replace('"$model"', '".*"')
    assert eventually(prometheus, query), query


def test_each_alert_looks_at_data(prometheus: str) -> None:
    text = (ROOT / "deploy/prometheus/alerts.yml").read_text()
    names = set(re.findall(r"\b(?:tensorserve|process)_[a-z_]+", text)) - {"tensorserve_quarantined_versions"}
    assert [name for name in names if not eventually(prometheus, name)] == []
