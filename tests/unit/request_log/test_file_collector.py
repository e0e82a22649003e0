# SPDX-License-Identifier: Apache-2.0
import errno
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tensorserve import _core
from tensorserve.config.flags import ServerOptions
from tensorserve.errors import Code, ServingError
from tensorserve.request_log import file_collector
from tensorserve.request_log.file_collector import FileCollector, FileLimits, files_of
from tensorserve.types import LoggingConfig


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


Make = Callable[..., FileCollector]


@pytest.fixture
def make(tmp_path: Path, clock: Clock) -> Make:
    def make_collector(prefix: str = "log", **limits: float) -> FileCollector:
        return FileCollector(os.path.join(tmp_path, prefix), FileLimits(**limits), clock)  # type: ignore[arg-type]

    return make_collector


def records(path: str) -> list[bytes]:
    return list(_core.TfRecordReader(path))


def contents(folder: Path, prefix: str = "log") -> list[list[bytes]]:
    return [records(path) for path in files_of(str(folder / prefix))]


def test_records_are_appended(make: Make, tmp_path: Path) -> None:
    collector = make()
    collector.collect([b"a", b"b"])
    collector.collect([b"c"])
    assert contents(tmp_path) == [[b"a", b"b", b"c"]]
    (path,) = files_of(str(tmp_path / "log"))
    assert os.path.basename(path) == f"log-20231114-221320-{os.getpid()}-000001.tfrecord"
    assert os.stat(path).st_mode & 0o007 == 0
    collector.close()


def test_no_file_is_made_for_nothing(make: Make, tmp_path: Path) -> None:
    collector = make()
    collector.flush()
    collector.close()
    assert list(tmp_path.iterdir()) == []


def test_a_full_file_is_followed_by_another(make: Make, tmp_path: Path) -> None:
    collector = make(max_bytes=100)
    for _ in range(3):
        collector.collect([b"x" * 40])
    collector.collect([b"y" * 500])
    assert [[len(record) for record in file] for file in contents(tmp_path)] == [[40], [40], [40], [500]]


def test_an_old_file_is_followed_by_another(make: Make, tmp_path: Path, clock: Clock) -> None:
    collector = make(max_seconds=60)
    collector.collect([b"a"])
    clock.now += 59
    collector.collect([b"b"])
    clock.now += 1
    collector.flush()
    collector.collect([b"c"])
    assert contents(tmp_path) == [[b"a", b"b"], [b"c"]]


def test_only_the_newest_files_stay(make: Make, tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "log-notes.tfrecord").write_text("somebody else's")
    collector = make(max_bytes=1, max_files=2)
    for name in (b"a", b"b", b"c", b"d"):
        collector.collect([name])
        clock.now += 1
    assert contents(tmp_path) == [[b"c"], [b"d"]]
    assert (tmp_path / "log-notes.tfrecord").exists()


def test_a_removed_file_is_begun_anew(make: Make, tmp_path: Path) -> None:
    collector = make("folder/log")
    collector.collect([b"a"])
    shutil.rmtree(tmp_path / "folder")
    collector.collect([b"b"])
    assert contents(tmp_path / "folder") == [[b"b"]]


def test_a_prefix_may_be_a_folder(make: Make, tmp_path: Path) -> None:
    collector = make("folder/")
    collector.collect([b"a"])
    assert contents(tmp_path / "folder", "requests") == [[b"a"]]


def test_a_full_disk_loses_records_but_no_whole_file(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(file_collector, "_PAUSE_SECONDS", 0.0)
    collector = make()
    collector.collect([b"a"])
    write = os.write

    def fill_up(descriptor: int, data: memoryview) -> int:
        if len(data) <= 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[:10])

    with monkeypatch.context() as full:
        full.setattr(os, "write", fill_up)
        collector.collect([b"b", b"c"])
        collector.collect([b"d"])
    collector.collect([b"e"])
    assert [name for file in contents(tmp_path) for name in file] == [b"a", b"e"]
    assert len(caplog.messages) == 2
    assert "No space left on device" in caplog.messages[0]
    assert "3 records were lost" in caplog.messages[1]


def test_after_a_failure_it_waits_before_the_next_try(make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    collector = make("file/log")
    collector.collect([b"a"])
    (tmp_path / "file").unlink()
    collector.collect([b"b"])
    assert not (tmp_path / "file").exists()


def test_a_prefix_is_needed() -> None:
    with pytest.raises(ServingError, match="filename_prefix") as failure:
        FileCollector.of(LoggingConfig("", "", 1.0), ServerOptions())
    assert failure.value.code is Code.INVALID_ARGUMENT
