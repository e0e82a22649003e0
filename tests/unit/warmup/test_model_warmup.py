# SPDX-License-Identifier: Apache-2.0
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tensorserve.config.flags import ServerOptions
from tensorserve.config.model_settings import WarmupSettings
from tensorserve.errors import ServingError
from tensorserve.warmup.model_warmup import WARMUP_FILE, warming
from tests.unit.fakes import FakeLoader, broken


@dataclass
class FakeServable:
    """Notes what it runs."""

    failure: ServingError | None = None
    calls: list[tuple[str, Any]] = field(default_factory=list)

    def replay(self, path: str, **options: Any) -> list[tuple[int, list[float]]]:
        self.calls.append((path, options))
        if self.failure:
            raise self.failure
        return [(6, [0.5]), (0, [])]

    def synthesize_warmup(self) -> list[tuple[str, str, float | None]]:
        self.calls.append(("synthesized", None))
        return [("good", "", 0.001), ("bad", "INVALID_ARGUMENT: no zeros", None)]


@dataclass
class ServableLoader:
    servable: FakeServable

    def load(self) -> FakeServable:
        return self.servable


def load(servable: FakeServable, directory: Path, **flags: Any) -> FakeServable:
    make_loader = warming(lambda path: ServableLoader(servable), ServerOptions(**flags), model_name="m")
    return make_loader(str(directory)).load()


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A version directory with a warm-up file."""
    file = tmp_path / WARMUP_FILE
    file.parent.mkdir()
    file.write_bytes(b"")
    return tmp_path


def test_a_model_may_want_another_warm_up(recorded: Path) -> None:
    def of_model(settings: WarmupSettings) -> FakeServable:
        servable = FakeServable()
        return warming(lambda path: ServableLoader(servable), ServerOptions(), None, lambda: settings)(
            str(recorded)
        ).load()

    assert of_model(WarmupSettings(enabled=False)).calls == []
    ((_path, options),) = of_model(WarmupSettings(iterations=4)).calls
    assert options["iterations"] == 4


def test_recorded_requests_are_replayed(recorded: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    flags = {"num_request_iterations_for_warmup": 3, "enable_signature_method_name_check": True}
    servable = load(FakeServable(), recorded, **flags)
    path = str(recorded / WARMUP_FILE)
    options = {"model_name": "m", "iterations": 3, "max_records": 1000, "enable_signature_method_name_check": True}
    assert servable.calls == [(path, options)]
    assert caplog.messages[0].startswith(f"Starting to read warmup data for model at {path} with model-warmup-options ")
    finished = f"Finished reading warmup data for model at {path}. Number of warmup records read: 2. "
    assert caplog.messages[1].startswith(f"{finished}Elapsed time (microseconds): ")


def test_no_iterations_mean_one(recorded: Path) -> None:
    assert load(FakeServable(), recorded).calls[0][1]["iterations"] == 1


def test_a_failing_request_fails_the_load(recorded: Path) -> None:
    with pytest.raises(ServingError, match="on purpose"):
        load(FakeServable(broken("on purpose")), recorded)


def test_without_a_file_requests_are_made_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert [call for call, _ in load(FakeServable(), tmp_path).calls] == ["synthesized"]
    assert caplog.messages[0] == f"No warmup data file found at {tmp_path / WARMUP_FILE}"
    assert "bad" in caplog.messages[2]
    assert caplog.messages[-1] == f"Warmed up the model at {tmp_path} with made-up requests to 1 signature(s)."


def test_made_up_requests_can_be_turned_off(tmp_path: Path) -> None:
    assert load(FakeServable(), tmp_path, synthesize_warmup=False).calls == []


def test_warm_up_can_be_turned_off(recorded: Path) -> None:
    assert load(FakeServable(), recorded, enable_model_warmup=False).calls == []


def test_what_cannot_be_warmed_up_is_served_as_it_is(recorded: Path) -> None:
    assert warming(lambda path: FakeLoader(path), ServerOptions())("servable").load() == "servable"


@dataclass
class Meter:
    warmups: list[tuple[str, str, int]] = field(default_factory=list)

    def record_load(self, path: str, success: bool, seconds: float, /) -> None:
        raise AssertionError("a warm-up is no load")

    def record_warmup(self, path: str, status: str, seconds: float, records: int = 0, /) -> None:
        self.warmups.append((path, status, records))


def test_warm_ups_with_recorded_requests_are_counted(recorded: Path) -> None:
    meter = Meter()
    good, bad = FakeServable(), FakeServable(failure=broken("no record"))
    warming(lambda path: ServableLoader(good), ServerOptions(), meter)(str(recorded)).load()
    with pytest.raises(ServingError):
        warming(lambda path: ServableLoader(bad), ServerOptions(), meter)(str(recorded)).load()
    assert meter.warmups == [(str(recorded), "OK", 2), (str(recorded), "DATA_LOSS: no record", 0)]


def test_made_up_requests_are_not_counted(tmp_path: Path) -> None:
    meter = Meter()
    warming(lambda path: ServableLoader(FakeServable()), ServerOptions(), meter)(str(tmp_path)).load()
    assert meter.warmups == []
