# SPDX-License-Identifier: Apache-2.0
"""The page in which a server says what it is about to load or run, as its parent reads it after a death.

`crates/runtimes/src/attribution/page.rs` writes it; both have the same numbers.
"""

import json
import mmap
import os
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

_DEATHS, _SUCCEEDED = 24, 32
_BEATS_AT, _BEATS = 4256, 64
_SLOTS_AT, _SLOTS, _SLOT_BYTES = 4768, 256, 232
_SUBJECTS_AT, _SUBJECTS, _SUBJECT_BYTES = 64160, 1024, 4096
_SUCCESS_WORDS = 16
_WORDS = 24

PAGE_BYTES = _SUBJECTS_AT + _SUBJECTS * _SUBJECT_BYTES

# Signal, code, sender, thread, address.
_CRASH = struct.Struct("<iiiiQ")
# Taken, thread, load, run, first tensor that is fed, first that is fetched, words in use; then the words.
_SLOT = struct.Struct(f"<IiIIQQQ{_WORDS}q")


@dataclass(frozen=True, slots=True)
class Run:
    """A load, or a run of a signature with inputs of certain shapes.

    Attributes:
        path: The version's directory.
        is_load: Whether it is a load.
        signature: Its name; empty for a load, and for runs of no signature.
        words: Each input's rank and dimensions.
    """

    path: str
    is_load: bool
    signature: str = ""
    words: tuple[int, ...] = ()

    def shapes(self) -> str:
        """Such as `[2,3] []`."""
        shapes, words = [], list(self.words)
        while words:
            rank = words.pop(0)
            shapes.append("[" + ",".join(str(dim) for dim in words[:rank]) + "]")
            del words[:rank]
        return " ".join(shapes)

    def __str__(self) -> str:
        if self.is_load:
            return "a load"
        name = f"signature {self.signature}" if self.signature else "tensors of no signature"
        return f"a run of {name}, inputs {self.shapes() or 'none'}"


@dataclass(frozen=True, slots=True)
class Crash:
    """What the signal's handler has noted.

    Attributes:
        signal: The signal.
        sender: The process that sent it; 0 if the system did.
        thread: The thread that got it.
    """

    signal: int
    sender: int
    thread: int


class Page:
    """The page of one server process.

    Args:
        deaths: How many processes of this server have died before.
    """

    def __init__(self, deaths: int = 0) -> None:
        self.descriptor = os.memfd_create("tensorserve-attribution")
        os.ftruncate(self.descriptor, PAGE_BYTES)
        self._memory = mmap.mmap(self.descriptor, PAGE_BYTES)
        struct.pack_into("<Q", self._memory, _DEATHS, deaths)

    def crash(self) -> Crash | None:
        """The signal that ended the process, if its handler ran."""
        number, _code, sender, thread, _address = _CRASH.unpack_from(self._memory)
        return Crash(number, sender, thread) if number else None

    def busy(self) -> dict[int, Run]:
        """What each thread was busy with; a run hides the load that it is part of."""
        found = {}
        for index in range(_SLOTS):
            taken, thread, load, run, feed, fetch, used, *words = _SLOT.unpack_from(
                self._memory, _SLOTS_AT + index * _SLOT_BYTES
            )
            subject = self._subject(load or run) if taken and (load or run) else None
            if subject is None:
                continue
            if load:
                found[thread] = Run(str(subject["path"]), True)
            else:
                name = _signature(subject, feed, fetch)
                found[thread] = Run(str(subject["path"]), False, name, tuple(words[: min(used, _WORDS)]))
        return found

    def beats(self) -> dict[int, int]:
        """How often each I/O thread has said that it lives."""
        numbers = struct.unpack_from("<" + "iI" * _BEATS, self._memory, _BEATS_AT)
        return {thread: count for thread, count in zip(numbers[::2], numbers[1::2], strict=True) if thread}

    def succeeded(self) -> set[int]:
        """Which of the watched runs have succeeded, by their place in the list."""
        words = struct.unpack_from(f"<{_SUCCESS_WORDS}Q", self._memory, _SUCCEEDED)
        return {64 * at + bit for at, word in enumerate(words) if word for bit in range(64) if word >> bit & 1}

    def close(self) -> None:
        self._memory.close()
        os.close(self.descriptor)

    def _subject(self, number: int) -> dict[str, Any] | None:
        if not 0 < number <= _SUBJECTS:
            return None
        start = _SUBJECTS_AT + (number - 1) * _SUBJECT_BYTES
        text = self._memory[start : start + _SUBJECT_BYTES].partition(b"\0")[0]
        with suppress(ValueError):
            subject = json.loads(text)
            if isinstance(subject, dict) and "path" in subject:
                return subject
        return None


def _signature(subject: dict[str, Any], feed: int, fetch: int) -> str:
    """The signature that feeds and fetches such tensors; empty if there is none."""
    for name, (inputs, outputs) in subject.get("signatures", {}).items():
        if (feed in inputs or feed == 2**64 - 1) and (fetch in outputs or fetch == 2**64 - 1):
            return str(name)
    return ""
