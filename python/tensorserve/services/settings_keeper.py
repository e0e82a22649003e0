# SPDX-License-Identifier: Apache-2.0
"""Keeps the settings of `--model_settings_file`, and makes those count at once that can."""

import logging
import threading
from collections.abc import Collection, Mapping
from typing import Protocol

from tensorserve.config.batching import model_weights
from tensorserve.config.flags import ServerOptions
from tensorserve.config.model_settings import ModelSettings, Readiness, read_model_settings

logger = logging.getLogger(__name__)

_NO_SETTINGS = ModelSettings()


class SettingsUser(Protocol):
    """What acts on settings at once; the data plane is one."""

    def set_configured(self, models: set[str], required: set[str], /) -> None:
        """The models that should answer, and those that must before the server is ready."""

    def set_model_weights(self, weights: dict[str, float], /) -> None:
        """The models' shares of execution time under load."""


class SettingsKeeper:
    """The settings of each model, as the file said when it was last good. Any thread may call it.

    Args:
        options: The flags.
        user: Acts on settings.

    Raises:
        ServingError: The file cannot be used.
    """

    def __init__(self, options: ServerOptions, user: SettingsUser) -> None:
        self._path = options.model_settings_file
        self._all_are_required = options.readiness == "all"
        self._weights = model_weights(options.model_weights)
        self._user = user
        self._models: Collection[str] = ()
        self._unknown: frozenset[str] = frozenset()
        self._settings: Mapping[str, ModelSettings] = {}
        self._lock = threading.Lock()
        if self._path:
            self.refresh()

    def of(self, model: str) -> ModelSettings:
        """The settings of a model."""
        return self._settings.get(model, _NO_SETTINGS)

    def refresh(self) -> None:
        """Takes the file in again. Raises ServingError, and changes nothing then."""
        settings = read_model_settings(self._path)
        with self._lock:
            self._settings = settings
            weights = {name: found.weight for name, found in settings.items() if found.weight is not None}
            self._user.set_model_weights({**self._weights, **weights})
            if self._models:
                self._tell_models()

    def follow(self, models: Collection[str]) -> None:
        """These are the models that are configured from now on."""
        with self._lock:
            self._models = models
            self._tell_models()

    def _tell_models(self) -> None:
        self._user.set_configured(set(self._models), {model for model in self._models if self._is_required(model)})
        unknown = frozenset(self._settings) - frozenset(self._models)
        for model in sorted(unknown - self._unknown):
            logger.warning(
                "%s has settings for model %s, which is not configured; they count once it is.", self._path, model
            )
        self._unknown = unknown

    def _is_required(self, model: str) -> bool:
        readiness = self.of(model).readiness
        return self._all_are_required if readiness is Readiness.BY_FLAG else readiness is Readiness.REQUIRED
