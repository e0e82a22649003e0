# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass, field

import pytest

from tensorserve.errors import ServingError
from tensorserve.lifecycle.load_meter import metered
from tests.unit.fakes import FakeLoader, broken


@dataclass
class Meter:
    loads: list[tuple[str, bool]] = field(default_factory=list)

    def record_load(self, path: str, success: bool, seconds: float, /) -> None:
        assert seconds >= 0
        self.loads.append((path, success))

    def record_warmup(self, path: str, status: str, seconds: float, records: int = 0, /) -> None:
        raise AssertionError("nothing is warmed up here")


def test_each_attempt_is_counted() -> None:
    meter = Meter()
    loader = metered(lambda path: FakeLoader(path, [broken()]), meter)("/m/1")
    with pytest.raises(ServingError, match="corrupt"):
        loader.load()
    assert loader.load() == "/m/1"
    assert meter.loads == [("/m/1", False), ("/m/1", True)]


def test_what_cannot_count_changes_nothing() -> None:
    loader = FakeLoader()
    assert metered(lambda path: loader, object())("/m/1") is loader
