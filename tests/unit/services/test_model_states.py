# SPDX-License-Identifier: Apache-2.0
import threading

from tensorserve.lifecycle.events import (
    LoadAttemptFailed,
    SourceProblem,
    StateChange,
    VersionsAspired,
    VersionsIncomplete,
)
from tensorserve.services.model_states import ModelStates
from tensorserve.types import ServableId, VersionState
from tests.unit.fakes import PATIENCE_SECONDS, broken

ONE = ServableId("m", 1)


def enter(states: ModelStates, *entered: VersionState, version: int = 1) -> None:
    for state in entered:
        states(StateChange(ServableId("m", version), state))


def test_a_version_is_followed() -> None:
    states = ModelStates()
    states(VersionsAspired("m", frozenset({1})))
    enter(states, VersionState.START, VersionState.LOADING)
    assert not states.get("m").is_ready
    enter(states, VersionState.AVAILABLE)
    [version] = states.get("m").versions
    assert (version.version, version.state, version.attempts, version.error) == (1, VersionState.AVAILABLE, 1, None)
    assert states.get("m").is_ready
    assert states.get("none").versions == ()


def test_attempts_are_counted() -> None:
    states = ModelStates()
    enter(states, VersionState.START, VersionState.LOADING)
    for attempt in (1, 2):
        states(LoadAttemptFailed(ONE, attempt, broken(str(attempt))))
        [version] = states.get("m").versions
        assert (version.state, version.attempts) == (VersionState.LOADING, attempt)
        assert str(version.error) == f"DATA_LOSS: {attempt}"
    states(StateChange(ONE, VersionState.END, broken("3")))
    [version] = states.get("m").versions
    assert (version.attempts, states.load_attempts) == (3, 3)
    enter(states, VersionState.START, VersionState.LOADING, VersionState.AVAILABLE)
    assert states.get("m").versions[0].attempts == 1
    assert states.load_attempts == 4


def test_the_base_path_is_told_about() -> None:
    states = ModelStates()
    states(SourceProblem("m", broken("gone")))
    states(VersionsIncomplete("m", {3: "saved_model.pb is missing"}))
    assert str(states.get("m").problem) == "DATA_LOSS: gone"
    assert states.get("m").incomplete == {3: "saved_model.pb is missing"}
    states(VersionsAspired("m", frozenset()))
    assert states.get("m").problem is None


def test_old_versions_are_forgotten_but_for_some() -> None:
    states = ModelStates()
    for version in range(100):
        enter(states, VersionState.START, VersionState.END, version=version)
    assert len(states.get("m").versions) == 20


def test_waiting() -> None:
    states = ModelStates()
    assert not states.wait(lambda: states.get("m").is_ready, 0.01)
    threading.Timer(0.05, lambda: enter(states, VersionState.START, VersionState.AVAILABLE)).start()
    assert states.wait(lambda: states.get("m").is_ready, PATIENCE_SECONDS)
    assert not states.wait(lambda: False, is_awaited=lambda: False)
