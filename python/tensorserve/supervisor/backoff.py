# SPDX-License-Identifier: Apache-2.0
"""How long to wait before a server that died is started again. Pure: time comes from outside."""

import os
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BackoffSettings:
    """How a supervisor waits between deaths before the server was ready.

    Attributes:
        delays: Seconds to wait after the first, second ... of these deaths; the last one for all further ones.
        jitter: The largest part by which a delay is lengthened at random, so that many servers do not start at once.
        reset_after: Seconds of service after which the deaths before it count no more.
        close_from: From this delay on the ports are closed, so that TCP probes tell the truth.
    """

    delays: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
    jitter: float = 0.1
    reset_after: float = 60.0
    close_from: float = 8.0


def _random_part() -> float:
    """From 0 to 1; without the module for such numbers, which is large."""
    return int.from_bytes(os.urandom(4), "little") / 2**32


class Backoff:
    """Counts deaths before the server was ready."""

    def __init__(self, settings: BackoffSettings | None = None, random_part: Callable[[], float] | None = None) -> None:
        self._settings = settings or BackoffSettings()
        self._random_part = random_part or _random_part
        self._deaths = 0

    @property
    def deaths(self) -> int:
        """How many there were in a row."""
        return self._deaths

    def died(self, seconds_of_service: float | None) -> float:
        """A server has died.

        Args:
            seconds_of_service: How long it had been ready; None if it never was.

        Returns:
            Seconds to wait.
        """
        settings = self._settings
        if seconds_of_service is not None:
            if seconds_of_service >= settings.reset_after:
                self._deaths = 0
            return 0.0
        delay = settings.delays[min(self._deaths, len(settings.delays) - 1)]
        self._deaths += 1
        return delay * (1.0 + settings.jitter * self._random_part())

    def closes_ports(self, delay: float) -> bool:
        """Whether a wait is so long that nobody should wait for its end in the backlog of a port."""
        return delay >= self._settings.close_from
