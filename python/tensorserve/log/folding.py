# SPDX-License-Identifier: Apache-2.0
"""Folds what is said again and again: a few lines, then their number once a minute. Pure: time comes from outside."""

import logging
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, replace

from tensorserve.log.record import Record

PERIOD_SECONDS = 60.0

# How often equal lines of ours are written in a minute, and how many of one kind that differ.
_MOST_EQUAL = 5
_MOST_DIFFERENT = 3
# Lines of other native code: a stack has equal lines.
_MOST_PLAIN = 30

# Kinds that are told apart; texts may hold what clients make up.
_MOST_KINDS = 1000

# The logger of the access log, whose lines are asked for.
ACCESS = "tensorserve.access"


@dataclass(slots=True)
class _Kind:
    """What was said of a kind within a period."""

    until: float
    count: int = 0
    texts: set[str] = field(default_factory=set)
    folded: int = 0
    last: Record | None = None


class Folding:
    """Decides which records are written."""

    def __init__(self) -> None:
        self._kinds: dict[Hashable, _Kind] = {}

    def admits(self, record: Record, now: float) -> bool:
        """Whether a record is written now; others are counted.

        Args:
            record: What is said.
            now: Seconds of any clock that never goes back.
        """
        if record.level <= logging.DEBUG or record.logger == ACCESS:
            return True
        kind = self._kind(record, now)
        kind.count += 1
        if _is_admitted(record, kind):
            kind.texts.add(record.text)
            return True
        kind.folded += 1
        kind.last = record
        return False

    def due(self, now: float, *, all_of_them: bool = False) -> Iterator[Record]:
        """A record for each kind whose period is over and that was folded.

        Args:
            now: As above.
            all_of_them: Also those whose period is not over.
        """
        for key, kind in list(self._kinds.items()):
            if all_of_them or now >= kind.until:
                del self._kinds[key]
                yield from _summary(kind)

    @property
    def next_due(self) -> float | None:
        """When the next such record is due; None if nothing was folded."""
        return min((kind.until for kind in self._kinds.values() if kind.folded), default=None)

    def _kind(self, record: Record, now: float) -> _Kind:
        key = (record.level, record.kind or record.text)
        found = self._kinds.get(key)
        if found is None or (now >= found.until and not found.folded):
            if len(self._kinds) >= _MOST_KINDS:
                self._forget(now)
            found = self._kinds[key] = _Kind(now + PERIOD_SECONDS)
        return found

    def _forget(self, now: float) -> None:
        """Makes room: what is over, else the oldest that nothing was folded of, else the oldest."""
        over = [key for key, kind in self._kinds.items() if now >= kind.until and not kind.folded]
        unfolded = (key for key, kind in self._kinds.items() if not kind.folded)
        for key in over or [next(unfolded, next(iter(self._kinds)))]:
            del self._kinds[key]


def _is_admitted(record: Record, kind: _Kind) -> bool:
    if record.is_plain:
        return kind.count <= _MOST_PLAIN
    if record.kind:
        return record.text not in kind.texts and len(kind.texts) < _MOST_DIFFERENT
    return kind.count <= _MOST_EQUAL


def _summary(kind: _Kind) -> Iterator[Record]:
    if kind.folded and kind.last is not None:
        record = kind.last
        first = record.text.split("\n", 1)[0]
        text = f"{kind.folded} more like this in the last minute: {first}"
        fields = {**record.fields, "repeated": kind.folded}
        yield replace(record, text=text, fields=fields, is_plain=False, seconds=0.0)
