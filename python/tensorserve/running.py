# SPDX-License-Identifier: Apache-2.0
"""What a server consists of from start to stop: the path of a model, from files to the table that answers requests.

```
FileSystemSource -> Manager -> Runtime's loader -> DataPlane
   ^                   `-> EventBus -> states, labels, Startup
ModelCatalog <- config file, reload requests, admin API, `reload`
```
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from tensorserve.config.flags import ServerOptions
from tensorserve.config.model_config import checked
from tensorserve.data_plane import DataPlane
from tensorserve.errors import Code, ServingError
from tensorserve.lifecycle.events import Event, EventBus, SourceProblem, StateChange, VersionsIncomplete
from tensorserve.lifecycle.labels import LabelKeeper
from tensorserve.lifecycle.manager import Manager
from tensorserve.lifecycle.memory_budget import MemoryBudget
from tensorserve.lifecycle.quarantine import QUARANTINED, Supervision
from tensorserve.lifecycle.startup import Startup
from tensorserve.loaders import Loaders
from tensorserve.request_log.request_logs import RequestLogs
from tensorserve.runtimes.registry import RuntimeRegistry
from tensorserve.security import Security
from tensorserve.services.catalog import Bookkeeping, ModelCatalog, Wait
from tensorserve.services.config_file import FileFollower, Followed, ModelConfigFile, OptionsFile
from tensorserve.services.control_plane import ControlPlane
from tensorserve.services.manager_options import manager_options
from tensorserve.services.model_states import ModelStates
from tensorserve.services.reload_plan import ReloadPlan
from tensorserve.services.repository_follower import FollowedRepository
from tensorserve.sources.file_system import FileSystemSource
from tensorserve.sources.places import ModelPlaces
from tensorserve.types import AspiredVersion, ModelConfig, VersionState

if TYPE_CHECKING:
    from tensorserve._core import Servable
    from tensorserve.services.admin_access import AdminAccess
    from tensorserve.services.admin_service import AdminService

logger = logging.getLogger(__name__)

# Files whose options runtimes can take in again.
_OPTION_FILES = ("tensorflow_session_config_file", "platform_config_file", "batching_parameters_file")


class Running:
    """What exists from start to stop. Listens to the source on behalf of the manager; acts on the list of models."""

    def __init__(
        self,
        options: ServerOptions,
        models: tuple[ModelConfig, ...],
        registry: RuntimeRegistry,
        places: ModelPlaces,
        data_plane: DataPlane,
        supervision: Supervision,
    ) -> None:
        self._supervision = supervision
        self.data_plane = data_plane
        self._security = Security(options, data_plane)
        self._request_logs = RequestLogs(data_plane.request_log, options)
        self.startup = Startup(model.name for model in models)
        self._registry = registry
        self._options = options
        self._budget = MemoryBudget(options.model_memory_limit_mb * 1_000_000)
        self._loaders = Loaders(options, registry, data_plane, self._budget, places.remote, supervision)
        self.prepare(models)
        self._bus = EventBus()
        self._labels = LabelKeeper(
            models, data_plane.set_labels, allow_unavailable=options.allow_version_labels_for_unavailable_models
        )
        # The data plane comes first: who hears of a state from another subscriber can rely on it.
        states = ModelStates()
        for subscriber in (self._report_state, self._labels, states, self.startup):
            self._bus.subscribe(subscriber)
        self._bus.subscribe(self._budget)
        self._bus.subscribe(supervision.take_in)
        self._manager: Manager[Servable] = Manager(data_plane, self._bus, manager_options(options))
        self._source = FileSystemSource(models, self, options.file_system_poll_wait_seconds, places.storages)
        self._places = places
        self._bus.subscribe(places.remote)
        self.catalog = ModelCatalog(
            models,
            self,
            Bookkeeping(self._bus, self._labels, states),
            allow_unavailable=options.allow_version_labels_for_unavailable_models,
        )
        self._config_file = (
            ModelConfigFile(options.model_config_file, self.catalog, self.check) if options.model_config_file else None
        )
        self._follower = FileFollower(self._followed(options), options.model_config_file_poll_wait_seconds)
        repository = places.repository
        followed = [FollowedRepository(repository.models, self.catalog)] if repository else []
        self._repository_follower = FileFollower(followed, places.repository_poll_wait_seconds)
        self._control: ControlPlane | None = None

    def _followed(self, options: ServerOptions) -> list[Followed]:
        files: list[Followed] = [
            OptionsFile(path, self._registry.refresh) for flag in _OPTION_FILES if (path := getattr(options, flag))
        ]
        return [*files, self._config_file] if self._config_file else files

    def open_control_plane(self, options: ServerOptions) -> None:
        """From here on reloads and admin requests are answered. Raises ServingError: the token file cannot be used."""

        @cache
        def access() -> AdminAccess:
            from tensorserve.services.admin_access import AdminAccess

            return AdminAccess(options.admin_api, options.admin_token_file, options.host)

        @cache
        def admin_service() -> AdminService:
            from tensorserve.services.admin_service import AdminService

            batching_report = getattr(self.data_plane, "batching_report", None)
            return AdminService.open(access(), self.catalog, self, batching_report)

        def check_reload(headers: Mapping[str, str], peer: str) -> None:
            if not options.reload_needs_admin:
                return
            access().check_reload(headers, peer)

        if options.admin_token_file:
            access()
        self._control = ControlPlane(self.catalog, admin_service, check_reload)
        self.data_plane.set_control_plane(self._control)

    def load(self, timeout_seconds: float | None) -> None:
        self._request_logs.update(self.catalog.models.values())
        self.data_plane.set_configured(set(self.catalog.models))
        logger.info("Adding/updating models.")
        for name in self.catalog.models:
            logger.info(" (Re-)adding model: %s", name)
        self._manager.start()
        self._source.start()
        self.startup.wait(timeout_seconds)
        self._manager.end_initial_load()
        self.data_plane.started()
        for refusal in self._labels.refusals():
            logger.error("%s; the label is set once it is.", refusal.message)
        logger.info("Finished adding/updating models")
        self._follower.start()
        self._repository_follower.start()

    def stop(self, drain_seconds: float, idle_seconds: float = 0.0) -> bool:
        self._follower.stop()
        self._repository_follower.stop()
        if self._control is not None:
            self._control.stop()
        self._source.stop()
        self._security.stop()
        drained = self.data_plane.shutdown(drain_seconds, idle_seconds)
        self._request_logs.stop()
        unloaded = self._manager.stop(drain_seconds)
        self._places.remote.close()
        return unloaded and drained

    def reload_files(self, wait: Wait | None) -> ReloadPlan | None:
        """Takes the configuration files in again, and looks for new versions; None if no file names models."""
        plan = None if self._config_file is None else self._config_file.reload(wait)
        self._follower.poll()
        self._repository_follower.poll()
        self._source.poll_now()
        return plan

    def release(self, model: str, version: int) -> None:
        """Loads a version again that ended the server."""
        self._supervision.release(model, version)
        self._source.poll_now()

    def restart(self) -> None:
        """Has another process take the place of this one. Raises ServingError."""
        self._supervision.restart()

    def check(self, models: Iterable[ModelConfig]) -> tuple[ModelConfig, ...]:
        accepted = checked(models, self._registry.knows, self._options.allowed_base_paths)
        self._request_logs.check(accepted)
        return accepted

    def prepare(self, models: Collection[ModelConfig]) -> None:
        self._loaders.add(models)

    def watch(self, models: Sequence[ModelConfig]) -> None:
        self._request_logs.update(models)
        self.data_plane.set_configured({model.name for model in models})
        self._source.update(models)

    def withdraw(self, model: str) -> None:
        self._loaders.remove(model)
        self.data_plane.withdraw(model)

    def versions(self, model: ModelConfig) -> Collection[int]:
        return self._places.storages.storage(model).list_versions(model).paths.keys()

    def aspire(self, model: str, versions: tuple[AspiredVersion, ...]) -> None:
        self._manager.set_aspired(model, {version.id.version: self._loaders.loader(version) for version in versions})

    def report_problem(self, model: str, error: ServingError) -> None:
        self._bus.publish(SourceProblem(model, error))

    def report_incomplete(self, model: str, reasons: Mapping[int, str]) -> None:
        self._bus.publish(VersionsIncomplete(model, reasons))
        for version, reason in reasons.items():
            if reason.startswith(QUARANTINED):
                code = int(Code.FAILED_PRECONDITION)
                self.data_plane.set_version_state(model, version, int(VersionState.END), code, reason)

    def _report_state(self, event: Event) -> None:
        if isinstance(event, StateChange):
            code, message = (event.error.code, event.error.message) if event.error else (Code.OK, "")
            self.data_plane.set_version_state(event.id.name, event.id.version, int(event.state), int(code), message)
