# SPDX-License-Identifier: Apache-2.0
"""The admin API: what each URL below `/v1/admin/` does. `docs/admin.md` describes it."""

import json
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Protocol

from tensorserve.config.flags import LOG_LEVELS
from tensorserve.errors import Code, ServingError
from tensorserve.log import log_level
from tensorserve.services.admin_json import (
    labels_from_json,
    model_from_json,
    plan_json,
    report_json,
    version_number,
)
from tensorserve.services.admin_request import AdminReply, AdminRequest, HttpError
from tensorserve.services.catalog import ModelCatalog, Wait
from tensorserve.services.reload_plan import ReloadPlan
from tensorserve.types import ModelConfig

_Handler = Callable[..., AdminReply]


class Reloader(Protocol):
    """Takes the configuration files in again."""

    def reload_files(self, wait: Wait | None) -> ReloadPlan | None:
        """Gives what that changed; None if there is no model config file. Raises ServingError."""

    def release(self, model: str, version: int) -> None:
        """Loads a version again that ended the server."""

    def set_log_level(self, level: str) -> None:
        """From now on the log has lines of this level too, or has not."""

    def restart(self, timeout_seconds: float | None) -> Sequence[str]:
        """Has another process take the place of this one. Gives what that does not know. Raises ServingError."""


class AdminApi:
    """Answers requests that were let in.

    Args:
        catalog: The models.
        reloader: Takes the configuration files in again.
        batching_report: A model's batching as JSON text.
    """

    def __init__(self, catalog: ModelCatalog, reloader: Reloader, batching_report: Callable[[str], str]) -> None:
        self._catalog = catalog
        self._reloader = reloader
        self._batching_report = batching_report

    def answer(self, request: AdminRequest) -> AdminReply:
        """Does what a request asks for.

        Raises:
            ServingError: Why not; ReplacedError if another process serves.
            HttpError: There is no such URL, or it knows another method.
        """
        self._catalog.check_serves()
        methods, arguments = self._route(request.segments)
        handler = methods.get(request.method)
        if handler is None:
            raise HttpError(405, f"{request.target} knows {', '.join(methods)}, not {request.method}.")
        return handler(request, *arguments)

    def _route(self, segments: tuple[str, ...]) -> tuple[dict[str, _Handler], tuple[str, ...]]:
        match segments:
            case ("ready",):
                return {"GET": self._ready}, ()
            case ("restart" | "reload" | "log" as word,):
                log = {"GET": self._log, "PUT": self._set_log}
                return {"restart": {"POST": self._restart}, "reload": {"POST": self._reload}, "log": log}[word], ()
            case ("models",):
                return {"GET": self._list}, ()
            case ("models", name):
                return {"GET": self._show, "PUT": self._put, "POST": self._create, "DELETE": self._remove}, (name,)
            case ("models", name, "labels"):
                return {"GET": self._labels, "PUT": self._put_labels, "PATCH": self._patch_labels}, (name,)
            case ("models", name, "labels", label):
                return {"PUT": self._put_label, "DELETE": self._delete_label}, (name, label)
            case ("models", name, "versions", version):
                number, _, verb = version.partition(":")
                verbs = {"load": self._load, "unload": self._unload, "release": self._release}
                if verb in verbs:
                    return {"POST": verbs[verb]}, (name, number)
            case ("models", name, "batching"):
                return {"GET": self._batching}, (name,)
        raise HttpError(404, "There is no such URL in the admin API; see docs/admin.md.")

    def _list(self, request: AdminRequest) -> AdminReply:
        return AdminReply({"models": [report_json(report) for report in self._catalog.reports()]})

    def _show(self, request: AdminRequest, name: str) -> AdminReply:
        report = self._catalog.report(name)
        if request.flag("wait"):
            self._wait(request, lambda: name not in self._catalog.models or self._catalog.report(name).state.is_ready)
            report = self._catalog.report(name)
        return AdminReply(report_json(report))

    def _ready(self, request: AdminRequest) -> AdminReply:
        if request.flag("wait"):
            self._wait(request, lambda: not self._catalog.not_ready())
        if waiting := self._catalog.not_ready():
            raise ServingError(Code.UNAVAILABLE, f"Models without a version that answers: {', '.join(waiting)}")
        return AdminReply({"ready": True})

    def _put(self, request: AdminRequest, name: str) -> AdminReply:
        config = model_from_json(name, request.json(), self._catalog.models.get(name))
        begin = time.time()
        plan = self._catalog.add(config, _wait_of(request))
        if plan.changed and request.flag("wait"):
            wanted = self._catalog.wanted_versions(name)
            self._wait(request, lambda: self._catalog.states.get(name).is_settled(wanted, begin))
            self._raise_error_of(name, wanted)
        return self._report(name, 201 if plan.added else 200)

    def _create(self, request: AdminRequest, name: str) -> AdminReply:
        config = model_from_json(name, request.json(), None)
        self._catalog.add(config, _wait_of(request), exist_ok=False)
        return self._report(name, 201)

    def _remove(self, request: AdminRequest, name: str) -> AdminReply:
        plan = self._catalog.remove(name)
        if request.flag("wait"):
            self._wait(request, lambda: self._catalog.states.get(name).is_gone)
        return AdminReply(plan_json(plan))

    def _labels(self, request: AdminRequest, name: str) -> AdminReply:
        return AdminReply(dict(self._catalog.report(name).labels))

    def _put_labels(self, request: AdminRequest, name: str) -> AdminReply:
        labels = labels_from_json(request.json())
        self._catalog.alter(name, lambda model: replace(model, version_labels=labels))
        return self._report(name)

    def _patch_labels(self, request: AdminRequest, name: str) -> AdminReply:
        edits = request.json()
        removed = {label for label, version in edits.items() if version is None}
        changed = labels_from_json({label: version for label, version in edits.items() if version is not None})

        def merged(labels: dict[str, int]) -> dict[str, int]:
            if missing := removed - labels.keys():
                raise ServingError(Code.NOT_FOUND, f"Model {name} has no label {min(missing)}.")
            return {label: version for label, version in {**labels, **changed}.items() if label not in removed}

        return self._edit_labels(name, merged)

    def _put_label(self, request: AdminRequest, name: str, label: str) -> AdminReply:
        body = json.dumps({label: version_number(request.json().get("version"))}).encode()
        return self._patch_labels(replace(request, body=body), name)

    def _delete_label(self, request: AdminRequest, name: str, label: str) -> AdminReply:
        body = json.dumps({label: None}).encode()
        return self._patch_labels(replace(request, body=body), name)

    def _edit_labels(self, name: str, edit: Callable[[dict[str, int]], dict[str, int]]) -> AdminReply:
        def edited(model: ModelConfig) -> ModelConfig:
            return replace(model, version_labels=MappingProxyType(edit(dict(model.version_labels))))

        self._catalog.alter(name, edited)
        return self._report(name)

    def _load(self, request: AdminRequest, name: str, version: str) -> AdminReply:
        number = version_number(version)
        # If it should be served already, what became of that counts.
        is_aspired = number in (self._catalog.states.get(name).aspired or ())
        after = 0.0 if is_aspired else time.time()
        self._catalog.load_version(name, number)
        if request.flag("wait"):
            self._wait(request, lambda: self._catalog.states.get(name).is_decided(number, after))
            self._raise_error_of(name, {number})
        return self._report(name)

    def _unload(self, request: AdminRequest, name: str, version: str) -> AdminReply:
        number = version_number(version)
        self._catalog.unload_version(name, number)
        if request.flag("wait"):
            self._wait(request, lambda: self._catalog.states.get(name).has_ended(number))
        return self._report(name)

    def _restart(self, request: AdminRequest) -> AdminReply:
        lost = self._reloader.restart(request.seconds("timeout"))
        return AdminReply({"restarted": True, "lost": list(lost)})

    def _log(self, request: AdminRequest) -> AdminReply:
        return AdminReply({"level": log_level()})

    def _set_log(self, request: AdminRequest) -> AdminReply:
        level = request.json().get("level")
        if level not in LOG_LEVELS:
            raise ServingError(Code.INVALID_ARGUMENT, f"level must be one of {', '.join(LOG_LEVELS)}.")
        self._reloader.set_log_level(level)
        return self._log(request)

    def _release(self, request: AdminRequest, name: str, version: str) -> AdminReply:
        number = version_number(version)
        self._catalog.report(name)
        self._reloader.release(name, number)
        return self._report(name)

    def _reload(self, request: AdminRequest) -> AdminReply:
        return AdminReply(plan_json(self._reloader.reload_files(_wait_of(request))))

    def _batching(self, request: AdminRequest, name: str) -> AdminReply:
        self._catalog.report(name)
        return AdminReply(self._batching_report(name))

    def _report(self, name: str, status: int = 200) -> AdminReply:
        return AdminReply(report_json(self._catalog.report(name)), status)

    def _raise_error_of(self, name: str, versions: Collection[int]) -> None:
        state = self._catalog.states.get(name)
        for version in sorted(versions, reverse=True):
            if error := state.error_of(version):
                raise error

    def _wait(self, request: AdminRequest, condition: Callable[[], Any]) -> None:
        timeout = request.seconds("timeout")
        if not self._catalog.states.wait(condition, timeout, request.is_awaited):
            raise ServingError(Code.DEADLINE_EXCEEDED, f"It did not happen within {timeout} seconds; it may still.")


def _wait_of(request: AdminRequest) -> Wait | None:
    return Wait(request.seconds("timeout"), request.is_awaited) if request.flag("wait") else None
