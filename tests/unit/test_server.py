# SPDX-License-Identifier: Apache-2.0
import logging
import socket
from pathlib import Path

import pytest

from tensorserve.config.flags import ServerOptions
from tensorserve.errors import Code, FlagValueError, ServingError, UnknownFlagError
from tensorserve.server import ModelServer
from tensorserve.types import All, ModelConfig, ServableId, VersionState
from tests.server_process import free_ports
from tests.unit.fakes import PATIENCE_SECONDS, FakeDataPlane, FakeRuntime, eventually


def add_version(base: Path, version: int, content: str = "good") -> None:
    """Appears at once, as a publisher should do it."""
    building = base / f"tmp-{version}"
    building.mkdir(parents=True)
    (building / "model").write_text(content)
    building.rename(base / str(version))


@pytest.fixture
def plane() -> FakeDataPlane:
    return FakeDataPlane()


@pytest.fixture
def make(plane: FakeDataPlane):
    def make_server(**arguments) -> ModelServer:
        return ModelServer(data_plane=lambda options: plane, runtimes={"tensorflow": FakeRuntime}, **arguments)

    return make_server


def test_serves_what_lies_in_the_base_path(make, plane: FakeDataPlane, tmp_path: Path, caplog) -> None:
    caplog.set_level(logging.INFO)
    add_version(tmp_path, 1)
    add_version(tmp_path, 2)
    server = make(model_name="m", model_base_path=tmp_path, file_system_poll_wait_seconds=0)
    assert (server.grpc_port, server.rest_port) == (None, None)
    with server:
        assert server.grpc_port
        assert server.rest_port == server.rest_api_port
        assert [(protocol, address[1]) for protocol, address in plane.listening] == [
            ("grpc", server.grpc_port),
            ("rest", server.rest_port),
        ]
        assert plane.table == {ServableId("m", 2): str(tmp_path / "2")}
        assert plane.states == {ServableId("m", 2): (VersionState.AVAILABLE, Code.OK, "")}
        assert server.wait_until_available(0.0)
    assert plane.shutdowns == [30.0]
    assert plane.table == {}
    assert server.grpc_port is None
    order = ["Adding/updating models.", " (Re-)adding model: m", "Finished adding/updating models"]
    assert [line for line in caplog.messages if line in order] == order


def test_a_new_version_is_served_and_the_old_one_goes(make, plane: FakeDataPlane, tmp_path: Path) -> None:
    add_version(tmp_path, 1)
    with make(model_name="m", model_base_path=tmp_path):
        add_version(tmp_path, 2)
        assert eventually(lambda: plane.versions("m") == {2})
        assert eventually(lambda: plane.states[ServableId("m", 1)][0] is VersionState.END)


def test_no_port_is_open_before_the_models_answer(make, plane: FakeDataPlane, tmp_path: Path) -> None:
    add_version(tmp_path, 1)
    seen: list[list[object]] = []
    publish = plane.publish
    plane.publish = lambda *arguments: (seen.append(list(plane.listening)), publish(*arguments))[1]
    with make(model_base_path=tmp_path):
        assert seen == [[]]


def test_a_model_that_cannot_be_loaded_fails_the_start_at_once(make, plane: FakeDataPlane, tmp_path: Path) -> None:
    add_version(tmp_path, 1, "broken")
    with pytest.raises(ServingError) as caught:
        make(model_name="m", model_base_path=tmp_path).start(PATIENCE_SECONDS)
    assert str(caught.value) == (
        "UNKNOWN: 1 servable(s) did not become available: "
        f"{{{{name: m version: 1}} due to error: DATA_LOSS: {tmp_path}/1}}, }}"
    )
    assert plane.listening == []
    assert plane.shutdowns == [0.0]


def test_a_broken_model_takes_no_other_down(make, plane: FakeDataPlane, tmp_path: Path) -> None:
    add_version(tmp_path / "good", 1)
    add_version(tmp_path / "bad", 1, "broken")
    models = [ModelConfig(name, str(tmp_path / name)) for name in ("good", "bad", "missing")]
    with make(models=models, load_retry_interval_micros=10_000, max_num_load_retries=10_000) as server:
        assert plane.versions("good") == {1}
        assert not server.wait_until_available(0.0)
        # It is tried again, and so is the base path that was missing.
        (tmp_path / "bad/1/model").write_text("repaired")
        add_version(tmp_path / "missing", 1)
        assert server.wait_until_available(PATIENCE_SECONDS)


def test_a_missing_base_path_fails_the_start(make, tmp_path: Path) -> None:
    path = tmp_path / "none"
    with pytest.raises(ServingError, match=f"NOT_FOUND: Could not find base path {path} for servable default"):
        make(model_base_path=path).start(PATIENCE_SECONDS)


def test_an_empty_base_path_is_waited_for(make, tmp_path: Path) -> None:
    with pytest.raises(ServingError) as caught:
        make(model_base_path=tmp_path).start(0.05)
    assert caught.value.code is Code.DEADLINE_EXCEEDED


def test_a_port_that_is_taken_fails_the_start_before_anything_is_loaded(
    make, plane: FakeDataPlane, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add_version(tmp_path, 1)
    caplog.set_level(logging.INFO)
    with socket.create_server(("0.0.0.0", 0)) as holder, pytest.raises(ServingError, match="Address already in use"):
        make(model_base_path=tmp_path, grpc_port=holder.getsockname()[1]).start()
    assert "Loading" not in caplog.text
    assert plane.shutdowns == []


def test_a_server_that_does_not_start_gives_its_port_back(make, tmp_path: Path) -> None:
    [port] = free_ports(1)
    for _ in range(2):
        with pytest.raises(ServingError, match="Could not find base path"):
            make(model_base_path=tmp_path / "none", grpc_port=port).start(PATIENCE_SECONDS)
    with pytest.raises(ServingError, match="drain_timeout_seconds"):
        make(model_base_path=tmp_path, grpc_port=port, drain_timeout_seconds=-1.0).start()
    add_version(tmp_path, 1)
    with make(model_base_path=tmp_path, grpc_port=port) as server:
        assert server.grpc_port == port


def test_labels_of_the_config(make, plane: FakeDataPlane, tmp_path: Path) -> None:
    for version in (1, 2):
        add_version(tmp_path, version)
    labels = {"stable": 1, "canary": 2}
    with make(models=[ModelConfig("m", str(tmp_path), policy=All(), version_labels=labels)]):
        assert plane.labels == {"m": labels}


def test_a_label_of_a_version_that_is_not_there_is_logged(make, plane: FakeDataPlane, tmp_path: Path, caplog) -> None:
    add_version(tmp_path, 1)
    with make(models=[ModelConfig("m", str(tmp_path), version_labels={"stable": 1, "canary": 7})]):
        assert plane.labels == {"m": {"stable": 1}}
    assert "Request to assign label to version 7 of model m, which is not currently available" in caplog.text


def test_unknown_platform(make) -> None:
    with pytest.raises(ServingError, match="Model m requests unsupported platform onnx"):
        make(models=[ModelConfig("m", "/m", platform="onnx")]).start()


def test_a_server_cannot_start_twice(make, tmp_path: Path) -> None:
    add_version(tmp_path, 1)
    with make(model_base_path=tmp_path) as server, pytest.raises(ServingError, match="running already"):
        server.start()


def test_it_can_start_again_after_it_was_stopped(make, tmp_path: Path) -> None:
    add_version(tmp_path, 1)
    server = make(model_base_path=tmp_path)
    for _ in range(2):
        with server:
            assert server.grpc_port
    assert server.stop()


def test_two_servers_in_one_process(tmp_path: Path) -> None:
    planes = [FakeDataPlane(), FakeDataPlane()]
    for number, plane in enumerate(planes):
        add_version(tmp_path / str(number), number)
        ModelServer(
            data_plane=lambda options, plane=plane: plane,
            runtimes={"tensorflow": FakeRuntime},
            model_name="m",
            model_base_path=tmp_path / str(number),
        ).start()
    assert [plane.versions("m") for plane in planes] == [{0}, {1}]


def test_none_disables_a_port(make, plane: FakeDataPlane, tmp_path: Path) -> None:
    add_version(tmp_path, 1)
    path = str(tmp_path / "x.sock")
    with make(model_base_path=tmp_path, grpc_port=None, grpc_socket_path=path, rest_api_port=None) as server:
        assert plane.listening == [("grpc", path)]
        assert (server.grpc_port, server.rest_port) == (None, None)


def test_on_the_command_line_0_disables_a_port(plane: FakeDataPlane, tmp_path: Path) -> None:
    add_version(tmp_path, 1)
    path = str(tmp_path / "x.sock")
    options = ServerOptions(port=0, rest_api_port=0, grpc_socket_path=path, model_base_path=str(tmp_path))
    with ModelServer.from_options(options, data_plane=lambda o: plane, runtimes={"tensorflow": FakeRuntime}):
        assert plane.listening == [("grpc", path)]
    options = ServerOptions(port=0, model_base_path=str(tmp_path))
    with pytest.raises(ServingError, match=r"At least one of server_options\.grpc_port"):
        ModelServer.from_options(options).start()


def test_keywords_are_checked(make) -> None:
    with pytest.raises(UnknownFlagError, match="did you mean --model_base_path"):
        make(model_path="x")
    with pytest.raises(UnknownFlagError, match="did you mean --grpc_port"):
        make(port=8500)
    with pytest.raises(FlagValueError):
        make(model_name=1)


def test_a_model_repository_is_followed(make, plane: FakeDataPlane, tmp_path: Path, caplog) -> None:
    add_version(tmp_path / "a", 1)
    with make(model_repository=tmp_path) as server:
        assert plane.versions("a") == {1}
        add_version(tmp_path / "b", 3)
        assert eventually(lambda: plane.versions("b") == {3})
        (tmp_path / "a").rename(tmp_path / ".a")
        assert eventually(lambda: plane.versions("a") == set())
        assert [report.config.name for report in server.models()] == ["b"]
        tmp_path.rename(tmp_path.with_name("away"))
        assert eventually(lambda: f"Could not list model repository {tmp_path}" in caplog.text)
        assert plane.versions("b") == {3}
        tmp_path.with_name("away").rename(tmp_path)


def test_an_empty_model_repository_is_enough_to_start(make, plane: FakeDataPlane, tmp_path: Path) -> None:
    with make(model_repository=tmp_path, file_system_poll_wait_seconds=0) as server:
        add_version(tmp_path / "a", 1)
        server.reload()
        assert eventually(lambda: plane.versions("a") == {1})


def test_a_model_repository_excludes_other_models(make, tmp_path: Path) -> None:
    for other in ("model_base_path", "model_config_file"):
        with pytest.raises(ServingError, match="--model_repository takes the place of"):
            make(model_repository=tmp_path, **{other: tmp_path}).start()
