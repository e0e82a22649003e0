# SPDX-License-Identifier: Apache-2.0
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tensorserve.errors import Code, ServingError
from tensorserve.files import read_file, refuse_special_files
from tensorserve.sources.completeness import inspect_saved_model
from tensorserve.sources.storage import Completeness


def socket_file(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


KINDS: dict[str, Callable[[Path], object]] = {
    "a named pipe": os.mkfifo,
    "a socket": socket_file,
    "a device": lambda path: path.symlink_to("/dev/zero"),
}
FILES = [
    "saved_model.pb",
    "saved_model.pbtxt",
    "fingerprint.pb",
    "variables/variables.index",
    "variables/variables.data-00000-of-00001",
    "assets/vocabulary.txt",
    "assets.extra/tf_serving_warmup_requests",
    "batching_params.pbtxt",
    "a/b/c/d/e",
]


@pytest.mark.parametrize("kind", KINDS)
def test_reading_what_is_no_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    KINDS[kind](path)
    with pytest.raises(ServingError) as caught:
        read_file(str(path))
    assert (caught.value.code, caught.value.message) == (
        Code.FAILED_PRECONDITION,
        f"{path} is {kind}; it must be a regular file.",
    )


def test_reading_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_file(str(tmp_path / "file")) == read_file(str(tmp_path / "link")) == b"content"
    with pytest.raises(FileNotFoundError):
        read_file(str(tmp_path / "none"))
    with pytest.raises(IsADirectoryError):
        read_file(str(tmp_path))


def test_a_folder_that_is_refused_leaves_no_descriptor_open(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    for _ in range(10):
        with pytest.raises(IsADirectoryError, match=str(tmp_path)):
            read_file(str(tmp_path))
    assert len(os.listdir("/proc/self/fd")) < len(before) + 10


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("through_a_link", [False, True])
def test_a_model_with_what_is_no_file_is_refused(kind: str, name: str, through_a_link: bool, tmp_path: Path) -> None:
    version = tmp_path / "1"
    path = version / name
    path.parent.mkdir(parents=True)
    (version / "saved_model.pb").touch() if name != "saved_model.pb" else None
    if through_a_link:
        KINDS[kind](tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    else:
        KINDS[kind](path)
    # Loading it says what is wrong.
    assert inspect_saved_model(str(version)).completeness is Completeness.WHOLE or name == "a/b/c/d/e"
    with pytest.raises(ServingError, match=f"{name} is {kind}; it must be a regular file"):
        refuse_special_files(str(version))


def test_a_version_that_is_no_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "1")
    with pytest.raises(ServingError, match="1 is a named pipe"):
        refuse_special_files(str(tmp_path / "1"))
    (tmp_path / "2").touch()
    refuse_special_files(str(tmp_path / "2"))
    with pytest.raises(FileNotFoundError):
        refuse_special_files(str(tmp_path / "3"))


def test_links_that_lead_nowhere_and_circles(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to(tmp_path)
    refuse_special_files(str(tmp_path))
