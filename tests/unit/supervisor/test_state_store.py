# SPDX-License-Identifier: Apache-2.0
import fcntl
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tensorserve.supervisor.state_store import StateStore


def test_values_outlive_the_process(tmp_path: Path) -> None:
    StateStore(str(tmp_path / "deep" / "state")).change("docket", {"a": {"x": 1}, "b": {}})
    again = StateStore(str(tmp_path / "deep" / "state"))
    assert again.get("docket") == {"a": {"x": 1}, "b": {}}
    again.change("docket", {"b": None})
    assert again.get("docket") == {"a": {"x": 1}}


def test_servers_that_share_a_folder_leave_each_others_values(tmp_path: Path) -> None:
    first, second = StateStore(str(tmp_path)), StateStore(str(tmp_path))
    first.change("docket", {"a": 1})
    second.change("docket", {"b": 2})
    first.change("docket", {"a": None})
    assert first.get("docket") == {"b": 2}


@pytest.mark.parametrize("content", ["{", "[]", '{"docket": 3}', "[" * 200_000, "\x00", "1" * 5000])
def test_a_damaged_file_is_begun_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    store = StateStore(str(tmp_path))
    assert store.get("docket") == {}
    store.change("docket", {"a": 1})
    assert store.get("docket") == {"a": 1}


def test_a_start_writes_nothing(tmp_path: Path) -> None:
    StateStore(str(tmp_path)).change("docket", {"a": 1})
    before = (tmp_path / "state.json").stat()
    StateStore(str(tmp_path))
    after = (tmp_path / "state.json").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    StateStore(str(tmp_path / "new"))
    assert not (tmp_path / "new" / "state.json").exists()


def test_a_folder_that_cannot_be_written_to_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write everywhere, so the system's answer is made up.
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with caplog.at_level(logging.WARNING, "tensorserve"):
        StateStore(str(tmp_path))
    assert f"Nothing is remembered beyond this process: {tmp_path}: Permission denied" in caplog.text


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING, "tensorserve"):
        store = StateStore(str(tmp_path / "file" / "state"))
    assert "Nothing is remembered beyond this process" in caplog.text
    store.change("docket", {"a": 1})
    assert store.get("docket") == {}


@pytest.mark.parametrize("name", ["state.json", "lock"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_said_and_not_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, make: Callable[[Path], None]
) -> None:
    make(tmp_path / name)
    with caplog.at_level(logging.WARNING, "tensorserve"):
        store = StateStore(str(tmp_path))
        store.change("docket", {"a": 1})
    assert store.get("docket") == {}
    (said,) = caplog.messages
    assert said.startswith(f"Nothing is remembered beyond this process: {tmp_path / name}: ")


def test_what_could_not_be_written_is_written_with_the_next_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = StateStore(str(tmp_path))
    store.change("docket", {"a": 1, "b": 2})
    with caplog.at_level(logging.INFO, "tensorserve"), open(tmp_path / "lock", "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        store.change("docket", {"a": None, "c": 3})
        store.change("docket", {"c": 4})
        assert store.get("docket") == {"a": 1, "b": 2}
        fcntl.flock(other, fcntl.LOCK_UN)
        store.change("docket", {"d": 5})
    assert store.get("docket") == {"b": 2, "c": 4, "d": 5}
    assert [line.rpartition(": ")[2] for line in caplog.messages] == [
        "another process has locked it. See --state_dir. The next change tries again.",
        f"{tmp_path / 'state.json'} is written to again.",
    ]


def test_the_default_folder_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    StateStore().change("docket", {"a": 1})
    assert (tmp_path / "tensorserve" / "state.json").exists()
