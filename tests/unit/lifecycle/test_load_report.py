# SPDX-License-Identifier: Apache-2.0
import re

import pytest

from tensorserve.lifecycle.load_report import LoadReports, resident_bytes, size_text
from tensorserve.types import ServableId

ID = ServableId("m", 1)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (12_345_678, "12.3 MB"), (999_600_000, "1 GB"), (2.5e12, "2500 GB")],
)
def test_sizes(number: float, text: str) -> None:
    assert size_text(number) == text


def test_a_report() -> None:
    memory = iter([100_000_000, 150_000_000])
    reports = LoadReports(lambda: next(memory))
    reports.begun(ID, 12_000_000)
    assert reports.in_progress == 1
    assert re.fullmatch(r" \(12 MB of files in \d+\.\d\d s, .+/s; memory \+50 MB\)", reports.ended(ID))
    assert (reports.in_progress, reports.ended(ID)) == (0, "")


def test_what_takes_long_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    reports = LoadReports(lambda: 0)
    reports.begun(ID, 1000)
    load = reports._loads[ID]
    first = load.timer
    reports._tell(ID, load)
    assert first is not None
    assert load.timer is not first
    assert re.match(r"Still loading servable version {name: m version: 1} after 0 s: 1 kB of files", caplog.messages[0])
    first.cancel()
    reports.ended(ID)
    assert load.timer is not None
    load.timer.join(5)
    assert not load.timer.is_alive()


def test_the_memory_of_this_process() -> None:
    assert resident_bytes() > 1_000_000
