# SPDX-License-Identifier: Apache-2.0
import sys
from pathlib import Path

import pytest


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The only known package with ops that is installed: one library that counts and one that does not."""
    folder = tmp_path / "ydf_tf"
    folder.mkdir()
    for name in ("__init__.py", "inference.so", "training.so"):
        # An import would raise.
        (folder / name).write_text("raise AssertionError\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *(p for p in sys.path if "site-packages" not in p)])
    return str(folder)
