# SPDX-License-Identifier: Apache-2.0
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tensorserve.errors import Code, ServingError
from tensorserve.lifecycle.events import EventBus, LoadAttemptFailed
from tensorserve.lifecycle.manager import Manager, ManagerOptions
from tensorserve.lifecycle.version_policy import resource_preserving
from tensorserve.types import ServableId, VersionState
from tests.unit.fakes import PATIENCE_SECONDS, EventLog, FakeDataPlane, FakeLoader, broken, eventually

START, LOADING, AVAILABLE, UNLOADING, END = VersionState


class Stage:
    """A manager with what it needs, and a record of what happened."""

    def __init__(self, options: ManagerOptions) -> None:
        self.table = FakeDataPlane()
        self.log = EventLog()
        bus = EventBus()
        bus.subscribe(self.log)
        self.manager: Manager[str] = Manager(self.table, bus, options)
        self.manager.start()

    def aspire(self, model: str, **loaders: FakeLoader) -> None:
        """`v1=FakeLoader()` is version 1."""
        self.manager.set_aspired(model, {int(name[1:]): loader for name, loader in loaders.items()})

    def reaches(self, version: int, state: VersionState, model: str = "m") -> bool:
        return eventually(lambda: self.log.reached(ServableId(model, version), state))

    def states(self, version: int) -> list[VersionState]:
        return self.log.states(ServableId("m", version))


MakeStage = Callable[..., Stage]


@pytest.fixture
def stage_of() -> Iterator[MakeStage]:
    stages: list[Stage] = []

    def make(**options: object) -> Stage:
        fast = {"load_retry_interval_seconds": 0.01} | options
        stages.append(Stage(ManagerOptions(**fast)))  # type: ignore[arg-type]
        return stages[-1]

    yield make
    for stage in stages:
        stage.manager.stop(PATIENCE_SECONDS)


@pytest.fixture
def stage(stage_of: MakeStage) -> Stage:
    return stage_of()


def test_the_life_of_a_version(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    stage.aspire("m", v1=FakeLoader("one"))
    assert stage.reaches(1, AVAILABLE)
    assert stage.table.table == {ServableId("m", 1): "one"}
    stage.aspire("m")
    assert stage.reaches(1, END)
    assert stage.table.table == {}
    assert stage.states(1) == [START, LOADING, AVAILABLE, UNLOADING, END]
    assert [line for line in caplog.messages if "servable version" in line] == [
        "Loading servable version {name: m version: 1}",
        "Successfully loaded servable version {name: m version: 1}",
        "Quiescing servable version {name: m version: 1}",
        "Done unloading servable version {name: m version: 1}",
    ]


def test_the_new_version_answers_before_the_old_one_goes(stage: Stage) -> None:
    answering: list[set[int]] = []
    stage.table.on_retire = lambda retired: answering.append(stage.table.versions("m"))
    stage.aspire("m", v1=FakeLoader())
    assert stage.reaches(1, AVAILABLE)
    stage.aspire("m", v2=FakeLoader())
    assert stage.reaches(1, END)
    assert answering == [{1, 2}]
    assert stage.table.versions("m") == {2}


def test_the_old_version_stays_if_the_new_one_cannot_be_loaded(stage_of: MakeStage) -> None:
    stage = stage_of(max_load_retries=0)
    stage.aspire("m", v1=FakeLoader())
    assert stage.reaches(1, AVAILABLE)
    stage.aspire("m", v2=FakeLoader(failures=[broken()]))
    assert stage.reaches(2, END)
    assert stage.log.last(ServableId("m", 2)).error.message == "corrupt"
    assert stage.table.versions("m") == {1}
    # Then it is aspired again: it simply stays.
    stage.aspire("m", v1=FakeLoader("another"))
    stage.aspire("other", v1=FakeLoader())
    assert stage.reaches(1, AVAILABLE, model="other")
    assert stage.table.table[ServableId("m", 1)] == "servable"
    assert stage.states(1) == [START, LOADING, AVAILABLE]


def test_a_load_is_tried_again(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    stage.aspire("m", v1=FakeLoader(failures=[broken("once"), OSError("twice")]))
    assert stage.reaches(1, AVAILABLE)
    assert stage.states(1) == [START, LOADING, AVAILABLE]
    attempts = [event for event in stage.log.events if isinstance(event, LoadAttemptFailed)]
    assert [(event.attempt, event.error.message) for event in attempts] == [(1, "once"), (2, "twice")]
    assert "Retrying of Loading servable: {name: m version: 1} retry: 2" in caplog.messages


def test_after_the_last_attempt_it_ends_and_is_not_tried_again(
    stage_of: MakeStage, caplog: pytest.LogCaptureFixture
) -> None:
    stage = stage_of(max_load_retries=2)
    loader = FakeLoader(failures=[broken(str(number)) for number in range(10)])
    stage.aspire("m", v1=loader)
    assert stage.reaches(1, END)
    stage.aspire("m", v1=FakeLoader())
    time.sleep(0.05)
    assert loader.calls == 3
    assert stage.states(1) == [START, LOADING, END]
    assert "Servable {name: m version: 1} cannot be loaded. No version of model m is served." in caplog.messages
    # Un-aspired and aspired again, it gets a new chance.
    stage.aspire("m")
    stage.aspire("m", v1=FakeLoader())
    assert stage.reaches(1, AVAILABLE)


def test_retries_end_when_the_version_is_no_longer_aspired(stage_of: MakeStage) -> None:
    stage = stage_of(load_retry_interval_seconds=1000.0)
    stage.aspire("m", v1=FakeLoader(failures=[broken()]))
    assert eventually(lambda: any(isinstance(event, LoadAttemptFailed) for event in stage.log.events))
    stage.aspire("m")
    assert stage.reaches(1, END)
    assert stage.log.last(ServableId("m", 1)).error.message == "corrupt"


def test_a_version_un_aspired_while_it_loads_is_never_served(stage: Stage) -> None:
    gate = threading.Event()
    stage.aspire("m", v1=FakeLoader(gate=gate))
    assert stage.reaches(1, LOADING)
    stage.aspire("m", v2=FakeLoader())
    assert stage.reaches(2, AVAILABLE)
    gate.set()
    assert stage.reaches(1, END)
    assert str(stage.log.last(ServableId("m", 1)).error) == "CANCELLED: Loading of servable cancelled"
    assert stage.states(1) == [START, LOADING, END]


def test_a_version_whose_turn_has_not_come_is_not_loaded_in_vain(stage_of: MakeStage) -> None:
    stage = stage_of(initial_load_threads=1)
    gate, waiting = threading.Event(), FakeLoader()
    stage.aspire("m", v1=FakeLoader(gate=gate))
    assert stage.reaches(1, LOADING)
    stage.aspire("n", v1=waiting)
    stage.aspire("n")
    gate.set()
    assert stage.reaches(1, END, model="n")
    assert waiting.calls == 0


def test_a_version_aspired_again_while_it_loads_is_served(stage: Stage) -> None:
    gate = threading.Event()
    stage.aspire("m", v1=FakeLoader(gate=gate))
    assert stage.reaches(1, LOADING)
    stage.aspire("m")
    stage.aspire("m", v1=FakeLoader())
    stage.aspire("other", v1=FakeLoader())
    assert stage.reaches(1, AVAILABLE, model="other")
    gate.set()
    assert stage.reaches(1, AVAILABLE)
    assert stage.states(1) == [START, LOADING, AVAILABLE]


def test_a_version_aspired_again_while_it_unloads_comes_back(stage: Stage) -> None:
    last_request = stage.table.busy[ServableId("m", 1)] = threading.Event()
    stage.aspire("m", v1=FakeLoader("old"))
    assert stage.reaches(1, AVAILABLE)
    stage.aspire("m")
    assert stage.reaches(1, UNLOADING)
    stage.aspire("m", v1=FakeLoader("new"))
    last_request.set()
    assert stage.reaches(1, AVAILABLE)
    assert stage.table.table == {ServableId("m", 1): "new"}
    assert stage.states(1) == [START, LOADING, AVAILABLE, UNLOADING, END, START, LOADING, AVAILABLE]


def test_a_stuck_request_holds_up_no_other_model(stage: Stage) -> None:
    last_request = stage.table.busy[ServableId("stuck", 1)] = threading.Event()
    for model in ("stuck", "m"):
        stage.aspire(model, v1=FakeLoader())
        assert stage.reaches(1, AVAILABLE, model=model)
    stage.aspire("stuck")
    assert stage.reaches(1, UNLOADING, model="stuck")
    stage.aspire("m", v2=FakeLoader())
    assert stage.reaches(1, END)
    last_request.set()
    assert stage.reaches(1, END, model="stuck")


def test_a_failing_model_holds_up_no_other(stage_of: MakeStage) -> None:
    stage = stage_of(initial_load_threads=1, load_retry_interval_seconds=1000.0)
    stage.aspire("bad", v1=FakeLoader(failures=[broken()]))
    stage.aspire("m", v1=FakeLoader())
    assert stage.reaches(1, AVAILABLE)


def test_versions_load_in_parallel_at_first_and_one_by_one_later(stage_of: MakeStage) -> None:
    stage = stage_of(initial_load_threads=3, load_threads=1)
    gate = threading.Event()
    stage.aspire("m", v1=FakeLoader(gate=gate), v2=FakeLoader(gate=gate), v3=FakeLoader(gate=gate))
    assert all(stage.reaches(version, LOADING) for version in (1, 2, 3))
    gate.set()
    assert all(stage.reaches(version, AVAILABLE) for version in (1, 2, 3))
    stage.manager.end_initial_load()
    gate.clear()
    stage.aspire("n", v1=FakeLoader(gate=gate), v2=FakeLoader(gate=gate))
    assert stage.reaches(2, LOADING, model="n")
    time.sleep(0.02)
    assert not stage.log.reached(ServableId("n", 1), LOADING)
    gate.set()
    assert stage.reaches(1, AVAILABLE, model="n")


def test_a_publication_that_fails_is_a_failed_load(stage: Stage) -> None:
    stage.table.refused_publications = 1
    stage.aspire("m", v1=FakeLoader())
    assert stage.reaches(1, AVAILABLE)
    attempts = [event for event in stage.log.events if isinstance(event, LoadAttemptFailed)]
    assert [event.error.message for event in attempts] == ["refused"]


def test_an_error_of_any_kind_gets_a_code(stage_of: MakeStage) -> None:
    class Panic(BaseException):
        pass

    stage = stage_of(max_load_retries=0)
    stage.aspire("m", v1=FakeLoader(failures=[Panic("at the disco")]))
    assert stage.reaches(1, END)
    error = stage.log.last(ServableId("m", 1)).error
    assert isinstance(error, ServingError)
    assert (error.code, error.message) == (Code.INTERNAL, "Panic: at the disco")


def test_resource_preserving_unloads_first(stage_of: MakeStage) -> None:
    stage = stage_of(policy=resource_preserving)
    answering: list[set[int]] = []
    stage.table.on_retire = lambda retired: answering.append(stage.table.versions("m"))
    stage.aspire("m", v1=FakeLoader())
    assert stage.reaches(1, AVAILABLE)
    stage.aspire("m", v2=FakeLoader())
    assert stage.reaches(2, AVAILABLE)
    assert answering == [{1}]


def test_stop_unloads_everything(stage: Stage) -> None:
    for model in ("m", "n"):
        stage.aspire(model, v1=FakeLoader(), v2=FakeLoader())
    assert stage.reaches(1, AVAILABLE)
    assert stage.manager.stop(PATIENCE_SECONDS)
    assert stage.table.table == {}
    assert stage.log.reached(ServableId("n", 2), END)


def test_stop_does_not_wait_for_ever(stage: Stage) -> None:
    last_request = stage.table.busy[ServableId("m", 1)] = threading.Event()
    stage.aspire("m", v1=FakeLoader())
    assert stage.reaches(1, AVAILABLE)
    assert not stage.manager.stop(0.01)
    last_request.set()


def test_stop_without_models_or_start() -> None:
    manager: Manager[str] = Manager(FakeDataPlane(), EventBus(), ManagerOptions())
    assert manager.stop(0.0)
    manager = Manager(FakeDataPlane(), EventBus(), ManagerOptions())
    manager.start()
    assert manager.stop(PATIENCE_SECONDS)
