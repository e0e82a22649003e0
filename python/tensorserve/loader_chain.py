# SPDX-License-Identifier: Apache-2.0
"""What loads a version: a chain of loaders. Each does its part and asks the next one.

From the outside in: the download from an object store, the memory budget, the announcement to probes and the
supervisor, the warm-up, the counting, the runtime. What a runtime measures is in the crate `servables`, under
`commissioning/steps.rs`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from tensorserve.config.flags import ServerOptions
from tensorserve.data_plane import DataPlane
from tensorserve.lifecycle.load_meter import AnnouncedLoader, metered
from tensorserve.lifecycle.load_report import LoadReports
from tensorserve.lifecycle.loader import Loader
from tensorserve.lifecycle.memory_budget import MemoryBudget
from tensorserve.lifecycle.quarantine import Supervision
from tensorserve.runtimes.registry import RuntimeRegistry
from tensorserve.runtimes.runtime import Tunable
from tensorserve.services.settings_keeper import SettingsKeeper
from tensorserve.sources.remote_versions import RemoteVersions
from tensorserve.sources.storages import is_object_store
from tensorserve.types import AspiredVersion, ModelConfig
from tensorserve.warmup.model_warmup import warming

if TYPE_CHECKING:
    from tensorserve._core import Servable


class LoaderChain:
    """Makes the chain for each version of each model.

    Args:
        options: The flags.
        registry: The runtimes.
        data_plane: Counts loads, and tells probes of them.
        budget: Reserves memory.
        remote: Fetches versions from object stores.
        supervision: Is told of each load.
        settings: The models' own settings.
        reports: Says what each load took.
    """

    def __init__(
        self,
        options: ServerOptions,
        registry: RuntimeRegistry,
        data_plane: DataPlane,
        budget: MemoryBudget,
        remote: RemoteVersions,
        supervision: Supervision,
        settings: SettingsKeeper,
        reports: LoadReports,
    ) -> None:
        self._settings = settings
        self._reports = reports
        self._supervision = supervision
        self._options = options
        self._registry = registry
        self._data_plane = data_plane
        self._budget = budget
        self._remote = remote
        self._by_model: Mapping[str, Callable[[str], Loader[Servable]]] = {}

    def add(self, models: Iterable[ModelConfig]) -> None:
        """Gets ready to load versions of these models as well. Raises ServingError."""
        self._by_model = {**self._by_model, **{model.name: self._of(model) for model in models}}

    def remove(self, model: str) -> None:
        """Versions of this model are not loaded any more."""
        self._by_model = {name: loader for name, loader in self._by_model.items() if name != model}

    def loader(self, version: AspiredVersion) -> Loader[Servable]:
        """What loads a version."""
        of_path = self._by_model[version.id.name]

        def load_local(path: str) -> Loader[Servable]:
            def announce(model: str, number: int, size: int) -> None:
                self._data_plane.set_load_bytes(model, number, size)
                self._supervision.loading(version.id, version.path, path)
                self._reports.begun(version.id, size)

            announced = AnnouncedLoader(of_path(path), version.id, path, announce)
            return self._budget.loader(version.id, path, announced)

        if is_object_store(version.path):
            return self._remote.loader(version, load_local)
        return load_local(version.path)

    def _of(self, model: ModelConfig) -> Callable[[str], Loader[Servable]]:
        runtime = self._registry.runtime(model.platform)

        def load(path: str) -> Loader[Servable]:
            settings = self._settings.of(model.name)
            return runtime.loader_with(path, settings) if isinstance(runtime, Tunable) else runtime.loader(path)

        loading = metered(load, self._data_plane)
        return warming(
            loading, self._options, self._data_plane, lambda: self._settings.of(model.name).warmup, model.name
        )
