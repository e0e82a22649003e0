# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from pathlib import Path

import pytest

from tensorserve.config.batching import Batching, Mode, VersionBatching
from tensorserve.errors import Code, ServingError
from tensorserve.runtimes.op_libraries import OpLibraries
from tensorserve.runtimes.tensorflow import LoadOptions, SavedModelOptions, TensorFlow

OPTIONS = LoadOptions(tags=("serve", "gpu"), session_config=b"config", load_niceness=7, inter_op_threading="pool")


@pytest.fixture
def version(tmp_path: Path) -> str:
    """The folder of a version; it must be there, whatever loads it."""
    return str(tmp_path)


class Loaded(tuple[object, ...]):
    """What a load was asked for, as a servable."""

    warnings = ("its output y cannot be used",)


class Library:
    """Shaped like `_core.TensorFlowRuntime`."""

    version = "0"

    def load(self, path: str, options: LoadOptions) -> Loaded:
        return Loaded((path, options))


def test_a_loader_hands_on_the_path_and_the_options(version: str) -> None:
    runtime = runtime_over(Library(), batching=Batching(Mode.AUTO))
    assert runtime.loader(version).load() == (version, replace(OPTIONS, batching=VersionBatching(b"", auto=True)))


def test_what_is_wrong_with_a_model_is_logged(version: str, caplog: pytest.LogCaptureFixture) -> None:
    runtime_over(Library()).loader(version).load()
    assert f"The model at {version}: its output y cannot be used" in caplog.text


class LibraryWithoutOp(Library):
    """Loads a model only once `ops_after` op libraries were loaded."""

    def __init__(self, ops_after: int) -> None:
        self.missing = ops_after
        self.attempts = 0

    def load_op_library(self, path: str) -> None:
        self.missing -= 1

    def load(self, path: str, options: LoadOptions) -> Loaded:
        self.attempts += 1
        if self.missing > 0:
            raise ServingError(Code.NOT_FOUND, "Op type not registered 'Triple' in binary running on here. ")
        return super().load(path, options)


def runtime_over(library: Library, *, load_installed: bool = True, batching: Batching | None = None) -> TensorFlow:
    operations = OpLibraries(library, load_installed=load_installed)
    return TensorFlow(library, SavedModelOptions(OPTIONS, batching or Batching()), operations)


def test_a_missing_op_is_looked_for_in_installed_packages(version: str, package: str) -> None:
    library = LibraryWithoutOp(ops_after=1)
    assert runtime_over(library).loader(version).load()[0] == version
    assert library.attempts == 2


def test_an_op_that_no_package_has(version: str, package: str) -> None:
    library = LibraryWithoutOp(ops_after=9)
    with pytest.raises(ServingError) as caught:
        runtime_over(library).loader(version).load()
    assert caught.value.message == (
        "Op type not registered 'Triple' in binary running on here. "
        "Name the library that has the op with --load_op_library."
    )
    assert library.attempts == 2


def test_installed_packages_are_left_alone_if_the_flag_says_so(version: str, package: str) -> None:
    library = LibraryWithoutOp(ops_after=1)
    with pytest.raises(ServingError, match="--load_op_library"):
        runtime_over(library, load_installed=False).loader(version).load()
    assert (library.attempts, library.missing) == (1, 1)
