# SPDX-License-Identifier: Apache-2.0
"""Brings answered requests from the data plane to their collectors."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from tensorserve.config.flags import ServerOptions
from tensorserve.loops import Loop
from tensorserve.request_log.collector import CollectorFactory, LogCollector, find_factory
from tensorserve.types import LoggingConfig, ModelConfig

if TYPE_CHECKING:
    from tensorserve._core import RequestLog

logger = logging.getLogger(__name__)

_BATCH_BYTES = 16 << 20
_WAIT_SECONDS = 0.2
_TELL_SECONDS = 10.0
"""Dropped records are told of so often."""

_Target = tuple[str, str]


class RequestLogs:
    """The request logs of a server.

    Models whose `logging_config` names the same type and prefix share a collector.

    Args:
        log: The data plane's queue.
        options: The flags; the tags of `--saved_model_tags` are noted in each record.
        find: Finds the factory of a type.
    """

    def __init__(
        self,
        log: RequestLog,
        options: ServerOptions,
        find: Callable[[str], CollectorFactory] = find_factory,
    ) -> None:
        self._log = log
        self._options = options
        self._find = find
        self._lock = threading.Lock()
        self._targets: dict[_Target, int] = {}
        self._collectors: dict[int, LogCollector] = {}
        self._last_number = 0
        self._loop: Loop | None = None
        self._stopping = threading.Event()
        self._dropped = 0
        self._tell_at = 0.0

    def check(self, models: Iterable[ModelConfig]) -> None:
        """Checks a configuration before anything of it is applied.

        Raises:
            ServingError: NOT_FOUND, with TensorFlow Serving's text, for an unknown type; INVALID_ARGUMENT if a
                collector cannot be made as described.
        """
        for config in _logged(models).values():
            if _target(config) not in self._targets:
                self._find(config.collector_type)(config, self._options).close()

    def update(self, models: Iterable[ModelConfig]) -> None:
        """Logs what this configuration says from now on; what was sampled before still goes where it belongs.

        Raises:
            ServingError: As `check`; then nothing has changed.
        """
        logged = _logged(models)
        with self._lock:
            if not logged and self._loop is None:
                return
            added = self._make(logged.values())
            self._collectors.update(added.values())
            kept = {
                target: number for target, number in self._targets.items() if target in map(_target, logged.values())
            }
            self._targets = kept | {target: number for target, (number, _) in added.items()}
            tags = self._options.saved_model_tags.split(",")
            self._log.set_loggers(
                {
                    model: (self._targets[_target(config)], config.sampling_rate, tags)
                    for model, config in logged.items()
                }
            )
        if self._loop is None:
            self._start()

    def stop(self) -> None:
        """Keeps what waits, then closes the collectors. The data plane should answer no more requests by then."""
        self._stopping.set()
        if self._loop is not None:
            self._loop.join()
            self._loop = None

    def _make(self, configs: Iterable[LoggingConfig]) -> dict[_Target, tuple[int, LogCollector]]:
        made: dict[_Target, tuple[int, LogCollector]] = {}
        for config in configs:
            target = _target(config)
            if target not in self._targets and target not in made:
                collector = self._find(config.collector_type)(config, self._options)
                self._last_number += 1
                made[target] = self._last_number, collector
        return made

    def _start(self) -> None:
        self._log.set_max_bytes(self._options.request_log_buffer_mb << 20)
        loop = Loop("request_log", self._step)
        loop.start()
        self._loop = loop

    def _step(self) -> bool:
        if self._stopping.is_set():
            _guard(self._finish)
            return False
        if not self._take(_WAIT_SECONDS):
            self._rest()
        return True

    def _finish(self) -> None:
        while self._take(0.0):
            pass
        self._tell_of_drops()
        with self._lock:
            for collector in self._collectors.values():
                _guard(collector.close)
            self._collectors.clear()

    def _take(self, timeout_seconds: float) -> bool:
        """One round; False if there was nothing."""
        batches = self._log.take(timeout_seconds, _BATCH_BYTES)
        for number, records in batches:
            collector = self._collectors.get(number)
            if collector is not None:
                _guard(lambda collector=collector, records=records: collector.collect(records))  # type: ignore[misc]
        if time.monotonic() >= self._tell_at:
            self._tell_of_drops()
        return bool(batches)

    def _rest(self) -> None:
        """Nothing waits: whoever is not needed any more has everything."""
        with self._lock:
            used = set(self._targets.values())
            unused = [self._collectors.pop(number) for number in self._collectors.keys() - used]
            present = list(self._collectors.values())
        for collector in unused:
            _guard(collector.close)
        for collector in present:
            _guard(collector.flush)

    def _tell_of_drops(self) -> None:
        dropped = self._log.dropped
        if dropped > self._dropped:
            logger.warning(
                "%d request log records were dropped, since more than %d MiB waited to be written.",
                dropped - self._dropped,
                self._options.request_log_buffer_mb,
            )
        self._dropped = dropped
        self._tell_at = time.monotonic() + _TELL_SECONDS


def _logged(models: Iterable[ModelConfig]) -> dict[str, LoggingConfig]:
    return {model.name: model.logging_config for model in models if model.logging_config is not None}


def _target(config: LoggingConfig) -> _Target:
    return config.collector_type, config.filename_prefix


def _guard(work: Callable[[], None]) -> None:
    try:
        work()
    except BaseException:  # A panic in Rust is no Exception.
        logger.exception("A request log collector failed")
