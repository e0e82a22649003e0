# SPDX-License-Identifier: Apache-2.0
"""Loads models into this process."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tensorserve import _core
from tensorserve.config.batching import Batching
from tensorserve.config.flags import ServerOptions
from tensorserve.engine.model import Model
from tensorserve.errors import Code, ServingError
from tensorserve.runtimes.tensorflow import TensorFlow
from tensorserve.sources.completeness import SAVED_MODEL
from tensorserve.sources.version_directory import version_number


def load(
    path: str | os.PathLike[str],
    *,
    version: int | None = None,
    tags: Sequence[str] = ("serve",),
    batching: bool | str | os.PathLike[str] = False,
    tensorflow_library: str = "",
) -> Model:
    """Loads a SavedModel.

    Args:
        path: A version's directory, or the folder that holds the versions; the latest is taken.
        version: The version to take of such a folder.
        tags: Tag set of the graph to load.
        batching: Whether calls at once share batches: True to let the sizes be found, or the path of a
            `BatchingParameters` file.
        tensorflow_library: Path of TensorFlow's C library; that of the installed package if empty.

    Raises:
        ServingError: With the code and text that a server would report: NOT_FOUND if there is no model, and
            FAILED_PRECONDITION if TensorFlow is not installed.
    """
    directory = _version_directory(os.path.abspath(path), version)
    options = ServerOptions(
        saved_model_tags=",".join(tags),
        tensorflow_library=tensorflow_library,
        enable_batching=bool(batching),
        batching_parameters_file="" if isinstance(batching, bool) else os.fspath(batching),
    )
    try:
        servable = TensorFlow.open(options, Batching.of(options)).loader(directory).load()
    except _core.ServingError as error:
        raise ServingError.wrap(error) from error
    return Model(directory, servable, batched=bool(batching))


def _version_directory(path: str, version: int | None) -> str:
    if version is None and os.path.exists(os.path.join(path, SAVED_MODEL)):
        return path
    try:
        numbers = {number: name for name in os.listdir(path) if (number := version_number(name)) is not None}
    except OSError as error:
        raise ServingError.wrap(error) from error
    if version is not None and version not in numbers:
        known = ", ".join(map(str, sorted(numbers))) or "none"
        raise ServingError(Code.NOT_FOUND, f"{path} has no version {version}; there are: {known}")
    if not numbers:
        raise ServingError(Code.NOT_FOUND, f"{path} is neither a SavedModel nor a folder of versions of one")
    return os.path.join(path, numbers[max(numbers) if version is None else version])
