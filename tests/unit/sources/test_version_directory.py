# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from tensorserve.errors import Code, ServingError
from tensorserve.sources.version_directory import list_versions, version_number


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("1", 1),
        ("0", 0),
        ("-1", -1),
        ("+5", 5),
        ("00000123", 123),
        (" 7 ", 7),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", None),
        ("-9223372036854775808", -(2**63)),
        ("1.0", None),
        ("0x1", None),
        ("1_tmp", None),
        ("1_000", None),
        ("temp-123", None),
        (".123", None),
        ("", None),
        ("٣", None),
    ],
)
def test_version_number(name: str, number: int | None) -> None:
    assert version_number(name) == number


def test_files_count_and_other_names_do_not(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "7").write_text("")
    (tmp_path / "temp").mkdir()
    listing = list_versions("m", str(tmp_path))
    assert listing.paths == {1: str(tmp_path / "1"), 7: str(tmp_path / "7")}
    assert listing.warnings == ()


def test_of_several_names_of_a_version_the_last_one_counts(tmp_path: Path) -> None:
    for name in ("001", "01", "1"):
        (tmp_path / name).mkdir()
    listing = list_versions("m", str(tmp_path))
    assert listing.paths == {1: str(tmp_path / "1")}
    assert listing.warnings[-1] == (
        f"Duplicate version directories detected. Version 1 will be loaded from {tmp_path}/1, "
        f"{tmp_path}/01 will be ignored."
    )


def test_no_versions(tmp_path: Path) -> None:
    assert list_versions("m", str(tmp_path)).warnings == (
        f"No versions of servable m found under base path {tmp_path}. "
        "Did you forget to name your leaf directory as a number (eg. '/1/')?",
    )


def test_missing_base_path(tmp_path: Path) -> None:
    path = tmp_path / "none"
    with pytest.raises(ServingError) as caught:
        list_versions("m", str(path))
    assert str(caught.value) == (
        f"NOT_FOUND: Could not find base path {path} for servable m "
        f"with error NOT_FOUND: {path}; No such file or directory"
    )


def test_base_path_that_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(ServingError) as caught:
        list_versions("m", str(path))
    assert caught.value.code is Code.FAILED_PRECONDITION


def test_file_uri(tmp_path: Path) -> None:
    (tmp_path / "3").mkdir()
    assert list_versions("m", f"file://{tmp_path}").paths == {3: f"{tmp_path}/3"}


def test_unknown_scheme() -> None:
    with pytest.raises(ServingError, match="File system scheme 'gs' not implemented"):
        list_versions("m", "gs://bucket/m")


@pytest.mark.parametrize(
    ("base", "file", "hint"),
    [
        (
            "m/1",
            "saved_model.pb",
            "It is itself a version, since it holds saved_model.pb: give its parent folder, {m}.",
        ),
        ("m/1/", "saved_model.pbtxt", "since it holds saved_model.pbtxt: give its parent folder, {m}."),
        ("m/00000123", "saved_model.cpb", "since it holds saved_model.cpb: give its parent folder, {m}."),
        ("m/1", "export.meta", "since it holds export.meta: give its parent folder, {m}."),
        ("m/latest", "saved_model.pb", "move that into a folder with a number, such as {m}/latest/1."),
        ("m", "saved_model.pb", "move that into a folder with a number, such as {m}/1."),
        ("m/1", "readme", "Did you forget to name your leaf directory as a number (eg. '/1/')?"),
        ("m/1", "xsaved_model.pb", "Did you forget to name your leaf directory as a number (eg. '/1/')?"),
    ],
)
def test_a_base_path_that_is_a_version(base: str, file: str, hint: str, tmp_path: Path) -> None:
    folder = tmp_path / base
    folder.mkdir(parents=True)
    (folder / file).touch()
    base_path = f"{tmp_path}/{base}"
    [warning] = list_versions("m", base_path).warnings
    assert warning.startswith(f"No versions of servable m found under base path {base_path}. ")
    assert warning.endswith(hint.format(m=tmp_path / "m"))
