# SPDX-License-Identifier: Apache-2.0
"""Two hundred version swaps under constant load: no request fails, and memory does not grow."""

import itertools
import shutil
from pathlib import Path
from typing import Any

import psutil
import pytest
from benchmarks.process import tree

from tests.clients import GrpcClient, RestClient, wait_until
from tests.e2e.steady_load import Request, SteadyLoad
from tests.models import cache
from tests.server_process import ServerProcess, model_config

# Ten models swap at the same time, so that each look for new versions brings ten swaps.
SMALL = [f"small_{number}" for number in range(8)]
LARGE = ["large_0", "large_1"]
ROUNDS = 20
# The exported versions of half_plus_two: version v gives x / 2 + v + 1.
CONTENTS = 4
X = 2.0


def content(version: int) -> int:
    """Which exported version of half_plus_two a version of the small models holds."""
    return (version - 1) % CONTENTS + 1


class Publisher:
    """Copies versions into the base paths of all models."""

    def __init__(self, folder: Path) -> None:
        self.base_paths = {name: folder / name for name in (*SMALL, *LARGE)}
        self._small = cache.exported() / "half_plus_two"
        self._large = cache.exported(cache.RUNTIME) / "large_variable"

    def publish(self, version: int) -> None:
        for name, base_path in self.base_paths.items():
            base_path.mkdir(exist_ok=True)
            source = self._large if name in LARGE else self._small / str(content(version))
            partial = base_path / f"copying-{version}"
            shutil.copytree(source, partial)
            partial.rename(base_path / str(version))
            shutil.rmtree(base_path / str(version - 2), ignore_errors=True)


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    publisher = Publisher(tmp_path)
    publisher.publish(1)
    return publisher


def resident(pid: int) -> int:
    """Bytes of the server's processes in memory."""
    return sum(psutil.Process(each).memory_info().rss for each in tree(pid))


def grpc_request(server: ServerProcess) -> Request:
    """Asks one small model after another; each answer must be the one of the version that it names."""
    client, names = GrpcClient(server.grpc_target), itertools.cycle(SMALL)

    def request() -> Any:
        reply = client.predict(next(names), {"x": [X]})
        value, version = reply.outputs["y"].float_val[0], reply.model_spec.version.value
        assert value == X / 2 + content(version) + 1, f"version {version} answered {value}"
        return value

    return request


def rest_request(server: ServerProcess) -> Request:
    client, names = RestClient(server.rest_url), itertools.cycle(SMALL)

    def request() -> Any:
        reply = client.predict(next(names), {"instances": [X]})
        assert reply.status_code == 200, reply.text
        return reply.json()["predictions"][0]

    return request


def large_request(server: ServerProcess) -> Request:
    client, names = GrpcClient(server.grpc_target), itertools.cycle(LARGE)
    row = [[1.0] * 1024]
    return lambda: round(client.predict(next(names), {"x": row}).outputs["y"].float_val[0], 2)


def test_two_hundred_swaps_under_load(publisher: Publisher, tmp_path: Path) -> None:
    config = tmp_path / "models.config"
    config.write_text(model_config(publisher.base_paths))
    with ServerProcess([f"--model_config_file={config}"], tmp_path / "log") as server:
        client = GrpcClient(server.grpc_target)

        def swapped_to(version: int) -> bool:
            expected = {version: "AVAILABLE", version - 1: "END"}
            return all(expected.items() <= client.states(name).items() for name in publisher.base_paths)

        memory = {}
        requests = [grpc_request(server), rest_request(server), large_request(server)]
        with SteadyLoad(requests) as load:
            for round_ in range(1, ROUNDS + 1):
                publisher.publish(round_ + 1)
                wait_until(lambda to=round_ + 1: swapped_to(to), 60)  # type: ignore[misc]
                memory[round_ * len(publisher.base_paths)] = resident(server.pid)
        client.close()
        log = server.log
    assert load.errors == []
    assert len(load.answers) > 1000
    # All contents were served, and the large models gave one result throughout.
    assert len(load.seen()) == CONTENTS + 1
    assert log.count("Done unloading servable version") >= 200
    assert memory[200] <= 1.1 * memory[10], memory
