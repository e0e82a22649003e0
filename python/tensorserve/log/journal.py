# SPDX-License-Identifier: Apache-2.0
"""Where all records end: those below the level are left out, the rest is folded, laid out and written."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from tensorserve.log.folding import Folding
from tensorserve.log.layout import Layout
from tensorserve.log.record import Record
from tensorserve.log.secrets import without_secrets


class Journal:
    """The log.

    Args:
        level: Least level of `logging` that is written.
        layout: Makes a line of a record.
        write: Takes lines; never waits.
    """

    def __init__(self, level: int, layout: Layout, write: Callable[[str], None]) -> None:
        self.level = level
        self._layout = layout
        self._write = write
        self._folding = Folding()
        # A finalizer may log while it is held.
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None

    def take(self, record: Record) -> None:
        """Writes a record, unless it is below the level or one of too many."""
        if record.level < self.level:
            return
        record = replace(record, text=without_secrets(record.text))
        with self._lock:
            if self._folding.admits(record, time.monotonic()):
                self._write(self._layout(record))
            elif self._timer is None:
                self._wait_for_summary()

    def tell_folded(self) -> None:
        """Says at once what was folded."""
        self._summarize(all_of_them=True)

    def _summarize(self, *, all_of_them: bool = False) -> None:
        with self._lock:
            for record in self._folding.due(time.monotonic(), all_of_them=all_of_them):
                if record.level >= self.level:
                    self._write(self._layout(replace(record, seconds=time.time())))

    def _wait_for_summary(self) -> None:
        due = self._folding.next_due
        if due is None:
            return
        timer = threading.Timer(max(due - time.monotonic(), 0.0), self._is_due)
        timer.name = "log_folding"
        timer.daemon = True
        with suppress(RuntimeError, MemoryError):  # There are too many threads; the next folded line tries again.
            timer.start()
            self._timer = timer

    def _is_due(self) -> None:
        with self._lock:
            self._timer = None
            try:
                self._summarize()
            finally:
                self._wait_for_summary()
