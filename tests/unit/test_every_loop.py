# SPDX-License-Identifier: Apache-2.0
"""Each loop of the control plane is broken once, in the middle of a server's life, and goes on."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from tensorserve.lifecycle.manager import Manager
from tensorserve.lifecycle.workers import WorkerPool
from tensorserve.server import ModelServer
from tensorserve.services.config_file import FileFollower
from tensorserve.services.repository_follower import FollowedRepository
from tensorserve.sources.file_system import FileSystemSource
from tensorserve.sources.lookers import Lookers
from tensorserve.sources.watch import Watch
from tests.unit.fakes import FakeDataPlane, FakeRuntime, eventually
from tests.unit.test_server import add_version


class Panic(BaseException):
    """As PyO3 raises it."""


@pytest.fixture
def plane() -> FakeDataPlane:
    return FakeDataPlane()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    add_version(tmp_path / "models" / "m", 1)
    return tmp_path


@pytest.fixture
def server(plane: FakeDataPlane, folder: Path) -> Iterator[ModelServer]:
    """Follows a configuration file every second; its models are looked at every second."""
    config = folder / "models.config"
    config.write_text(entry(folder, "m"))
    server = ModelServer(
        data_plane=lambda options: plane,
        runtimes={"tensorflow": FakeRuntime},
        model_config_file=config,
        model_config_file_poll_wait_seconds=1,
        load_retry_interval_micros=10_000,
    )
    with server:
        poll_often(server)
        yield server


def poll_often(server: ModelServer) -> None:
    """The flags count whole seconds."""
    running = server._running
    assert running is not None
    running._path._source._poll_wait_seconds = 0.02
    for follower in (running._follower, running._repository_follower):
        follower._poll_wait_seconds = 0.02
    running._path._source.poll_now()


def entry(folder: Path, *names: str) -> str:
    entries = (f'config {{ name: "{n}" base_path: "{folder}/models/{n}" model_platform: "tensorflow" }}' for n in names)
    return f"model_config_list {{ {' '.join(entries)} }}"


def break_once(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, error: BaseException) -> threading.Event:
    """The next call of a function raises; those after it do what they do."""
    if isinstance(owner, str):
        owner = import_module(owner)
    if name == "clock":
        clock = SimpleNamespace(monotonic=time.monotonic, time=time.time)
        monkeypatch.setattr(owner, "time", clock)
        owner, name = clock, "monotonic"
    whole, broken = getattr(owner, name), threading.Event()

    def breaks_once(*arguments: object, **keywords: object) -> object:
        if not broken.is_set():
            broken.set()
            raise error
        return whole(*arguments, **keywords)

    monkeypatch.setattr(owner, name, breaks_once)
    return broken


ERRORS = [OSError(24, "Too many open files"), Panic("in Rust")]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (FileSystemSource, "_due_looks"),
        (FileSystemSource, "_wait"),
        (FileSystemSource, "_newly_hanging"),
        (Lookers, "_next"),
        (Watch, "look"),
        (Watch, "_look"),
        (Manager, "_next_message"),
        (WorkerPool, "_next"),
        (os, "listdir"),
        ("tensorserve.sources.file_system", "clock"),
        ("tensorserve.sources.lookers", "clock"),
    ],
)
def test_a_new_version_is_still_found_and_loaded(
    owner: object,
    name: str,
    error: BaseException,
    server: ModelServer,
    plane: FakeDataPlane,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = break_once(monkeypatch, owner, name, error)
    add_version(folder / "models" / "m", 2)
    # A loop that waits for something comes to the broken place with the next.
    for version in (2, 3, 4):
        if version > 2:
            add_version(folder / "models" / "m", version)
        assert eventually(lambda version=version: plane.versions("m") == {version})
    assert broken.is_set()


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()])
def test_a_thread_that_cannot_be_started_is_started_later(
    error: Exception, server: ModelServer, plane: FakeDataPlane, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    start, missing = threading.Thread.start, threading.Event()
    missing.set()

    def start_if_there_is_one(thread: threading.Thread) -> None:
        if missing.is_set():
            raise error
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_if_there_is_one)
    for name in ("n", "o"):
        add_version(folder / "models" / name, 1)
    (folder / "models.config").write_text(entry(folder, "m", "n", "o"))
    assert eventually(lambda: "cannot be started" in caplog.text)
    assert plane.versions("n") == set()
    missing.clear()
    assert eventually(lambda: plane.versions("n") == {1} == plane.versions("o"))
    (folder / "models.config").write_text(entry(folder, "m"))
    assert eventually(lambda: plane.versions("n") == set() == plane.versions("o"))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (FileFollower, "poll"),
        ("tensorserve.services.config_file", "read_text"),
        ("tensorserve.services.config_file", "parse_model_config"),
        ("tensorserve.config.text_format", "read_file"),
    ],
)
def test_the_configuration_is_still_followed(
    owner: object,
    name: str,
    error: BaseException,
    server: ModelServer,
    plane: FakeDataPlane,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = break_once(monkeypatch, owner, name, error)
    add_version(folder / "models" / "n", 1)
    (folder / "models.config").write_text(entry(folder, "n"))
    assert eventually(lambda: plane.versions("n") == {1})
    assert broken.is_set()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_repository_is_still_followed(
    error: BaseException, plane: FakeDataPlane, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ModelServer(
        data_plane=lambda options: plane, runtimes={"tensorflow": FakeRuntime}, model_repository=folder / "models"
    )
    with server:
        poll_often(server)
        broken = break_once(monkeypatch, FollowedRepository, "poll", error)
        add_version(folder / "models" / "n", 1)
        assert eventually(lambda: plane.versions("n") == {1})
        assert broken.is_set()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_subscriber_that_fails_takes_no_other_along(
    error: BaseException, server: ModelServer, plane: FakeDataPlane, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = break_once(monkeypatch, plane, "set_version_state", error)
    add_version(folder / "models" / "m", 2)
    assert eventually(lambda: plane.versions("m") == {2})
    assert broken.is_set()
    assert [report.state.is_ready for report in server.models()] == [True]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("name", ["publish", "retire"])
def test_a_table_that_fails_once(
    name: str, error: BaseException, server: ModelServer, plane: FakeDataPlane, folder: Path, monkeypatch
) -> None:
    broken = break_once(monkeypatch, plane, name, error)
    for version in (2, 3):
        add_version(folder / "models" / "m", version)
        assert eventually(lambda version=version: version in plane.versions("m"))
    assert broken.is_set()


class Reply:
    is_awaited = True

    def __init__(self) -> None:
        self.done = threading.Event()
        self.status = 0

    def send(self, body: bytes, status: int = 200, content_type: str = "") -> None:
        self.status = status
        self.done.set()

    def fail(self, code: int, message: str) -> None:
        self.status = code
        self.done.set()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("name", ["_next", "submit"])
def test_requests_to_the_control_plane_are_still_answered(
    name: str, error: BaseException, server: ModelServer, plane: FakeDataPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(do: Callable[[Reply], None]) -> Reply:
        reply = Reply()
        with suppress(type(error)):  # The data plane answers for it.
            do(reply)
        return reply

    broken = break_once(monkeypatch, WorkerPool, name, error)
    for _ in range(2):
        admin = ask(lambda reply: plane.control.admin("GET", "/v1/admin/models", {}, "socket", b"", reply))
        reload = ask(lambda reply: plane.control.reload_config(b"", {}, "socket", reply))
    assert admin.done.wait(10)
    assert reload.done.wait(10)
    assert admin.status == 200
    assert broken.is_set()
