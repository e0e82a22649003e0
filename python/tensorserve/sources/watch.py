# SPDX-License-Identifier: Apache-2.0
"""One model that is watched: what was told of it, and what a look at its base path changes."""

import logging
import math
import threading
import time
from collections.abc import Mapping

from tensorserve.errors import Code, ServingError
from tensorserve.lifecycle.quarantine import QUARANTINED
from tensorserve.sources.acceptance import Acceptance
from tensorserve.sources.source import SourceListener
from tensorserve.sources.storage import VersionListing
from tensorserve.sources.storages import Storages
from tensorserve.sources.version_selection import left_out, selection_warnings
from tensorserve.types import AspiredVersion, ModelConfig, ServableId

logger = logging.getLogger(__name__)

# What is waited for is said this often.
_REMIND_SECONDS = 60.0

_Finding = tuple[AspiredVersion, ...] | str


class Watch:
    """Looks at one model's base path and tells the listener what changed.

    Storage is read without a lock, since that may hang; what is found counts only if the configuration is still the
    one that the look began with. `retire` is final.

    Args:
        config: The model.
        listener: Who is told.
        storages: Where base paths lie.
    """

    def __init__(self, config: ModelConfig, listener: SourceListener, storages: Storages) -> None:
        self._config: ModelConfig | None = config
        self._listener = listener
        self._storages = storages
        self._acceptance = Acceptance(quarantined=storages.quarantine.reason)
        # What was told of this listing holds as long as the listing does.
        self._settled: VersionListing | None = None
        self._seen: frozenset[int] = frozenset()
        self._told: _Finding | None = None
        self._incomplete: dict[int, str] = {}
        self._left_out: frozenset[int] = frozenset()
        self._warned: tuple[str, ...] = ()
        self._warn_again = math.inf
        self._lock = threading.Lock()

    @property
    def config(self) -> ModelConfig | None:
        """What is watched; None once it was retired."""
        return self._config

    def change(self, config: ModelConfig) -> None:
        """Watches something else from the next look on."""
        with self._lock:
            self._config = config
            self._settled = None

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

    def look(self, is_follow_up: bool = False) -> bool:
        """Looks once; one look at a time.

        Args:
            is_follow_up: Only at the versions that the look before has found.

        Returns:
            Whether something is incomplete, so that it is worth looking again soon.
        """
        config = self._config
        if config is None:
            return False
        try:
            return self._look(config, is_follow_up)
        except Exception as error:
            logger.exception("Looking for versions of %s failed", config.name)
            self._tell_problem(config, ServingError.wrap(error))
            return False

    def report_hanging(self, seconds: float) -> None:
        """Tells the listener that a look takes suspiciously long."""
        config = self._config
        if config is not None:
            text = (
                f"Listing base path {config.base_path} for servable {config.name} takes longer than {seconds:.0f} "
                "seconds; is the storage reachable?"
            )
            self._tell_problem(config, ServingError(Code.DEADLINE_EXCEEDED, text))

    def _look(self, config: ModelConfig, is_follow_up: bool) -> bool:
        storage = self._storages.storage(config)
        try:
            listing = storage.list_versions(config, self._settled)
        except ServingError as error:
            self._settled = None
            self._tell_problem(config, error)
            return False
        if listing is self._settled:
            self._remind()
            return False
        paths = dict(listing.paths)
        if is_follow_up:
            paths = {version: path for version, path in paths.items() if version in self._seen}
        self._seen = frozenset(paths)
        selection = self._acceptance.select(config, paths, storage)
        warnings = (*listing.warnings, *selection_warnings(config.name, config.policy, listing.paths.keys()))
        versions = tuple(AspiredVersion(ServableId(config.name, v), paths[v]) for v in sorted(selection.versions))
        with self._lock:
            if self._config is config:
                self._warn(warnings)
                self._tell_incomplete(config.name, paths, selection.reasons)
                self._tell_left_out(config.name, left_out(config.policy, paths.keys()))
                self._tell(config.name, versions)
                self._settled = listing if selection.is_final else None
        return bool(selection.reasons)

    def _tell_incomplete(self, model: str, paths: Mapping[int, str], reasons: Mapping[int, str]) -> None:
        for version in reasons.keys() - self._incomplete.keys():
            if reasons[version].startswith(QUARANTINED):
                logger.error("Version %d of %s at %s is %s", version, model, paths[version], reasons[version])
                continue
            logger.warning(
                "Version %d of %s at %s is not loaded yet: %s. It is loaded once it is complete.",
                version,
                model,
                paths[version],
                reasons[version],
            )
        if reasons != self._incomplete:
            self._incomplete = dict(reasons)
            self._listener.report_incomplete(model, reasons)

    def _tell_left_out(self, model: str, versions: frozenset[int]) -> None:
        if versions != self._left_out:
            self._left_out = versions
            self._listener.report_left_out(model, versions)

    def _tell(self, model: str, versions: tuple[AspiredVersion, ...]) -> None:
        if self._told != versions:
            self._listener.aspire(model, versions)
            self._told = versions

    def _tell_problem(self, config: ModelConfig, error: ServingError) -> None:
        with self._lock:
            if self._config is config and self._told != str(error):
                logger.error("FileSystemStoragePathSource encountered a filesystem access error: %s", error.message)
                self._told = str(error)
                self._settled = None
                self._listener.report_problem(config.name, error)

    def _warn(self, warnings: tuple[str, ...]) -> None:
        if warnings != self._warned:
            self._warned, self._warn_again = warnings, -math.inf
        self._remind()

    def _remind(self) -> None:
        """Says now and then what is waited for, as long as it is."""
        now = time.monotonic()
        if now < self._warn_again:
            return
        for warning in self._warned:
            logger.warning("%s", warning)
        self._warn_again = now + _REMIND_SECONDS
