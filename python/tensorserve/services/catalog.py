# SPDX-License-Identifier: Apache-2.0
"""The models that are configured: the one place that changes them while the server runs."""

import enum
import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from tensorserve.errors import Code, ServingError
from tensorserve.lifecycle.arrivals import Arrivals
from tensorserve.lifecycle.events import EventBus
from tensorserve.lifecycle.labels import LabelKeeper
from tensorserve.services.model_states import ModelState, ModelStates
from tensorserve.services.reload_plan import ReloadPlan, plan_reload
from tensorserve.types import ModelConfig, Specific

logger = logging.getLogger(__name__)

# The manager takes a removal in at once; this is for one that has died.
_REMOVAL_SECONDS = 10.0

# Looks for abandoned waits this often.
_LOOK_SECONDS = 1.0


class ReplacedError(ServingError):
    """Another process has taken the place of this one, so whoever asks is to ask again."""

    def __init__(self) -> None:
        super().__init__(
            Code.UNAVAILABLE, "Another process serves now, and this one only finishes its requests: ask again."
        )


class Origin(enum.Enum):
    """Which way a model's configuration came."""

    CONFIG = "config"
    REQUEST = "request"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Wait:
    """How long to wait for models that a change adds.

    Attributes:
        timeout_seconds: None means for ever.
        is_awaited: Asked now and then; the wait ends when it says no.
    """

    timeout_seconds: float | None = None
    is_awaited: Callable[[], bool] = lambda: True


@dataclass(frozen=True, slots=True)
class ModelReport:
    """A configured model and how it does."""

    config: ModelConfig
    origin: Origin
    labels: Mapping[str, int]
    state: ModelState


class ModelUser(Protocol):
    """Who acts on the list of models."""

    def check(self, models: Iterable[ModelConfig]) -> tuple[ModelConfig, ...]:
        """Checks each model on its own. Raises ServingError."""

    def prepare(self, models: Collection[ModelConfig]) -> None:
        """Gets ready to load these models as well. Raises ServingError."""

    def watch(self, models: Sequence[ModelConfig]) -> None:
        """Serves these models from now on, instead of those before."""

    def withdraw(self, model: str) -> None:
        """This model is not configured any more."""

    def versions(self, model: ModelConfig) -> Collection[int]:
        """The versions that lie in a model's base path now. Raises ServingError."""

    def wanted_versions(self, model: ModelConfig) -> frozenset[int]:
        """Those of them that a model's policy chooses. Raises ServingError."""


@dataclass(frozen=True, slots=True)
class Bookkeeping:
    """Who knows what the models do."""

    bus: EventBus
    labels: LabelKeeper
    states: ModelStates


@dataclass(frozen=True, slots=True)
class Change:
    """A change that was made."""

    plan: ReloadPlan
    arrivals: Arrivals

    def wait(self, wait: Wait) -> None:
        """Waits until each added model answers, or its first attempts have failed.

        Raises:
            ServingError: UNKNOWN: models do not answer, and why. DEADLINE_EXCEEDED: that took too long.
        """
        left = wait.timeout_seconds
        # In pieces, so that a wait that nobody is interested in any more ends.
        while self.plan.added and wait.is_awaited():
            piece = _LOOK_SECONDS if left is None else min(left, _LOOK_SECONDS)
            try:
                self.arrivals.wait(piece)
            except ServingError as error:
                if error.code is not Code.DEADLINE_EXCEEDED:
                    raise
            else:
                return
            left = None if left is None else left - piece
            if left is not None and left <= 0:
                text = f"Models are still loading after {wait.timeout_seconds} seconds; loading goes on."
                raise ServingError(Code.DEADLINE_EXCEEDED, text)


class ModelCatalog:
    """Keeps the list of models, and changes it as a whole.

    Changes are made one after the other and never wait for a model to load, so one that hangs holds up no later change.

    Args:
        models: The models that the server starts with.
        user: Acts on the list.
        books: Knows what the models do.
        allow_unavailable: `--allow_version_labels_for_unavailable_models`.
    """

    def __init__(
        self, models: Iterable[ModelConfig], user: ModelUser, books: Bookkeeping, *, allow_unavailable: bool
    ) -> None:
        self._models: Mapping[str, ModelConfig] = {model.name: model for model in models}
        self._origins = dict.fromkeys(self._models, Origin.CONFIG)
        self._user = user
        self._bus, self._labels, self.states = books.bus, books.labels, books.states
        self._allow_unavailable = allow_unavailable
        self._is_replaced = False
        self._lock = threading.Lock()

    def be_replaced(self) -> None:
        """From here on each change is refused, since it would be lost: another process serves."""
        with self._lock:
            self._is_replaced = True

    def check_serves(self) -> None:
        """Raises ReplacedError: another process serves."""
        if self._is_replaced:
            raise ReplacedError

    @property
    def models(self) -> Mapping[str, ModelConfig]:
        """The models that are configured, by name."""
        return self._models

    def report(self, name: str) -> ModelReport:
        """Tells about one model. Raises ServingError (NOT_FOUND)."""
        config = self._require(self._models, name)
        origin = self._origins.get(name, Origin.CONFIG)
        return ModelReport(config, origin, self._labels.state(name).given, self.states.get(name))

    def reports(self) -> tuple[ModelReport, ...]:
        """Tells about every model, by name."""
        found = []
        for name in sorted(self._models):
            try:
                found.append(self.report(name))
            except ServingError:  # It was removed meanwhile.
                continue
        return tuple(found)

    def wait_until_ready(self, timeout_seconds: float | None = None) -> bool:
        """Waits until every model has a version that answers. False if that took longer than the timeout."""
        return self.states.wait(lambda: not self.not_ready(), timeout_seconds)

    def not_ready(self) -> list[str]:
        """The models that have no version that answers."""
        return [name for name in self._models if not self.states.get(name).is_ready]

    @contextmanager
    def begin(
        self, decide: Callable[[Mapping[str, ModelConfig]], Iterable[ModelConfig]], origin: Origin
    ) -> Iterator["Change"]:
        """Changes the list of models; within the block one can wait for those that it adds.

        Args:
            decide: Gives the complete list, from the present one.
            origin: Where the change comes from.

        Raises:
            ServingError: Why the list is refused; then nothing has changed.
        """
        with ExitStack() as following:
            with self._lock:
                self.check_serves()
                plan = self._plan(self._user.check(decide(self._models)), defer_labels=origin is Origin.ADMIN)
                arrivals = following.enter_context(Arrivals(self._bus, plan.added))
                self._apply(plan, origin)
            yield Change(plan, arrivals)

    def change(
        self,
        decide: Callable[[Mapping[str, ModelConfig]], Iterable[ModelConfig]],
        origin: Origin,
        wait: Wait | None = None,
    ) -> ReloadPlan:
        """Changes the list of models, and waits for those that are added if `wait` is given.

        Raises:
            ServingError: Why the list is refused; see `begin`. UNKNOWN: added models do not answer; they stay
                configured, and loading is tried again.
        """
        with self.begin(decide, origin) as change:
            if wait is not None:
                change.wait(wait)
            return change.plan

    def replace(self, models: Iterable[ModelConfig], origin: Origin, wait: Wait | None = None) -> ReloadPlan:
        """Serves exactly these models from now on; see `change`."""
        wanted = tuple(models)
        return self.change(lambda current: wanted, origin, wait)

    def add(self, model: ModelConfig, wait: Wait | None = None, *, exist_ok: bool = True) -> ReloadPlan:
        """Adds one model, or changes the one of that name."""

        def decide(current: Mapping[str, ModelConfig]) -> Iterable[ModelConfig]:
            if not exist_ok and model.name in current:
                raise ServingError(Code.ALREADY_EXISTS, f"Model {model.name} is configured already.")
            return {**current, model.name: model}.values()

        return self.change(decide, Origin.ADMIN, wait)

    def remove(self, name: str) -> ReloadPlan:
        """Removes one model: it finishes its requests and is unloaded."""

        def decide(current: Mapping[str, ModelConfig]) -> Iterable[ModelConfig]:
            self._require(current, name)
            return [model for model in current.values() if model.name != name]

        return self.change(decide, Origin.ADMIN)

    def alter(self, name: str, edit: Callable[[ModelConfig], ModelConfig]) -> ReloadPlan:
        """Changes the configuration of one model."""

        def decide(current: Mapping[str, ModelConfig]) -> Iterable[ModelConfig]:
            return {**current, name: edit(self._require(current, name))}.values()

        return self.change(decide, Origin.ADMIN)

    def wanted_versions(self, name: str) -> frozenset[int]:
        """The versions that a model's policy chooses from what lies in its base path. Raises ServingError."""
        config = self._require(self._models, name)
        return self._user.wanted_versions(config)

    def load_version(self, name: str, version: int) -> ReloadPlan:
        """Serves a version beside those that are served now; from then on the model has a `specific` policy.

        Raises:
            ServingError: NOT_FOUND: there is no such model or version.
        """
        config = self._require(self._models, name)
        if version not in self._user.versions(config):
            text = f"Version {version} of model {name} was not found under base path {config.base_path}"
            raise ServingError(Code.NOT_FOUND, text)
        return self.alter(
            name, lambda model: replace(model, policy=Specific(self._served(model, with_version=version)))
        )

    def unload_version(self, name: str, version: int) -> ReloadPlan:
        """Serves a version no more; from then on the model has a `specific` policy.

        Raises:
            ServingError: NOT_FOUND: there is no such model, or the version is not served.
        """

        def edit(model: ModelConfig) -> ModelConfig:
            served = self._served(model)
            if version not in served:
                raise ServingError(Code.NOT_FOUND, f"Version {version} of model {name} is not served.")
            return replace(model, policy=Specific(tuple(v for v in served if v != version)))

        return self.alter(name, edit)

    def _served(self, model: ModelConfig, with_version: int | None = None) -> tuple[int, ...]:
        """The versions that a model should serve."""
        if isinstance(model.policy, Specific):
            served = set(model.policy.versions)
        else:
            served = set(self.states.get(model.name).aspired or ())
        return tuple(sorted(served | ({with_version} if with_version is not None else set())))

    def _plan(self, wanted: Sequence[ModelConfig], *, defer_labels: bool) -> ReloadPlan:
        labels = {model.name: self._labels.state(model.name) for model in wanted}
        allow = self._allow_unavailable
        return plan_reload(self._models, wanted, labels, allow_unavailable=allow, defer_labels=defer_labels)

    def _apply(self, plan: ReloadPlan, origin: Origin) -> None:
        if plan.is_empty:
            return
        self._user.prepare([plan.models[name] for name in plan.added])
        # Labels come first: what they leave may be unloaded by the same change.
        for name in plan.relabeled:
            self._labels.replace(name, plan.models[name].version_labels)
        for name in plan.added:
            if name not in plan.relabeled:
                self._labels.add(name, plan.models[name].version_labels)
        for name in plan.removed:
            self._labels.replace(name, {})
        before, self._models = self._models, plan.models
        self._origins = {name: self._origins.get(name, origin) for name in plan.models}
        self._origins.update(dict.fromkeys(plan.changed, origin))
        _log(plan)
        self._user.watch(tuple(plan.models.values()))
        for name in plan.removed:
            self._finish_removal(before[name])

    def _finish_removal(self, model: ModelConfig) -> None:
        """Until the manager has taken a removal in, an addition of the same name could be mistaken."""
        self.states.wait(lambda: not self.states.get(model.name).aspired, _REMOVAL_SECONDS)
        self._user.withdraw(model.name)

    @staticmethod
    def _require(models: Mapping[str, ModelConfig], name: str) -> ModelConfig:
        if name not in models:
            raise ServingError(Code.NOT_FOUND, f"Model {name} is not configured.")
        return models[name]


def _log(plan: ReloadPlan) -> None:
    logger.info("Adding/updating models.")
    for name in (*plan.added, *plan.changed):
        logger.info(" (Re-)adding model: %s", name)
    for name in plan.removed:
        logger.info(" Removing model: %s", name)
    for name, labels in plan.lost_labels.items():
        for label, lost in sorted(labels.items()):
            if lost.after is None:
                text = "Label %s of model %s, which meant version %d, is gone: its new configuration does not have it."
                logger.warning(text, label, name, lost.before)
            else:
                text = "Label %s of model %s means version %d from now on, instead of %d."
                logger.warning(text, label, name, lost.after, lost.before)
