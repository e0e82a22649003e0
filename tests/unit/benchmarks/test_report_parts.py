# SPDX-License-Identifier: Apache-2.0
import json
from typing import Any

from benchmarks.many_models import per_model
from benchmarks.report import RESULTS, render

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
