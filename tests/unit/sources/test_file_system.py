# SPDX-License-Identifier: Apache-2.0
import dataclasses
import threading
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from tensorserve.errors import ServingError
from tensorserve.sources import file_system, version_directory
from tensorserve.sources.file_system import FileSystemSource
from tensorserve.sources.storage import VersionListing
from tensorserve.sources.storages import Storages
from tensorserve.sources.version_directory import LocalStorage, list_versions
from tensorserve.types import All, AspiredVersion, Latest, ModelConfig, Specific
from tests.unit.fakes import PATIENCE_SECONDS, eventually


class Listener:
    def __init__(self) -> None:
        self.aspired: list[tuple[str, list[int]]] = []
        self.problems: list[tuple[str, str]] = []
        self.incomplete: list[tuple[str, dict[int, str]]] = []
        self.left_out: list[tuple[str, frozenset[int]]] = []
        self.failures = 0
        self.told = threading.Event()

    def aspire(self, model: str, versions: tuple[AspiredVersion, ...]) -> None:
        if self.failures:
            self.failures -= 1
            raise ValueError("not now")
        self.aspired.append((model, [version.id.version for version in versions]))
        self.told.set()

    def report_problem(self, model: str, error: ServingError) -> None:
        self.problems.append((model, error.code.name))

    def report_incomplete(self, model: str, reasons: Mapping[int, str]) -> None:
        self.incomplete.append((model, dict(reasons)))

    def report_left_out(self, model: str, versions: frozenset[int]) -> None:
        self.left_out.append((model, versions))


def make(base: Path, *versions: int) -> Path:
    for version in versions:
        (base / str(version)).mkdir(parents=True)
    return base


def source_of(listener: Listener, *models: ModelConfig, wait: float = 0) -> FileSystemSource:
    return FileSystemSource(models, listener, wait, Storages(LocalStorage(frozenset())))


def test_tells_what_changed_and_only_that(tmp_path: Path) -> None:
    listener = Listener()
    base = make(tmp_path / "m", 1, 2)
    source = source_of(listener, ModelConfig("m", str(base), policy=Latest(1)))
    source.poll()
    source.poll()
    make(base, 3)
    source.poll()
    (base / "3").rmdir()
    source.poll()
    assert listener.aspired == [("m", [2]), ("m", [3]), ("m", [2])]


def test_versions_that_the_policy_leaves_out_are_told_once(tmp_path: Path) -> None:
    listener = Listener()
    base = make(tmp_path / "m", 1, 2)
    source = source_of(listener, ModelConfig("m", str(base), policy=Specific((1, 2))))
    source.poll()
    make(base, 3)
    source.poll()
    source.poll()
    assert listener.left_out == [("m", frozenset({3}))]
    source.update([ModelConfig("m", str(base), policy=Latest(2))])
    source.poll()
    assert listener.left_out[1:] == [("m", frozenset())]


def test_a_bad_base_path_holds_up_no_other_model(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    listener = Listener()
    bad, good = tmp_path / "bad", make(tmp_path / "good", 1)
    source = source_of(listener, ModelConfig("bad", str(bad)), ModelConfig("good", str(good)))
    source.poll()
    source.poll()
    assert listener.problems == [("bad", "NOT_FOUND")]
    assert listener.aspired == [("good", [1])]
    assert caplog.text.count("FileSystemStoragePathSource encountered a filesystem access error: ") == 1
    make(bad, 4)
    source.poll()
    assert listener.aspired[-1] == ("bad", [4])


def test_a_base_path_that_vanishes_keeps_what_was_aspired(tmp_path: Path) -> None:
    listener = Listener()
    base = make(tmp_path / "m", 1)
    source = source_of(listener, ModelConfig("m", str(base)))
    source.poll()
    base.rename(tmp_path / "away")
    source.poll()
    assert listener.aspired == [("m", [1])]
    (tmp_path / "away").rename(base)
    source.poll()
    assert listener.aspired == [("m", [1]), ("m", [1])]


def test_an_empty_base_path_aspires_nothing_and_warns_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    listener = Listener()
    source = source_of(listener, ModelConfig("m", str(make(tmp_path))))
    source.poll()
    source.poll()
    assert listener.aspired == [("m", [])]
    assert caplog.text.count("No versions of servable m found") == 1


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (Specific((2, 7)), "Version 7 of servable m, which was requested to be served as a 'specific' version"),
        (Specific(()), "No specific versions requested for servable m."),
    ],
)
def test_what_is_waited_for_is_said_every_minute(
    policy: Specific, text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=lambda: 0.0)
    monkeypatch.setattr("tensorserve.sources.watch.time", clock)
    source = source_of(Listener(), ModelConfig("m", str(make(tmp_path, 1, 2)), policy=policy))
    said = []
    for seconds in (0.0, 1.0, 59.0, 61.0, 62.0, 130.0, 300.0):
        clock.monotonic = lambda seconds=seconds: seconds
        source.poll()
        said.append(caplog.text.count(text))
    assert said == [1, 1, 1, 2, 2, 3, 4]
    make(tmp_path, 7)
    clock.monotonic = lambda: 400.0
    source.poll()
    assert caplog.text.count("Version 7") == (4 if policy.versions else 0)


def test_a_listener_that_fails_is_told_again(tmp_path: Path) -> None:
    listener = Listener()
    listener.failures = 1
    source = source_of(listener, ModelConfig("m", str(make(tmp_path, 1))))
    source.poll()
    assert listener.problems == [("m", "INTERNAL")]
    source.poll()
    assert listener.aspired == [("m", [1])]


def test_polls_again_and_again(tmp_path: Path) -> None:
    listener = Listener()
    source = source_of(listener, ModelConfig("m", str(make(tmp_path, 1)), policy=All()), wait=0.01)
    source.start()
    assert listener.told.wait(PATIENCE_SECONDS)
    make(tmp_path, 2)
    assert eventually(lambda: ("m", [1, 2]) in listener.aspired)
    source.stop()
    make(tmp_path, 3)
    assert not threading.Event().wait(0.05)
    assert ("m", [1, 2, 3]) not in listener.aspired


@pytest.mark.parametrize(("wait", "expected"), [(0, [("m", [1])]), (-1, [])])
def test_polls_once_or_never(tmp_path: Path, wait: int, expected: list) -> None:
    listener = Listener()
    source = source_of(listener, ModelConfig("m", str(make(tmp_path, 1))), wait=wait)
    source.start()
    listener.told.wait(0.1)
    make(tmp_path, 2)
    assert not threading.Event().wait(0.05)
    source.stop()
    assert listener.aspired == expected


@pytest.mark.parametrize("wait", [0, -1, 3600])
def test_update_looks_at_once(tmp_path: Path, wait: int) -> None:
    listener = Listener()
    kept, removed = (ModelConfig(name, str(make(tmp_path / name, 1, 2))) for name in ("kept", "removed"))
    source = source_of(listener, kept, removed, wait=wait)
    source.start()
    expected = [] if wait < 0 else [("kept", [2]), ("removed", [2])]
    assert eventually(lambda: listener.aspired == expected)
    listener.aspired.clear()
    added = ModelConfig("added", str(make(tmp_path / "added", 7)))
    source.update([dataclasses.replace(kept, policy=All()), added])
    assert listener.aspired[0] == ("removed", [])
    assert eventually(lambda: sorted(listener.aspired[1:]) == [("added", [7]), ("kept", [1, 2])])
    source.update([dataclasses.replace(kept, base_path=added.base_path), removed])
    for told in (("added", []), ("kept", [7]), ("removed", [2])):
        assert eventually(lambda told=told: told in listener.aspired)
    source.stop()


def test_update_before_start(tmp_path: Path) -> None:
    listener = Listener()
    source = source_of(listener)
    source.update([ModelConfig("m", str(make(tmp_path, 1)))])
    source.start()
    assert eventually(lambda: listener.aspired == [("m", [1])])
    source.stop()


@pytest.mark.parametrize("wait", [0, -1])
def test_poll_now(tmp_path: Path, wait: int) -> None:
    listener = Listener()
    source = source_of(listener, ModelConfig("m", str(make(tmp_path, 1)), policy=All()), wait=wait)
    source.start()
    make(tmp_path, 2)
    source.poll_now()
    assert eventually(lambda: ("m", [1, 2]) in listener.aspired)
    source.stop()


class HangingFolder:
    """Replaces `list_versions`: reading one model's folder ends only when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
        self.over = threading.Event()
        self.looks = 0
        self._model = model
        monkeypatch.setattr(version_directory, "list_versions", self._list)

    def _list(self, model: str, base_path: str, known: VersionListing | None) -> VersionListing:
        if model == self._model:
            self.looks += 1
            self.over.wait()
        return list_versions(model, base_path, known)


def test_a_base_path_that_hangs_holds_up_no_other_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_system, "_HANGING_SECONDS", 0.3)
    folder = HangingFolder(monkeypatch, "hangs")
    listener = Listener()
    models = [ModelConfig(name, str(make(tmp_path / name, 1))) for name in ("hangs", "a", "b")]
    source = source_of(listener, *models, wait=0.05)
    source.start()
    assert eventually(lambda: sorted(listener.aspired) == [("a", [1]), ("b", [1])])
    assert eventually(lambda: ("hangs", "DEADLINE_EXCEEDED") in listener.problems)
    make(tmp_path / "a", 2)
    assert eventually(lambda: ("a", [2]) in listener.aspired)
    assert folder.looks == 1
    folder.over.set()
    assert eventually(lambda: ("hangs", [1]) in listener.aspired)
    assert listener.problems.count(("hangs", "DEADLINE_EXCEEDED")) == 1
    source.stop()


def test_what_a_removed_model_finds_later_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = HangingFolder(monkeypatch, "m")
    listener = Listener()
    source = source_of(listener, ModelConfig("m", str(make(tmp_path, 1))))
    source.start()
    assert eventually(lambda: folder.looks == 1)
    source.update([])
    folder.over.set()
    assert not threading.Event().wait(0.05)
    assert listener.aspired == [("m", [])]
    source.stop()


def test_stopping_does_not_wait_for_a_base_path_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = HangingFolder(monkeypatch, "m")
    listener = Listener()
    source = source_of(listener, ModelConfig("m", str(make(tmp_path, 1))), wait=0.01)
    source.start()
    assert eventually(lambda: folder.looks == 1)
    source.stop()
    folder.over.set()
    assert not threading.Event().wait(0.05)
    assert listener.aspired == []
