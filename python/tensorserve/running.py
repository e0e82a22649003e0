# SPDX-License-Identifier: Apache-2.0
"""What a server consists of from start to stop, and in which order it starts and stops.

```
ModelCatalog <- config file, reload requests, admin API, `reload`
   `-> ModelPath -> DataPlane <- requests
```
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from tensorserve.config.flags import ServerOptions
from tensorserve.data_plane import DataPlane
from tensorserve.errors import ServingError
from tensorserve.lifecycle.quarantine import Supervision
from tensorserve.loops import start_thread
from tensorserve.model_path import ModelPath
from tensorserve.request_log.request_logs import RequestLogs
from tensorserve.runtimes.registry import RuntimeRegistry
from tensorserve.security import Security
from tensorserve.services.catalog import ModelCatalog, Wait
from tensorserve.services.config_file import FileFollower, Followed, ModelConfigFile, OptionsFile
from tensorserve.services.control_plane import ControlPlane
from tensorserve.services.reload_plan import ReloadPlan
from tensorserve.services.repository_follower import FollowedRepository
from tensorserve.services.unsaved import unsaved
from tensorserve.sources.places import ModelPlaces
from tensorserve.types import ModelConfig

if TYPE_CHECKING:
    from tensorserve.services.admin_access import AdminAccess
    from tensorserve.services.admin_service import AdminService

logger = logging.getLogger(__name__)

# Files whose options runtimes can take in again.
_OPTION_FILES = ("tensorflow_session_config_file", "platform_config_file", "batching_parameters_file")


class Running:
    """What exists from start to stop. Does what requests to reload, release and restart ask for."""

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
        self._path = ModelPath(options, models, registry, places, data_plane, self._request_logs, supervision)
        self.catalog = ModelCatalog(
            models,
            self._path,
            self._path.books,
            allow_unavailable=options.allow_version_labels_for_unavailable_models,
        )
        self._config_file = (
            ModelConfigFile(options.model_config_file, self.catalog, self._path.check)
            if options.model_config_file
            else None
        )
        files = [self._path.settings_file] if self._path.settings_file else []
        files += [OptionsFile(path, registry.refresh) for flag in _OPTION_FILES if (path := getattr(options, flag))]
        self._options_files = tuple(files)
        followed: list[Followed] = [*files, self._config_file] if self._config_file else [*files]
        self._follower = FileFollower(followed, options.model_config_file_poll_wait_seconds)
        self._given_models = self.catalog.models
        self._repository = repository = places.repository
        folders = [FollowedRepository(repository.models, self.catalog)] if repository else []
        self._repository_follower = FileFollower(folders, places.repository_poll_wait_seconds)
        self._control: ControlPlane | None = None

    def open_control_plane(self, options: ServerOptions) -> None:
        """From here on reloads and admin requests are answered. Raises ServingError: the token file cannot be used."""

        @cache
        def access() -> AdminAccess:
            from tensorserve.services.admin_access import AdminAccess

            return AdminAccess(options.admin_api, options.admin_token_file, options.host)

        @cache
        def admin_service() -> AdminService:
            from tensorserve.services.admin_service import AdminService

            return AdminService.open(access(), self.catalog, self, self.data_plane.batching_report)

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
        self._path.settings.follow(self.catalog.models.keys())
        logger.info("Adding/updating models.")
        for name in self.catalog.models:
            logger.info(" (Re-)adding model: %s", name)
        self._path.start(timeout_seconds)
        logger.info("Finished adding/updating models")
        self._follower.start()
        self._repository_follower.start()

    def be_replaced(self) -> None:
        """Another process serves from now on: changes are refused, and no file is taken in any more."""
        self._follower.stop()
        self._repository_follower.stop()
        self.catalog.be_replaced()
        # In a thread of its own, since files are read for it.
        with suppress(ServingError):
            start_thread("unsaved", self._warn_of_loss)

    def stop(self, drain_seconds: float, idle_seconds: float = 0.0) -> bool:
        self._follower.stop()
        self._repository_follower.stop()
        if self._control is not None:
            self._control.stop()
        self._path.end_source()
        self._security.stop()
        drained = self.data_plane.shutdown(drain_seconds, idle_seconds)
        self._request_logs.stop()
        unloaded = self._path.unload(drain_seconds)
        return unloaded and drained

    def reload_files(self, wait: Wait | None) -> ReloadPlan | None:
        """Takes the configuration files in again, and looks for new versions; None if no file names models.

        Raises:
            ServingError: One of them cannot be read, or what it says is refused. The models are as they were then.
        """
        for file in self._options_files:
            file.reload()
        plan = None if self._config_file is None else self._config_file.reload(wait)
        self._follower.poll()
        self._repository_follower.poll()
        self._path.poll_now()
        return plan

    def release(self, model: str, version: int) -> None:
        """Loads a version again that ended the server."""
        self._supervision.release(model, version)
        self._path.poll_now()

    def set_log_level(self, level: str) -> None:
        """From now on the log has lines of this level too, or has not."""
        self._supervision.set_log_level(level)

    def restart(self, timeout_seconds: float | None) -> Sequence[str]:
        """Has another process take the place of this one. Gives what that does not know. Raises ServingError."""
        self._supervision.restart(timeout_seconds)
        return self._unsaved()

    def _unsaved(self) -> Sequence[str]:
        """What was changed and neither a flag nor a file says."""
        try:
            return unsaved(self.catalog.models, self._written())
        except ServingError as error:
            logger.warning("What is lost by the restart is not known: %s", error.message)
            return ()

    def _written(self) -> Mapping[str, ModelConfig]:
        if self._config_file is not None:
            return self._config_file.models()
        if self._repository is not None:
            return {model.name: model for model in self._path.check(self._repository.models())}
        return self._given_models

    def _warn_of_loss(self) -> None:
        for lost in self._unsaved():
            logger.warning("The process that serves from now on does not know %s.", lost)
