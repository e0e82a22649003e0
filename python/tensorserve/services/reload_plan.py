# SPDX-License-Identifier: Apache-2.0
"""What a new configuration changes, or why it is refused. Pure functions.

A plan is made before anything is touched, so a configuration that is refused changes nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tensorserve.errors import Code, ServingError
from tensorserve.lifecycle.labels import LabelState, check_label
from tensorserve.types import ModelConfig


@dataclass(frozen=True, slots=True)
class LostLabel:
    """A label that no longer points to a version; `after` is None if it is gone."""

    before: int
    after: int | None


@dataclass(frozen=True, slots=True)
class ReloadPlan:
    """What a configuration changes.

    Attributes:
        models: All models from now on, by name.
        added: Names of new models.
        removed: Names of models that go.
        changed: Names of models that stay, with another base path, policy or labels.
        relabeled: Names of those among the added and changed ones whose labels are to be set at once.
        lost_labels: By model and label, of models that stay: where a label pointed that points elsewhere now or is
            gone, and where it points now.
    """

    models: Mapping[str, ModelConfig]
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    relabeled: tuple[str, ...] = ()
    lost_labels: Mapping[str, Mapping[str, LostLabel]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether everything stays as it is."""
        return not (self.added or self.removed or self.changed)


def plan_reload(
    current: Mapping[str, ModelConfig],
    wanted: Iterable[ModelConfig],
    labels: Mapping[str, LabelState],
    *,
    allow_unavailable: bool,
    defer_labels: bool = False,
) -> ReloadPlan:
    """What leads from the current models to the wanted ones.

    As in TensorFlow Serving, labels are judged by the versions that are available now, before anything is loaded, and
    one label that may not be set refuses the whole configuration. Labels that stay the same are not judged.

    Args:
        current: The models that are configured, by name.
        wanted: The complete list of models, each checked on its own.
        labels: Labels and available versions of current models, by name.
        allow_unavailable: `--allow_version_labels_for_unavailable_models`.
        defer_labels: Added models get their labels once they may have them, as when a server starts.

    Raises:
        ServingError: INVALID_ARGUMENT: another platform. FAILED_PRECONDITION: a label of a version that is not there.
    """
    models = {model.name: model for model in wanted}
    added = tuple(name for name in models if name not in current)
    changed = tuple(name for name, model in models.items() if name in current and model != current[name])
    for name in changed:
        _check_platform(current[name], models[name])
    judged = changed if defer_labels else (*added, *changed)
    relabeled = tuple(name for name in judged if _has_new_labels(current.get(name), models[name]))
    for name in relabeled:
        _check_labels(current.get(name), models[name], labels.get(name, LabelState()), allow_unavailable)
    removed = tuple(name for name in current if name not in models)
    lost = {name: gone for name in changed if (gone := _lost_labels(current[name], models[name]))}
    return ReloadPlan(models, added, removed, changed, relabeled, lost)


def merge_file(
    current: Mapping[str, ModelConfig],
    last: Mapping[str, ModelConfig],
    now: Mapping[str, ModelConfig],
    *,
    everything: bool,
) -> tuple[ModelConfig, ...]:
    """The models that a configuration file asks for, beside those that came another way.

    An entry that is new, changed or gone in the file counts. Where the file still says the same, what was changed
    meanwhile stays, and so do models that the file never named.

    Args:
        current: The models that are configured.
        last: What the file said when it was last taken in.
        now: What it says now.
        everything: Take every entry of the file, also those that stayed the same.
    """
    listed = {
        name: model if everything or model != last.get(name) else current.get(name) for name, model in now.items()
    }
    others = [model for name, model in current.items() if name not in now and name not in last]
    return (*(model for model in listed.values() if model is not None), *others)


def _check_platform(current: ModelConfig, wanted: ModelConfig) -> None:
    if current.platform != wanted.platform:
        raise ServingError(
            Code.INVALID_ARGUMENT,
            f"Illegal to change a model's platform. For model {wanted.name} platform was {current.platform} and new "
            f"platform requested is {wanted.platform}",
        )


def _labels_of(model: ModelConfig | None) -> Mapping[str, int]:
    return {} if model is None else dict(model.version_labels)


def _lost_labels(current: ModelConfig, wanted: ModelConfig) -> Mapping[str, LostLabel]:
    now = wanted.version_labels
    return {
        label: LostLabel(version, now.get(label))
        for label, version in current.version_labels.items()
        if now.get(label) != version
    }


def _has_new_labels(current: ModelConfig | None, wanted: ModelConfig) -> bool:
    return _labels_of(current) != _labels_of(wanted)


def _check_labels(current: ModelConfig | None, wanted: ModelConfig, state: LabelState, allow_unavailable: bool) -> None:
    before = _labels_of(current)
    for label, version in wanted.version_labels.items():
        if before.get(label) == version:
            continue
        refusal = check_label(
            wanted.name,
            version,
            current=state.given.get(label),
            available=state.available,
            allow_unavailable=allow_unavailable,
        )
        if refusal is not None:
            raise refusal
