# SPDX-License-Identifier: Apache-2.0
"""Everything that the flags say of where models come from."""

from __future__ import annotations

from dataclasses import dataclass

from tensorserve.config.flags import ServerOptions
from tensorserve.lifecycle.quarantine import Quarantine
from tensorserve.sources.model_cache import ModelCache, default_cache_folder
from tensorserve.sources.object_store import ObjectStore
from tensorserve.sources.remote_versions import RemoteVersions
from tensorserve.sources.repository import ModelRepository
from tensorserve.sources.storages import Storages
from tensorserve.sources.version_directory import LocalStorage


@dataclass(frozen=True, slots=True)
class ModelPlaces:
    """Where models come from.

    Attributes:
        storages: Where base paths lie.
        remote: Fetches versions from object stores.
        repository: `--model_repository`; None without that flag.
        repository_poll_wait_seconds: Pause between two looks at the repository; 0 looks only when told to.
    """

    storages: Storages
    remote: RemoteVersions
    repository: ModelRepository | None
    repository_poll_wait_seconds: float

    @classmethod
    def open(
        cls, options: ServerOptions, checked_platforms: frozenset[str], quarantine: Quarantine | None = None
    ) -> ModelPlaces:
        """Reads nothing yet.

        Args:
            options: The flags.
            checked_platforms: The platforms whose models are SavedModels; see `LocalStorage`.
            quarantine: The versions that are not loaded.
        """
        store = ObjectStore()
        storages = Storages(LocalStorage(checked_platforms), store, options.object_store_poll_wait_seconds, quarantine)
        remote = RemoteVersions(ModelCache(options.model_cache_dir or default_cache_folder(), store))
        repository = ModelRepository(options.model_repository, store) if options.model_repository else None
        wait = max(float(options.file_system_poll_wait_seconds), 0.0)
        if wait and repository is not None and repository.is_remote:
            wait = max(wait, options.object_store_poll_wait_seconds)
        return cls(storages, remote, repository, wait)
