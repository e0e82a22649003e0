# SPDX-License-Identifier: Apache-2.0
"""What is known of one server process, and what its death tells of the versions that it served."""

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tensorserve.supervisor.attribution import Page, Run
from tensorserve.supervisor.channel import Message
from tensorserve.supervisor.deaths import Death, report
from tensorserve.supervisor.docket import Docket, Version
from tensorserve.supervisor.state_store import StateStore

logger = logging.getLogger(__name__)

# The section of the store.
_SECTION = "docket"


class Inquests:
    """Keeps what is held against versions, over all server processes.

    Args:
        store: Where that outlives this process.
    """

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._docket = Docket(store.get(_SECTION))
        if self._docket.damaged:
            logger.warning(
                "What %s holds against %d versions makes no sense and does not count.", store, len(self._docket.damaged)
            )
        self._deaths = 0

    def witness(self) -> "Witness":
        """What is to be known of a new server process."""
        return Witness(self._docket, self._deaths)

    def release(self, model: str, version: int) -> None:
        """Nothing is held against a version any more."""
        self._store.change(_SECTION, dict.fromkeys(self._docket.release(model, version)))

    def hold(self, pid: int, death: Death, witness: "Witness", seconds: float, last_words: list[str]) -> None:
        """Reports a death, and judges what it tells.

        Args:
            pid: The process.
            death: How it died.
            witness: What is known of it.
            seconds: How long it lived.
            last_words: The last lines of its log.
        """
        self._deaths += 1
        busy = witness.page.busy()
        suspects = list(dict.fromkeys(busy.values()))
        # Line ends in arguments would be escaped; those of the report are its own.
        logger.error(report(pid, death, seconds, [witness.describe(run) for run in suspects], last_words))
        for run, key in witness.harmless():
            self._docket.succeeded(run, key)
        if death.is_own_doing and suspects:
            self._judge(death, witness, busy)

    def _judge(self, death: Death, witness: "Witness", busy: Mapping[int, Run]) -> None:
        suspects = list(dict.fromkeys(busy.values()))
        crash = witness.page.crash()
        # A thread that said what it runs, and got the signal itself, did it.
        culprit = busy.get(crash.thread) if crash is not None else None
        guilty = culprit or (suspects[0] if len(suspects) == 1 else None)
        version = witness.versions.get(guilty.path) if guilty else None
        if guilty is None or version is None:
            logger.error("One of %d runs ended the server; each runs alone until it is known.", len(suspects))
            self._docket.suspect(suspects)
            return
        logger.error("%s", self._docket.convict(version, guilty, str(death), time.time()))
        self._store.change(_SECTION, {version.key: self._docket.stored(version.key)})


class Witness:
    """What is known of one server process.

    Attributes:
        page: Where it says what it is about to run.
        versions: The versions that it has loaded, by their directories.
    """

    def __init__(self, docket: Docket, deaths: int) -> None:
        self.page = Page(deaths)
        self.versions: dict[str, Version] = {}
        self._watched = docket.watched()
        self._quarantined = docket.quarantined()

    def facts(self) -> dict[str, Any]:
        """What the process is told when it starts."""
        watched = [(it.path, it.signature, it.words, it.refusal, it.fingerprint) for it in self._watched]
        return {"page": self.page.descriptor, "quarantined": self._quarantined, "watched": watched}

    def take_in(self, message: Message) -> None:
        """Takes in what the process says of its versions."""
        if message["kind"] == "loading":
            facts = {name: message[name] for name in ("model", "version", "path", "local_path", "fingerprint")}
            self.versions[facts["local_path"]] = Version(**facts)
            return
        for path, version in self.versions.items():
            if (version.model, version.version) == (message["model"], message["version"]):
                self.versions[path] = replace(version, has_served=True)

    def describe(self, run: Run) -> str:
        """A run in words."""
        version = self.versions.get(run.path)
        name = f"model {version.model} version {version.version}" if version else run.path
        return f"{name}: {run}"

    def harmless(self) -> list[tuple[Run, str | None]]:
        """The runs that were watched and have succeeded, and the key of each one's version."""
        found = [self._watched[place] for place in self.page.succeeded() if place < len(self._watched)]
        keys = {path: version.key for path, version in self.versions.items()}
        return [(Run(it.path, False, it.signature, it.words), keys.get(it.path)) for it in found]

    def sender(self, pid: int, number: int | None) -> int | None:
        """Which other process has sent the signal that ended this one, if it could say so."""
        crash = self.page.crash()
        if crash is None or crash.signal != number:
            return None
        return crash.sender if crash.sender not in (0, pid) else None

    def close(self) -> None:
        self.page.close()
