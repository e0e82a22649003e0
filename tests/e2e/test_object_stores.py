# SPDX-License-Identifier: Apache-2.0
"""Models from a web server and from S3, by way of a local cache."""

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import requests

from tensorserve.sources.acceptance import CLOCK_SKEW_SECONDS, QUIET_SECONDS
from tensorserve.sources.storage import Completeness
from tests.clients import GrpcClient, wait_until
from tests.conftest import StartServer
from tests.e2e.steady_load import SteadyLoad, both_protocols
from tests.server_process import free_ports
from tests.unit.sources.web_server import WebServer

pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")

NAME = "half_plus_two"
SETTLED_SECONDS = QUIET_SECONDS[Completeness.UNPROVEN] + CLOCK_SKEW_SECONDS + 1.0
QUICK = ("--object_store_poll_wait_seconds=1", "--max_num_load_retries=100", "--load_retry_interval_micros=500000")


def cached(cache: Path) -> set[str]:
    return {path.name.rpartition("-")[0] for path in cache.glob("*/*")}


@pytest.fixture
def web(models: Path, tmp_path: Path) -> Iterator[WebServer]:
    shutil.copytree(models / NAME / "1", tmp_path / "www" / NAME / "1")
    with WebServer(tmp_path / "www") as server:
        yield server


def test_versions_from_a_web_server(start_server: StartServer, web: WebServer, models: Path, tmp_path: Path) -> None:
    cache, base = tmp_path / "cache", tmp_path / "www" / NAME
    flags = (f"--model_name={NAME}", f"--model_base_path={web.url}/{NAME}", f"--model_cache_dir={cache}", *QUICK)
    server = start_server(*flags)
    client = GrpcClient(server.grpc_target)
    assert client.states(NAME) == {1: "AVAILABLE"}
    with SteadyLoad(both_protocols(server, NAME, 2.0)) as load:
        # Uploaded in place, the last file late.
        (base / "2" / "variables").mkdir(parents=True)
        data = "variables/variables.data-00000-of-00001"
        for file in ("saved_model.pb", "fingerprint.pb", "variables/variables.index"):
            shutil.copy(models / NAME / "2" / file, base / "2" / file)
        wait_until(lambda: f"Version 2 of {NAME} at {web.url}/{NAME}/2 is not loaded yet: there is no" in server.log)
        assert client.states(NAME) == {1: "AVAILABLE"}
        shutil.copy(models / NAME / "2" / data, base / "2" / data)
        wait_until(lambda: client.states(NAME) == {1: "END", 2: "AVAILABLE"}, 60.0)
        wait_until(lambda: load.answers[-1][1] == 4.0)
        wait_until(lambda: cached(cache) == {"2"})
    assert load.errors == []
    assert load.seen() == {3.0, 4.0}
    server.stop()
    # A server that starts takes no version whose files may still be changing; after this they no longer may.
    wait_until(lambda: time.time() - (base / "2" / data).stat().st_mtime > SETTLED_SECONDS)
    # What is in the cache is not downloaded again.
    web.paths.clear()
    server = start_server(*flags)
    assert GrpcClient(server.grpc_target).states(NAME) == {2: "AVAILABLE"}
    assert not [path for path in web.paths if path.endswith("saved_model.pb")]
    server.stop()


def test_a_server_that_is_killed_while_it_downloads(
    start_server: StartServer, web: WebServer, models: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(models / "mlp" / "1", tmp_path / "www" / "mlp" / "1")
    flags = ("--model_name=mlp", f"--model_base_path={web.url}/mlp", f"--model_cache_dir={cache}", *QUICK)
    held: list[str] = []

    def hold(path: str) -> None:
        if "variables.data" in path:
            held.append(path)
            time.sleep(3600)

    web.on_request = hold
    server = start_server(*flags, ready=False)
    wait_until(lambda: bool(held) and len(list(cache.rglob("saved_model.pb"))) == 1)
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    assert cached(cache) >= {".partial-1"}
    web.on_request = lambda path: None
    web.paths.clear()
    server = start_server(*flags)
    assert GrpcClient(server.grpc_target).states("mlp") == {1: "AVAILABLE"}
    # File by file, it went on where it was.
    assert not [path for path in web.paths if path.endswith("/1/saved_model.pb")]
    server.stop()


def test_a_full_disk(start_server: StartServer, web: WebServer, models: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands in for a disk without space: the error is one of the same kind."""
    cache, base = tmp_path / "cache", tmp_path / "www" / "mlp"
    base.mkdir()
    config = tmp_path / "models.config"
    config.write_text(
        "model_config_list {\n"
        + "".join(
            f'config {{ name: "{name}" base_path: "{web.url}/{name}" model_platform: "tensorflow" }}\n'
            for name in (NAME, "mlp")
        )
        + "}\n"
    )
    server = start_server(f"--model_config_file={config}", f"--model_cache_dir={cache}", *QUICK)
    with SteadyLoad(both_protocols(server, NAME, 2.0)) as load:
        unlimited = resource.prlimit(server.serving_pid, resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        shutil.copytree(models / "mlp" / "1", tmp_path / "www" / "copying")
        (tmp_path / "www" / "copying").rename(base / "1")
        wait_until(lambda: f"RESOURCE_EXHAUSTED: No space in {cache} for {web.url}/mlp/1" in server.log, 60.0)
        resource.prlimit(server.serving_pid, resource.RLIMIT_FSIZE, unlimited)
        client = GrpcClient(server.grpc_target)
        wait_until(lambda: client.states("mlp") == {1: "AVAILABLE"}, 60.0)
        client.close()
    assert load.errors == []
    assert load.seen() == {3.0}
    server.stop()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An S3 server, as the environment that leads to it."""
    pytest.importorskip("moto")
    pytest.importorskip("s3fs")
    port = free_ports(1)[0]
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    log = open(tmp_path_factory.mktemp("s3") / "log", "wb")  # noqa: SIM115
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=subprocess.STDOUT
    )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(endpoint), 60.0)
        yield {**keys, "AWS_ENDPOINT_URL": endpoint}
    finally:
        process.kill()
        process.wait()
        log.close()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code < 500
    except requests.RequestException:
        return False


def test_versions_from_s3(start_server: StartServer, s3: dict[str, str], models: Path, tmp_path: Path) -> None:
    import s3fs

    store = s3fs.S3FileSystem(
        key=s3["AWS_ACCESS_KEY_ID"], secret=s3["AWS_SECRET_ACCESS_KEY"], endpoint_url=s3["AWS_ENDPOINT_URL"]
    )
    store.mkdir("models")
    store.put(str(models / NAME / "1"), f"models/{NAME}/1", recursive=True)
    store.put(str(models / "scalar" / "1"), "models/scalar/1", recursive=True)
    server = start_server(
        "--model_repository=s3://models",
        f"--model_cache_dir={tmp_path / 'cache'}",
        *QUICK,
        environment={**os.environ, **s3},
    )
    client = GrpcClient(server.grpc_target)

    def is_available(model: str) -> bool:
        try:
            return client.states(model) == {1: "AVAILABLE"}
        except grpc.RpcError:  # A store that is slow at first: the server has started with the other model.
            return False

    wait_until(lambda: is_available(NAME) and is_available("scalar"), 60.0)
    with SteadyLoad(both_protocols(server, NAME, 2.0)) as load:
        store.put(str(models / NAME / "2"), f"models/{NAME}/2", recursive=True)
        wait_until(lambda: client.states(NAME) == {1: "END", 2: "AVAILABLE"}, 60.0)
        wait_until(lambda: load.answers[-1][1] == 4.0)
    assert load.errors == []
    client.close()
    server.stop()
