# SPDX-License-Identifier: Apache-2.0
"""One model that is watched: what was told of it, and what a look at its base path changes."""

import logging
import threading

from tensorserve.errors import Code, ServingError
from tensorserve.sources.source import SourceListener
from tensorserve.sources.version_directory import list_versions
from tensorserve.sources.version_selection import select_versions, selection_warnings
from tensorserve.types import AspiredVersion, ModelConfig, ServableId

logger = logging.getLogger(__name__)

_Finding = tuple[AspiredVersion, ...] | str


class Watch:
    """Looks at one model's base path and tells the listener what changed.

    Storage is read without a lock, since that may hang; what is found counts only if the configuration is still the
    one that the look began with. `retire` is final.

    Args:
        config: The model.
        listener: Who is told.
    """

    def __init__(self, config: ModelConfig, listener: SourceListener) -> None:
        self._config: ModelConfig | None = config
        self._listener = listener
        self._told: _Finding | None = None
        self._warned: tuple[str, ...] = ()
        self._lock = threading.Lock()

    @property
    def config(self) -> ModelConfig | None:
        """What is watched; None once it was retired."""
        return self._config

    def change(self, config: ModelConfig) -> None:
        """Watches something else from the next look on."""
        with self._lock:
            self._config = config

    def retire(self) -> None:
        """Tells the listener nothing any more once this returns."""
        with self._lock:
            self._config = None

    def remove(self, model: str) -> None:
        """Tells the listener that nothing is aspired any more, and nothing after that."""
        with self._lock:
            self._config = None
            try:
                self._listener.aspire(model, ())
            except Exception:
                logger.exception("Removing %s failed", model)

    def look(self) -> None:
        """Looks once."""
        config = self._config
        if config is None:
            return
        try:
            self._look(config)
        except Exception as error:
            logger.exception("Looking for versions of %s failed", config.name)
            self._tell_problem(config, ServingError.wrap(error))

    def report_hanging(self, seconds: float) -> None:
        """Tells the listener that a look takes suspiciously long."""
        config = self._config
        if config is not None:
            text = (
                f"Listing base path {config.base_path} for servable {config.name} takes longer than {seconds:.0f} "
                "seconds; is the storage reachable?"
            )
            self._tell_problem(config, ServingError(Code.DEADLINE_EXCEEDED, text))

    def _look(self, config: ModelConfig) -> None:
        try:
            listing = list_versions(config.name, config.base_path)
        except ServingError as error:
            self._tell_problem(config, error)
            return
        chosen = select_versions(config.policy, listing.paths.keys())
        warnings = (*listing.warnings, *selection_warnings(config.name, config.policy, listing.paths.keys()))
        versions = tuple(AspiredVersion(ServableId(config.name, v), listing.paths[v]) for v in sorted(chosen))
        with self._lock:
            if self._config is config:
                self._warn(warnings)
                self._tell(config.name, versions)

    def _tell(self, model: str, versions: tuple[AspiredVersion, ...]) -> None:
        if self._told != versions:
            self._listener.aspire(model, versions)
            self._told = versions

    def _tell_problem(self, config: ModelConfig, error: ServingError) -> None:
        with self._lock:
            if self._config is config and self._told != str(error):
                logger.error("FileSystemStoragePathSource encountered a filesystem access error: %s", error.message)
                self._told = str(error)
                self._listener.report_problem(config.name, error)

    def _warn(self, warnings: tuple[str, ...]) -> None:
        if warnings != self._warned:
            for warning in warnings:
                logger.warning("%s", warning)
        self._warned = warnings
