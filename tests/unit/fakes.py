# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for what the control plane is given: the data plane, and runtimes. They do what the real ones promise."""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tensorserve.errors import Code, ServingError
from tensorserve.lifecycle.events import Event, StateChange
from tensorserve.types import ServableId, VersionState

PATIENCE_SECONDS = 10.0


def eventually(condition: Callable[[], bool]) -> bool:
    """Waits until a condition that other threads bring about holds; False if it does not."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def broken(message: str = "corrupt") -> ServingError:
    return ServingError(Code.DATA_LOSS, message)


@dataclass
class FakeLoader:
    """Loads a string. Fails with each of `failures` first, and waits for `gate` if there is one."""

    servable: str = "servable"
    failures: list[BaseException] = field(default_factory=list)
    gate: threading.Event | None = None
    calls: int = 0

    def load(self) -> str:
        self.calls += 1
        if self.gate is not None:
            assert self.gate.wait(PATIENCE_SECONDS)
        if self.failures:
            raise self.failures.pop(0)
        return self.servable


class FakeDataPlane:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.table: dict[ServableId, Any] = {}
        self.states: dict[ServableId, tuple[VersionState, Code, str]] = {}
        self.labels: dict[str, dict[str, int]] = {}
        self.listening: list[tuple[str, Any]] = []
        self.identities: dict[str, tuple[str, str, str | None]] = {}
        self.busy: dict[ServableId, threading.Event] = {}
        self.refused_publications = 0
        self.shutdowns: list[float] = []
        self.withdrawn: list[str] = []
        self.configured: set[str] = set()
        self.required: set[str] = set()
        self.weights: dict[str, float] = {}
        self.load_bytes: dict[ServableId, int] = {}
        self.has_started = False
        self.is_leaving = False
        self.control: Any = None
        self.request_log: Any = None
        self.on_retire: Callable[[ServableId], None] = lambda retired: None
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()

    def publish(self, model: str, version: int, servable: Any) -> None:
        with self._lock:
            if self.refused_publications:
                self.refused_publications -= 1
                raise broken("refused")
            self.table[ServableId(model, version)] = servable

    def retire(self, model: str, version: int, timeout_seconds: float | None = None) -> bool:
        retired = ServableId(model, version)
        with self._lock:
            self.on_retire(retired)
            self.table.pop(retired, None)
        finished = self.busy.get(retired)
        return finished is None or finished.wait(timeout_seconds)

    def set_version_state(self, model: str, version: int, state: int, code: int = 0, message: str = "") -> None:
        self.states[ServableId(model, version)] = (VersionState(state), Code(code), message)

    def set_labels(self, model: str, labels: dict[str, int]) -> None:
        self.labels[model] = dict(labels)

    def withdraw(self, model: str) -> None:
        self.withdrawn.append(model)

    def set_configured(self, models: set[str], required: set[str]) -> None:
        self.configured, self.required = set(models), set(required)

    def set_model_weights(self, weights: dict[str, float]) -> None:
        self.weights = dict(weights)

    def set_load_bytes(self, model: str, version: int, size: int) -> None:
        self.load_bytes[ServableId(model, version)] = size

    def started(self) -> None:
        self.has_started = True

    def leave(self) -> None:
        self.is_leaving = True

    def batching_report(self, model: str) -> str:
        return f'{{"model": "{model}"}}'

    def set_control_plane(self, control: Any) -> None:
        self.control = control

    def secure_grpc(self, key: str, certificates: str, client_authorities: str | None = None) -> None:
        self.identities["grpc"] = (key, certificates, client_authorities)

    def secure_rest(self, key: str, certificates: str, client_authorities: str | None = None) -> None:
        self.identities["rest"] = (key, certificates, client_authorities)

    def serve_grpc(self, descriptor: int) -> None:
        self._serve("grpc", descriptor)

    def serve_rest(self, descriptor: int) -> None:
        self._serve("rest", descriptor)

    def serve_health(self, descriptor: int) -> None:
        self._serve("health", descriptor)

    def shutdown(self, drain_seconds: float, idle_seconds: float = 0.0) -> bool:
        self.shutdowns.append(drain_seconds)
        for listener in self._sockets:
            listener.close()
        return True

    def versions(self, model: str) -> set[int]:
        return {published.version for published in self.table if published.name == model}

    def _serve(self, protocol: str, descriptor: int) -> None:
        listener = socket.socket(fileno=descriptor)
        self.listening.append((protocol, listener.getsockname()))
        self._sockets.append(listener)


@dataclass
class PathLoader:
    """Loads its path as the servable, unless something says that it is broken."""

    path: str

    def load(self) -> str:
        with open(f"{self.path}/model") as file:
            content = file.read()
        if content == "broken":
            raise broken(self.path)
        return self.path


class FakeRuntime:
    """Computes nothing, but loads what lies in a version directory as `model`."""

    def __init__(self, options: object) -> None:
        self.options = options

    def loader(self, path: str) -> Any:
        return PathLoader(path)


class EventLog:
    """Subscribes to a bus and remembers."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def states(self, id: ServableId) -> list[VersionState]:
        return [e.state for e in self.events if isinstance(e, StateChange) and e.id == id]

    def last(self, id: ServableId) -> StateChange | None:
        return next((e for e in reversed(self.events) if isinstance(e, StateChange) and e.id == id), None)

    def reached(self, id: ServableId, state: VersionState) -> bool:
        last = self.last(id)
        return last is not None and last.state is state
