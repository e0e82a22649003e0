# SPDX-License-Identifier: Apache-2.0
"""Serves what appears in a model repository, and drops what vanishes from it."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from tensorserve.errors import ServingError
from tensorserve.services.catalog import ModelCatalog, Origin
from tensorserve.services.reload_plan import merge_file
from tensorserve.types import ModelConfig

logger = logging.getLogger(__name__)


class FollowedRepository:
    """A model repository that is taken in again and again; see `config_file.Followed`.

    Models that came another way, such as by the admin API, are left alone.

    Args:
        list_models: Lists the models that are there now. Raises ServingError.
        catalog: The models that are served.
    """

    def __init__(self, list_models: Callable[[], Iterable[ModelConfig]], catalog: ModelCatalog) -> None:
        self._list_models = list_models
        self._catalog = catalog
        # What the server started with is what was there.
        self._last: Mapping[str, ModelConfig] = catalog.models
        self._complaint = ""
        self._lock = threading.Lock()

    def poll(self) -> None:
        """Takes in what has changed. Trouble is logged once, and everything stays as it is."""
        with self._lock:
            try:
                self._take_in(self._list_models())
            except ServingError as error:
                if str(error) != self._complaint:
                    logger.error("%s", error.message)
                self._complaint = str(error)
            else:
                self._complaint = ""

    def _take_in(self, models: Iterable[ModelConfig]) -> None:
        now = {model.name: model for model in models}
        if now != self._last:
            self._catalog.change(partial(merge_file, last=self._last, now=now, everything=False), Origin.CONFIG)
            self._last = now
