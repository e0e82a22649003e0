# SPDX-License-Identifier: Apache-2.0
from tensorserve.errors import Code, ServingError
from tensorserve.sources.acceptance import QUIET_SECONDS, Acceptance
from tensorserve.sources.storage import Completeness, Inspection, VersionListing
from tensorserve.types import All, Latest, ModelConfig, Specific, VersionPolicy

WHOLE, UNPROVEN, UNRECOGNIZED, HALF = Completeness
NOW = 1_000_000.0
HIGHEST = Latest()


class FakeStorage:
    """What is said of each version, by its path, which is its number."""

    def __init__(self, **completeness: Completeness) -> None:
        self.completeness = {name.removeprefix("v"): value for name, value in completeness.items()}
        self.contents: object = 0
        self.last_change = NOW
        self.error: Exception | None = None
        self.inspected: list[str] = []

    def list_versions(self, config: ModelConfig, known: VersionListing | None = None) -> VersionListing:
        return VersionListing({})

    def inspect(self, config: ModelConfig, path: str) -> Inspection:
        self.inspected.append(path)
        if self.error is not None:
            raise self.error
        found = self.completeness[path]
        reason = "" if found in (WHOLE, UNPROVEN) else f"{path} is {found.name}"
        return Inspection(found, reason, self.contents, self.last_change)


class Bench:
    def __init__(self, policy: VersionPolicy = HIGHEST, **completeness: Completeness) -> None:
        self.storage = FakeStorage(**completeness)
        self.seconds = 0.0
        self._acceptance = Acceptance(lambda: self.seconds, lambda: NOW + self.seconds)
        self._config = ModelConfig("m", "/m", policy=policy)

    def look(self, *present: int) -> tuple[set[int], dict[int, str]]:
        versions = present or tuple(int(path) for path in self.storage.completeness)
        selection = self._acceptance.select(self._config, {v: str(v) for v in versions}, self.storage)
        return set(selection.versions), dict(selection.reasons)


def test_a_lower_version_is_served_while_the_highest_is_incomplete() -> None:
    bench = Bench(v1=WHOLE, v2=WHOLE, v3=HALF)
    assert bench.look() == ({2}, {3: "3 is HALF"})
    assert bench.storage.inspected == ["3", "2"]
    bench.storage.completeness["3"] = WHOLE
    assert bench.look() == ({3}, {})


def test_other_policies() -> None:
    assert Bench(Latest(2), v1=WHOLE, v2=HALF, v3=WHOLE).look() == ({1, 3}, {2: "2 is HALF"})
    assert Bench(All(), v1=WHOLE, v2=HALF, v3=WHOLE).look() == ({1, 3}, {2: "2 is HALF"})
    assert Bench(Specific((2, 3)), v1=WHOLE, v2=HALF, v3=WHOLE).look() == ({3}, {2: "2 is HALF"})


def test_a_version_that_was_accepted_is_not_looked_into_again() -> None:
    bench = Bench(v1=WHOLE)
    bench.look()
    bench.storage.completeness["1"] = HALF
    assert bench.look() == ({1}, {})
    assert bench.storage.inspected == ["1"]


def test_a_version_that_was_gone_is_looked_into_again() -> None:
    bench = Bench(v1=WHOLE, v2=WHOLE)
    assert bench.look() == ({2}, {})
    assert bench.look(1) == ({1}, {})
    bench.storage.completeness["2"] = HALF
    assert bench.look() == ({1}, {2: "2 is HALF"})


def test_half_a_model_is_never_accepted() -> None:
    bench = Bench(v1=HALF)
    bench.look()
    bench.seconds = 1e9
    assert bench.look() == (set(), {1: "1 is HALF"})


def test_others_are_accepted_when_nothing_has_changed_for_a_while() -> None:
    for completeness in (UNPROVEN, UNRECOGNIZED):
        bench = Bench(v1=completeness)
        reason = "its files have just been changed" if completeness is UNPROVEN else f"1 is {completeness.name}"
        assert bench.look() == (set(), {1: reason})
        bench.seconds = QUIET_SECONDS[completeness] - 0.1
        assert bench.look() == (set(), {1: reason})
        bench.storage.contents = bench.storage.last_change = NOW + bench.seconds
        bench.seconds += 0.2
        assert bench.look() == (set(), {1: reason})
        bench.seconds += QUIET_SECONDS[completeness] + 0.1
        assert bench.look() == ({1}, {})


def test_what_has_been_there_for_long_is_accepted_at_once() -> None:
    for completeness in (WHOLE, UNPROVEN, UNRECOGNIZED):
        bench = Bench(v1=completeness)
        bench.storage.last_change = NOW - 60
        assert bench.look() == ({1}, {})


def test_a_clock_that_is_ahead_costs_only_time() -> None:
    bench = Bench(v1=UNPROVEN)
    bench.storage.last_change = NOW + 3600
    assert bench.look()[0] == set()
    bench.seconds = 1.0
    assert bench.look() == ({1}, {})


def test_what_is_completed_after_it_was_accepted_is_loaded_anew() -> None:
    bench = Bench(v1=WHOLE, v2=UNRECOGNIZED)
    bench.storage.last_change = NOW - 60
    assert bench.look() == ({2}, {})
    assert bench.look() == ({2}, {})
    bench.storage.completeness["2"] = WHOLE
    assert bench.look() == ({1}, {2: "it was completed after it had been loaded, and is loaded anew"})
    assert bench.look() == ({2}, {})
    count = len(bench.storage.inspected)
    assert bench.look() == ({2}, {})
    assert len(bench.storage.inspected) == count


def test_a_version_that_vanishes_while_it_is_looked_into() -> None:
    bench = Bench(v1=WHOLE)
    bench.storage.error = FileNotFoundError(2, "No such file or directory", "/m/1")
    assert bench.look() == (set(), {1: "NOT_FOUND: /m/1; No such file or directory"})


def test_a_version_that_cannot_be_read_is_left_to_the_loader() -> None:
    for error in (PermissionError(13, "Permission denied", "/m/1"), ServingError(Code.PERMISSION_DENIED, "no")):
        bench = Bench(v1=WHOLE)
        bench.storage.error = error
        assert bench.look() == ({1}, {})
