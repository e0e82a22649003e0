# SPDX-License-Identifier: Apache-2.0
"""The path of a model: from the files in which a source finds its versions to the table that answers requests.

```
FileSystemSource -> Manager -> LoaderChain -> DataPlane
                       `-> EventBus -> states, labels, Startup
```
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from tensorserve.config.flags import ServerOptions
from tensorserve.config.model_config import checked
from tensorserve.data_plane import DataPlane
from tensorserve.errors import Code, ServingError
from tensorserve.lifecycle.events import (
    Event,
    EventBus,
    SourceProblem,
    StateChange,
    VersionsIncomplete,
    VersionsLeftOut,
)
from tensorserve.lifecycle.labels import LabelKeeper
from tensorserve.lifecycle.load_report import LoadReports
from tensorserve.lifecycle.manager import Manager
from tensorserve.lifecycle.memory_budget import MemoryBudget
from tensorserve.lifecycle.quarantine import QUARANTINED, Supervision
from tensorserve.lifecycle.startup import Startup
from tensorserve.loader_chain import LoaderChain
from tensorserve.request_log.request_logs import RequestLogs
from tensorserve.runtimes.registry import RuntimeRegistry
from tensorserve.services.catalog import Bookkeeping
from tensorserve.services.config_file import OptionsFile
from tensorserve.services.manager_options import manager_options
from tensorserve.services.model_states import ModelStates
from tensorserve.services.settings_keeper import SettingsKeeper
from tensorserve.sources.file_system import FileSystemSource
from tensorserve.sources.places import ModelPlaces
from tensorserve.sources.version_selection import select_versions
from tensorserve.types import AspiredVersion, ModelConfig, VersionState

if TYPE_CHECKING:
    from tensorserve._core import Servable

logger = logging.getLogger(__name__)


class ModelPath:
    """The path of all models. The catalog says which they are, and the source which versions they have.

    Args:
        options: The flags.
        models: The models that the server starts with.
        registry: The runtimes.
        places: Where versions come from.
        data_plane: Has the table.
        request_logs: Log the requests of the models.
        supervision: Is told of loads and states.

    Attributes:
        books: Know what the models do.
        settings: The models' own settings.
        settings_file: Takes them in again; None if there is no such file.

    Raises:
        ServingError: A model cannot be loaded here.
    """

    def __init__(
        self,
        options: ServerOptions,
        models: tuple[ModelConfig, ...],
        registry: RuntimeRegistry,
        places: ModelPlaces,
        data_plane: DataPlane,
        request_logs: RequestLogs,
        supervision: Supervision,
    ) -> None:
        self._options = options
        self._registry = registry
        self._places = places
        self._data_plane = data_plane
        self._request_logs = request_logs
        self.settings = SettingsKeeper(options, data_plane)
        path = options.model_settings_file
        self.settings_file = OptionsFile(path, self.settings.refresh) if path else None
        budget = MemoryBudget(options.model_memory_limit_mb * 1_000_000)
        reports = LoadReports()
        self._loaders = LoaderChain(
            options, registry, data_plane, budget, places.remote, supervision, self.settings, reports
        )
        self.prepare(models)
        self._labels = LabelKeeper(
            models, data_plane.set_labels, allow_unavailable=options.allow_version_labels_for_unavailable_models
        )
        self._startup = Startup(model.name for model in models)
        states = ModelStates()
        self._bus = EventBus()
        # The data plane comes first: who hears of a state from another subscriber can rely on it.
        hear = (self._report_state, self._labels, states, self._startup, budget, supervision.take_in, places.remote)
        for subscriber in hear:
            self._bus.subscribe(subscriber)
        self.books = Bookkeeping(self._bus, self._labels, states)
        how = manager_options(options, self.settings.of)
        self._manager: Manager[Servable] = Manager(data_plane, self._bus, how, reports)
        self._source = FileSystemSource(models, self, options.file_system_poll_wait_seconds, places.storages)

    def start(self, timeout_seconds: float | None) -> None:
        """Loads the first models; returns when they answer, or when their first attempts are over.

        Raises:
            ServingError: No model could be loaded, or that took too long.
        """
        self._manager.start()
        self._source.start()
        self._startup.wait(timeout_seconds)
        self._manager.end_initial_load()
        self._data_plane.started()
        for refusal in self._labels.refusals():
            logger.error("%s; the label is set once it is.", refusal.message)

    def poll_now(self) -> None:
        """Looks for new versions soon; returns at once."""
        self._source.poll_now()

    def end_source(self) -> None:
        """From now on no version comes or goes."""
        self._source.stop()

    def unload(self, timeout_seconds: float) -> bool:
        """Unloads everything; False if that took too long."""
        unloaded = self._manager.stop(timeout_seconds)
        self._places.remote.close()
        return unloaded

    # The catalog's ModelUser.

    def check(self, models: Iterable[ModelConfig]) -> tuple[ModelConfig, ...]:
        if self.settings_file is not None:
            # What a list adds is loaded by the settings that were written with it.
            self.settings_file.poll()
        accepted = checked(models, self._registry.knows, self._options.allowed_base_paths)
        self._request_logs.check(accepted)
        return accepted

    def prepare(self, models: Collection[ModelConfig]) -> None:
        self._loaders.add(models)

    def watch(self, models: Sequence[ModelConfig]) -> None:
        self._request_logs.update(models)
        self.settings.follow({model.name for model in models})
        self._source.update(models)

    def withdraw(self, model: str) -> None:
        self._loaders.remove(model)
        self._data_plane.withdraw(model)

    def versions(self, model: ModelConfig) -> Collection[int]:
        return self._places.storages.storage(model).list_versions(model).paths.keys()

    def wanted_versions(self, model: ModelConfig) -> frozenset[int]:
        return select_versions(model.policy, self.versions(model))

    # The source's SourceListener.

    def aspire(self, model: str, versions: tuple[AspiredVersion, ...]) -> None:
        self._manager.set_aspired(model, {version.id.version: self._loaders.loader(version) for version in versions})

    def report_problem(self, model: str, error: ServingError) -> None:
        self._bus.publish(SourceProblem(model, error))

    def report_incomplete(self, model: str, reasons: Mapping[int, str]) -> None:
        self._bus.publish(VersionsIncomplete(model, reasons))
        for version, reason in reasons.items():
            if reason.startswith(QUARANTINED):
                code = int(Code.FAILED_PRECONDITION)
                self._data_plane.set_version_state(model, version, int(VersionState.END), code, reason)

    def report_left_out(self, model: str, versions: frozenset[int]) -> None:
        self._bus.publish(VersionsLeftOut(model, versions))

    def _report_state(self, event: Event) -> None:
        if isinstance(event, StateChange):
            code, message = (event.error.code, event.error.message) if event.error else (Code.OK, "")
            self._data_plane.set_version_state(event.id.name, event.id.version, int(event.state), int(code), message)
