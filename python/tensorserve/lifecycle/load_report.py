# SPDX-License-Identifier: Apache-2.0
"""Says of each load how large it is, how long it takes and what memory it takes, also while it goes on."""

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tensorserve.log import about
from tensorserve.types import ServableId

logger = logging.getLogger(__name__)

# A load that takes longer than this is told of, and again each minute.
_FIRST_SECONDS, _NEXT_SECONDS = 10.0, 60.0


@dataclass(slots=True)
class _Load:
    """A load that goes on."""

    byte_count: int
    memory: int
    started: float = field(default_factory=time.monotonic)
    timer: threading.Timer | None = None


class LoadReports:
    """Follows the loads of a server.

    Args:
        memory: The bytes of memory that this process has.
    """

    def __init__(self, memory: Callable[[], int] | None = None) -> None:
        self._memory = memory or resident_bytes
        self._loads: dict[ServableId, _Load] = {}
        self._lock = threading.Lock()

    @property
    def in_progress(self) -> int:
        """How many loads go on."""
        return len(self._loads)

    def begun(self, id: ServableId, byte_count: int) -> None:
        """A version whose files have this many bytes begins to be loaded."""
        load = _Load(byte_count, self._memory())
        with self._lock:
            self._loads[id] = load
        self._tell_in(_FIRST_SECONDS, id, load)

    def ended(self, id: ServableId) -> str:
        """The load is over. Gives its report in brackets; empty if nobody has said that it began."""
        with self._lock:
            load = self._loads.pop(id, None)
            timer = load.timer if load is not None else None
        if load is None:
            return ""
        if timer is not None:
            timer.cancel()
        seconds = time.monotonic() - load.started
        rate = f", {size_text(load.byte_count / seconds)}/s" if seconds > 0 else ""
        files = f"{size_text(load.byte_count)} of files in {seconds:.2f} s{rate}"
        return f" ({files}; memory {self._growth(load)})"

    def _growth(self, load: _Load) -> str:
        growth = self._memory() - load.memory
        return f"{'+' if growth >= 0 else '-'}{size_text(abs(growth))}"

    def _tell_in(self, seconds: float, id: ServableId, load: _Load) -> None:
        timer = threading.Timer(seconds, self._tell, (id, load))
        timer.name, timer.daemon = "load_report", True
        with suppress(RuntimeError, MemoryError), self._lock:  # Without a thread nothing is told.
            if self._loads.get(id) is load:
                timer.start()
                load.timer = timer

    def _tell(self, id: ServableId, load: _Load) -> None:
        logger.info(
            "Still loading servable version %s after %.0f s: %s of files; memory %s",
            id,
            time.monotonic() - load.started,
            size_text(load.byte_count),
            self._growth(load),
            extra=about(id.name, id.version),
        )
        self._tell_in(_NEXT_SECONDS, id, load)


def resident_bytes() -> int:
    """The memory of this process; 0 where the system does not tell."""
    with suppress(OSError, ValueError, IndexError), open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def size_text(byte_count: float) -> str:
    """Such as `12.3 MB`; units are powers of 1000."""
    for unit in ("B", "kB", "MB"):
        if byte_count < 999.5:
            return f"{byte_count:.3g} {unit}"
        byte_count /= 1000
    return f"{byte_count:.3g} GB" if byte_count < 1000 else f"{byte_count:.0f} GB"
