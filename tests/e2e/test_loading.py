# SPDX-License-Identifier: Apache-2.0
"""How models are loaded: custom ops, platform configurations, a memory budget, transition policies."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import GrpcClient, wait_until
from tests.conftest import StartServer
from tests.models import cache
from tests.server_process import ServerProcess

ONE_ATTEMPT = "--max_num_load_retries=0"


@pytest.fixture(scope="module")
def custom_op() -> Path:
    """The library `libtriple.so`, and a `model` that needs its op."""
    return cache.exported(cache.RUNTIME) / "custom_op"


def base_path(folder: Path, version: Path, number: int = 1) -> Path:
    folder.mkdir(exist_ok=True)
    shutil.copytree(version, folder / f"copying-{number}")
    (folder / f"copying-{number}").rename(folder / str(number))
    return folder


def test_a_library_of_ops_is_loaded_before_the_first_model(
    start_server: StartServer, custom_op: Path, tmp_path: Path
) -> None:
    path = base_path(tmp_path / "triple", custom_op / "model")
    library = f"--load_op_library={custom_op / 'libtriple.so'}"
    server = start_server("--model_name=triple", f"--model_base_path={path}", library)
    client = GrpcClient(server.grpc_target)
    assert list(client.predict("triple", {"x": [1.0, -2.0]}).outputs["y"].float_val) == [3.0, -6.0]
    client.close()


def test_the_ops_of_an_installed_package_are_found_when_a_model_needs_them(
    start_server: StartServer, custom_op: Path, tmp_path: Path
) -> None:
    package = tmp_path / "packages" / "ydf_tf"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('imported')\n")
    shutil.copy(custom_op / "libtriple.so", package / "inference.so")
    path = base_path(tmp_path / "triple", custom_op / "model")
    search_path = os.pathsep.join(filter(None, [str(package.parent), os.environ.get("PYTHONPATH")]))
    server = start_server(
        "--model_name=triple", f"--model_base_path={path}", environment=os.environ | {"PYTHONPATH": search_path}
    )
    assert server.says("Loaded 1 op libraries of ydf_tf"), server.log
    client = GrpcClient(server.grpc_target)
    assert list(client.predict("triple", {"x": [1.0]}).outputs["y"].float_val) == [3.0]
    client.close()


@pytest.mark.parametrize(
    ("library", "text"),
    [
        ("", "Op type not registered 'TensorserveTriple'"),
        ("/nowhere/libops.so", "--load_op_library=/nowhere/libops.so cannot be loaded: /nowhere/libops.so"),
    ],
)
def test_without_the_library_the_start_says_what_to_do(
    start_server: StartServer, custom_op: Path, tmp_path: Path, library: str, text: str
) -> None:
    path = base_path(tmp_path / "triple", custom_op / "model")
    flags = ("--model_name=triple", f"--model_base_path={path}", f"--load_op_library={library}", ONE_ATTEMPT)
    server = start_server(*flags, ready=False)
    assert server.exit_status(60) != 0
    assert server.says(text), server.log
    assert server.says("--load_op_library"), server.log


def test_a_platform_config_takes_the_place_of_flags(start_server: StartServer, models: Path, tmp_path: Path) -> None:
    file = tmp_path / "platform.config"
    file.write_text(
        'platform_configs { key: "tensorflow" value { source_adapter_config { '
        "[type.googleapis.com/tensorflow.serving.SavedModelBundleSourceAdapterConfig] { legacy_config { "
        'session_config { intra_op_parallelism_threads: 1 } saved_model_tags: "serve" } } } } }'
    )
    server = start_server(
        "--model_name=half_plus_two",
        f"--model_base_path={models / 'half_plus_two'}",
        f"--platform_config_file={file}",
        "--saved_model_tags=ignored",
    )
    client = GrpcClient(server.grpc_target)
    assert client.predict("half_plus_two", {"x": [2.0]}, version=4).outputs["y"].float_val[0] == 6.0
    client.close()


# Version 1 of a model that is estimated to take 10 MB; two do not fit.
LIMIT = "--model_memory_limit_mb=15"


@pytest.fixture
def large(tmp_path: Path) -> Path:
    return base_path(tmp_path / "large", cache.exported(cache.RUNTIME) / "large_variable")


def serve_large(start_server: StartServer, path: Path, *flags: str) -> ServerProcess:
    return start_server("--model_name=large", f"--model_base_path={path}", LIMIT, ONE_ATTEMPT, *flags)


@pytest.fixture
def client_of() -> Iterator[list[GrpcClient]]:
    clients: list[GrpcClient] = []
    yield clients
    for client in clients:
        client.close()


def test_a_version_that_does_not_fit_is_refused_and_the_old_one_goes_on(
    start_server: StartServer, large: Path, client_of: list[GrpcClient]
) -> None:
    server = serve_large(start_server, large)
    client = GrpcClient(server.grpc_target)
    client_of.append(client)
    base_path(large, large / "1", 2)
    wait_until(lambda: client.states("large").get(2) == "END")
    status = {entry.version: entry.status for entry in client.status("large").model_version_status}
    assert status[2].error_code == 8
    text = "Insufficient resources to load servable {name: large version: 2}: it needs 10.1 MB"
    assert status[2].error_message.startswith(text)
    assert "--version_transition_policy=resource_preserving" in status[2].error_message
    assert client.predict("large", {"x": [[0.0] * 1024]}).model_spec.version.value == 1


def test_resource_preserving_makes_room_first(
    start_server: StartServer, large: Path, client_of: list[GrpcClient]
) -> None:
    server = serve_large(start_server, large, "--version_transition_policy=resource_preserving")
    client = GrpcClient(server.grpc_target)
    client_of.append(client)
    base_path(large, large / "1", 2)
    wait_until(lambda: client.states("large") == {1: "END", 2: "AVAILABLE"})
    assert client.predict("large", {"x": [[0.0] * 1024]}).model_spec.version.value == 2


def test_loads_have_a_low_priority_that_no_thread_for_requests_inherits(
    start_server: StartServer, models: Path
) -> None:
    server = start_server(
        "--model_name=half_plus_two",
        f"--model_base_path={models / 'half_plus_two'}",
        "--tensorflow_inter_op_parallelism=3",
        "--load_niceness=7",
    )
    usual = os.getpriority(os.PRIO_PROCESS, server.serving_pid)
    niceness: dict[str, list[int]] = {}
    for task in Path(f"/proc/{server.serving_pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        niceness.setdefault(name, []).append(os.getpriority(os.PRIO_PROCESS, int(task.name)))
    # A small model needs no pool of its own; the shared one has the size that the flag says nevertheless.
    assert niceness.pop("tf_Compute") == [usual] * 3
    # The kernel keeps fifteen bytes of a name.
    assert set(niceness.pop("tensorserve-loa")) == {min(usual + 7, 19)}
    assert {name for name, values in niceness.items() if set(values) != {usual}} <= {"tf_graph_runner"}
