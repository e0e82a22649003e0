# SPDX-License-Identifier: Apache-2.0
"""What a server makes of its settings file, with a data plane and a runtime that are stand-ins."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tensorserve.config.model_settings import ModelSettings
from tensorserve.errors import ServingError
from tensorserve.server import ModelServer
from tensorserve.types import ModelConfig
from tests.unit.fakes import PATIENCE_SECONDS, FakeDataPlane, FakeRuntime, eventually
from tests.unit.test_server import add_version


class TunableRuntime(FakeRuntime):
    """Notes by which settings each path is loaded."""

    seen: dict[str, ModelSettings]

    def __init__(self, options: object) -> None:
        super().__init__(options)
        type(self).seen = {}

    def loader_with(self, path: str, settings: ModelSettings) -> Any:
        self.seen[path] = settings
        return self.loader(path)


@pytest.fixture
def plane() -> FakeDataPlane:
    return FakeDataPlane()


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    return tmp_path / "settings.pbtxt"


def write(path: Path, text: str) -> None:
    """Puts another file in its place."""
    beside = path.with_suffix(".new")
    beside.write_text(text)
    os.replace(beside, path)


@pytest.fixture
def serve(plane: FakeDataPlane, settings: Path, tmp_path: Path) -> Iterator[Any]:
    started: list[ModelServer] = []

    def start(text: str, **flags: Any) -> ModelServer:
        write(settings, text)
        add_version(tmp_path / "m", 1)
        made = ModelServer(
            data_plane=lambda options: plane,
            runtimes={"tensorflow": TunableRuntime},
            models=[ModelConfig("m", str(tmp_path / "m"))],
            model_settings_file=settings,
            **flags,
        )
        made.start(PATIENCE_SECONDS)
        started.append(made)
        return made

    yield start
    for server in started:
        server.stop()


def test_they_count_from_the_start(serve: Any, plane: FakeDataPlane, tmp_path: Path) -> None:
    serve('model { name: "m" readiness: REQUIRED weight { value: 3 } }', model_weights="m=1,n=2")
    assert (plane.configured, plane.required) == ({"m"}, {"m"})
    assert plane.weights == {"m": 3.0, "n": 2.0}
    assert TunableRuntime.seen[str(tmp_path / "m" / "1")].weight == 3.0


def test_a_model_that_is_added_is_loaded_by_the_settings_of_that_moment(
    serve: Any, plane: FakeDataPlane, settings: Path, tmp_path: Path
) -> None:
    server = serve('model { name: "m" }', readiness="all")
    assert plane.required == {"m"}
    add_version(tmp_path / "n", 1)
    write(settings, 'model { name: "n" readiness: OPTIONAL batching { mode: OFF } }')
    server.reload([ModelConfig(name, str(tmp_path / name)) for name in ("m", "n")], PATIENCE_SECONDS)
    assert (plane.configured, plane.required) == ({"m", "n"}, {"m"})
    assert TunableRuntime.seen[str(tmp_path / "n" / "1")].batching is not None


def test_a_wrong_file_leaves_what_was(
    serve: Any, plane: FakeDataPlane, settings: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve('model { name: "m" weight { value: 3 } }')
    write(settings, 'model { name: "m" weight { value: -3 } }')
    for _ in range(2):
        with pytest.raises(ServingError, match=f"{settings}:1: model m: weight must be a number above 0"):
            server.reload()
    assert plane.weights == {"m": 3.0}
    said = [line for line in caplog.messages if f"{settings}:1: model m: weight must be a number above 0" in line]
    assert len(said) == 1
    assert said[0].startswith(f"The options of {settings} stay as they were")
    write(settings, 'model { name: "m" weight { value: 4 } }')
    server.reload()
    assert plane.weights == {"m": 4.0}


def test_a_server_does_not_start_with_a_wrong_file(serve: Any, settings: Path) -> None:
    with pytest.raises(ServingError, match=f"{settings}:1: "):
        serve("models { }")


def test_models_that_are_not_configured_are_named_once(
    serve: Any, settings: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        server = serve('model { name: "m" } model { name: "typo" }')
        write(settings, 'model { name: "typo" }')
        server.reload()
    warned = [line for line in caplog.messages if "typo" in line]
    assert warned == [f"{settings} has settings for model typo, which is not configured; they count once it is."]


def test_loads_are_tried_again_as_the_model_wants(serve: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    add_version(tmp_path / "n", 1, "broken")
    text = 'model { name: "n" loading { max_num_load_retries { value: 2 } load_retry_interval_micros { value: 1 } } }'
    server = serve(text, max_num_load_retries=0)
    add_version(tmp_path / "o", 1, "broken")
    with pytest.raises(ServingError):
        server.reload([ModelConfig(name, str(tmp_path / name)) for name in ("m", "n", "o")], PATIENCE_SECONDS)

    def given_up(model: str) -> int:
        return sum(f"{{name: {model} version: 1}}" in line and "failed:" in line for line in caplog.messages)

    assert eventually(lambda: (given_up("n"), given_up("o")) == (3, 1))
