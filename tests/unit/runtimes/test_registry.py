# SPDX-License-Identifier: Apache-2.0
import sys
from pathlib import Path

import pytest

from tensorserve.config.batching import Batching
from tensorserve.config.flags import ServerOptions
from tensorserve.errors import Code, ServingError
from tensorserve.runtimes.registry import RuntimeRegistry
from tests.unit.fakes import FakeRuntime

OPTIONS = ServerOptions(model_name="m")


def test_a_runtime_is_opened_once_with_the_options() -> None:
    opened = []
    registry = RuntimeRegistry(
        OPTIONS, Batching(), {"fake": lambda options: opened.append(options) or FakeRuntime(options)}
    )
    assert registry.knows("fake")
    assert opened == []
    assert registry.runtime("fake") is registry.runtime("fake")
    assert opened == [OPTIONS]


def test_unknown_platform() -> None:
    registry = RuntimeRegistry(OPTIONS, Batching())
    assert not registry.knows("no such platform")
    with pytest.raises(ServingError) as caught:
        registry.runtime("no such platform")
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_an_installed_package_can_bring_a_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plugin_for_a_test.py").write_text("class Runtime:\n    def __init__(self, options):\n        pass\n")
    metadata = tmp_path / "plugin_for_a_test-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin-for-a-test\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[tensorserve.runtimes]\nguess = plugin_for_a_test:Runtime\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    registry = RuntimeRegistry(OPTIONS, Batching())
    assert registry.knows("guess")
    assert type(registry.runtime("guess")).__name__ == "Runtime"
