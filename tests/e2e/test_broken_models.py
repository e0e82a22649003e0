# SPDX-License-Identifier: Apache-2.0
"""A model that cannot be loaded takes no other down, at the start or later."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tensorflow.core.protobuf.error_codes_pb2 import Code

from tests.clients import GrpcClient, rpc_error, wait_until
from tests.conftest import ServeModels
from tests.server_process import ServerProcess


def corrupt(version: Path) -> None:
    (version / "saved_model.pb").write_bytes(b"\x0a\xff\xff\xff\xff\x07 no protobuf")


def truncated(version: Path) -> None:
    file = version / "saved_model.pb"
    file.write_bytes(file.read_bytes()[:-100])


def without_variables(version: Path) -> None:
    for file in (version / "variables").iterdir():
        file.unlink()


def without_variables_data(version: Path) -> None:
    for file in (version / "variables").glob("variables.data-*"):
        file.unlink()


def without_model_file(version: Path) -> None:
    (version / "saved_model.pb").unlink()


def without_model(version: Path) -> None:
    without_model_file(version)
    shutil.rmtree(version / "variables")


def with_other_tags(version: Path) -> None:
    file = version / "saved_model.pb"
    file.write_bytes(file.read_bytes().replace(b"\x22\x05serve", b"\x22\x05other"))


# What the load error says, by the way in which a model is broken.
DAMAGES: dict[Callable[[Path], None], str] = {
    corrupt: "saved_model.pb",
    without_model: "Could not find SavedModel",
    with_other_tags: "Could not find meta graph def matching supplied tags: { serve }",
}

# What the log says of a model that looks like one that is still being copied; it is not loaded.
HALVES: dict[Callable[[Path], None], str] = {
    truncated: "saved_model.pb ends too early, after",
    without_variables: "there is no variables/variables.index, although the graph has variables",
    without_variables_data: "there is no variables/variables.data-00000-of-00001",
    without_model_file: "there is no saved_model.pb",
}


def broken_version(models: Path, target: Path, damage: Callable[[Path], None]) -> Path:
    """A copy of half_plus_two, damaged, in the place where it will be published from."""
    shutil.copytree(models / "half_plus_two" / "1", target)
    damage(target)
    return target


@pytest.fixture
def base_path(models: Path, tmp_path: Path) -> Path:
    shutil.copytree(models / "half_plus_two" / "1", tmp_path / "changing" / "1")
    return tmp_path / "changing"


@pytest.fixture
def running(serve_models: ServeModels, models: Path, base_path: Path) -> ServerProcess:
    return serve_models({"changing": base_path, "steady": models / "half_plus_two"}, "--max_num_load_retries=0")


@pytest.fixture
def client(running: ServerProcess) -> Iterator[GrpcClient]:
    found = GrpcClient(running.grpc_target)
    yield found
    found.close()


def test_a_broken_new_version_leaves_the_old_one_serving(
    client: GrpcClient, models: Path, base_path: Path, tmp_path: Path
) -> None:
    for number, damage in enumerate(DAMAGES, start=2):
        broken_version(models, tmp_path / "copying", damage).rename(base_path / str(number))
        wait_until(lambda n=number: client.states("changing").get(n) == "END")  # type: ignore[misc]
        failed = client.status("changing", version=number).model_version_status[0].status
        assert failed.error_code not in (Code.OK, Code.UNKNOWN, Code.INTERNAL), failed
        assert DAMAGES[damage] in failed.error_message, damage
        assert list(client.predict("changing", {"x": [1.0]}).outputs["y"].float_val) == [2.5]
        assert list(client.predict("steady", {"x": [1.0]}).outputs["y"].float_val) == [5.5]
    assert client.states("changing")[1] == "AVAILABLE"


def test_a_broken_model_at_the_start(serve_models: ServeModels, models: Path, tmp_path: Path) -> None:
    entries = {"steady": models / "half_plus_two"}
    for damage in (*DAMAGES, *HALVES):
        entries[damage.__name__] = tmp_path / damage.__name__
        entries[damage.__name__].mkdir()
        broken_version(models, entries[damage.__name__] / "1", damage)
    server = serve_models(entries, "--max_num_load_retries=0")
    client = GrpcClient(server.grpc_target)
    assert list(client.predict("steady", {"x": [1.0]}).outputs["y"].float_val) == [5.5]
    for damage, reason in DAMAGES.items():
        name = damage.__name__
        wait_until(lambda n=name: f"Servable {{name: {n} version: 1}} cannot be loaded" in server.log)  # type: ignore[misc]
        assert client.states(name) == {1: "END"}
        assert server.says(reason), server.log
    for damage, reason in HALVES.items():
        assert (
            f"Version 1 of {damage.__name__} at {entries[damage.__name__]}/1 is not loaded yet: {reason}" in server.log
        )
        assert rpc_error(lambda d=damage: client.status(d.__name__))[0] == "NOT_FOUND"  # type: ignore[misc]
    for damage in (*DAMAGES, *HALVES):
        code, message = rpc_error(lambda d=damage: client.predict(d.__name__, {"x": [1.0]}))  # type: ignore[misc]
        assert (code, message) == ("NOT_FOUND", f"Servable not found for request: Latest({damage.__name__})")
    client.close()


def test_a_repaired_version_is_served(client: GrpcClient, models: Path, base_path: Path, tmp_path: Path) -> None:
    broken_version(models, tmp_path / "copying", corrupt).rename(base_path / "2")
    wait_until(lambda: client.states("changing").get(2) == "END")
    shutil.rmtree(base_path / "2")
    shutil.copytree(models / "half_plus_two" / "2", base_path / "3")
    wait_until(lambda: client.states("changing").get(3) == "AVAILABLE")
    assert list(client.predict("changing", {"x": [1.0]}).outputs["y"].float_val) == [3.5]
