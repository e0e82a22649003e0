# SPDX-License-Identifier: Apache-2.0
"""Who is suspected of the deaths of the server, who is convicted, and what follows. Pure: time comes from outside.

One suspect is guilty. Of several, each next run happens alone, until it has succeeded or the server has died of it. A
version that is convicted twice while it is loaded or warmed up, or three times within five minutes while it serves, is
quarantined. A shape that is convicted twice and has not succeeded since is refused.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tensorserve.supervisor.attribution import Run
from tensorserve.supervisor.record import Record, read_record


@dataclass(frozen=True, slots=True)
class DocketSettings:
    """When a version or a shape is sentenced.

    Attributes:
        loading: Convictions while loading or warming up after which a version is quarantined.
        serving: The same while serving, within `serving_seconds`.
        serving_seconds: See there.
        shape: Convictions after which a shape that did not succeed is refused.
        watched: Most runs that are watched; the oldest are forgotten.
    """

    loading: int = 2
    serving: int = 3
    serving_seconds: float = 300.0
    shape: int = 2
    watched: int = 200


@dataclass(frozen=True, slots=True)
class Version:
    """A version, as the server has told of it before it loaded it.

    Attributes:
        model: Its model's name.
        version: Its number.
        path: Where its source found it.
        local_path: The directory that is loaded.
        fingerprint: Of its files, so that a version that was replaced is not held responsible.
        has_served: Whether it was published.
    """

    model: str
    version: int
    path: str
    local_path: str
    fingerprint: str
    has_served: bool = False

    @property
    def key(self) -> str:
        return f"{self.path}\n{self.fingerprint}"


@dataclass(frozen=True, slots=True)
class Watched:
    """A run that the server is told of.

    Attributes:
        path: The version's directory.
        signature: The signature.
        words: Each input's rank and dimensions.
        refusal: The text that it is answered with; None if it runs alone instead.
        fingerprint: Of the version's files, if it counts for these alone.
    """

    path: str
    signature: str
    words: tuple[int, ...]
    refusal: str | None = None
    fingerprint: str = ""


class Docket:
    """All records.

    Args:
        records: What was stored.
        settings: When sentences are passed.

    Attributes:
        damaged: Keys of what was stored and makes no sense; it does not count.
    """

    def __init__(self, records: Mapping[str, Any] | None = None, settings: DocketSettings | None = None) -> None:
        self._settings = settings or DocketSettings()
        read = {key: read_record(values) for key, values in (records or {}).items()}
        self._records = {key: record for key, record in read.items() if record is not None}
        self.damaged = [key for key, record in read.items() if record is None]
        self._suspects: list[Run] = []

    def stored(self, key: str) -> dict[str, Any] | None:
        """What is to be stored of a version; None if nothing is held against it."""
        record = self._records.get(key)
        return None if record is None else asdict(record)

    def suspect(self, runs: Iterable[Run]) -> None:
        """Each of these runs alone until it is known."""
        for run in runs:
            if not run.is_load and run not in self._suspects:
                self._suspects.append(run)
        del self._suspects[: -self._settings.watched]

    def convict(self, version: Version, run: Run, cause: str, now: float) -> str:
        """A version has ended the server.

        Args:
            version: Which.
            run: What it was doing.
            cause: How the server died.
            now: Seconds since 1970.

        Returns:
            What follows from it, for the log.
        """
        record = self._records.setdefault(
            version.key, Record(version.model, version.version, version.path, version.local_path, version.fingerprint)
        )
        record.cause = cause
        settings = self._settings
        if run.is_load or not version.has_served:
            record.loading.append(now)
            if len(record.loading) >= settings.loading:
                return self._quarantine(record, f"{len(record.loading)} times while it was loaded or warmed up")
            return f"It is loaded once more; after {settings.loading} such deaths it is quarantined."
        record.serving = [at for at in record.serving if now - at < settings.serving_seconds] + [now]
        self._count_shape(record, run)
        if len(record.serving) >= settings.serving:
            return self._quarantine(record, f"{len(record.serving)} times within {settings.serving_seconds:g} s")
        return self._consequence(record, run)

    def succeeded(self, run: Run, key: str | None) -> None:
        """A watched run has succeeded alone."""
        if run in self._suspects:
            self._suspects.remove(run)
        record = self._records.get(key or "")
        if record is not None:
            mine = (run.signature, list(run.words))
            record.shapes = [shape for shape in record.shapes if (shape[0], list(shape[1])) != mine]

    def quarantined(self) -> list[tuple[str, int, str, str, str]]:
        """Model, version, path, fingerprint and reason of each version that is quarantined."""
        held = [record for record in self._records.values() if record.quarantined]
        return [(r.model, r.version, r.path, r.fingerprint, r.quarantined) for r in held]

    def watched(self) -> list[Watched]:
        """The runs that a server is told of when it starts."""
        found = {run: Watched(run.path, run.signature, run.words) for run in self._suspects}
        for record in self._records.values():
            for signature, words, convictions in record.shapes:
                refusal = _refusal(record, convictions) if convictions >= self._settings.shape else None
                run = Run(record.local_path, False, signature, tuple(words))
                found[run] = Watched(run.path, signature, run.words, refusal, record.fingerprint)
        return list(found.values())[-self._settings.watched :]

    def release(self, model: str, version: int) -> list[str]:
        """Forgets what is held against a version; gives the keys of what that was."""
        mine = [key for key, r in self._records.items() if r.model == model and r.version == version]
        for key in mine:
            del self._records[key]
        return mine

    def _quarantine(self, record: Record, times: str) -> str:
        record.quarantined = (
            f"quarantined: it ended the server {times} ({record.cause}). A new version or "
            f"`tensorserve models release {record.model} {record.version}` clears it."
        )
        return f"Version {record.version} of model {record.model} is {record.quarantined}"

    def _count_shape(self, record: Record, run: Run) -> None:
        counts = {(name, tuple(words)): count for name, words, count in record.shapes}
        counts[run.signature, run.words] = counts.get((run.signature, run.words), 0) + 1
        shapes = [(name, list(words), count) for (name, words), count in counts.items()]
        record.shapes = shapes[-self._settings.watched :]

    def _consequence(self, record: Record, run: Run) -> str:
        shape = next((it for it in record.shapes if (it[0], tuple(it[1])) == (run.signature, run.words)), None)
        if shape is not None and shape[2] >= self._settings.shape:
            return f"Inputs of these shapes are refused, unless they succeed; so far they ended it {shape[2]} times."
        return "Inputs of these shapes run alone until they have succeeded."


def _refusal(record: Record, convictions: int) -> str:
    name = f"version {record.version} of model {record.model}"
    return (
        f"Inputs of these shapes ended the server {convictions} times ({record.cause}) and have not succeeded since; "
        f"{name} does not run them. A new version or `tensorserve models release {record.model} {record.version}` "
        "clears that."
    )
