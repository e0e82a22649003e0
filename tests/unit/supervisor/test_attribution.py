# SPDX-License-Identifier: Apache-2.0
"""A page is written here as `crates/runtimes/src/attribution/page.rs` does it; the e2e tests use the real one."""

import json
import mmap
import struct
from collections.abc import Iterator

import pytest

from tensorserve.supervisor.attribution import PAGE_BYTES, Crash, Page, Run

SUBJECT = {"path": "/models/m/3", "signatures": {"a": [[0], [1]], "b": [[0, 2], [3]]}}
NOTHING = 2**64 - 1


@pytest.fixture
def page() -> Iterator[Page]:
    made = Page()
    yield made
    made.close()


def write(page: Page, at: int, content: bytes) -> None:
    with mmap.mmap(page.descriptor, PAGE_BYTES) as memory:
        memory[at : at + len(content)] = content


def slot(page: Page, index: int, *, load: int = 0, run: int = 0, tensors: tuple[int, int], words: list[int]) -> None:
    packed = struct.pack("<IiIIQQQ", 1, 100 + index, load, run, *tensors, len(words))
    write(page, 4768 + index * 232, packed + struct.pack(f"<{len(words)}q", *words))


def test_an_untouched_page_says_nothing(page: Page) -> None:
    assert (page.crash(), page.busy(), page.succeeded(), page.beats()) == (None, {}, set(), {})


def test_runs_and_loads_are_told_by_thread(page: Page) -> None:
    write(page, 64160, json.dumps(SUBJECT).encode() + b"\0rest of another")
    slot(page, 0, run=1, tensors=(0, 3), words=[2, 4, 5, 0])
    slot(page, 1, load=1, run=1, tensors=(0, 1), words=[])
    slot(page, 2, run=1, tensors=(7, 8), words=[1, 9])
    slot(page, 3, run=0, tensors=(0, 1), words=[])
    slot(page, 4, run=2, tensors=(0, 1), words=[])
    assert page.busy() == {
        100: Run("/models/m/3", False, "b", (2, 4, 5, 0)),
        101: Run("/models/m/3", True),
        102: Run("/models/m/3", False, "", (1, 9)),
    }
    assert str(page.busy()[100]) == "a run of signature b, inputs [4,5] []"
    assert str(page.busy()[101]) == "a load"


def test_a_signal_is_told(page: Page) -> None:
    write(page, 0, struct.pack("<iiiiQ", 6, -6, 77, 101, 0))
    assert page.crash() == Crash(6, 77, 101)


def test_successes_and_beats(page: Page) -> None:
    write(page, 32, struct.pack("<QQ", 0b101, 1 << 63))
    write(page, 4256, struct.pack("<iIiI", 55, 9, 56, 1))
    assert page.succeeded() == {0, 2, 127}
    assert page.beats() == {55: 9, 56: 1}
