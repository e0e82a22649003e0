# SPDX-License-Identifier: Apache-2.0
"""What the system has no more of for a while is missing only for that while."""

import os
import resource
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clients import GrpcClient, RestClient, wait_until
from tests.conftest import StartServer
from tests.server_process import ServerProcess, model_config

NAME = "half_plus_two"


@contextmanager
def without_descriptors(server: ServerProcess) -> Iterator[None]:
    """The process can open no file and no connection."""
    pid = server.serving_pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    # Numbers that are free below the highest stay available, so the limit is the first of them.
    lowest_free = next(number for number in range(len(used) + 1) if number not in used)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def test_descriptors(start_server: StartServer, models: Path, tmp_path: Path) -> None:
    base, config = tmp_path / "m", tmp_path / "models.config"
    shutil.copytree(models / NAME / "1", base / "1")
    config.write_text(model_config({"m": base}))
    server = start_server(
        f"--model_config_file={config}",
        "--model_config_file_poll_wait_seconds=1",
        "--load_retry_interval_micros=200000",
        "--max_num_load_retries=1000",
    )
    grpc, rest = GrpcClient(server.grpc_target), RestClient(server.rest_url)
    assert rest.predict("m", {"instances": [2.0]}).json() == {"predictions": [3.0]}
    assert grpc.states("m") == {1: "AVAILABLE"}
    with without_descriptors(server):
        shutil.copytree(models / NAME / "2", tmp_path / "new")
        (tmp_path / "new").rename(base / "2")
        config.write_text(model_config({"m": base, "n": base}))
        for _ in range(10):
            # Who is connected is served.
            assert rest.predict("m", {"instances": [2.0]}).status_code == 200
            time.sleep(0.3)
    wait_until(lambda: grpc.states("m").get(2) == "AVAILABLE")
    wait_until(lambda: rest.predict("n", {"instances": [2.0]}).status_code == 200, 30.0)
    grpc.close()
    rest.close()
