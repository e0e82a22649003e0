# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from tensorserve.engine.loading import _version_directory
from tensorserve.errors import ServingError


def test_a_version_or_the_latest_of_a_folder(tmp_path: Path) -> None:
    for name in ("1", "2", "10", "notes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    assert _version_directory(str(tmp_path), None) == str(tmp_path / "10")
    assert _version_directory(str(tmp_path), 2) == str(tmp_path / "2")
    assert _version_directory(str(tmp_path / "2"), None) == str(tmp_path / "2")
    with pytest.raises(ServingError, match="has no version 3; there are: 1, 2, 10"):
        _version_directory(str(tmp_path), 3)


def test_no_model(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match=r"NOT_FOUND: .* is neither a SavedModel nor a folder of versions"):
        _version_directory(str(tmp_path), None)
    with pytest.raises(ServingError, match=r"NOT_FOUND: .*none; No such file"):
        _version_directory(str(tmp_path / "none"), None)
