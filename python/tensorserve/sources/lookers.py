# SPDX-License-Identifier: Apache-2.0
"""Threads that look into storage, where any look may hang."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

from tensorserve.loops import Loop, start_thread

logger = logging.getLogger(__name__)

Look = Callable[[], None]


class _Turn:
    """Whose turn it is to look, and since when it has been at its present look."""

    def __init__(self) -> None:
        self.since = time.monotonic()


class Lookers:
    """Does looks one after another on one thread, as long as none hangs.

    One thread is cheapest: a thousand looks at local directories take some milliseconds. When a look takes too long,
    another thread takes the turn and goes on with the others; the one that hangs ends with its look. So there is at
    most one thread for each look that hangs, and one more.

    Args:
        name: Name of the threads.
        patience_seconds: How long a look may take before another thread goes on.
    """

    def __init__(self, name: str, patience_seconds: float = 0.25) -> None:
        self._name = name
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._looks: deque[Look] = deque()
        self._turn: _Turn | None = None

    @property
    def patience_seconds(self) -> float:
        return self._patience_seconds

    def submit(self, looks: Iterable[Look]) -> None:
        """Queues looks. A look must not raise; an exception of it is logged.

        Raises:
            ServingError: RESOURCE_EXHAUSTED: there is no thread for them; they stay queued until the next call.
        """
        with self._lock:
            self._looks.extend(looks)
            if self._looks and self._turn is None:
                self._begin_turn()

    def relieve(self) -> bool:
        """Lets another thread go on if the present one hangs.

        Returns:
            Whether something is under way, so that this should be called again after `patience_seconds`.
        """
        with self._lock:
            if self._turn is None:
                return False
            if self._looks and time.monotonic() - self._turn.since > self._patience_seconds:
                self._begin_turn()
            return True

    def stop(self) -> None:
        """Drops the looks that have not begun. Does not wait."""
        with self._lock:
            self._looks.clear()

    def _begin_turn(self) -> None:
        turn = _Turn()
        # The thread waits for the lock, which is held, before it looks whose turn it is.
        start_thread(self._name, Loop(self._name, partial(self._do_next, turn)).run)
        self._turn = turn

    def _do_next(self, turn: _Turn) -> bool:
        look = self._next(turn)
        if look is None:
            return False
        try:
            look()
        except BaseException:
            logger.exception("A look of %s failed", self._name)
        return True

    def _next(self, turn: _Turn) -> Look | None:
        with self._lock:
            if self._turn is not turn:
                return None
            if not self._looks:
                self._turn = None
                return None
            turn.since = time.monotonic()
            return self._looks.popleft()
