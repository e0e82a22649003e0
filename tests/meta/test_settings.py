# SPDX-License-Identifier: Apache-2.0
"""The constants that steer what batching and execution learn are few, and each stands with its reason in one file."""

import re
from pathlib import Path

from tests.meta.repository import CRATES, ROOT

SETTINGS = CRATES / "batching" / "src" / "settings.rs"
MOST = 12
ROOMS = (CRATES / "batching" / "src", *(CRATES / "servables" / "src" / room for room in ("batching", "execution")))

# Constants elsewhere that steer nothing that is learned: bounds of memory, threads and lines, and fixed rules.
BOUNDS = {
    "CLASSES",
    "MAX_BATCH_BYTES",
    "MAX_QUEUES",
    "MOST_DOUBLINGS",
    "MOST_EXTRA",
    "REMEMBERED_GROUPS",
    "WAITING_RUNS",
}
BOUNDS |= {"WAITING_RUNS_OF_SIGNATURE"}
RULES = {
    "PATIENCE": "a lower priority has a sixteenth of the time",
    "TIMES_EXPECTED": "a run with a deadline near its usual time can be interrupted",
    "LEAST": "runs of less are never called slow in the log",
    "TIMES_USUAL": "runs of more than this many times the usual are",
    "MAX_EXPLAINED": "a run that took longer is not done again for its error's text",
    "LONG": "runs that hold a thread for longer may wait for something else than a processor",
    "PERIOD": "how often the watch looks",
    "UNUSED": "processors that such runs leave unused",
}
FACTS = {"NEVER", "TICKS_PER_SECOND", "STRING_OBJECT_BYTES", "DEFAULT_MAX_BATCH_SIZE", "DEFAULT_MAX_ENQUEUED_BATCHES"}


def production(path: Path) -> str:
    return re.split(r"^#\[cfg\(test\)\]", path.read_text(), maxsplit=1, flags=re.MULTILINE)[0]


def test_settings_are_few_and_each_has_a_reason() -> None:
    text = SETTINGS.read_text()
    fields = re.findall(r"((?:^    ///.*\n)*)^    pub (\w+): ", text, re.MULTILINE)
    names = [name for _, name in fields]
    assert {"window", "inline_alone"} <= set(names)
    assert len(names) <= MOST
    assert [name for reason, name in fields if len(reason) < 100] == []


def test_numbers_elsewhere_steer_nothing_that_is_learned() -> None:
    constant = re.compile(r"^\s*(?:pub(?:\([^)]*\))? )?const (\w+): (?:f64|Duration|[ui]\w+)\b", re.MULTILINE)
    sources = [
        path for room in ROOMS for path in sorted(room.rglob("*.rs")) if path != SETTINGS and path.stem != "pool_tests"
    ]
    assert len(sources) > 20
    known = BOUNDS | set(RULES) | FACTS | {"SAMPLES"}
    found = {name: path.relative_to(ROOT) for path in sources for name in constant.findall(production(path))}
    assert {name: str(path) for name, path in found.items() if name not in known} == {}
    assert known - set(found) == set()
