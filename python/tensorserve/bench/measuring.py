# SPDX-License-Identifier: Apache-2.0
"""One measurement: a load, and how it was answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tensorserve import _core
from tensorserve.bench.requests import Requests
from tensorserve.errors import Code, ServingError

Progress = Callable[[float, int, int], None]
_LOOK_SECONDS = 0.25
_NANOSECONDS = 1e9


@dataclass(frozen=True, slots=True)
class Load:
    """When requests are sent, and for how long.

    Attributes:
        concurrency: Senders of a closed loop; 0 for an open loop.
        rate: Requests a second of an open loop.
        even: Send them at even distances instead of random ones.
        max_in_flight: Requests of an open loop that wait for answers at once; what is beyond waits to be sent.
        connections: To the server; 0 for as many as suit.
        threads: That send.
        warm_up: Seconds that are not measured.
        seconds: That are.
        timeout: Seconds after which a request has failed.
        seed: Of the random distances.
    """

    concurrency: int = 0
    rate: float = 0.0
    even: bool = False
    max_in_flight: int = 10_000
    connections: int = 0
    threads: int = 1
    warm_up: float = 1.0
    seconds: float = 5.0
    timeout: float = 10.0
    seed: int = 0

    @property
    def text(self) -> str:
        """Such as `8 senders`."""
        if self.concurrency:
            return f"{self.concurrency} sender{'s' if self.concurrency > 1 else ''}"
        return f"{self.rate:.4g} requests/s"


@dataclass(frozen=True)
class Measurement:
    """How a load was answered.

    Attributes:
        load: What was sent.
        rows: Size of the batch dimension of each request; 0 if it is not known.
        counts: The number of requests by nanoseconds that they took, in ascending order.
        lags: The same of how late requests of an open loop were sent.
        rate: Good answers a second.
        errors: Failed requests by the kind of failure.
        unfinished: Requests that were to be sent and could not be, since the server was too far behind.
    """

    load: Load
    rows: int
    counts: Mapping[int, int]
    lags: Mapping[int, int]
    rate: float
    errors: Mapping[str, int] = field(default_factory=dict)
    unfinished: int = 0

    @property
    def answered(self) -> int:
        """Good answers, measured ones."""
        return sum(self.counts.values()) - self.unfinished

    @property
    def failed(self) -> int:
        """Requests that failed."""
        return sum(self.errors.values())

    def percentile(self, percent: float) -> float:
        """Seconds within which `percent` of the requests were answered."""
        return percentile(self.counts, percent)

    @property
    def mean(self) -> float:
        """Seconds that requests took on average."""
        count = sum(self.counts.values())
        return sum(nanos * many for nanos, many in self.counts.items()) / count / _NANOSECONDS if count else 0.0

    def as_json(self) -> dict[str, Any]:
        """For files; times are microseconds."""
        percents = (50, 75, 90, 95, 99, 99.9, 99.99, 100)
        load = self.load
        return {
            "concurrency": load.concurrency,
            "offered_rate": load.rate,
            "rows": self.rows,
            "seconds": load.seconds,
            "requests_per_second": self.rate,
            "rows_per_second": self.rate * self.rows,
            "answered": self.answered,
            "errors": dict(self.errors),
            "unfinished": self.unfinished,
            "mean_us": self.mean * 1e6,
            "percentiles_us": {f"{percent:g}": self.percentile(percent) * 1e6 for percent in percents},
            "lag_p99_us": percentile(self.lags, 99) * 1e6,
            "histogram_ns": {str(nanos): count for nanos, count in self.counts.items()},
        }


def percentile(counts: Mapping[int, int], percent: float) -> float:
    """Seconds that `percent` of the counted nanoseconds do not exceed; 0 if there are none."""
    wanted = percent / 100 * sum(counts.values())
    seen = 0
    for nanos, count in counts.items():
        seen += count
        if seen >= wanted:
            return nanos / _NANOSECONDS
    return 0.0


def measure(requests: Requests, load: Load, progress: Progress | None = None) -> Measurement:
    """Sends a load and waits until it is over.

    Args:
        requests: What is sent.
        load: When.
        progress: Called with the seconds since the start and the requests answered and failed so far, a few times a
            second.

    Raises:
        ServingError: UNAVAILABLE if the server cannot be reached at first.
        KeyboardInterrupt: The user ended it; nothing goes on in the background.
    """
    test = _start(requests, load)
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(test.run())
        except OSError as error:
            outcome.append(error)

    thread = threading.Thread(target=run, name="tensorserve-bench")
    started = time.monotonic()
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_LOOK_SECONDS)
            if progress is not None:
                progress(time.monotonic() - started, *test.progress())
    finally:
        test.stop()
        thread.join()
    report = outcome[0]
    if isinstance(report, OSError):
        raise ServingError(Code.UNAVAILABLE, str(report)) from report
    return Measurement(
        load=load,
        rows=requests.rows,
        counts=report["latencies"],
        lags=report["lags"],
        rate=report["answered_in_time"] / load.seconds,
        errors=report["errors"],
        unfinished=report["unfinished"],
    )


def _start(requests: Requests, load: Load) -> _core.LoadTest:
    address = requests.address
    # HTTP/1.1 has one request on a connection at a time; HTTP/2 shares a few.
    suited = load.concurrency if address.rest else min(load.concurrency, 4 * load.threads)
    connections = load.connections or suited or (64 if address.rest else 4 * load.threads)
    return _core.LoadTest(
        f"unix:{address.socket_path}" if address.socket_path else address.target,
        requests.bodies,
        replace(load, connections=connections),
        grpc=not address.rest,
        path=requests.path,
        content_type=requests.content_type,
    )
