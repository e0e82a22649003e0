# SPDX-License-Identifier: Apache-2.0
"""Loads versions from object stores: fetches them before, and gives their place up after."""

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from tensorserve.lifecycle.events import Event, StateChange, VersionsAspired
from tensorserve.lifecycle.loader import Loader
from tensorserve.loops import start_thread
from tensorserve.sources.model_cache import ModelCache
from tensorserve.types import AspiredVersion, ServableId, VersionState

logger = logging.getLogger(__name__)

S = TypeVar("S")


class FetchingLoader(Generic[S]):
    """Fetches a version on its load thread, then loads it from there.

    Args:
        cache: Where it is kept.
        url: Where it comes from.
        make_loader: Gives what loads a local folder.
        is_wanted: Whether to go on with a download.
    """

    def __init__(
        self, cache: ModelCache, url: str, make_loader: Callable[[str], Loader[S]], is_wanted: Callable[[], bool]
    ) -> None:
        self._cache = cache
        self._url = url
        self._make_loader = make_loader
        self._is_wanted = is_wanted

    def load(self) -> S:
        return self._make_loader(self._cache.fetch(self._url, self._is_wanted)).load()


class RemoteVersions:
    """Keeps the versions in the cache that are aspired or still served; subscribe it to the bus.

    Args:
        cache: The cache.
    """

    def __init__(self, cache: ModelCache) -> None:
        self._cache = cache
        self._bases: dict[str, set[str]] = {}
        self._urls: dict[ServableId, str] = {}
        self._aspired: dict[str, frozenset[int]] = {}
        self._lock = threading.Lock()

    def loader(self, version: AspiredVersion, make_loader: Callable[[str], Loader[S]]) -> Loader[S]:
        """What loads a version by its URL; `make_loader` gives what loads a local folder."""
        name, number = version.id.name, version.id.version
        with self._lock:
            self._urls[version.id] = version.path
            self._bases.setdefault(name, set()).add(version.path.rstrip("/").rpartition("/")[0])
            # The manager's own word comes a moment later.
            self._aspired[name] = self._aspired.get(name, frozenset()) | {number}
        return FetchingLoader(
            self._cache, version.path, make_loader, lambda: number in self._aspired.get(name, frozenset())
        )

    def __call__(self, event: Event) -> None:
        """Takes in one event of the bus."""
        if isinstance(event, VersionsAspired) and event.model in self._bases:
            self._aspired[event.model] = event.versions
            self._clean(event.model)
        elif isinstance(event, StateChange) and event.state is VersionState.END and event.id.name in self._bases:
            self._ended(event.id)

    def close(self) -> None:
        """What is in the cache stays there for the next start."""
        with self._lock:
            self._bases.clear()
        self._cache.close()

    def _ended(self, id: ServableId) -> None:
        with self._lock:
            url = self._urls.get(id)
        if url is not None:
            self._cache.release(url)
        self._clean(id.name)

    def _clean(self, model: str) -> None:
        """Removing takes long; subscribers must be quick."""
        start_thread("model_cache", partial(self._remove_unwanted, model))

    def _remove_unwanted(self, model: str) -> None:
        with self._lock:
            for base in self._bases.get(model, ()):
                users = [name for name, bases in self._bases.items() if base in bases]
                self._cache.retain(base, frozenset().union(*(self._aspired.get(name, ()) for name in users)))
