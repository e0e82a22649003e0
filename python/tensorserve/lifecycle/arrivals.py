# SPDX-License-Identifier: Apache-2.0
"""Waits for models that are added while the server runs."""

import threading
from collections.abc import Iterable
from types import TracebackType

from tensorserve.errors import Code, ServingError
from tensorserve.lifecycle.events import Event, EventBus
from tensorserve.lifecycle.model_start import ModelStarts, Progress


class Arrivals:
    """Follows the first load of added models, from entering the block to leaving it.

    ```python
    with Arrivals(bus, ["added"]) as arrivals:
        source.update(models)
        arrivals.wait()
    ```

    Unlike the original, this never waits for ever: a model whose base path cannot be read, is empty, or holds only
    incomplete versions counts as failed, and is still loaded when that changes.

    Args:
        bus: Where their events are published.
        models: The names of the added models.
    """

    def __init__(self, bus: EventBus, models: Iterable[str]) -> None:
        self._bus = bus
        self._models = ModelStarts(models)
        self._changed = threading.Condition()
        self._cancelled = False
        # Kept, since a bound method is a new object each time.
        self._subscriber = self._take_in

    def wait(self, timeout_seconds: float | None = None) -> None:
        """Waits until each model answers or the first attempts to load its versions have failed.

        Raises:
            ServingError: UNKNOWN: models do not answer, and why. DEADLINE_EXCEEDED: it was not decided in time.
                CANCELLED: by `cancel`.
        """
        with self._changed:
            if not self._changed.wait_for(self._decided, timeout_seconds):
                waiting = ", ".join(model.name for model in self._models.having(Progress.PENDING))
                text = f"Still loading after {timeout_seconds} seconds: {waiting}. Loading goes on."
                raise ServingError(Code.DEADLINE_EXCEEDED, text)
            if self._cancelled:
                raise ServingError(Code.CANCELLED, "Waiting for models was cancelled; loading goes on.")
            failed = list(self._models.having(Progress.FAILED, Progress.EMPTY))
        if failed:
            listed = "".join(f"{model.reason()}}}, " for model in failed)
            raise ServingError(Code.UNKNOWN, f"{len(failed)} model(s) did not become available: {{{listed}}}")

    def cancel(self) -> None:
        """Ends `wait` in another thread, now or when it begins."""
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()

    def __enter__(self) -> "Arrivals":
        self._bus.subscribe(self._subscriber)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bus.unsubscribe(self._subscriber)

    def _take_in(self, event: Event) -> None:
        with self._changed:
            if self._models.take_in(event):
                self._changed.notify_all()

    def _decided(self) -> bool:
        return self._cancelled or not self._models.any_has(Progress.PENDING)
