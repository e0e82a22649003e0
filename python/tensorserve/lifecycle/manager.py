# SPDX-License-Identifier: Apache-2.0
"""Loads and unloads versions until what is served is what is aspired.

One thread owns all state and handles one message after another: a new aspired list, an attempt that ended, an unload
that ended. After each it asks the policy, so it reacts at once and has neither locks nor a tick. Loading and
unloading run on threads of their own, and a version that fails waits for its next attempt on none, so no model holds
up another.
"""

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from tensorserve.errors import Code, ServingError
from tensorserve.lifecycle.events import EventBus, LoadAttemptFailed, StateChange, VersionsAspired
from tensorserve.lifecycle.harness import Harness
from tensorserve.lifecycle.load_report import LoadReports
from tensorserve.lifecycle.loader import Loader, ServableTable
from tensorserve.lifecycle.retries import RetryLimits, RetryQueue
from tensorserve.lifecycle.version_policy import Stage, Verb, VersionPolicyFunction, availability_preserving
from tensorserve.lifecycle.workers import Job, WorkerPool
from tensorserve.log import about
from tensorserve.loops import Loop
from tensorserve.types import ServableId, VersionState

logger = logging.getLogger(__name__)

S = TypeVar("S")
_Message = Callable[[], None]

# Until a job that found no thread is given another try.
_THREAD_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ManagerOptions:
    """How a manager works.

    Attributes:
        policy: Decides what to do next.
        load_threads: Most versions that are loaded at the same time.
        initial_load_threads: The same, until `end_initial_load`.
        unload_threads: Most versions that are unloaded at the same time; None means any number.
        max_load_retries: Attempts after the first one.
        load_retry_interval_seconds: Pause between two attempts.
        retries_of: What counts for a model instead of the last two.
    """

    policy: VersionPolicyFunction = availability_preserving
    load_threads: int = 1
    initial_load_threads: int = 4
    unload_threads: int | None = None
    max_load_retries: int = 5
    load_retry_interval_seconds: float = 60.0
    retries_of: Callable[[str], RetryLimits] | None = None

    def retries(self, model: str) -> RetryLimits:
        """How loads of a model are tried again."""
        if self.retries_of is None:
            return RetryLimits(self.max_load_retries, self.load_retry_interval_seconds)
        return self.retries_of(model)


class Manager(Generic[S]):
    """Brings the versions in a table in line with what is aspired.

    Args:
        table: Where loaded versions are published.
        bus: Is told everything that happens.
        options: How to work.
        reports: Says what each load took.
    """

    def __init__(
        self, table: ServableTable[S], bus: EventBus, options: ManagerOptions, reports: LoadReports | None = None
    ) -> None:
        self._table = table
        self._reports = reports or LoadReports()
        self._bus = bus
        self._options = options
        self._models: dict[str, dict[int, Harness[S]]] = {}
        self._retries: RetryQueue[_Message] = RetryQueue()
        self._inbox: queue.SimpleQueue[_Message | None] = queue.SimpleQueue()
        self._load_pool = WorkerPool("load", options.initial_load_threads)
        self._unload_pool = WorkerPool("unload", options.unload_threads)
        self._empty = threading.Event()
        self._closing = False
        self._loop = Loop("manager", self._handle_next)

    def start(self) -> None:
        """Begins to work. Raises ServingError (RESOURCE_EXHAUSTED): there is no thread for it."""
        self._loop.start()

    def set_aspired(self, model: str, loaders: Mapping[int, Loader[S]]) -> None:
        """Says which versions of a model should be served, and how to load each; the others are unloaded."""
        self._inbox.put(partial(self._take_aspired, model, dict(loaders)))

    def end_initial_load(self) -> None:
        """From now on there is traffic: no more than `load_threads` load at the same time."""
        self._load_pool.set_limit(self._options.load_threads)

    def stop(self, timeout_seconds: float) -> bool:
        """Unloads everything and ends the threads.

        Returns:
            False if a version was still loading or unloading after the timeout.
        """
        if not self._loop.is_started:
            return True
        self._inbox.put(self._close)
        all_unloaded = self._empty.wait(timeout_seconds)
        self._inbox.put(None)
        self._loop.join()
        self._load_pool.stop()
        # What was taken out of the table is freed, even if nobody waits for it.
        self._unload_pool.stop(finish=True)
        return all_unloaded

    def _handle_next(self) -> bool:
        message = self._next_message()
        if message is not None:
            message()
        return message is not None

    def _next_message(self) -> _Message | None:
        try:
            return self._inbox.get(timeout=self._retries.seconds_to_next())
        except queue.Empty:
            return self._retry_due

    def _retry_due(self) -> None:
        for retry in self._retries.pop_due():
            # Each is a message of its own, so that one that fails takes no other along.
            self._inbox.put(retry)

    def _take_aspired(self, model: str, loaders: Mapping[int, Loader[S]]) -> None:
        if self._closing:
            return
        harnesses = self._models.setdefault(model, {})
        for harness in list(harnesses.values()):
            if harness.id.version not in loaders:
                self._unaspire(harness)
        for version, loader in loaders.items():
            self._aspire(ServableId(model, version), loader)
        self._bus.publish(VersionsAspired(model, frozenset(loaders)))
        self._advance(model)

    def _close(self) -> None:
        self._closing = True
        for model in list(self._models):
            for harness in list(self._models[model].values()):
                self._unaspire(harness)
            self._advance(model)
        self._note_if_empty()

    def _aspire(self, id: ServableId, loader: Loader[S]) -> None:
        harness = self._models[id.name].get(id.version)
        if harness is None:
            self._manage(id, loader)
        elif not harness.aspired:
            # Ready or loading: it just stays. On its way out: it comes back with this loader once it is gone.
            harness.aspired = True
            harness.loader = loader

    def _manage(self, id: ServableId, loader: Loader[S]) -> None:
        self._models[id.name][id.version] = Harness(id, loader)
        self._bus.publish(StateChange(id, VersionState.START))

    def _unaspire(self, harness: Harness[S]) -> None:
        harness.aspired = False
        if harness.stage is Stage.ERROR:
            self._forget(harness)
        elif harness.stage is Stage.NEW or harness.waiting:
            self._end(harness, harness.error)

    def _advance(self, model: str) -> None:
        """Does what the policy says, until it says nothing."""
        harnesses = self._models.get(model, {})
        while action := self._options.policy([harness.snapshot() for harness in harnesses.values()]):
            harness = harnesses[action.version]
            if action.verb is Verb.LOAD:
                harness.enter(Stage.LOADING)
                self._submit_load(harness)
            else:
                self._unload(harness)
        if not harnesses:
            self._models.pop(model, None)
        self._note_if_empty()

    def _note_if_empty(self) -> None:
        if self._closing and not self._models:
            self._empty.set()

    def _submit(self, pool: WorkerPool, job: Job) -> None:
        try:
            pool.submit(job)
        except ServingError as error:
            logger.error("%s", error.message)
            self._retries.add(partial(self._submit, pool, job), _THREAD_RETRY_SECONDS)

    def _submit_load(self, harness: Harness[S]) -> None:
        self._submit(self._load_pool, partial(self._load, harness))

    def _load(self, harness: Harness[S]) -> None:
        """One attempt; runs on a load thread and only reports to the manager's thread."""
        if not harness.aspired:
            self._inbox.put(partial(self._attempt_skipped, harness))
            return
        self._inbox.put(partial(self._attempt_begun, harness))
        try:
            servable = harness.loader.load()
        except BaseException as error:  # A panic in Rust is no Exception.
            self._reports.ended(harness.id)
            self._inbox.put(partial(self._attempt_failed, harness, ServingError.wrap(error)))
        else:
            report = self._reports.ended(harness.id)
            self._inbox.put(partial(self._attempt_succeeded, harness, [servable], report))

    def _attempt_begun(self, harness: Harness[S]) -> None:
        if harness.failures == 0:
            logger.info("Loading servable version %s", harness.id, extra=_about(harness))
            self._bus.publish(StateChange(harness.id, VersionState.LOADING))
        else:
            logger.info(
                "Retrying of Loading servable: %s retry: %d", harness.id, harness.failures, extra=_about(harness)
            )

    def _attempt_skipped(self, harness: Harness[S]) -> None:
        """It was not aspired when its turn came."""
        if harness.aspired:
            # It is again, but in between the policy may have begun something that comes first.
            harness.enter(Stage.NEW)
        else:
            self._end(harness, _cancelled())
        self._advance(harness.id.name)

    def _attempt_succeeded(self, harness: Harness[S], loaded: list[S], report: str) -> None:
        """`loaded` holds the servable, so that whoever clears it decides in which thread it is freed."""
        if not harness.aspired:
            logger.info("Unloading just-loaded servable version %s", harness.id, extra=_about(harness))
            self._submit(self._unload_pool, loaded.clear)
            self._end(harness, _cancelled())
        else:
            try:
                self._table.publish(harness.id.name, harness.id.version, loaded[0])
            except BaseException as error:
                self._submit(self._unload_pool, loaded.clear)
                self._attempt_failed(harness, ServingError.wrap(error))
                return
            loaded.clear()
            harness.enter(Stage.READY)
            logger.info("Successfully loaded servable version %s%s", harness.id, report, extra=_about(harness))
            self._bus.publish(StateChange(harness.id, VersionState.AVAILABLE))
        self._advance(harness.id.name)

    def _attempt_failed(self, harness: Harness[S], error: ServingError) -> None:
        harness.fail(error)
        logger.error("Loading servable: %s failed: %s", harness.id, error, extra=_about(harness))
        if not harness.aspired:
            self._end(harness, error)
        elif harness.failures <= (limits := self._options.retries(harness.id.name)).most:
            harness.waiting = True
            self._retries.add(partial(self._retry, harness), limits.pause_seconds)
            text = "Loading servable: %s is tried again in %g s. %s"
            logger.warning(text, harness.id, limits.pause_seconds, self._served(harness), extra=_about(harness))
            self._bus.publish(LoadAttemptFailed(harness.id, harness.failures, error))
        else:
            self._give_up(harness, error)
        self._advance(harness.id.name)

    def _served(self, failed: Harness[S]) -> str:
        """What a client of the model gets now."""
        harnesses = self._models.get(failed.id.name, {}).values()
        served = [str(it.id.version) for it in harnesses if it.stage is Stage.READY]
        if not served:
            return f"No version of model {failed.id.name} is served."
        return f"Still served of model {failed.id.name}: version {', '.join(served)}."

    def _give_up(self, harness: Harness[S], error: ServingError) -> None:
        """It stays in ERROR, and is not tried again, until it is un-aspired."""
        if harness.failures > 1:
            logger.error(
                "Retrying of Loading servable: %s exhausted max_num_load_retries: %d",
                harness.id,
                harness.failures - 1,
                extra=_about(harness),
            )
        text = "Servable %s cannot be loaded. %s"
        logger.error(text, harness.id, self._served(harness), extra=_about(harness))
        harness.enter(Stage.ERROR)
        self._bus.publish(StateChange(harness.id, VersionState.END, error))

    def _retry(self, harness: Harness[S]) -> None:
        # Meanwhile it may have been un-aspired, and a new harness may have taken its place.
        if harness.waiting:
            harness.waiting = False
            # By now the policy may want another version gone first.
            harness.enter(Stage.NEW)
            self._advance(harness.id.name)

    def _unload(self, harness: Harness[S]) -> None:
        harness.enter(Stage.UNLOADING)
        logger.info("Quiescing servable version %s", harness.id, extra=_about(harness))
        self._bus.publish(StateChange(harness.id, VersionState.UNLOADING))
        self._submit(self._unload_pool, partial(self._retire, harness))

    def _retire(self, harness: Harness[S]) -> None:
        """Runs on an unload thread, where it waits for the version's last request."""
        try:
            self._table.retire(harness.id.name, harness.id.version)
        except BaseException:
            logger.exception("Unloading servable version %s failed", harness.id, extra=_about(harness))
        self._inbox.put(partial(self._unloaded, harness))

    def _unloaded(self, harness: Harness[S]) -> None:
        logger.info("Done unloading servable version %s", harness.id, extra=_about(harness))
        self._end(harness, None)
        self._advance(harness.id.name)

    def _end(self, harness: Harness[S], error: ServingError | None) -> None:
        """The version is gone; if it is aspired again by now, it starts anew."""
        harness.waiting = False
        self._bus.publish(StateChange(harness.id, VersionState.END, error))
        self._forget(harness)
        if harness.aspired:
            self._manage(harness.id, harness.loader)

    def _forget(self, harness: Harness[S]) -> None:
        harness.enter(Stage.DISABLED)
        del self._models[harness.id.name][harness.id.version]


def _about(harness: Harness[S]) -> Mapping[str, object]:
    return about(harness.id.name, harness.id.version)


def _cancelled() -> ServingError:
    return ServingError(Code.CANCELLED, "Loading of servable cancelled")
