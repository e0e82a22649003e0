# SPDX-License-Identifier: Apache-2.0
"""The course of a comparison, with drawn figures instead of servers."""

import contextlib
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from benchmarks import compare
from benchmarks.builds import Build, BuildError, build_of
from benchmarks.compare import CASES, CPU, FURTHER_ROUNDS, TIME, Case, Comparison, Contender, Effort, Figures

OLD, NEW = (Contender(Build(name, Path(name)), {}) for name in ("old", "new"))
EFFORT = Effort(rounds=8)


class Machine:
    """Figures of both builds: those of the new one are `slower` times as large in the cases that a word names."""

    def __init__(self, slower: float, word: str, noise: float = 0.03) -> None:
        self.slower, self.word, self.noise = slower, word, noise
        self.generator = random.Random(1)
        self.asked: list[tuple[Case, str]] = []
        self.started: list[int] = []

    def start(self, cases: Sequence[Case]) -> contextlib.AbstractContextManager[tuple[Contender, Contender]]:
        self.started.append(len(cases))
        return contextlib.nullcontext((OLD, NEW))

    def run(self, case: Case, contender: Contender, requests: int) -> Figures:
        assert requests > 0
        self.asked.append((case, contender.build.name))
        factor = self.slower if contender is NEW and self.word in case.scenario.name else 1.0
        return {what: 100 * factor * self.generator.lognormvariate(0, self.noise) for what in (CPU, TIME)}


def compared(slower: float, word: str) -> tuple[Comparison, Machine]:
    machine = Machine(slower, word)
    comparison = Comparison(machine.start, CASES, EFFORT, machine.run)
    comparison.measure()
    return comparison, machine


def test_equal_builds() -> None:
    comparison, machine = compared(1.0, "")
    text, good = compare.summary("old", "new", comparison)
    assert good
    assert "**no worse**" in text
    assert "worse**" not in text.replace("no worse**", "")
    assert all(len(row.old) == EFFORT.rounds for row in comparison.rows)
    assert machine.started == [len(CASES)] * EFFORT.rounds


def test_a_row_that_looks_worse_is_measured_again() -> None:
    comparison, machine = compared(1.2, "mobilenet")
    rounds = {row.case.scenario.name: len(row.old) for row in comparison.rows}
    assert rounds.pop("grpc mobilenet_v2, 1 in flight") == EFFORT.rounds + FURTHER_ROUNDS
    assert set(rounds.values()) == {EFFORT.rounds}
    assert machine.started == [len(CASES)] * EFFORT.rounds + [1] * FURTHER_ROUNDS
    text, good = compare.summary("old", "new", comparison)
    assert not good
    assert [line.split(" | ")[-1] for line in text.splitlines() if "mobilenet" in line] == ["**worse** |"] * 2


def test_a_little_worse_everywhere_is_worse() -> None:
    comparison, _machine = compared(1.04, "")
    _text, good = compare.summary("old", "new", comparison)
    assert not good


def test_neither_always_comes_second() -> None:
    _comparison, machine = compared(1.0, "")
    last = [name for case, name in machine.asked if case is CASES[0]]
    # Each round warms both, then measures both; the first one also finds out how quick they are.
    measured = [name for start in range(3, len(last), 4) for name in last[start : start + 2]]
    assert measured == ["old", "new", "new", "old"] * (EFFORT.rounds // 2)


def test_what_is_no_build() -> None:
    with pytest.raises(BuildError, match="no-such-commit is no commit"):
        build_of("no-such-commit")
