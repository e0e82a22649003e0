# SPDX-License-Identifier: Apache-2.0
"""Files of a crate depend on each other in one direction, but for a few arrows that are named here.

An arrow is a path `crate::...` of one file that leads to another. Re-exports in `lib.rs` and `mod.rs` are looked
through; unit tests do not count.
"""

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.meta.repository import CRATES

# Without these arrows there is an order of the files in which none runs back up.
BACK_UP = {
    "servables": {
        # A queue runs computations together; a computation asks the queue of its kind.
        ("execution::computation", "batching::run_queue"),
        # A version owns its queues, which look at its signatures.
        ("table::servable", "batching::batcher"),
        ("table::signature_text", "table::servable"),
        ("table::signature_text", "table::input_text"),
        ("table::input_text", "verbs::predict"),
    },
    "transport": {
        ("lanes", "server"),
        ("tls", "server"),
    },
}
MOST_BACK_UP = 5


class Crate:
    """The files of a crate, by their path as a module."""

    def __init__(self, root: Path) -> None:
        paths = [path for path in root.rglob("*.rs") if path.name not in ("lib.rs", "mod.rs", "fixture.rs")]
        self.files = {"::".join(path.relative_to(root).with_suffix("").parts): path.read_text() for path in paths}
        self.exports: dict[str, str] = {}
        for path in (root / "lib.rs", *root.rglob("mod.rs")):
            room = "::".join(path.parent.relative_to(root).parts)
            for base, names in re.findall(r"pub(?:\(crate\))? use ([\w:]+)::(\{[^}]*\}|\w+);", path.read_text()):
                for name in re.findall(r"\w+", names):
                    self.exports["::".join(filter(None, (room, name)))] = "::".join(filter(None, (room, base, name)))

    def file_of(self, path: str) -> str | None:
        """The file in which a path of the crate ends; `None` for a room as a whole."""
        for _ in range(3):
            parts = path.split("::")
            starts = ["::".join(parts[:count]) for count in range(len(parts), 0, -1)]
            for start in starts:
                if start in self.files:
                    return start
            exported = next((start for start in starts if start in self.exports), None)
            if exported is None:
                return None
            path = self.exports[exported] + path[len(exported) :]
        return None

    def arrows(self) -> set[tuple[str, str]]:
        found = set()
        for file, text in self.files.items():
            code = text.partition("#[cfg(test)]\nmod tests")[0]
            for base, last in re.findall(r"\bcrate::((?:\w+::)*)(\{[^}]*\}|\w+)", code):
                for name in re.findall(r"[\w:]+", last):
                    target = self.file_of(base + name)
                    if target is not None and target != file:
                        found.add((file, target))
        return found


@pytest.mark.parametrize("crate", sorted(BACK_UP))
def test_few_arrows_run_back_up(crate: str) -> None:
    arrows, back_up = Crate(CRATES / crate / "src").arrows(), BACK_UP[crate]
    assert len(arrows) > 20
    assert back_up <= arrows, "an arrow that is gone need not be named"
    assert len(back_up) <= MOST_BACK_UP
    order: TopologicalSorter[str] = TopologicalSorter()
    for file, target in arrows - back_up:
        order.add(file, target)
    try:
        order.prepare()
    except CycleError as error:
        pytest.fail(f"files in a circle: {' -> '.join(error.args[1])}")


def test_rest_and_grpc_take_nothing_from_each_other() -> None:
    """What both encode lies in `wire`."""
    for file, target in Crate(CRATES / "transport" / "src").arrows():
        assert {file.split("::")[0], target.split("::")[0]} != {"rest", "grpc"}, (file, target)
