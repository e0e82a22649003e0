# SPDX-License-Identifier: Apache-2.0
"""Gives names to versions, once they may have them."""

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from tensorserve.errors import Code, ServingError
from tensorserve.lifecycle.events import Event, StateChange, VersionsAspired
from tensorserve.types import ModelConfig, VersionState

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LabelState:
    """What labels of a model are judged by.

    Attributes:
        given: The labels that are set, and where each points.
        available: The versions that answer.
    """

    given: Mapping[str, int] = field(default_factory=dict)
    available: frozenset[int] = frozenset()


def check_label(
    model: str,
    version: int,
    *,
    current: int | None,
    available: Collection[int],
    allow_unavailable: bool,
) -> ServingError | None:
    """Whether a label may point to a version; the rules of TensorFlow Serving.

    Args:
        model: Name of the model.
        version: Where the label shall point.
        current: Where the label points now; None if there is no such label yet.
        available: The versions of the model that answer.
        allow_unavailable: `--allow_version_labels_for_unavailable_models`.

    Returns:
        Why not, or None if it may.
    """
    if version in available or (allow_unavailable and current in (None, version)):
        return None
    return ServingError(
        Code.FAILED_PRECONDITION,
        f"Request to assign label to version {version} of model {model}, "
        "which is not currently available for inference",
    )


class LabelKeeper:
    """Sets the labels of models; subscribe it to the bus.

    A label that a model is configured with from the start is given as soon as the rules allow: one of a version that is
    still loading, or that fails and is tried again, when that version becomes available. A label stays when its version
    goes.

    Args:
        models: The models with the labels they shall have.
        set_labels: Replaces all labels of a model.
        allow_unavailable: `--allow_version_labels_for_unavailable_models`.
    """

    def __init__(
        self,
        models: Collection[ModelConfig],
        set_labels: Callable[[str, dict[str, int]], None],
        *,
        allow_unavailable: bool,
    ) -> None:
        self._set_labels = set_labels
        self._allow_unavailable = allow_unavailable
        self._lock = threading.Lock()
        self._wanted: dict[str, Mapping[str, int]] = {}
        self._given: dict[str, dict[str, int]] = {}
        self._available: dict[str, set[int]] = {}
        for model in models:
            self.add(model.name, model.version_labels)

    def __call__(self, event: Event) -> None:
        """Takes in one event of the bus."""
        if isinstance(event, VersionsAspired):
            self._warn_of_labels_without_version(event.model, event.versions)
        if not isinstance(event, StateChange):
            return
        name, version = event.id.name, event.id.version
        with self._lock:
            if event.state is VersionState.AVAILABLE:
                self._available.setdefault(name, set()).add(version)
                self._give(name)
            elif name in self._available:
                self._available[name].discard(version)
                if not self._available[name]:
                    del self._available[name]

    def add(self, name: str, labels: Mapping[str, int]) -> None:
        """Gives a model that starts its labels, each as soon as it may have it."""
        with self._lock:
            if labels:
                self._wanted[name] = labels
                self._give(name)

    def replace(self, name: str, labels: Mapping[str, int]) -> None:
        """Sets these labels instead of those before, all at once.

        One that may not be set, though whoever calls has checked that, is given once it may.
        """
        with self._lock:
            before = self._given.get(name, {})
            given = {
                label: version
                for label, version in labels.items()
                if before.get(label) == version or self._refusal(name, label, version) is None
            }
            self._wanted.pop(name, None)
            self._given.pop(name, None)
            if labels:
                self._wanted[name], self._given[name] = labels, given
            self._set_labels(name, given)

    def state(self, name: str) -> LabelState:
        """What new labels of a model are judged by."""
        with self._lock:
            return LabelState(dict(self._given.get(name, {})), frozenset(self._available.get(name, ())))

    def refusals(self) -> list[ServingError]:
        """Why each label that is wanted but not given is not given."""
        with self._lock:
            reasons = [
                self._refusal(name, label, version)
                for name, wanted in self._wanted.items()
                for label, version in wanted.items()
                if label not in self._given.get(name, {})
            ]
        return [reason for reason in reasons if reason is not None]

    def _warn_of_labels_without_version(self, name: str, aspired: frozenset[int]) -> None:
        with self._lock:
            leaving = self._available.get(name, set()) - aspired
            labels = [item for item in self._given.get(name, {}).items() if item[1] in leaving]
        for label, version in labels:
            text = "Label %s of model %s means version %d, which is not served any more: requests for the label fail."
            logger.warning(text, label, name, version)

    def _give(self, name: str) -> None:
        wanted = self._wanted.get(name, {}).items()
        given = self._given.get(name, {})
        labels = given | {label: version for label, version in wanted if self._refusal(name, label, version) is None}
        if labels != given:
            self._given[name] = labels
            self._set_labels(name, labels)

    def _refusal(self, name: str, label: str, version: int) -> ServingError | None:
        return check_label(
            name,
            version,
            current=self._given.get(name, {}).get(label),
            available=self._available.get(name, ()),
            allow_unavailable=self._allow_unavailable,
        )
