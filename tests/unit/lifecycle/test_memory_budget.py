# SPDX-License-Identifier: Apache-2.0
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensorserve.errors import Code, ServingError
from tensorserve.lifecycle.events import StateChange
from tensorserve.lifecycle.memory_budget import MemoryBudget, Phase, Reservation, Verdict, decide, estimate_bytes
from tensorserve.types import ServableId, VersionState
from tests.unit.fakes import FakeLoader, broken, eventually

A1, A2, B1 = ServableId("a", 1), ServableId("a", 2), ServableId("b", 1)


@pytest.mark.parametrize(
    ("needed", "others", "verdict"),
    [
        (100, [], Verdict.GRANT),
        (101, [], Verdict.REFUSE),
        (40, [(60, Phase.LOADED)], Verdict.GRANT),
        (41, [(60, Phase.LOADED)], Verdict.REFUSE),
        (41, [(60, Phase.LEAVING)], Verdict.WAIT),
        (41, [(60, Phase.LOADING)], Verdict.WAIT),
        (41, [(50, Phase.LOADED), (10, Phase.LEAVING)], Verdict.WAIT),
        (51, [(50, Phase.LOADED), (10, Phase.LEAVING)], Verdict.REFUSE),
    ],
)
def test_what_a_load_has_to_do(needed: int, others: list[tuple[int, Phase]], verdict: Verdict) -> None:
    reservations = [Reservation(ServableId("m", n), size, phase) for n, (size, phase) in enumerate(others)]
    assert decide(needed, 100, reservations) is verdict


@given(
    st.integers(0, 150),
    st.lists(st.tuples(st.integers(0, 150), st.sampled_from(Phase)), max_size=5),
    st.integers(1, 150),
)
def test_a_grant_never_exceeds_the_limit_and_only_hope_waits(
    needed: int, others: list[tuple[int, Phase]], limit: int
) -> None:
    reservations = [Reservation(ServableId("m", n), size, phase) for n, (size, phase) in enumerate(others)]
    verdict = decide(needed, limit, reservations)
    fits = needed + sum(size for size, _phase in others) <= limit
    assert (verdict is Verdict.GRANT) == fits
    if verdict is Verdict.WAIT:
        assert any(phase is not Phase.LOADED for _size, phase in others)


def test_the_estimate_counts_all_files(tmp_path: Path) -> None:
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(bytes(100))
    (tmp_path / "variables" / "data").write_bytes(bytes(400))
    assert estimate_bytes(str(tmp_path)) == 600
    with pytest.raises(OSError, match="absent"):
        estimate_bytes(str(tmp_path / "absent"))


def test_without_a_limit_the_loader_stays_as_it_is() -> None:
    loader = FakeLoader()
    assert MemoryBudget(0).loader(A1, "/nowhere", loader) is loader


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A version directory that is estimated to take 60 bytes."""
    (tmp_path / "saved_model.pb").write_bytes(bytes(50))
    return str(tmp_path)


def test_a_failed_load_gives_its_memory_back(folder: str) -> None:
    budget = MemoryBudget(100)
    loader = budget.loader(A1, folder, FakeLoader(failures=[broken()]))
    with pytest.raises(ServingError, match="corrupt"):
        loader.load()
    assert budget.reserved_bytes() == 0
    assert loader.load() == "servable"
    assert budget.reserved_bytes() == 60
    # A version that could not be published is loaded again.
    assert loader.load() == "servable"
    assert budget.reserved_bytes() == 60


def test_a_version_that_is_gone_gives_its_memory_back(folder: str) -> None:
    budget = MemoryBudget(100)
    budget.loader(A1, folder, FakeLoader()).load()
    budget(StateChange(A1, VersionState.UNLOADING))
    assert budget.reserved_bytes() == 60
    budget(StateChange(A1, VersionState.END))
    assert budget.reserved_bytes() == 0


def test_a_load_waits_for_a_version_that_leaves(folder: str) -> None:
    budget = MemoryBudget(100)
    budget.loader(B1, folder, FakeLoader()).load()
    budget(StateChange(B1, VersionState.UNLOADING))
    loaded: list[str] = []
    thread = threading.Thread(target=lambda: loaded.append(budget.loader(A1, folder, FakeLoader()).load()))
    thread.start()
    thread.join(0.05)
    assert loaded == []
    budget(StateChange(B1, VersionState.END))
    thread.join()
    assert loaded == ["servable"]


def test_a_load_that_waits_for_another_load_is_refused_once_that_stays(folder: str) -> None:
    budget, gate = MemoryBudget(100), threading.Event()
    refusals: list[ServingError] = []

    def load_second() -> None:
        try:
            budget.loader(B1, folder, FakeLoader()).load()
        except ServingError as error:
            refusals.append(error)

    first = threading.Thread(target=budget.loader(A1, folder, FakeLoader(gate=gate)).load)
    first.start()
    assert eventually(lambda: budget.reserved_bytes() == 60)
    second = threading.Thread(target=load_second)
    second.start()
    gate.set()
    first.join()
    second.join()
    assert len(refusals) == 1


def test_a_refusal_says_what_is_needed_and_what_to_do(folder: str) -> None:
    budget = MemoryBudget(100)
    budget.loader(B1, folder, FakeLoader()).load()
    with pytest.raises(ServingError) as caught:
        budget.reserve(A1, 250_000_000)
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
    assert caught.value.message == (
        "Insufficient resources to load servable {name: a version: 1}: it needs 250.0 MB, and 0.0 MB of 0.0 MB "
        "(--model_memory_limit_mb) are in use. Raise the limit, or serve fewer models or versions."
    )


def test_a_swap_that_cannot_happen_names_the_other_policy(folder: str) -> None:
    budget = MemoryBudget(100)
    budget.loader(A1, folder, FakeLoader()).load()
    with pytest.raises(ServingError, match="--version_transition_policy=resource_preserving unloads them first"):
        budget.loader(A2, folder, FakeLoader()).load()
