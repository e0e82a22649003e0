# SPDX-License-Identifier: Apache-2.0
"""`--model_repository`: models are found and dropped while requests flow."""

import shutil
from pathlib import Path

from tests.clients import GrpcClient, rpc_error, wait_until
from tests.conftest import StartServer
from tests.e2e.steady_load import SteadyLoad, both_protocols
from tests.e2e.test_startup_errors import assert_one_clear_line, run


def test_models_come_and_go(start_server: StartServer, models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    shutil.copytree(models / "half_plus_two" / "1", folder / "half_plus_two" / "1")
    server = start_server(f"--model_repository={folder}")
    client = GrpcClient(server.grpc_target)
    with SteadyLoad(both_protocols(server, "half_plus_two", 2.0)) as load:
        # Copied in place, version and all.
        shutil.copytree(models / "mlp", folder / "mlp")
        shutil.copytree(models / "mlp", folder / ".hidden")
        (folder / "no_version").mkdir()
        wait_until(lambda: "Successfully loaded servable version {name: mlp version: 1}" in server.log)
        assert client.states("mlp") == {1: "AVAILABLE"}
        shutil.copytree(models / "half_plus_two" / "2", folder / "half_plus_two" / "2")
        wait_until(lambda: client.states("half_plus_two") == {1: "END", 2: "AVAILABLE"})
        shutil.rmtree(folder / "mlp")
        wait_until(lambda: client.states("mlp") == {1: "END"})
        assert rpc_error(lambda: client.predict("mlp", {"x": [[1.0]]}))[0] == "NOT_FOUND"
        wait_until(lambda: "Removing model: mlp" in server.log)
        wait_until(lambda: "Done unloading servable version {name: mlp version: 1}" in server.log)
        wait_until(lambda: load.answers[-1][1] == 4.0)
    assert load.errors == []
    for name in (".hidden", "no_version"):
        assert rpc_error(lambda n=name: client.status(n))[0] == "NOT_FOUND"  # type: ignore[misc]
    client.close()


def test_it_excludes_other_ways_to_name_models(tmp_path: Path) -> None:
    for flag in ("model_base_path", "model_config_file"):
        status, output = run(f"--model_repository={tmp_path}", f"--{flag}={tmp_path}")
        assert status != 0
        assert_one_clear_line(output, "--model_repository takes the place of --model_base_path and --model_config_file")


def test_a_repository_that_is_not_there(tmp_path: Path) -> None:
    status, output = run(f"--model_repository={tmp_path / 'none'}")
    assert status != 0
    assert_one_clear_line(output, f"Could not list model repository {tmp_path / 'none'}")
