# SPDX-License-Identifier: Apache-2.0
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tensorserve.errors import ServingError
from tensorserve.server import ModelServer
from tensorserve.services.config_file import OptionsFile
from tensorserve.types import ModelConfig
from tests.server_process import model_config
from tests.unit.fakes import PATIENCE_SECONDS, FakeDataPlane, FakeRuntime, broken, eventually
from tests.unit.test_server import add_version


@pytest.fixture
def config(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        add_version(tmp_path / name, 1)
    path = tmp_path / "models.config"
    write(path, "a")
    return path


def write(path: Path, *names: str) -> None:
    building = path.with_suffix(".new")
    building.write_text(model_config({name: path.parent / name for name in names}))
    building.rename(path)


@pytest.fixture
def start(config: Path) -> Iterator[Callable[[float], ModelServer]]:
    servers = []

    def make(poll_wait_seconds: float) -> ModelServer:
        server = ModelServer(
            data_plane=lambda options: FakeDataPlane(),
            runtimes={"tensorflow": FakeRuntime},
            model_config_file=str(config),
            model_config_file_poll_wait_seconds=poll_wait_seconds,
        )
        servers.append(server)
        server.start()
        return server

    yield make
    for server in servers:
        server.stop(0.0)


def names(server: ModelServer) -> set[str]:
    return {report.config.name for report in server.models()}


def test_the_file_is_polled(start: Callable[[float], ModelServer], config: Path) -> None:
    server = start(1)
    write(config, "a", "b")
    assert eventually(lambda: names(server) == {"a", "b"})
    write(config, "b")
    assert eventually(lambda: names(server) == {"b"})


def test_a_reload_takes_the_file_in(start: Callable[[float], ModelServer], config: Path) -> None:
    server = start(0)
    write(config, "a", "b")
    plan = server.reload(timeout_seconds=PATIENCE_SECONDS)
    assert plan is not None
    assert plan.added == ("b",)
    assert server.wait_until_available(0.0)


def test_a_reload_makes_models_be_as_the_file_says(start: Callable[[float], ModelServer], config: Path) -> None:
    server = start(0)
    server.reload([ModelConfig("c", str(config.parent / "c"))], PATIENCE_SECONDS)
    assert names(server) == {"c"}
    server.reload(timeout_seconds=PATIENCE_SECONDS)
    assert names(server) == {"a", "c"}


def test_a_reload_tells_what_is_wrong_with_the_file(start: Callable[[float], ModelServer], config: Path) -> None:
    server = start(0)
    config.write_text("nonsense")
    with pytest.raises(ServingError, match=r"Invalid protobuf file: .*: 1:1: "):
        server.reload()
    config.unlink()
    with pytest.raises(ServingError, match="NOT_FOUND"):
        server.reload()
    assert names(server) == {"a"}


def test_a_file_that_says_nothing_changes_nothing(
    start: Callable[[float], ModelServer], config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = start(0)
    config.write_text("# nothing\n")
    assert server.reload() is None
    assert "Taking no action for empty config." in caplog.messages
    config.write_text("model_config_list {}")
    server.reload()
    assert names(server) == set()


def test_options_count_when_their_file_changes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "options"
    path.write_text("one")
    applied: list[str] = []

    def apply() -> None:
        content = path.read_text()
        if content == "bad":
            raise broken("unreadable")
        applied.append(content)

    file = OptionsFile(str(path), apply)
    for content in ("one", "two", "two", "bad", "three"):
        path.write_text(content)
        file.poll()
    assert applied == ["two", "three"]
    assert f"The options of {path} stay as they were: unreadable" in caplog.messages


@pytest.mark.parametrize("make", [None, os.mkdir, os.mkfifo])
def test_options_that_cannot_be_read_are_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, make: Callable[[Path], None] | None
) -> None:
    path = tmp_path / "options"
    path.write_text("one")
    file = OptionsFile(str(path), lambda: None)
    for times in (1, 2):
        path.unlink()
        if make is not None:
            make(path)
        file.poll()
        file.poll()
        with pytest.raises(ServingError, match=f"The options of {path} stay as they were: .*{path}"):
            file.reload()
        assert len(caplog.messages) == times
        if make is not None:
            path.rmdir() if path.is_dir() else path.unlink()
        path.write_text("one")
        file.reload()
