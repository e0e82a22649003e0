# SPDX-License-Identifier: Apache-2.0
from typing import Any

from benchmarks.report import _verbs
from benchmarks.verbs import VERBS


def result(name: str, server_cpu_us: float, beside: str = "") -> dict[str, Any]:
    latency = {"p50": 1.0, "p90": 2.0, "p99": 3.0}
    figures = {"requests_per_second": 1.0, "server_cpu_us": server_cpu_us, "generator_cpu_us": 1.0}
    return {
        "name": name,
        "connections_x_streams": "1x1",
        "median": figures | {"latency_us": latency},
        "best": {"server_cpu_us": server_cpu_us},
        "beside": beside,
    }


def test_a_verb_is_compared_with_predict() -> None:
    verbs = [result("predict", 20.0), result("classify", 25.0, "predict")]
    measured = {"verbs": {"date": "2026-01-02 03:04 UTC", "commit": "a1b2c3d"}}
    page = "\n".join(_verbs({"verbs": verbs, "measured": measured}))
    assert "**1.25** |" in page


def test_results_without_verbs_have_no_part_about_them() -> None:
    assert _verbs({}) == []


def test_every_comparison_is_with_a_scenario_that_is_measured() -> None:
    names = [exchange.name for exchange in VERBS]
    assert len(set(names)) == len(names)
    assert {exchange.beside for exchange in VERBS if exchange.beside} <= set(names)
