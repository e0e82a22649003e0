# SPDX-License-Identifier: Apache-2.0
"""Threads that do one kind of work."""

import logging
import threading
from collections import deque
from collections.abc import Callable

from tensorserve.loops import Loop, start_thread

logger = logging.getLogger(__name__)

Job = Callable[[], None]


class WorkerPool:
    """Runs jobs in order on up to `limit` threads, which are started when there is work for them.

    Unlike `concurrent.futures`, it can change its limit, and its threads never hold up the end of the process.

    Args:
        name: Prefix of the threads' names.
        limit: Most threads; None means as many as there are jobs.
    """

    def __init__(self, name: str, limit: int | None) -> None:
        self._name = name
        self._limit = limit
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._threads = 0
        self._idle = 0
        self._started = 0
        self._stopped = False

    def submit(self, job: Job) -> None:
        """Queues a job. A job must not raise; an exception of it is logged.

        Raises:
            ServingError: RESOURCE_EXHAUSTED: it needs a thread, and the system has none to give; it is not queued.
        """
        with self._changed:
            is_idle = self._idle > len(self._jobs)
            if not is_idle and (self._limit is None or self._threads < self._limit):
                self._start_thread()
            self._jobs.append(job)
            self._changed.notify()

    def set_limit(self, limit: int | None) -> None:
        """Changes how many threads there may be. Those too many end after their present job.

        Raises:
            ServingError: RESOURCE_EXHAUSTED: there are fewer threads than there could be.
        """
        with self._changed:
            self._limit = limit
            for _ in range(len(self._jobs) - self._idle):
                if limit is None or self._threads < limit:
                    self._start_thread()
            self._changed.notify_all()

    def stop(self, *, finish: bool = False) -> None:
        """Ends each thread after its present job, or, to `finish`, after the jobs that are queued. Does not wait."""
        with self._changed:
            self._stopped = True
            if not finish:
                self._jobs.clear()
            self._changed.notify_all()

    def _start_thread(self) -> None:
        name = f"{self._name}_{self._started + 1}"
        start_thread(name, Loop(name, self._do_next).run)
        self._threads += 1
        self._started += 1

    def _do_next(self) -> bool:
        job = self._next()
        if job is None:
            return False
        try:
            job()
        except BaseException:  # A panic in Rust is no Exception.
            logger.exception("A job of %s failed", self._name)
        return True

    def _next(self) -> Job | None:
        with self._changed:
            while not self._surplus():
                if self._jobs:
                    return self._jobs.popleft()
                self._idle += 1
                try:
                    self._changed.wait()
                finally:
                    self._idle -= 1
            self._threads -= 1
            # The wake-up may have been meant for a job, which another thread must do then.
            self._changed.notify()
            return None

    def _surplus(self) -> bool:
        too_many = self._limit is not None and self._threads > self._limit
        return too_many or (self._stopped and not self._jobs)
