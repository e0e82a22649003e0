# SPDX-License-Identifier: Apache-2.0
"""A folder of models: each sub-folder is one, called like it."""

import logging
import os

from tensorserve.errors import ServingError
from tensorserve.log import is_one_line
from tensorserve.sources.object_store import ObjectStore
from tensorserve.sources.storages import is_object_store
from tensorserve.sources.version_directory import version_number
from tensorserve.types import TENSORFLOW_PLATFORM, ModelConfig

logger = logging.getLogger(__name__)


class ModelRepository:
    """Finds the models in a folder, or below a URL.

    A sub-folder is a model once a version lies in it, and stays one until it is gone. Hidden folders are none, nor are
    those whose name has control characters. Belongs to one thread at a time.

    Args:
        location: The folder or URL.
        store: Reads URLs.
        platform: Which runtime loads the models.
    """

    def __init__(self, location: str, store: ObjectStore, platform: str = TENSORFLOW_PLATFORM) -> None:
        self._location = location if is_object_store(location) else os.path.abspath(location.removeprefix("file://"))
        self._store = store
        self._platform = platform
        self._known: frozenset[str] = frozenset()

    @property
    def is_remote(self) -> bool:
        """Whether each look is paid for."""
        return is_object_store(self._location)

    def models(self) -> tuple[ModelConfig, ...]:
        """The models that are there now, by name.

        Raises:
            ServingError: The folder cannot be listed.
        """
        try:
            names = [name for name in self._children(self._location) if is_one_line(name)]
            self._known = frozenset(name for name in names if name in self._known or self._has_version(name))
        except (OSError, ServingError) as error:
            cause = ServingError.wrap(error)
            text = f"Could not list model repository {self._location}: {cause.message}"
            raise ServingError(cause.code, text) from error
        return tuple(ModelConfig(name, self._base_path(name), self._platform) for name in sorted(self._known))

    def _base_path(self, name: str) -> str:
        return f"{self._location.rstrip('/')}/{name}"

    def _has_version(self, name: str) -> bool:
        try:
            return any(version_number(child) is not None for child in self._children(self._base_path(name), files=True))
        except (OSError, ServingError) as error:
            logger.warning("%s in the model repository cannot be listed: %s", name, error)
            return False

    def _children(self, location: str, *, files: bool = False) -> list[str]:
        if is_object_store(location):
            names = list(self._store.names(location))
        else:
            with os.scandir(location) as entries:
                names = [entry.name for entry in entries if files or entry.is_dir()]
        return [name for name in names if not name.startswith(".")]
