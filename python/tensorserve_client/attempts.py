# SPDX-License-Identifier: Apache-2.0
"""Which server is asked, how often, and when: decisions without any input or output.

A *flow* is a generator that yields steps (`Send`, `Wait`) and is sent their results. `Client` and `AsyncClient`
each have a few lines that perform steps; all else is written once.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tensorserve_client.errors import Code, ServingError, serving_error
from tensorserve_client.options import Retries
from tensorserve_client.verbs import Verb

Host = TypeVar("Host")
Result = TypeVar("Result")

# How long an address that refused a connection is passed over while others are there.
_SHUN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Send(Generic[Host]):
    """Send the verb to the host; gives what it gives, or the `ServingError`."""

    host: Host
    verb: Verb
    headers: Sequence[tuple[str, str]]
    timeout: float | None


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for `seconds`."""

    seconds: float


Step = Send[Host] | Wait
Flow = Generator[Step[Host], Any, Result]


class Hosts(Generic[Host]):
    """The servers of a client, in turn.

    One to which no connection could be made is passed over for a second, unless all are such.
    """

    def __init__(self, hosts: Sequence[Host], clock: Callable[[], float] = time.monotonic) -> None:
        self.all = tuple(hosts)
        self._clock = clock
        self._turn = itertools.count(random.randrange(len(self.all)))
        self._shunned_until = [0.0] * len(self.all)

    def __len__(self) -> int:
        return len(self.all)

    def next(self) -> int:
        """The number of the host whose turn it is."""
        count = len(self.all)
        if count == 1:
            return 0
        first, now = next(self._turn), self._clock()
        for offset in range(count):
            if self._shunned_until[(first + offset) % count] <= now:
                return (first + offset) % count
        return first % count

    def shun(self, number: int) -> None:
        """No connection could be made to this host."""
        self._shunned_until[number] = self._clock() + _SHUN_SECONDS


class Deadline:
    """When a call must be done."""

    def __init__(self, timeout: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        if timeout is not None and timeout <= 0:
            raise ValueError(f"timeout must be above 0 seconds, not {timeout}")
        self._clock = clock
        self._at = None if timeout is None else clock() + timeout

    def left(self) -> float | None:
        """Seconds left, not below 0; None without a deadline."""
        return None if self._at is None else max(self._at - self._clock(), 0.0)


def send(
    verb: Verb,
    headers: Mapping[str, str],
    hosts: Hosts[Host],
    retries: Retries,
    deadline: Deadline,
    draw: Callable[[float, float], float] = random.uniform,
) -> Flow[Host, Any]:
    """Sends a verb, again where that is allowed, and gives what it gives.

    Raises:
        ServingError: The last attempt's, if no further one is allowed.
    """
    given = tuple(headers.items())
    failed = 0
    while True:
        left = deadline.left()
        if left == 0.0:
            raise serving_error(Code.DEADLINE_EXCEEDED, "the time for the call is over", may_have_run=failed > 0)
        number = hosts.next()
        outcome = yield Send(hosts.all[number], verb, given, left)
        if not isinstance(outcome, ServingError):
            return outcome
        failed += 1
        if outcome.code == Code.UNAVAILABLE and not outcome.may_have_run and outcome.retry_after is None:
            hosts.shun(number)
        pause = pause_before(failed + 1, outcome, verb.question or retries.repeat, retries, draw)
        if failed < len(hosts) and pause is not None and outcome.retry_after is None:
            pause = 0.0  # Another host may be there now.
        left = deadline.left()
        if pause is None or (left is not None and pause >= left):
            raise outcome
        if pause:
            yield Wait(pause)


def pause_before(
    attempt: int, error: ServingError, repeat: bool, retries: Retries, draw: Callable[[float, float], float]
) -> float | None:
    """Seconds before the attempt of this number, the first being 1; None if there is to be none."""
    temporary = error.code == Code.UNAVAILABLE or error.retry_after is not None
    if attempt > retries.attempts or not temporary or (error.may_have_run and not repeat):
        return None
    if error.retry_after is not None:
        # Whoever was told the same moment does not come at the same moment.
        return error.retry_after * draw(1.0, 1.1)
    longest = min(retries.initial_seconds * 2.0 ** min(attempt - 2, 60), retries.max_seconds)
    return draw(longest / 2, longest)
