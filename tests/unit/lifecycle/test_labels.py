# SPDX-License-Identifier: Apache-2.0
import pytest

from tensorserve.lifecycle.events import StateChange, VersionsAspired
from tensorserve.lifecycle.labels import LabelKeeper, check_label
from tensorserve.types import ModelConfig, ServableId, VersionState


@pytest.mark.parametrize(
    ("current", "available", "allow", "may"),
    [
        (None, {2}, False, True),
        (None, set(), False, False),
        (2, set(), False, False),
        (None, set(), True, True),
        (2, set(), True, True),
        (1, set(), True, False),
        (1, {2}, True, True),
    ],
)
def test_rules(current: int | None, available: set[int], allow: bool, may: bool) -> None:
    refusal = check_label("m", 2, current=current, available=available, allow_unavailable=allow)
    assert (refusal is None) is may
    if refusal is not None:
        assert str(refusal) == (
            "FAILED_PRECONDITION: Request to assign label to version 2 of model m, "
            "which is not currently available for inference"
        )


class Table:
    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, int]]] = []

    def set_labels(self, model: str, labels: dict[str, int]) -> None:
        self.calls.append((model, labels))


MODEL = ModelConfig("m", "/m", version_labels={"stable": 1, "canary": 2})


def state(version: int, state: VersionState, model: str = "m") -> StateChange:
    return StateChange(ServableId(model, version), state)


def test_a_label_is_given_when_its_version_becomes_available() -> None:
    table = Table()
    keeper = LabelKeeper([MODEL], table.set_labels, allow_unavailable=False)
    assert table.calls == []
    assert len(keeper.refusals()) == 2
    keeper(state(1, VersionState.AVAILABLE))
    keeper(state(1, VersionState.AVAILABLE, model="other"))
    assert table.calls == [("m", {"stable": 1})]
    keeper(state(2, VersionState.AVAILABLE))
    assert table.calls[1:] == [("m", {"stable": 1, "canary": 2})]
    assert keeper.refusals() == []


def test_a_label_stays_when_its_version_goes() -> None:
    table = Table()
    keeper = LabelKeeper([MODEL], table.set_labels, allow_unavailable=False)
    keeper(state(1, VersionState.AVAILABLE))
    keeper(state(1, VersionState.UNLOADING))
    keeper(state(2, VersionState.AVAILABLE))
    assert table.calls[-1] == ("m", {"stable": 1, "canary": 2})


def test_a_label_whose_version_leaves_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    keeper = LabelKeeper([MODEL], Table().set_labels, allow_unavailable=False)
    for version in (1, 2):
        keeper(state(version, VersionState.AVAILABLE))
    keeper(VersionsAspired("m", frozenset({1, 2})))
    assert caplog.messages == []
    keeper(VersionsAspired("m", frozenset({2, 3})))
    keeper(state(1, VersionState.UNLOADING))
    keeper(VersionsAspired("m", frozenset({3, 2})))
    assert caplog.messages == [
        "Label stable of model m means version 1, which is not served any more: requests for the label fail."
    ]


def test_labels_of_unavailable_versions_where_they_are_allowed() -> None:
    table = Table()
    keeper = LabelKeeper([MODEL, ModelConfig("n", "/n")], table.set_labels, allow_unavailable=True)
    assert table.calls == [("m", {"stable": 1, "canary": 2})]
    assert keeper.refusals() == []
