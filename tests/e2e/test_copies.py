# SPDX-License-Identifier: Apache-2.0
"""Versions that are copied into place while the server runs, and copies that fail: no request ever notices."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import GrpcClient, wait_until
from tests.conftest import ServeModels
from tests.e2e.steady_load import SteadyLoad, both_protocols
from tests.server_process import ServerProcess

# Copies like a slow publisher: in place, file by file, a little at a time.
SLOW_COPY = """
import pathlib, sys, time
source, target = map(pathlib.Path, sys.argv[1:3])
bytes_at_once, pause = int(sys.argv[3]), float(sys.argv[4])
for file in sys.argv[5:]:
    (target / file).parent.mkdir(parents=True, exist_ok=True)
    with open(source / file, "rb") as reader, open(target / file, "wb") as writer:
        while data := reader.read(bytes_at_once):
            writer.write(data)
            writer.flush()
            time.sleep(pause)
print("done", flush=True)
"""


def slow_copy(source: Path, target: Path, files: list[str], *, bytes_at_once: int, pause: float) -> subprocess.Popen:
    words = [sys.executable, "-c", SLOW_COPY, str(source), str(target), str(bytes_at_once), str(pause), *files]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL)


def files_of(version: Path) -> list[str]:
    return sorted(str(path.relative_to(version)) for path in version.rglob("*") if path.is_file())


@pytest.fixture
def base_path(models: Path, tmp_path: Path) -> Path:
    shutil.copytree(models / "half_plus_two" / "1", tmp_path / "half_plus_two" / "1")
    return tmp_path / "half_plus_two"


@pytest.fixture
def running(serve_models: ServeModels, base_path: Path) -> ServerProcess:
    return serve_models(
        {"half_plus_two": base_path},
        "--max_num_load_retries=0",
        extra={"half_plus_two": "model_version_policy { all {} }"},
    )


@pytest.fixture
def client(running: ServerProcess) -> Iterator[GrpcClient]:
    found = GrpcClient(running.grpc_target)
    yield found
    found.close()


@pytest.mark.parametrize("model_first", [True, False])
def test_a_copy_that_is_killed_half_way(
    running: ServerProcess, client: GrpcClient, models: Path, base_path: Path, model_first: bool
) -> None:
    source, target = models / "half_plus_two" / "2", base_path / "2"
    files = sorted(files_of(source), key=lambda name: (name == "saved_model.pb") != model_first)
    with SteadyLoad(both_protocols(running, "half_plus_two", 2.0)) as load:
        copy = slow_copy(source, target, files, bytes_at_once=100, pause=0.01)
        largest = target / (files[0] if model_first else "saved_model.pb")
        wait_until(lambda: largest.exists() and largest.stat().st_size > 1000)
        copy.send_signal(signal.SIGKILL)
        copy.wait()
        reason = "is not loaded yet: "
        wait_until(lambda: f"Version 2 of half_plus_two at {target} {reason}" in running.log)
        # Longer than it takes until any other directory is believed to be what its publisher meant.
        time.sleep(7.5)
        assert client.states("half_plus_two") == {1: "AVAILABLE"}
        assert load.seen() == {3.0}
        shutil.copytree(source, target, dirs_exist_ok=True)
        wait_until(lambda: client.states("half_plus_two").get(2) == "AVAILABLE")
        wait_until(lambda: load.answers[-1][1] == 4.0)
    assert load.errors == []
    assert load.seen() == {3.0, 4.0}


def test_slow_copies_in_every_order(running: ServerProcess, client: GrpcClient, models: Path, base_path: Path) -> None:
    source = models / "half_plus_two" / "2"
    files = files_of(source)
    with SteadyLoad(both_protocols(running, "half_plus_two", 2.0)) as load:
        orders = [files, files[::-1], [*files[1:], files[0]]]
        copies = [
            slow_copy(source, base_path / str(number), order, bytes_at_once=200, pause=0.05)
            for number, order in enumerate(orders, start=2)
        ]
        seen: set[str] = set()
        while any(copy.poll() is None for copy in copies):
            seen |= {state for version, state in client.states("half_plus_two").items() if version > 1}
            time.sleep(0.02)
        wait_until(lambda: client.states("half_plus_two") == dict.fromkeys(range(1, 5), "AVAILABLE"))
        assert "END" not in seen
        wait_until(lambda: load.answers[-1][1] == 4.0)
    assert load.errors == []
    assert "failed" not in running.log


def test_a_corrupt_version_beside_a_good_one(
    running: ServerProcess, client: GrpcClient, models: Path, base_path: Path
) -> None:
    with SteadyLoad(both_protocols(running, "half_plus_two", 2.0)) as load:
        wait_until(lambda: len(load.answers) > 10)
        (base_path / "2").mkdir()
        (base_path / "2" / "saved_model.pb").write_bytes(b"\xff" * 50)
        damaged = base_path / "copying"
        shutil.copytree(models / "half_plus_two" / "2", damaged)
        data = damaged / "variables" / "variables.data-00000-of-00001"
        data.write_bytes(b"\xff" * data.stat().st_size)
        damaged.rename(base_path / "3")
        wait_until(lambda: client.states("half_plus_two") == {1: "AVAILABLE", 2: "END", 3: "END"})
        shutil.copytree(models / "half_plus_two" / "4", base_path / "4")
        wait_until(lambda: client.states("half_plus_two").get(4) == "AVAILABLE")
        wait_until(lambda: load.answers[-1][1] == 6.0)
    assert load.errors == []
    assert load.seen() == {3.0, 6.0}


def test_a_version_directory_that_is_removed_while_it_loads(
    serve_models: ServeModels, models: Path, tmp_path: Path
) -> None:
    base = tmp_path / "resnet50"
    base.mkdir()
    server = serve_models({"steady": models / "half_plus_two", "resnet50": base}, "--max_num_load_retries=0")
    client = GrpcClient(server.grpc_target)
    with SteadyLoad(both_protocols(server, "steady", 2.0)[:2]) as load:
        copying = tmp_path / "copying"
        for file in files_of(models / "resnet50" / "1"):
            (copying / file).parent.mkdir(parents=True, exist_ok=True)
            (copying / file).symlink_to(models / "resnet50" / "1" / file)
        copying.rename(base / "1")
        wait_until(lambda: _states(client, "resnet50") == {1: "LOADING"})
        shutil.rmtree(base / "1")
        # Whether it was read in time or not: it does not stay.
        wait_until(lambda: _states(client, "resnet50") == {1: "END"}, 90.0)
        wait_until(lambda: len(load.answers) > 10)
    assert load.errors == []
    client.close()


def _states(client: GrpcClient, model: str) -> dict[int, str]:
    try:
        return client.states(model)
    except Exception:
        return {}
