# SPDX-License-Identifier: Apache-2.0
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorserve.sources.completeness import FILE_LIST, inspect_saved_model
from tensorserve.sources.storage import Completeness
from tests.unit.sources.saved_models import model_files, saved_model, table, variables_index, write

WHOLE, UNPROVEN, UNRECOGNIZED, HALF = Completeness
DATA = "variables/variables.data-00001-of-00002"
Files = dict[str, bytes]


def inspected(tmp_path: Path, files: Files) -> tuple[Completeness, str]:
    (tmp_path / "1").mkdir(exist_ok=True)
    inspection = inspect_saved_model(str(write(tmp_path / "1", files)))
    return inspection.completeness, inspection.reason


def without(name: str) -> Callable[[Files], None]:
    return lambda files: files.pop(name) and None


def cut(name: str, size: int = -1) -> Callable[[Files], None]:
    return lambda files: files.update({name: files[name][:size]})


def put(name: str, data: bytes = b"x") -> Callable[[Files], None]:
    return lambda files: files.update({name: data})


def listing(
    prepare: Callable[[Files], None], change: Callable[[Files], None] = lambda files: None
) -> Callable[[Files], None]:
    """Adds files, then a list of all files, then changes something."""

    def apply(files: Files) -> None:
        files["fingerprint.pb"] = b"xx"
        prepare(files)
        sizes = {name: len(data) for name, data in files.items()}
        files[FILE_LIST] = json.dumps({"files": sizes}).encode()
        change(files)

    return apply


@pytest.mark.parametrize(
    ("change", "completeness", "reason"),
    [
        (lambda files: None, WHOLE, ""),
        (put("fingerprint.pb"), WHOLE, ""),
        (cut("saved_model.pb"), HALF, "saved_model.pb ends too early, after "),
        (cut("saved_model.pb", 0), HALF, "saved_model.pb ends too early, after 0 bytes"),
        (cut("saved_model.pb", 2), HALF, "saved_model.pb ends too early, after 2 bytes"),
        (put("saved_model.pb", b"\xff" * 50), WHOLE, ""),
        (put("saved_model.pb", b"\x0a\xff\xff\xff\xff\x07 no protobuf"), WHOLE, ""),
        (put("saved_model.pb", b"\x08\x01\x12\x02\x12\x7f"), WHOLE, ""),  # a field longer than its message
        (without("saved_model.pb"), HALF, "there is no saved_model.pb"),
        (without("variables/variables.index"), HALF, "there is no variables/variables.index"),
        (cut("variables/variables.index"), HALF, "variables/variables.index is not the whole file"),
        (cut("variables/variables.index", 0), HALF, "variables/variables.index is not the whole file, with 0 bytes"),
        (put("variables/variables.index", bytes(100)), HALF, "variables/variables.index is not the whole file"),
        (without(DATA), HALF, f"there is no {DATA}"),
        (cut(DATA), HALF, f"{DATA} has 199 of 200 bytes"),
        (put(DATA, b"x" * 300), WHOLE, ""),
        (put("variables/variables.index", variables_index({}, 2, compression=1)), UNPROVEN, ""),
        (put("assets.extra/tf_serving_warmup_requests"), UNPROVEN, ""),
        (listing(put("assets.extra/more")), WHOLE, ""),
        (listing(put("assets.extra/more"), cut("fingerprint.pb")), UNPROVEN, ""),
        (listing(put("assets.extra/more"), without("assets.extra/more")), UNPROVEN, ""),
        (listing(put("assets.extra/more"), put("assets.extra/less")), UNPROVEN, ""),
        (listing(put("assets.extra/more"), cut(FILE_LIST)), UNPROVEN, ""),
        (listing(put("assets.extra/more"), put(FILE_LIST, b"[]")), UNPROVEN, ""),
        (listing(put("assets.extra/more"), put(FILE_LIST, b'{"files": [1]}')), UNPROVEN, ""),
        (listing(put("assets.extra/more"), cut(DATA)), HALF, f"{DATA} has 199 of 200 bytes"),
        (put("saved_model.pb", saved_model(assets=["words"])), HALF, "there is no assets/words"),
        (put("export.meta"), WHOLE, ""),
    ],
)
def test_version(tmp_path: Path, change: Callable[[Files], None], completeness: Completeness, reason: str) -> None:
    files = model_files()
    change(files)
    found = inspected(tmp_path, files)
    assert found[0] is completeness
    assert found[1].startswith(reason)
    assert bool(found[1]) is bool(reason)


@pytest.mark.parametrize(
    ("files", "completeness"),
    [
        (model_files(shards=0), WHOLE),
        (model_files(assets=["words"]), UNPROVEN),
        ({"saved_model.pb": saved_model(restores=True)}, HALF),
        ({"saved_model.pb": saved_model(restores=True, ops=["VariableV2"])}, HALF),
        ({"saved_model.pb": saved_model(restores=True, ops=["Variable"])}, HALF),
        # A frozen graph may still name the op that once restored its variables.
        ({"saved_model.pb": saved_model(restores=True, ops=["Const", "VariableNorm"])}, WHOLE),
        ({"saved_model.pbtxt": b"saved_model_schema_version: 1"}, UNPROVEN),
        ({"model.tflite": b"TFL3"}, UNPROVEN),
        ({"variables/variables.index": variables_index({0: 5}, 1)}, HALF),
        ({"variables/other": b""}, HALF),
        ({"notes.txt": b"x"}, UNRECOGNIZED),
        ({}, UNRECOGNIZED),
        # A shard without tensors need not be there.
        ({"saved_model.pb": saved_model(), "variables/variables.index": variables_index({}, 4)}, WHOLE),
    ],
)
def test_other_versions(tmp_path: Path, files: Files, completeness: Completeness) -> None:
    assert inspected(tmp_path, files)[0] is completeness


def test_a_file_is_left_to_the_loader(tmp_path: Path) -> None:
    (tmp_path / "7").write_text("no directory")
    assert inspect_saved_model(str(tmp_path / "7")).completeness is WHOLE


def test_a_directory_that_is_gone(tmp_path: Path) -> None:
    inspection = inspect_saved_model
    with pytest.raises(FileNotFoundError):
        os.listdir(tmp_path / "7")
    assert inspection(str(tmp_path / "7")).completeness is WHOLE  # The next listing tells.


def test_contents_tell_whether_something_changed(tmp_path: Path) -> None:
    folder = write(tmp_path / "1", model_files())
    before = inspect_saved_model(str(folder))
    assert inspect_saved_model(str(folder)).contents == before.contents
    write(folder, {"assets.extra/more": b""})
    assert inspect_saved_model(str(folder)).contents != before.contents


def test_a_preserved_time_does_not_make_a_file_old(tmp_path: Path) -> None:
    folder = write(tmp_path / "1", model_files())
    for file in folder.rglob("*"):
        os.utime(file, (0, 0))
    assert inspect_saved_model(str(folder)).last_change > 1e9


def test_a_link_to_a_directory(tmp_path: Path) -> None:
    (tmp_path / "1").symlink_to(write(tmp_path / "elsewhere", model_files()))
    assert inspect_saved_model(str(tmp_path / "1")).completeness is WHOLE


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_prefix_of_a_copy_is_whole(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Files are copied one after another, in any order, each from its beginning."""
    folder = tmp_path_factory.mktemp("copy")
    files = model_files(shards=data.draw(st.integers(0, 3)), assets=["words"][: data.draw(st.integers(0, 1))])
    order = data.draw(st.permutations(sorted(files)))
    done = data.draw(st.integers(0, len(order) - 1))
    write(folder, {name: files[name] for name in order[:done]})
    last = files[order[done]]
    copied = data.draw(st.integers(-1, len(last) - 1))
    if copied >= 0:
        write(folder, {order[done]: last[:copied]})
    inspection = inspect_saved_model(str(folder))
    assets_only = order[done].startswith("assets/") and copied >= 0 and done == len(order) - 1
    assert inspection.completeness is not WHOLE
    # The size of an asset is known nowhere, so only time can tell.
    assert (inspection.completeness is UNPROVEN) is assets_only
    shutil.rmtree(folder)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_are_judged(tmp_path_factory: pytest.TempPathFactory, model: bytes, index: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    write(folder, {"saved_model.pb": model, "variables/variables.index": index + table({b"k": index})[-60:]})
    assert isinstance(inspect_saved_model(str(folder)).completeness, Completeness)
    shutil.rmtree(folder)
