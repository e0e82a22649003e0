# SPDX-License-Identifier: Apache-2.0
"""Chooses the storage of a base path, and how often it is looked at."""

import random

from tensorserve.lifecycle.quarantine import Quarantine
from tensorserve.sources.storage import Storage
from tensorserve.sources.version_directory import LocalStorage
from tensorserve.types import ModelConfig

_LOCAL_FOLLOW_UP_SECONDS = 0.5
_OBJECT_STORE_FOLLOW_UP_SECONDS = 5.0


def is_object_store(base_path: str) -> bool:
    """Whether a base path lies in an object store: a URL whose scheme is not `file`."""
    scheme, separator, _rest = base_path.partition("://")
    return bool(separator) and scheme != "file"


class Storages:
    """The file system, and object stores if there is a storage for them.

    Args:
        local: The file system.
        object_stores: What reads URLs; None if nothing does.
        object_store_poll_wait_seconds: Least pause between two looks at a URL, since each is paid for.
        quarantine: The versions that are not loaded, wherever they lie.
    """

    def __init__(
        self,
        local: Storage | None = None,
        object_stores: Storage | None = None,
        object_store_poll_wait_seconds: float = 60.0,
        quarantine: Quarantine | None = None,
    ) -> None:
        self.quarantine = quarantine or Quarantine()
        self._local = local or LocalStorage()
        self._object_stores = object_stores
        self._object_store_poll_wait_seconds = object_store_poll_wait_seconds

    def storage(self, config: ModelConfig) -> Storage:
        """Where a model lies. Without object stores the file system refuses their URLs."""
        if self._object_stores is not None and is_object_store(config.base_path):
            return self._object_stores
        return self._local

    def poll_wait_seconds(self, config: ModelConfig, poll_wait_seconds: float) -> float:
        """Pause before the next look at a model, where files are looked at every `poll_wait_seconds`."""
        if not is_object_store(config.base_path):
            return poll_wait_seconds
        # Not all servers of a fleet at the same moment.
        return max(poll_wait_seconds, self._object_store_poll_wait_seconds) * random.uniform(0.9, 1.1)

    def follow_up_seconds(self, config: ModelConfig) -> float:
        """Pause before another look at a version that was incomplete."""
        return _OBJECT_STORE_FOLLOW_UP_SECONDS if is_object_store(config.base_path) else _LOCAL_FOLLOW_UP_SECONDS
