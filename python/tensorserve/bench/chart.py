# SPDX-License-Identifier: Apache-2.0
"""A chart as SVG, written by hand: a browser shows it, and nothing has to be installed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from tensorserve.bench.measuring import Measurement
from tensorserve.bench.terminal import time_text

_WIDTH, _HEIGHT = 860, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 200, 50, 60
_COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#e377c2", "#17becf")
# Percentiles on a scale on which each further nine takes the same room.
_TICKS = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999)


def percentile_chart(measurements: Sequence[tuple[str, Measurement]], title: str) -> str:
    """Latency by percentile, a line for each measurement, as the text of an SVG file."""
    shown = [(name, one) for name, one in measurements if one.counts]
    if not shown:
        return _svg(title, '<text x="100" y="100">no answers</text>')
    low = min(min(one.counts) for _, one in shown) / 1e9
    high = max(max(one.counts) for _, one in shown) / 1e9 * 1.001
    most = max(sum(one.counts.values()) for _, one in shown)
    last = next((tick for tick in _TICKS if _nines(tick) >= math.log10(max(most, 10))), _TICKS[-1])
    parts = [_axes(low, high, last)]
    for number, (name, one) in enumerate(shown):
        colour = _COLOURS[number % len(_COLOURS)]
        parts.append(f'<path d="{_line(one, low, high, last)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y = _TOP + 18 * number
        parts.append(f'<rect x="{_WIDTH - _RIGHT + 20}" y="{y}" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{_WIDTH - _RIGHT + 38}" y="{y + 11}">{escape(name)}</text>')
    return _svg(title, "\n".join(parts))


def _nines(percent: float) -> float:
    return -math.log10(max(1 - percent / 100, 1e-6))


def _x(percent: float, last: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(_nines(percent) / _nines(last), 1.0)


def _y(seconds: float, low: float, high: float) -> float:
    share = math.log(max(seconds, low) / low) / max(math.log(high / low), 1e-9)
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share


def _line(one: Measurement, low: float, high: float, last: float) -> str:
    whole, seen, points = sum(one.counts.values()), 0, []
    for nanos, count in one.counts.items():
        points.append((_x(seen / whole * 100, last), _y(nanos / 1e9, low, high)))
        seen += count
    points.append((_x(100.0, last), points[-1][1]))
    return "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _axes(low: float, high: float, last: float) -> str:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = [f'<path d="M{_LEFT},{_TOP} V{bottom} H{right}" fill="none" stroke="#333"/>']
    for tick in _TICKS[: _TICKS.index(last) + 1]:
        x = _x(tick, last)
        parts.append(f'<path d="M{x:.1f},{_TOP} V{bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{tick:g} %</text>')
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        for factor in (1, 2, 5):
            seconds = factor * 10.0**power
            if low <= seconds <= high:
                y = _y(seconds, low, high)
                parts.append(f'<path d="M{_LEFT},{y:.1f} H{right}" stroke="#ddd"/>')
                parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{time_text(seconds)}</text>')
    parts.append(f'<text x="{(_LEFT + right) / 2}" y="{bottom + 45}" text-anchor="middle">percentile</text>')
    return "\n".join(parts)


def _svg(title: str, content: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="12">\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>\n'
        f'<text x="{_LEFT}" y="28" font-size="16">{escape(title)}</text>\n{content}\n</svg>\n'
    )
