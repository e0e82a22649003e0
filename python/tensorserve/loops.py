# SPDX-License-Identifier: Apache-2.0
"""Threads of the control plane: the one place that starts them and keeps them going."""

import logging
import threading
import time
from collections.abc import Callable

from tensorserve.errors import Code, ServingError

logger = logging.getLogger(__name__)

# A system without threads to give may have some again in a moment.
_START_PAUSES_SECONDS = (0.0, 0.001, 0.01, 0.05, 0.1)
_LEAST_PAUSE_SECONDS, _MOST_PAUSE_SECONDS = 0.05, 5.0


def start_thread(name: str, work: Callable[[], None]) -> threading.Thread:
    """Starts a thread that does not hold up the end of the process.

    Raises:
        ServingError: RESOURCE_EXHAUSTED: the system has no thread to give, also after some tries.
    """
    reason: BaseException | None = None
    for pause in _START_PAUSES_SECONDS:
        time.sleep(pause)
        thread = threading.Thread(target=work, name=name, daemon=True)
        try:
            thread.start()
        except (RuntimeError, MemoryError) as error:
            reason = error
        else:
            return thread
    raise ServingError(Code.RESOURCE_EXHAUSTED, f"The thread {name} cannot be started: {reason}") from reason


class Loop:
    """Does a step again and again, in a thread of its own, until the step says that it was the last.

    Nothing else ends it: a step that raises is logged, and the next one follows, after a pause that grows as long as
    all of them raise. So a step must leave its state such that another one can follow, wherever it raises.

    Args:
        name: Of the thread.
        step: Waits for something to do, and does it; False to end the loop.
    """

    def __init__(self, name: str, step: Callable[[], bool]) -> None:
        self._name = name
        self._step = step
        self._thread: threading.Thread | None = None

    @property
    def is_started(self) -> bool:
        """Whether the loop was ever started."""
        return self._thread is not None

    def start(self) -> None:
        """Begins. Raises ServingError (RESOURCE_EXHAUSTED)."""
        self._thread = start_thread(self._name, self.run)

    def join(self) -> None:
        """Waits until the loop has ended, if it was started."""
        if self._thread is not None:
            self._thread.join()

    def run(self) -> None:
        """The loop itself, for who has a thread already."""
        failures = 0
        while True:
            try:
                if not self._step():
                    return
                failures = 0
            except BaseException as error:  # A panic in Rust is no Exception.
                failures += 1
                self._report(error)
                self._pause(failures)

    def _report(self, error: BaseException) -> None:
        try:
            logger.error("%s failed, and goes on: %s", self._name, ServingError.wrap(error), exc_info=error)
        except BaseException:  # The log may lack the same as the step.
            return

    def _pause(self, failures: int) -> None:
        try:
            time.sleep(min(_LEAST_PAUSE_SECONDS * 2 ** min(failures - 1, 10), _MOST_PAUSE_SECONDS))
        except BaseException:
            return
