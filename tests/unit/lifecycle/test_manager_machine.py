# SPDX-License-Identifier: Apache-2.0
"""The manager under a scheduler: hypothesis decides which message is handled and which job runs next.

Nothing here runs on a thread or by a clock, so every order of events can happen, and a failure can be repeated.
"""

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tensorserve.lifecycle.events import Event, EventBus, LoadAttemptFailed, StateChange, VersionsAspired
from tensorserve.lifecycle.manager import Manager, ManagerOptions
from tensorserve.lifecycle.version_policy import VersionPolicyFunction, availability_preserving, resource_preserving
from tensorserve.types import ServableId, VersionState
from tests.unit.fakes import FakeDataPlane, broken
from tests.unit.lifecycle.test_manager_properties import LEGAL

START, LOADING, AVAILABLE, UNLOADING, END = VersionState
RETRIES = 1
VERSIONS = st.frozensets(st.integers(1, 4), max_size=3)


class Pool:
    """Stands in for `WorkerPool`: a job runs when the scheduler says so."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], None]] = []
        self.submitted: Callable[[], None] = lambda: None

    def submit(self, job: Callable[[], None]) -> None:
        self.jobs.append(job)
        self.submitted()

    def run(self, index: int) -> None:
        self.jobs.pop(index % len(self.jobs))()


class Servable:
    """Is counted while it exists."""

    def __init__(self, alive: Counter[str]) -> None:
        self._alive = alive
        alive["servables"] += 1

    def __del__(self) -> None:
        self._alive["servables"] -= 1


class ScheduledManager(Manager[Servable]):
    """A manager whose thread and pools are the scheduler."""

    def __init__(self, table: FakeDataPlane, bus: EventBus, options: ManagerOptions) -> None:
        super().__init__(table, bus, options)
        self._load_pool = self.loads = Pool()  # type: ignore[assignment]
        self._unload_pool = self.unloads = Pool()  # type: ignore[assignment]

    def has_message(self) -> bool:
        return not self._inbox.empty() or self._retries.seconds_to_next() is not None

    def handle(self) -> None:
        """Handles the next message, or what is due to be tried again."""
        message = self._next_message()
        assert message is not None
        message()

    def begin_stop(self) -> None:
        self._inbox.put(self._close)


class Loader:
    def __init__(self, machine: "ManagerMachine", version: int) -> None:
        self._machine, self._version = machine, version

    def load(self) -> Servable:
        return self._machine.load(self._version)


class ManagerMachine(RuleBasedStateMachine):
    policy: VersionPolicyFunction

    @initialize()
    def begin(self) -> None:
        self.alive: Counter[str] = Counter()
        self.table, bus = FakeDataPlane(), EventBus()
        bus.subscribe(self.take_in)
        options = ManagerOptions(type(self).policy, max_load_retries=RETRIES, load_retry_interval_seconds=-1)
        self.manager = ScheduledManager(self.table, bus, options)
        self.manager.loads.submitted = self.check_load
        self.aspired: frozenset[int] = frozenset()
        self.asked: frozenset[int] = frozenset()
        self.states: dict[int, VersionState] = {}
        self.failures: Counter[int] = Counter()
        self.loading: set[int] = set()
        self.on_load: Callable[[], None] = lambda: None
        self.fails = False
        self.stopping = False

    # What happens from outside.

    @rule(versions=VERSIONS)
    def aspire(self, versions: frozenset[int]) -> None:
        self.asked = versions
        self.manager.set_aspired("m", {version: Loader(self, version) for version in versions})

    @rule()
    @precondition(lambda self: self.manager.has_message())
    def handle(self) -> None:
        self.manager.handle()

    @rule(index=st.integers(0, 7), fails=st.booleans(), meanwhile=st.none() | VERSIONS, handled=st.integers(0, 5))
    @precondition(lambda self: bool(self.manager.loads.jobs))
    def run_load(self, index: int, fails: bool, meanwhile: frozenset[int] | None, handled: int) -> None:
        def happen() -> None:
            if meanwhile is not None:
                self.aspire(meanwhile)
            for _ in range(handled):
                if self.manager.has_message():
                    self.manager.handle()

        self.fails, self.on_load = fails, happen
        self.manager.loads.run(index)

    @rule(index=st.integers(0, 7))
    @precondition(lambda self: bool(self.manager.unloads.jobs))
    def run_unload(self, index: int) -> None:
        self.manager.unloads.run(index)

    def load(self, version: int) -> Servable:
        assert version not in self.loading, f"{version} is loaded twice at once"
        self.loading.add(version)
        fails, on_load = self.fails, self.on_load
        self.on_load = lambda: None
        on_load()
        self.loading.discard(version)
        if fails:
            raise broken()
        return Servable(self.alive)

    # What must always hold.

    def take_in(self, event: Event) -> None:
        if isinstance(event, VersionsAspired):
            self.aspired = event.versions
        elif isinstance(event, LoadAttemptFailed):
            self.failures[event.id.version] += 1
            assert event.attempt <= RETRIES
        elif isinstance(event, StateChange):
            self.check_state(event.id.version, event)

    def check_state(self, version: int, event: StateChange) -> None:
        assert event.state in LEGAL[self.states.get(version)], f"{version}: {self.states.get(version)} to {event.state}"
        self.states[version] = event.state
        if event.state is AVAILABLE:
            assert version in self.aspired, f"{version} was published though nobody wants it"
            assert ServableId("m", version) in self.table.table
        if event.state is UNLOADING:
            self.check_unload(version)

    def check_unload(self, version: int) -> None:
        """Availability preserving: the last one that answers goes only if nothing is to be served."""
        if type(self).policy is availability_preserving and not self.stopping:
            assert AVAILABLE in self.states.values() or not self.aspired, f"{version} was the last"

    def check_load(self) -> None:
        """Resource preserving: nothing is loaded beside what is to go."""
        if type(self).policy is resource_preserving and not self.stopping:
            leftover = [v for v, s in self.states.items() if s in (AVAILABLE, UNLOADING) and v not in self.aspired]
            assert leftover == [], f"something is loaded beside {leftover}"
            assert UNLOADING not in self.states.values()

    @invariant()
    def what_is_in_the_table_is_available_or_on_its_way_out(self) -> None:
        if hasattr(self, "table"):
            for version in self.table.versions("m"):
                assert self.states[version] in (AVAILABLE, UNLOADING)

    # What must hold in the end.

    def settle(self) -> None:
        self.fails, self.on_load = False, lambda: None
        while self.manager.has_message() or self.manager.loads.jobs or self.manager.unloads.jobs:
            if self.manager.has_message():
                self.manager.handle()
            elif self.manager.unloads.jobs:
                self.manager.unloads.run(0)
            else:
                self.manager.loads.run(0)

    def teardown(self) -> None:
        if not hasattr(self, "manager"):
            return
        self.settle()
        assert self.aspired == self.asked
        failed = {version for version in self.aspired if self.states.get(version) is END}
        served = self.table.versions("m")
        if self.aspired - failed or not self.aspired:
            assert served == self.aspired - failed
        elif type(self).policy is availability_preserving:
            assert len(served) <= 1
        else:
            assert served == set()
        self.stopping = True
        self.manager.begin_stop()
        self.settle()
        assert self.table.table == {}
        assert set(self.states.values()) <= {END}
        assert self.alive["servables"] == 0, "a servable was not freed"


class AvailabilityPreserving(ManagerMachine):
    policy = staticmethod(availability_preserving)


class ResourcePreserving(ManagerMachine):
    policy = staticmethod(resource_preserving)


@pytest.mark.parametrize("machine", [AvailabilityPreserving, ResourcePreserving])
def test_every_order_of_events(machine: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    run_state_machine_as_test(machine, settings=settings(max_examples=80, stateful_step_count=30, deadline=None))
