# SPDX-License-Identifier: Apache-2.0
"""Measurements as text."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

from tensorserve.bench.comparison import Ratio
from tensorserve.bench.measuring import Measurement, Progress, percentile

_BAR = " ▏▎▍▌▋▊▉█"
_BUCKETS = 16
_LATE_SHARE = 0.1


def time_text(seconds: float) -> str:
    """Three digits and a unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size or unit == "us":
            return f"{seconds / size:.3g} {unit}" if seconds / size < 999.5 else f"{seconds / size:.0f} {unit}"
    return ""


def table(measurements: Sequence[Measurement]) -> str:
    """A line for each measurement."""
    head: tuple[str, ...] = ("load", "rows", "requests/s", "rows/s", "p50", "p90", "p99", "p99.9", "longest", "failed")
    rows = [head]
    for one in measurements:
        times = [time_text(one.percentile(percent)) for percent in (50, 90, 99, 99.9, 100)]
        many = f"{one.rate * one.rows:,.0f}" if one.rows else "-"
        failed = one.failed + one.unfinished
        rows.append((one.load.text, str(one.rows or "-"), f"{one.rate:,.0f}", many, *times, str(failed)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows
    )


def histogram(counts: Mapping[int, int], width: int = 50) -> str:
    """Bars on a logarithmic scale of time, from the shortest to the longest."""
    if not counts:
        return "no answers\n"
    buckets = bucketed(counts, _BUCKETS)
    most, whole = max(count for _, _, count in buckets), sum(counts.values())
    lines = []
    for low, high, count in buckets:
        filled = count / most * width
        bar = "█" * int(filled) + _BAR[int(filled % 1 * 8)].strip()
        span = f"{time_text(low)} - {time_text(high)}"
        lines.append(f"{span:>20}  {count / whole * 100:6.2f} %  {bar}\n")
    return "".join(lines)


def bucketed(counts: Mapping[int, int], number: int) -> list[tuple[float, float, int]]:
    """Seconds from and to, and how many, for buckets of equal ratio."""
    low, high = min(counts), max(counts) + 1
    step = max(math.log(high / low) / number, 1e-9)
    filled = [0] * number
    for nanos, count in counts.items():
        filled[min(int(math.log(nanos / low) / step), number - 1)] += count
    edges = [low * math.exp(step * at) / 1e9 for at in range(number + 1)]
    return [(edges[at], edges[at + 1], filled[at]) for at in range(number)]


def warnings(one: Measurement) -> list[str]:
    """What makes a measurement doubtful."""
    found = [f"{count} requests failed: {kind}" for kind, count in sorted(one.errors.items())]
    if one.unfinished:
        found.append(
            f"{one.unfinished} requests could not be sent: the server was too far behind; percentiles are higher"
        )
    late, median = percentile(one.lags, 99), one.percentile(50)
    if one.lags and median and late > _LATE_SHARE * median and late > 1e-3:
        found.append(
            f"one in 100 requests was sent {time_text(late)} late: give the bench --threads or a machine of its own"
        )
    if not one.answered:
        found.append("no request was answered")
    return found


def comparison(ratios: Sequence[Ratio]) -> str:
    """A line for each metric."""
    lines = []
    for one in ratios:
        verdict = "" if one.shows_difference else "  no difference shown"
        lines.append(f"{one.metric:>12}  {one.middle:.3f} [{one.low:.3f}, {one.high:.3f}]{verdict}\n")
    return "second / first, with 95 % confidence intervals\n" + "".join(lines)


def live(text: str, stream: TextIO | None = None) -> Progress | None:
    """Shows one line that is written over; None where nobody looks."""
    out = sys.stderr if stream is None else stream
    if not out.isatty():
        return None
    before = [0.0, 0]

    def show(seconds: float, answered: int, failed: int) -> None:
        rate = (answered - before[1]) / max(seconds - before[0], 1e-9)
        before[:] = [seconds, answered]
        bad = f", {failed} failed" if failed else ""
        line = f"{text}: {seconds:.1f} s, {answered:,} answered{bad}, now {rate:,.0f}/s"
        out.write("\r\x1b[K" + line[: shutil.get_terminal_size().columns - 1])
        out.flush()

    return show


def clear(stream: TextIO | None = None) -> None:
    """Takes the live line away."""
    out = sys.stderr if stream is None else stream
    if out.isatty():
        out.write("\r\x1b[K")
        out.flush()
