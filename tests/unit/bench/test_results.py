# SPDX-License-Identifier: Apache-2.0
"""Percentiles, text and charts."""

import io
import json
from xml.etree import ElementTree

import numpy as np
import pytest

from tensorserve.bench.chart import percentile_chart
from tensorserve.bench.measuring import Load, Measurement, percentile
from tensorserve.bench.terminal import bucketed, comparison, histogram, live, table, time_text, warnings

MS = 1_000_000
COUNTS = {MS: 90, 2 * MS: 9, 50 * MS: 1}


def measured(**changes: object) -> Measurement:
    given: dict[str, object] = {"load": Load(concurrency=8), "rows": 2, "counts": COUNTS, "lags": {}, "rate": 1000.0}
    return Measurement(**{**given, **changes})  # type: ignore[arg-type]


def test_percentiles_are_those_of_the_counted_values() -> None:
    values = np.sort(np.random.default_rng(1).integers(1, 1000, 997))
    counts = {int(value): int(count) for value, count in zip(*np.unique(values, return_counts=True), strict=True)}
    for percent in (0.1, 10, 50, 99, 99.9, 100):
        expected = np.percentile(values, percent, method="inverted_cdf")
        assert percentile(counts, percent) * 1e9 == pytest.approx(expected)
    assert percentile({}, 50) == 0


def test_json() -> None:
    found = json.loads(json.dumps(measured().as_json()))
    assert found["percentiles_us"] == {
        "50": 1000, "75": 1000, "90": 1000, "95": 2000, "99": 2000, "99.9": 50000, "99.99": 50000, "100": 50000
    }  # fmt: skip
    assert (found["rows_per_second"], found["answered"], found["mean_us"]) == (2000, 100, pytest.approx(1580))


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.234, "1.23 s"), (0.0123, "12.3 ms"), (0.9996, "1000 ms"), (4.5e-6, "4.5 us"), (0, "0 us")]
)
def test_times(seconds: float, text: str) -> None:
    assert time_text(seconds) == text


def test_table_and_histogram() -> None:
    lines = table([measured(), measured(load=Load(rate=12.5), rows=0)]).splitlines()
    assert lines[1].split()[:8] == ["8", "senders", "2", "1,000", "2,000", "1", "ms", "1"]
    assert "12.5 requests/s" in lines[2]
    bars = histogram(COUNTS).splitlines()
    assert "90.00 %" in bars[0]
    assert "1.00 %" in bars[-1]
    assert sum(count for _, _, count in bucketed(COUNTS, 16)) == 100
    assert histogram({}) == "no answers\n"
    assert "no difference shown" not in comparison([])


def test_warnings() -> None:
    assert warnings(measured()) == []
    bad = measured(errors={"gRPC status 14": 3}, unfinished=7, lags={20 * MS: 100})
    texts = warnings(bad)
    assert len(texts) == 3
    assert "3 requests failed: gRPC status 14" in texts
    assert "no request was answered" in warnings(measured(counts={}))


def test_the_chart_is_an_svg_with_a_line_for_each() -> None:
    lines = [("a & b", measured()), ("empty", measured(counts={})), ("c", measured(counts={MS: 1}))]
    root = ElementTree.fromstring(percentile_chart(lines, "<title>"))
    paths = [path for path in root.iter("{http://www.w3.org/2000/svg}path") if path.get("stroke-width") == "2"]
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert len(paths) == 2
    assert {"a & b", "c", "<title>", "99 %", "10 ms"} <= set(texts)
    ElementTree.fromstring(percentile_chart([("x", measured(counts={}))], "none"))


def test_the_live_line_is_for_terminals_only() -> None:
    assert live("x", io.StringIO()) is None

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    show = live("8 senders", screen)
    assert show is not None
    show(1.0, 100, 0)
    show(2.0, 300, 2)
    assert "8 senders: 2.0 s, 300 answered, 2 failed, now 200/s" in screen.getvalue()
