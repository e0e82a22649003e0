# SPDX-License-Identifier: Apache-2.0
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tensorserve.errors import Code, ServingError
from tensorserve.export.publication import Publication, next_version
from tensorserve.sources.completeness import FILE_LIST


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def publish(base: Path, version: int | None = None) -> tuple[int, str]:
    with Publication(str(base), version) as publication:
        (Path(publication.folder) / "saved_model.pb").write_bytes(b"model")
        return publication.publish()


def test_versions_go_up(tmp_path: Path) -> None:
    base = tmp_path / "models" / "mine"
    assert next_version(str(base)) == 1
    assert publish(base) == (1, str(base / "1"))
    (base / "007").mkdir()
    (base / "notes.txt").touch()
    assert publish(base)[0] == 8
    assert publish(base, version=3)[0] == 3
    assert names(base) == ["007", "1", "3", "8", "notes.txt"]
    assert (base / "8" / "saved_model.pb").read_bytes() == b"model"


def test_the_files_are_listed(tmp_path: Path) -> None:
    _, path = publish(tmp_path)
    assert json.loads((Path(path) / FILE_LIST).read_text()) == {"files": {"saved_model.pb": 5}}


def test_no_server_looks_at_what_is_not_published(tmp_path: Path) -> None:
    from tensorserve.sources.version_directory import list_versions

    publish(tmp_path)
    with Publication(str(tmp_path)) as publication:
        assert list_versions("mine", str(tmp_path)).paths == {1: str(tmp_path / "1")}
        assert Path(publication.folder).parent == tmp_path, "a rename must stay on one file system"


@pytest.mark.parametrize("base", [".", "mine", "models/mine"])
def test_a_failure_leaves_nothing(tmp_path: Path, base: str) -> None:
    def fail() -> None:
        with Publication(str(tmp_path / base)) as publication:
            (Path(publication.folder) / "saved_model.pb").write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fail()
    assert names(tmp_path) == []


def test_a_version_that_is_there_is_left_alone(tmp_path: Path) -> None:
    publish(tmp_path, 5)
    with pytest.raises(ServingError, match="is there already") as caught:
        Publication(str(tmp_path), 5)
    assert caught.value.code is Code.ALREADY_EXISTS


def test_two_exports_at_once_get_different_numbers(tmp_path: Path) -> None:
    with Publication(str(tmp_path)) as one, Publication(str(tmp_path)) as other:
        for publication in (one, other):
            (Path(publication.folder) / "saved_model.pb").touch()
        assert (one.publish()[0], other.publish()[0]) == (1, 2)


def test_one_number_for_two_exports_at_once(tmp_path: Path) -> None:
    with Publication(str(tmp_path), 4) as one, Publication(str(tmp_path), 4) as other:
        for publication in (one, other):
            (Path(publication.folder) / "saved_model.pb").touch()
        one.publish()
        with pytest.raises(ServingError, match="is there already"):
            other.publish()
    assert names(tmp_path) == ["4"]


def test_what_a_killed_export_left_is_removed_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nfrom tensorserve.export.publication import Publication\n"
        f"Publication({str(tmp_path)!r}).__enter__()\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    (abandoned,) = names(tmp_path)
    with Publication(str(tmp_path)) as publication:
        assert names(tmp_path) == [os.path.basename(publication.folder)]
        with Publication(str(tmp_path)):
            assert os.path.isdir(publication.folder)
    assert abandoned.startswith(".exporting-")


@pytest.mark.parametrize(
    ("base", "text"), [("s3://bucket/models", "is a URL. Export to a folder"), ("{folder}/1", "is a version itself")]
)
def test_places_that_cannot_hold_versions(tmp_path: Path, base: str, text: str) -> None:
    publish(tmp_path)
    with pytest.raises(ServingError, match=text):
        Publication(base.format(folder=tmp_path))
