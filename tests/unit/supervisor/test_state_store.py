# SPDX-License-Identifier: Apache-2.0
import logging
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


@pytest.mark.parametrize("content", ["{", "[]", '{"docket": 3}'])
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


def test_the_default_folder_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    StateStore().change("docket", {"a": 1})
    assert (tmp_path / "tensorserve" / "state.json").exists()
