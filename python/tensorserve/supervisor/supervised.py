# SPDX-License-Identifier: Apache-2.0
"""A server's end of its supervision: the sockets it is given, and the channel to its parent."""

import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from tensorserve.errors import Code, ServingError
from tensorserve.lifecycle.events import Event, StateChange
from tensorserve.lifecycle.quarantine import Quarantine, fingerprint
from tensorserve.listeners import Endpoints, Listeners
from tensorserve.log import set_log_level
from tensorserve.supervisor.channel import HELD_SIGNALS, VARIABLE, Channel, Message
from tensorserve.types import ServableId, VersionState

logger = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_CLOSING_SECONDS = 5.0


class Supervised:
    """The parent of this process, as its server sees it.

    Args:
        facts: What the parent says: `parent` (its process id), `channel`, `sockets`, `log` and `page` (descriptors),
            `log_level`, `quarantined` (model, version, path, fingerprint and reason of each) and `watched` (see
            `_core.open_attribution_page`).
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._sockets: dict[str, int] = {name: int(number) for name, number in facts["sockets"].items()}
        self._page = int(facts["page"])
        self._watched: list[tuple[str, str, list[int], str | None, str]] = facts["watched"]
        self._local_paths: dict[ServableId, str] = {}
        rows = facts["quarantined"]
        self._quarantined = {ServableId(model, version): path for model, version, path, _known, _reason in rows}
        self.quarantine = Quarantine({path: (known, reason) for _, _, path, known, reason in rows})
        self._channel = Channel(socket.socket(fileno=int(facts["channel"])))
        self._closed = threading.Event()
        self._restarted = threading.Event()
        self._restart_error = ""
        self._on_message: dict[str, Callable[[Message], None]] = {
            "closed": lambda message: self._closed.set(),
            "restarted": self._take_in_restart,
        }
        self.log = int(facts["log"])
        self.log_level = str(facts["log_level"])
        for number in (self._channel.fileno(), self.log):
            os.set_inheritable(number, False)
        _end_with_parent(int(facts["parent"]))

    @classmethod
    def by_environment(cls) -> "Supervised | None":
        """The parent, if this process has one."""
        number = os.environ.pop(VARIABLE, None)
        if number is None:
            return None
        with open(int(number), encoding="utf-8") as file:
            return cls(json.load(file))

    def listeners(self, endpoints: Endpoints) -> Listeners:
        """The sockets that the parent has bound."""
        return Listeners.inherit(self._sockets)

    def on(self, kind: str, act: Callable[[Message], None]) -> None:
        """Acts on messages of a kind, in a thread of its own."""
        self._on_message[kind] = act

    def take_signals(self) -> None:
        """This process can act on signals now, those included that were held back until now."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)

    def start(self) -> None:
        """Begins to listen to the parent; this process ends when that one does."""
        threading.Thread(target=self._listen, name="supervised", daemon=True).start()

    def tell(self, kind: str, **facts: Any) -> None:
        """Says something to the parent."""
        self._channel.send({"kind": kind, **facts})

    def open_page(self) -> None:
        """From now on this process says what it is about to run. Before anything is loaded."""
        from tensorserve import _core

        watched = [
            (path, name, words, refusal)
            for path, name, words, refusal, known in self._watched
            if known in ("", fingerprint(path))
        ]
        try:
            _core.open_attribution_page(self._page, watched)
        except OSError as error:
            logger.warning("Deaths of this process will not be attributed: %s", error)

    def loading(self, id: ServableId, path: str, local_path: str) -> None:
        self._local_paths[id] = local_path
        self.tell(
            "loading",
            model=id.name,
            version=id.version,
            path=path,
            local_path=local_path,
            fingerprint=fingerprint(path),
        )

    def take_in(self, event: Event) -> None:
        """Tells the parent of what is served."""
        if isinstance(event, StateChange) and event.state is VersionState.AVAILABLE:
            self.tell("available", model=event.id.name, version=event.id.version)

    def release(self, model: str, version: int) -> None:
        from tensorserve import _core

        self.tell("release", model=model, version=version)
        released = ServableId(model, version)
        if (path := self._quarantined.get(released)) is not None:
            self.quarantine.release(path)
        if (local_path := self._local_paths.get(released)) is not None:
            _core.release_watched(local_path)

    def set_log_level(self, level: str) -> None:
        set_log_level(level)
        self.tell("log_level", level=level)

    def restart(self, timeout_seconds: float | None = None) -> None:
        self._restarted.clear()
        self.tell("restart")
        if not self._restarted.wait(timeout_seconds):
            raise ServingError(
                Code.DEADLINE_EXCEEDED,
                f"The new process is not ready after {timeout_seconds:g} seconds. It goes on, and takes over once its "
                "models answer; the log says what they wait for.",
            )
        if self._restart_error:
            raise ServingError(Code.FAILED_PRECONDITION, f"Nothing was restarted: {self._restart_error}.")

    def _take_in_restart(self, message: Message) -> None:
        self._restart_error = str(message.get("error", ""))
        self._restarted.set()

    def close_sockets(self) -> None:
        """Has the parent give up its sockets, so that they are closed once this process closes its own."""
        self.tell("closing")
        self._closed.wait(_CLOSING_SECONDS)

    def _listen(self) -> None:
        while self._channel.is_open:
            for message in self._channel.receive():
                self._act(message)
        os._exit(1)

    def _act(self, message: Message) -> None:
        act = self._on_message.get(str(message.get("kind")))
        if act is None:
            return
        try:
            act(message)
        except Exception:
            logger.exception("The message %s of the supervisor could not be acted on", message)


def _end_with_parent(parent: int) -> None:
    """Has the system end this process when its parent dies. The end of the channel says so too, but only to Python."""
    if sys.platform != "linux":
        return
    import ctypes

    prctl: Any = ctypes.CDLL(None).prctl
    prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
