# SPDX-License-Identifier: Apache-2.0
import logging
import os
import sys

import pytest

from tensorserve.errors import Code, ServingError
from tensorserve.runtimes.op_libraries import OpLibraries


class Library:
    """Shaped like `_core.TensorFlowRuntime`."""

    def __init__(self, *broken: str) -> None:
        self.loaded: list[str] = []
        self._broken = broken

    def load_op_library(self, path: str) -> None:
        if path.endswith(self._broken):
            raise ServingError(Code.NOT_FOUND, f"{path}: undefined symbol: x")
        self.loaded.append(path)


def test_named_libraries_are_loaded_in_order() -> None:
    library = Library()
    OpLibraries(library, load_installed=True).load_named("/a.so,/b.so,")
    assert library.loaded == ["/a.so", "/b.so"]


def test_a_named_library_that_cannot_be_loaded_is_an_error() -> None:
    with pytest.raises(ServingError) as caught:
        OpLibraries(Library("b.so"), load_installed=True).load_named("/a.so,/b.so")
    assert str(caught.value) == "NOT_FOUND: --load_op_library=/b.so cannot be loaded: /b.so: undefined symbol: x"


def test_installed_packages_are_found_without_an_import_and_loaded_once(package: str) -> None:
    library = Library()
    operations = OpLibraries(library, load_installed=True)
    assert operations.load_installed()
    assert operations.load_installed()
    assert library.loaded == [os.path.join(package, "inference.so")]
    assert "ydf_tf" not in sys.modules


def test_an_installed_library_that_cannot_be_loaded_is_a_warning(
    package: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert not OpLibraries(Library("inference.so"), load_installed=True).load_installed()
    assert "1 of the 1 op libraries of ydf_tf: cannot be loaded" in caplog.text
    assert "undefined symbol: x" in caplog.text
