# SPDX-License-Identifier: Apache-2.0
"""Changes of the list of models, in a server whose data plane and runtime are stand-ins."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tensorserve.errors import Code, ServingError
from tensorserve.server import ModelServer
from tensorserve.services.catalog import Wait
from tensorserve.types import All, ModelConfig, Specific
from tests.unit.fakes import PATIENCE_SECONDS, FakeDataPlane, FakeLoader, FakeRuntime, eventually
from tests.unit.test_server import add_version


class HangingRuntime(FakeRuntime):
    """Loads what lies in a folder `hang` only when the gate opens."""

    gate = threading.Event()

    def loader(self, path: str) -> Any:
        return FakeLoader(gate=self.gate) if "/hang/" in path else super().loader(path)


@pytest.fixture
def plane() -> FakeDataPlane:
    return FakeDataPlane()


@pytest.fixture
def server(plane: FakeDataPlane, tmp_path: Path) -> Iterator[ModelServer]:
    """Model `m` has versions 1 and 2."""
    for version in (1, 2):
        add_version(tmp_path / "m", version)
    HangingRuntime.gate.clear()
    made = ModelServer(
        data_plane=lambda options: plane,
        runtimes={"tensorflow": HangingRuntime},
        models=[ModelConfig("m", str(tmp_path / "m"), policy=All())],
        file_system_poll_wait_seconds=0,
        max_num_load_retries=0,
    )
    with made:
        yield made
        HangingRuntime.gate.set()


def configured(server: ModelServer) -> dict[str, ModelConfig]:
    return {report.config.name: report.config for report in server.models()}


class Reply:
    """Collects what the control plane answers."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.is_awaited = True
        self.body = b""
        self.status = 0
        self.error: tuple[int, str] | None = None

    def send(self, body: bytes, status: int = 200, content_type: str = "application/json") -> None:
        self.body, self.status = body, status
        self.done.set()

    def fail(self, code: int, message: str) -> None:
        self.error = (code, message)
        self.done.set()


def ask(plane: FakeDataPlane, method: str, path: str, body: object = None) -> Reply:
    headers = {"host": "localhost", "content-type": "application/json"}
    reply = Reply()
    content = b"" if body is None else json.dumps(body).encode()
    plane.control.admin(method, f"/v1/admin/{path}", headers, "loopback", content, reply)
    return reply


def answer(plane: FakeDataPlane, method: str, path: str, body: object = None) -> Any:
    reply = ask(plane, method, path, body)
    assert reply.done.wait(PATIENCE_SECONDS)
    return json.loads(reply.body)


def test_models_are_exchanged(server: ModelServer, plane: FakeDataPlane, tmp_path: Path) -> None:
    add_version(tmp_path / "n", 7)
    plan = server.reload([ModelConfig("n", str(tmp_path / "n"))], PATIENCE_SECONDS)
    assert plan is not None
    assert (plan.added, plan.removed) == (("n",), ("m",))
    assert plane.versions("n") == {7}
    assert plane.withdrawn == ["m"]
    assert eventually(lambda: plane.versions("m") == set())


def test_a_refused_list_changes_nothing(server: ModelServer, plane: FakeDataPlane, tmp_path: Path) -> None:
    before = configured(server)
    other = ModelConfig("n", str(tmp_path / "n"), platform="onnx")
    with pytest.raises(ServingError, match="unsupported platform"):
        server.reload([other])
    labelled = ModelConfig("m", str(tmp_path / "m"), policy=Specific((1,)), version_labels={"stable": 9})
    with pytest.raises(ServingError, match="not currently available"):
        server.reload([labelled, ModelConfig("n", str(tmp_path / "n"))])
    assert configured(server) == before
    assert plane.versions("m") == {1, 2}
    assert plane.labels.get("m", {}) == {}


def test_a_model_comes_back_after_it_was_removed(server: ModelServer, plane: FakeDataPlane, tmp_path: Path) -> None:
    config = ModelConfig("m", str(tmp_path / "m"))
    for _ in range(20):
        server.reload([])
        server.reload([config], PATIENCE_SECONDS)
        assert plane.versions("m") == {2}


def test_labels_move_before_the_version_that_they_leave_goes(
    server: ModelServer, plane: FakeDataPlane, tmp_path: Path
) -> None:
    seen: list[dict[str, int]] = []
    server.reload([ModelConfig("m", str(tmp_path / "m"), policy=All(), version_labels={"stable": 1})])
    plane.on_retire = lambda retired: seen.append(dict(plane.labels["m"]))
    server.reload([ModelConfig("m", str(tmp_path / "m"), policy=Specific((2,)), version_labels={"stable": 2})])
    assert eventually(lambda: plane.versions("m") == {2})
    assert seen == [{"stable": 2}]


def test_a_model_that_hangs_holds_up_no_other_change(server: ModelServer, plane: FakeDataPlane, tmp_path: Path) -> None:
    add_version(tmp_path / "hang", 1)
    waiting = ask(plane, "PUT", "models/hang?wait=true", {"base_path": str(tmp_path / "hang")})
    assert eventually(lambda: "hang" in configured(server))
    assert {model["name"] for model in answer(plane, "GET", "models")["models"]} == {"hang", "m"}
    answer(plane, "PUT", "models/m/labels", {"stable": 1})
    assert plane.labels["m"] == {"stable": 1}
    with pytest.raises(ServingError) as caught:
        server.reload([*configured(server).values(), ModelConfig("hang2", str(tmp_path / "hang"))], 0.05)
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert not waiting.done.is_set()
    HangingRuntime.gate.set()
    assert waiting.done.wait(PATIENCE_SECONDS)
    assert waiting.status == 201


def test_a_wait_ends_when_nobody_waits(server: ModelServer, plane: FakeDataPlane, tmp_path: Path) -> None:
    add_version(tmp_path / "hang", 1)
    reply = ask(plane, "PUT", "models/hang?wait=true", {"base_path": str(tmp_path / "hang")})
    assert eventually(lambda: "hang" in configured(server))
    assert not reply.done.is_set()
    reply.is_awaited = False
    assert reply.done.wait(PATIENCE_SECONDS)
    assert "hang" in configured(server)


def test_a_timeout_is_an_answer(server: ModelServer, plane: FakeDataPlane, tmp_path: Path) -> None:
    add_version(tmp_path / "hang", 1)
    reply = ask(plane, "PUT", "models/hang?wait=true&timeout=0.05", {"base_path": str(tmp_path / "hang")})
    assert reply.done.wait(PATIENCE_SECONDS)
    assert reply.status == 504
    reply = ask(plane, "GET", "ready?wait=true&timeout=0.05")
    assert reply.done.wait(PATIENCE_SECONDS)
    assert reply.status == 504


def test_pinning_versions(server: ModelServer, plane: FakeDataPlane, tmp_path: Path) -> None:
    found = answer(plane, "POST", "models/m/versions/1:unload?wait=true", {})
    assert found["model_version_policy"] == {"specific": {"versions": [2]}}
    assert plane.versions("m") == {2}
    assert answer(plane, "POST", "models/m/versions/1:load?wait=true", {})["ready"]
    assert plane.versions("m") == {1, 2}
    add_version(tmp_path / "m", 3, "broken")
    failed = answer(plane, "POST", "models/m/versions/3:load?wait=true", {})
    assert failed == {"error": f"{tmp_path}/m/3"}
    # One that has failed is tried again after an unload.
    (tmp_path / "m/3/model").write_text("repaired")
    answer(plane, "POST", "models/m/versions/3:unload?wait=true", {})
    assert answer(plane, "POST", "models/m/versions/3:load?wait=true", {})["ready"]
    assert plane.versions("m") == {1, 2, 3}


def test_a_failing_reload_request_is_logged(
    server: ModelServer, plane: FakeDataPlane, caplog: pytest.LogCaptureFixture
) -> None:
    reply = Reply()
    plane.control.reload_config(b"\xff", {}, "socket", reply)
    assert reply.done.wait(PATIENCE_SECONDS)
    assert reply.error is not None
    assert reply.error[0] == Code.INTERNAL
    assert "tensorflow.serving.ReloadConfigRequest" in reply.error[1]


def test_a_change_of_versions_is_waited_for(server: ModelServer, plane: FakeDataPlane, tmp_path: Path) -> None:
    add_version(tmp_path / "hang", 1)
    add_version(tmp_path / "hang", 2)
    base = {"base_path": str(tmp_path / "hang")}
    HangingRuntime.gate.set()
    answer(plane, "PUT", "models/hang?wait=true", base)
    assert plane.versions("hang") == {2}
    HangingRuntime.gate.clear()
    both = {"model_version_policy": {"specific": {"versions": [1, 2]}}}
    reply = ask(plane, "PUT", "models/hang?wait=true", both)
    assert not reply.done.wait(0.2), "version 1 is loading"
    HangingRuntime.gate.set()
    assert reply.done.wait(PATIENCE_SECONDS)
    assert plane.versions("hang") == {1, 2}
    add_version(tmp_path / "m", 3, "broken")
    failed = answer(plane, "PUT", "models/m?wait=true", {"model_version_policy": {"specific": {"versions": [2, 3]}}})
    assert "m/3" in failed["error"]


def test_wait_until_available_follows_the_list(server: ModelServer, tmp_path: Path) -> None:
    assert server.wait_until_available(0.0)
    with pytest.raises(ServingError, match="did not become available"):
        server.reload([ModelConfig("none", str(tmp_path / "none"))], PATIENCE_SECONDS)
    assert not server.wait_until_available(0.0)
    server.reload([])
    assert server.wait_until_available(0.0)


def test_waiting_is_optional() -> None:
    assert Wait().timeout_seconds is None
    assert Wait().is_awaited()


def test_who_is_replaced_takes_no_change(server: ModelServer, plane: FakeDataPlane) -> None:
    before = configured(server)
    server.be_replaced()
    for method, path in (("PUT", "models/m/labels"), ("POST", "models/m/versions/1:unload"), ("GET", "models")):
        reply = ask(plane, method, path, {} if method != "GET" else None)
        assert reply.done.wait(PATIENCE_SECONDS)
        assert (reply.status, json.loads(reply.body)["ask_again"]) == (503, True)
    with pytest.raises(ServingError, match="Another process serves now") as caught:
        server.reload([])
    assert caught.value.code is Code.UNAVAILABLE
    assert configured(server) == before


def test_versions_that_a_policy_leaves_out_are_named(server: ModelServer, plane: FakeDataPlane) -> None:
    answer(plane, "POST", "models/m/versions/2:unload", {})
    expected = [{"version": 2, "reason": "version 2 is not in the policy specific:1"}]
    assert eventually(lambda: answer(plane, "GET", "models/m")["not_loaded"] == expected)
    answer(plane, "PUT", "models/m", {"model_version_policy": {"latest": {}}})
    assert eventually(lambda: answer(plane, "GET", "models/m")["not_loaded"] == [])
