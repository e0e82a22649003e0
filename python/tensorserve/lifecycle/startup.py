# SPDX-License-Identifier: Apache-2.0
"""Decides when a server that starts may open its ports, and whether it should.

Every version that is aspired is waited for until it is available or its first attempt to load has failed; later
attempts go on in the background. Then one model that answers is enough to start: a broken model takes no other down.
If no model answers, the start fails. A base path without any complete version is waited for, unless other models
answer. A model that is added later is followed by `arrivals`.
"""

import logging
import threading
from collections.abc import Iterable

from tensorserve.errors import Code, ServingError
from tensorserve.lifecycle.events import Event
from tensorserve.lifecycle.model_start import ModelStart, ModelStarts, Progress
from tensorserve.log import about

logger = logging.getLogger(__name__)


class Startup:
    """Follows the first load of the models; subscribe it to the bus.

    Args:
        models: The names of all models that are configured.
    """

    def __init__(self, models: Iterable[str]) -> None:
        self._models = ModelStarts(models)
        self._changed = threading.Condition()

    def __call__(self, event: Event) -> None:
        """Takes in one event of the bus."""
        with self._changed:
            if self._models.take_in(event):
                self._changed.notify_all()

    def wait(self, timeout_seconds: float | None = None) -> None:
        """Waits until the start is decided, and logs an error for each model that does not answer.

        Raises:
            ServingError: No model answers: why. DEADLINE_EXCEEDED: it was not decided in time.
        """
        with self._changed:
            if not self._changed.wait_for(self._decided, timeout_seconds):
                raise ServingError(Code.DEADLINE_EXCEEDED, f"No model became available in {timeout_seconds} seconds.")
            failed = list(self._models.having(Progress.FAILED))
            if failed and not self._models.any_has(Progress.AVAILABLE):
                raise _start_error(failed)
            for model in failed:
                logger.error("Starting without model %s: %s", model.name, model.reason(), extra=about(model.name))

    def wait_until_available(self, timeout_seconds: float | None = None) -> bool:
        """Waits until every model has a version that answers. False if that took longer than the timeout."""

        def all_available() -> bool:
            return all(model.has_available() for model in self._models.all())

        with self._changed:
            return self._changed.wait_for(all_available, timeout_seconds)

    def _decided(self) -> bool:
        if self._models.any_has(Progress.PENDING):
            return False
        return not self._models.all() or self._models.any_has(Progress.AVAILABLE, Progress.FAILED)


def _start_error(failed: list[ModelStart]) -> ServingError:
    if len(failed) == 1 and (problem := failed[0].base_path_problem()) is not None:
        return problem
    listed = "".join(f"{model.reason()}}}, " for model in failed)
    return ServingError(Code.UNKNOWN, f"{len(failed)} servable(s) did not become available: {{{listed}}}")
