# SPDX-License-Identifier: Apache-2.0
"""What a configuration changes, or why it is refused: as tables."""

from dataclasses import dataclass, field

import pytest

from tensorserve.errors import ServingError
from tensorserve.lifecycle.labels import LabelState
from tensorserve.services.reload_plan import LostLabel, merge_file, plan_reload
from tensorserve.types import All, ModelConfig


def model(name: str, path: str = "/p", *, platform: str = "tensorflow", **labels: int) -> ModelConfig:
    return ModelConfig(name, path, platform, version_labels=labels)


A, B = model("a"), model("b")
UNAVAILABLE = "Request to assign label to version {} of model a, which is not currently available for inference"


@dataclass
class Case:
    current: list[ModelConfig]
    wanted: list[ModelConfig]
    labels: dict[str, LabelState] = field(default_factory=dict)
    allow: bool = False
    defer: bool = False
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    relabeled: tuple[str, ...] = ()
    refusal: str = ""


def available(*versions: int, **given: int) -> dict[str, LabelState]:
    return {"a": LabelState(given, frozenset(versions))}


CASES = {
    "nothing": Case([], []),
    "the same": Case([A, B], [B, A]),
    "the same with a label of a version that is gone": Case([model("a", s=1)], [model("a", s=1)]),
    "added": Case([A], [A, B], added=("b",)),
    "removed": Case([A, B], [B], removed=("a",)),
    "everything goes": Case([A, B], [], removed=("a", "b")),
    "exchanged": Case([A], [B], added=("b",), removed=("a",)),
    "base path": Case([A], [model("a", "/q")], changed=("a",)),
    "policy": Case([A], [ModelConfig("a", "/p", policy=All())], changed=("a",)),
    "platform": Case(
        [A],
        [model("a", platform="onnx")],
        refusal="Illegal to change a model's platform. For model a platform was tensorflow and new platform requested "
        "is onnx",
    ),
    "another platform under a new name": Case([A], [model("b", platform="onnx")], added=("b",), removed=("a",)),
    "label": Case([A], [model("a", s=1)], available(1), changed=("a",), relabeled=("a",)),
    "label goes": Case([model("a", s=1)], [A], available(1, s=1), changed=("a",), relabeled=("a",)),
    "label of a missing version": Case([A], [model("a", s=2)], available(1), refusal=UNAVAILABLE.format(2)),
    "one of two labels": Case([A], [model("a", s=1, t=2)], available(1), refusal=UNAVAILABLE.format(2)),
    "label moves": Case([model("a", s=1)], [model("a", s=2)], available(1, 2, s=1), changed=("a",), relabeled=("a",)),
    "label moves too early": Case(
        [model("a", s=1)], [model("a", s=2)], available(1, s=1), refusal=UNAVAILABLE.format(2)
    ),
    "label stays while another moves": Case(
        [model("a", s=1, t=2)], [model("a", s=1, t=3)], available(3, s=1, t=2), changed=("a",), relabeled=("a",)
    ),
    "new label, allowed": Case([A], [model("a", s=9)], available(1), allow=True, changed=("a",), relabeled=("a",)),
    "moving a label is not allowed": Case(
        [model("a", s=1)], [model("a", s=9)], available(1, s=1), allow=True, refusal=UNAVAILABLE.format(9)
    ),
    "moved back to where it still points": Case(
        [A], [model("a", s=9)], available(1, s=9), allow=True, changed=("a",), relabeled=("a",)
    ),
    "label of an added model": Case([], [model("a", s=1)], refusal=UNAVAILABLE.format(1)),
    "label of an added model, allowed": Case([], [model("a", s=1)], allow=True, added=("a",), relabeled=("a",)),
    "label of an added model, deferred": Case([], [model("a", s=1)], defer=True, added=("a",)),
    "label of a changed model is not deferred": Case([A], [model("a", s=1)], defer=True, refusal=UNAVAILABLE.format(1)),
}


@pytest.mark.parametrize("name", CASES)
def test_plan(name: str) -> None:
    case = CASES[name]
    current = {model.name: model for model in case.current}

    def plan():
        return plan_reload(current, case.wanted, case.labels, allow_unavailable=case.allow, defer_labels=case.defer)

    if case.refusal:
        with pytest.raises(ServingError) as caught:
            plan()
        assert caught.value.message == case.refusal
        return
    found = plan()
    assert dict(found.models) == {model.name: model for model in case.wanted}
    assert (found.added, found.removed, found.changed, found.relabeled) == (
        case.added,
        case.removed,
        case.changed,
        case.relabeled,
    )
    assert found.is_empty == (not (case.added or case.removed or case.changed))


A2, A3, C = model("a", "/2"), model("a", "/3"), model("c")

# What is configured, what the file said, what it says; what a poll makes of it, and what an explicit reload does.
MERGES = {
    "the file says the same": ([A, B], [A, B], [A, B], [A, B], [A, B]),
    "the file adds": ([A], [A], [A, B], [A, B], [A, B]),
    "the file removes": ([A, B], [A, B], [A], [A], [A]),
    "the file changes": ([A], [A], [A2], [A2], [A2]),
    "a model of another origin stays": ([A, C], [A], [A, B], [A, B, C], [A, B, C]),
    "what was changed another way stays": ([A2, B], [A, B], [A, B], [A2, B], [A, B]),
    "the file changes what was changed": ([A2], [A], [A3], [A3], [A3]),
    "what was removed another way stays away": ([B], [A, B], [A, B], [B], [A, B]),
    "the file adds a model of another origin": ([A2], [], [A], [A], [A]),
    "the file says nothing any more": ([A, C], [A], [], [C], [C]),
}


@pytest.mark.parametrize("name", MERGES)
def test_merge(name: str) -> None:
    current, last, now, polled, reloaded = ({m.name: m for m in models} for models in MERGES[name])
    assert {m.name: m for m in merge_file(current, last, now, everything=False)} == polled
    assert {m.name: m for m in merge_file(current, last, now, everything=True)} == reloaded


@pytest.mark.parametrize(
    ("current", "wanted", "lost"),
    [
        ([A], [A], {}),
        ([model("a", s=1)], [model("a", s=1)], {}),
        ([A], [model("a", s=1)], {}),
        ([model("a", s=1)], [A], {"a": {"s": LostLabel(1, None)}}),
        ([model("a", s=1)], [model("a", s=2)], {"a": {"s": LostLabel(1, 2)}}),
        ([model("a", s=1, c=2)], [model("a", c=2)], {"a": {"s": LostLabel(1, None)}}),
        ([model("a", s=1), model("b", t=3)], [A, B], {"a": {"s": LostLabel(1, None)}, "b": {"t": LostLabel(3, None)}}),
        ([model("a", s=1)], [B], {}),
        ([model("a", s=1)], [model("a", "/q")], {"a": {"s": LostLabel(1, None)}}),
    ],
)
def test_labels_that_are_lost_are_named(
    current: list[ModelConfig], wanted: list[ModelConfig], lost: dict[str, dict[str, LostLabel]]
) -> None:
    labels = {name: LabelState({}, frozenset(range(10))) for name in "ab"}
    plan = plan_reload({m.name: m for m in current}, wanted, labels, allow_unavailable=True)
    assert plan.lost_labels == lost
