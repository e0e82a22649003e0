# SPDX-License-Identifier: Apache-2.0
import shutil
from pathlib import Path

import pytest

from tensorserve.errors import Code, ServingError
from tensorserve.sources.object_store import ObjectStore
from tensorserve.sources.repository import ModelRepository
from tensorserve.types import ModelConfig


@pytest.fixture(params=["", "file://", "local://"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> ModelRepository:
    if request.param == "local://":
        pytest.importorskip("fsspec")
    return ModelRepository(f"{request.param}{tmp_path}", ObjectStore())


def names(repository: ModelRepository) -> list[str]:
    return [model.name for model in repository.models()]


def test_sub_folders_with_versions_are_models(repository: ModelRepository, tmp_path: Path) -> None:
    for path in ("b/1", "a/002", ".hidden/1", "no_version/x", "empty", "c\n2026-01-01/1", "d\x1b[31m/1"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "7").write_text("a file")
    assert names(repository) == ["a", "b"]
    found = repository.models()[0]
    assert found.base_path.endswith(f"{tmp_path}/a")
    assert found == ModelConfig("a", found.base_path)


def test_models_come_and_go(repository: ModelRepository, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert names(repository) == []
    (tmp_path / "a" / "1").mkdir()
    assert names(repository) == ["a"]
    # Its last version is gone, but it may get another one.
    (tmp_path / "a" / "1").rmdir()
    assert names(repository) == ["a"]
    shutil.rmtree(tmp_path / "a")
    assert names(repository) == []


def test_a_repository_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match=f"Could not list model repository {tmp_path}/none") as caught:
        ModelRepository(f"{tmp_path}/none", ObjectStore()).models()
    assert caught.value.code is Code.NOT_FOUND


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "a" / "1").mkdir(parents=True)
    assert ModelRepository("models", ObjectStore()).models() == (ModelConfig("a", f"{tmp_path}/models/a"),)
