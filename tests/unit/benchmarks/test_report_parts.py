# SPDX-License-Identifier: Apache-2.0
import argparse
import json
import re
from pathlib import Path
from typing import Any

import pytest
from benchmarks.__main__ import PARTS, with_part
from benchmarks.many_models import per_model
from benchmarks.report import DOCUMENT, RESULTS, SECTIONS, render

MODELS = [
    {
        "models": count,
        "start_seconds": 1.5,
        "start_cpu_seconds": count / 100,
        "rss_anon_mb": 50.0,
        "rss_anon_mb_after_requests": 50.0 + count / 2,
        "predict_us": 90.0,
        "status_us": 80.0,
    }
    for count in (10, 100, 1000)
]


def latencies(p99: int) -> dict[str, int]:
    return {"requests": 4000, "p50": 500, "p90": 700, "p99": p99, "longest": 9000}


SWAP = {
    "scenario": "grpc mlp, 1 row, 1 in flight",
    "requests_per_second": 500,
    "swaps": 9,
    "seconds_per_swap": 1.25,
    "quiet_us": latencies(1100),
    "during_swaps_us": latencies(1900),
    "rss_anon_mb_after_each": [560.1, 560.2],
    "machine_busy_percent": 70.1,
}


def results(**parts: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RESULTS.read_text())
    return {key: value for key, value in found.items() if key not in ("swap", "models")} | parts


def test_each_further_model() -> None:
    assert per_model(MODELS, "rss_anon_mb_after_requests") == [0.5, 0.5]


def test_the_page_has_the_parts_that_were_measured() -> None:
    whole = render(results(swap=SWAP, models=MODELS))
    assert "| during swaps | 4,000 | 500 | 700 | 1,900 | 9,000 |" in whole
    assert "after the first swap was 560.1 MB, after the last 560.2 MB" in whole
    assert "| 1,000 | 1.50 | 10.00 | 50 | 550 | 90 | 80 |" in whole
    assert "costs 10.00 and 10.00 ms of processor time at the start and 0.50 and 0.50 MB of memory" in whole
    assert "## Many models" not in render(results())


def test_the_comparison_of_batches_names_the_best_of_the_grid() -> None:
    rates = {"off": 1000.0, "auto": 5000.0, "64-0-1": 4000.0, "64-1000-2": 5100.0}
    compared = {"name": "a load", "rates": rates, "p50_us": dict.fromkeys(rates, 700.0)}
    alone = {"name": "another", "rates": {"off": 10.0, "auto": 11.0}, "p50_us": {"off": 5.0, "auto": 6.0}}
    whole = render(results(batching=[compared, alone]))
    assert "| a load | 1,000 | 5,000 | **5.00** | 5,100 (64-1000-2) | **0.98** | 700, 700 |" in whole
    assert "| another | 10 | 11 | **1.10** | - | - | 5, 6 |" in whole


def test_every_section_names_its_commit_and_its_date() -> None:
    """Parts may be measured anew, one at a time."""
    measured = results()["measured"] | {"swap": {"date": "2026-01-02 03:04 UTC", "commit": "a1b2c3d"}}
    page = render(results(swap=SWAP, models=MODELS, measured=measured))
    heads = re.findall(r"^## (.+)\n\n(.*)$", page, re.MULTILINE)
    assert len(heads) == page.count("\n## ") >= 9
    for title, line in heads:
        assert re.fullmatch(r"Measured \d{4}-\d\d-\d\d \d\d:\d\d UTC at commit [0-9a-f]{7,}(-dirty)?\.", line), title
    of_swap = dict(heads)["A version swap, as another model's clients see it"]
    assert of_swap == "Measured 2026-01-02 03:04 UTC at commit a1b2c3d."


def test_the_page_is_that_of_the_results() -> None:
    assert DOCUMENT.read_text() == render(json.loads(RESULTS.read_text())), "run make docs"


def test_all_parts_are_measured_in_one_run() -> None:
    assert set(SECTIONS) == set(PARTS)


def test_a_part_that_is_measured_anew_gets_its_own_date(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(PARTS, "swap", lambda *_arguments: SWAP)
    monkeypatch.setattr("benchmarks.__main__.exported", lambda: tmp_path)
    before = results(models=MODELS)
    after = with_part(before, "swap", argparse.Namespace(seconds=None, flag=[]), tmp_path)
    assert after["swap"] == SWAP
    changed = {part for part in after["measured"] if after["measured"][part] != before["measured"].get(part)}
    assert changed == {"swap"}
