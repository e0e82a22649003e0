# SPDX-License-Identifier: Apache-2.0
"""Counts loads and warm-ups of versions, and tells probes how much is loaded."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

from tensorserve.lifecycle.loader import Loader
from tensorserve.lifecycle.memory_budget import file_bytes
from tensorserve.types import ServableId

S = TypeVar("S")


@runtime_checkable
class LoadMeter(Protocol):
    """What counts them; `_core.DataPlane` does."""

    def record_load(self, path: str, success: bool, seconds: float, /) -> None:
        """Counts an attempt to load the version at this path."""

    def record_warmup(self, path: str, status: str, seconds: float, records: int = 0, /) -> None:
        """Counts a warm-up with this number of recorded requests; `status` is OK or the text of the error."""


@dataclass(frozen=True, slots=True)
class MeteredLoader(Generic[S]):
    """Loads as `loader` does, and has each attempt counted."""

    loader: Loader[S]
    path: str
    meter: LoadMeter

    def load(self) -> S:
        """The servable."""
        start = time.monotonic()
        try:
            servable = self.loader.load()
        except BaseException:
            self.meter.record_load(self.path, False, time.monotonic() - start)
            raise
        self.meter.record_load(self.path, True, time.monotonic() - start)
        return servable


@dataclass(frozen=True, slots=True)
class AnnouncedLoader(Generic[S]):
    """Loads as `loader` does, and first tells how large the version's files are.

    Attributes:
        loader: Loads the version.
        id: Which version.
        path: Its directory.
        announce: Is told the model, the version and the bytes.
    """

    loader: Loader[S]
    id: ServableId
    path: str
    announce: Callable[[str, int, int], None]

    def load(self) -> S:
        """The servable."""
        # What is wrong with the files is said by the loader.
        with suppress(OSError):
            self.announce(self.id.name, self.id.version, file_bytes(self.path))
        return self.loader.load()


def metered(make_loader: Callable[[str], Loader[S]], meter: object) -> Callable[[str], Loader[S]]:
    """Makes loaders that load as those of `make_loader` do, and are counted if `meter` can."""
    if not isinstance(meter, LoadMeter):
        return make_loader
    return lambda path: MeteredLoader(make_loader(path), path, meter)
