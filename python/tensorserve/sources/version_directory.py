# SPDX-License-Identifier: Apache-2.0
"""Finds the version directories under a base path, by TensorFlow Serving's rules."""

import os
import re
from collections.abc import Collection

from tensorserve.errors import Code, ServingError
from tensorserve.sources.completeness import inspect_saved_model
from tensorserve.sources.storage import Completeness, Inspection, VersionListing
from tensorserve.types import TENSORFLOW_PLATFORM, ModelConfig

_VERSION = re.compile(r"[ \t\n\v\f\r]*[+-]?[0-9]+[ \t\n\v\f\r]*")
_INT64 = 2**63

# Whatever holds one of these is a version.
_MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb", "export.meta", "model.tflite")


def version_number(name: str) -> int | None:
    """The version that a directory name stands for, or None.

    The whole name must be a decimal 64 bit integer. Leading zeros, a sign, and blanks around it are fine.
    """
    if not _VERSION.fullmatch(name):
        return None
    number = int(name)
    return number if -_INT64 <= number < _INT64 else None


def list_versions(model: str, base_path: str, known: VersionListing | None = None) -> VersionListing:
    """Lists the versions under a base path.

    Files count like directories: they fail when they are loaded, where the reason is visible. Of several names for one
    version (`1` and `001`) the last in lexicographic order is taken.

    Raises:
        ServingError: The base path is missing or cannot be read, or has an unknown scheme.
    """
    try:
        folder = _local_path(base_path)
        names = tuple(os.listdir(folder))
    except (OSError, ServingError) as error:
        raise base_path_error(model, base_path, error) from error
    if known is not None and known.names == names:
        return known
    return version_listing(model, base_path, folder, names)


def base_path_error(model: str, base_path: str, error: BaseException) -> ServingError:
    """That a base path cannot be listed, in TensorFlow Serving's words."""
    cause = ServingError.wrap(error)
    return ServingError(cause.code, f"Could not find base path {base_path} for servable {model} with error {cause}")


def version_listing(model: str, base_path: str, folder: str, names: tuple[str, ...]) -> VersionListing:
    """Chooses the versions among the names in a folder."""
    paths: dict[int, str] = {}
    warnings: list[str] = []
    for name in sorted(names):
        number = version_number(name)
        if number is None:
            continue
        path = os.path.join(folder, name)
        if number in paths:
            warnings.append(
                f"Duplicate version directories detected. Version {number} will be loaded from {path}, "
                f"{paths[number]} will be ignored."
            )
        paths[number] = path
    if not paths:
        warnings.append(f"No versions of servable {model} found under base path {base_path}. {_hint(base_path, names)}")
    return VersionListing(paths, tuple(warnings), names)


def _hint(base_path: str, names: Collection[str]) -> str:
    """What is probably wrong with a base path without versions."""
    model = next((name for name in _MODEL_FILES if name in names), None)
    if model is None:
        return "Did you forget to name your leaf directory as a number (eg. '/1/')?"
    path = base_path.rstrip("/")
    parent, _, name = path.rpartition("/")
    if version_number(name) is not None:
        return f"It is itself a version, since it holds {model}: give its parent folder, {parent or '/'}."
    return f"It is itself a version, since it holds {model}: move that into a folder with a number, such as {path}/1."


class LocalStorage:
    """Directories that the operating system knows.

    Args:
        checked_platforms: The platforms whose models are SavedModels, so that half copies can be recognized.
    """

    def __init__(self, checked_platforms: frozenset[str] = frozenset({TENSORFLOW_PLATFORM})) -> None:
        self._checked_platforms = checked_platforms

    def list_versions(self, config: ModelConfig, known: VersionListing | None = None) -> VersionListing:
        return list_versions(config.name, config.base_path, known)

    def inspect(self, config: ModelConfig, path: str) -> Inspection:
        if config.platform not in self._checked_platforms:
            return Inspection(Completeness.WHOLE)
        return inspect_saved_model(path)


def _local_path(base_path: str) -> str:
    scheme, separator, rest = base_path.partition("://")
    if not separator:
        return base_path
    if scheme == "file":
        return rest
    raise ServingError(Code.UNIMPLEMENTED, f"File system scheme '{scheme}' not implemented (file: '{base_path}')")
