# SPDX-License-Identifier: Apache-2.0
"""The section of the page about batches that size themselves."""

from typing import Any

from benchmarks.batching import AUTO, OFF

TEXT = """\
Servers without batches, with batches that size themselves (`--enable_batching`), and with each of a grid of parameters
set by hand run side by side and are asked in turns. A request has one row. `64-1000-2` are at most 64 rows, 1000
microseconds of waiting and 2 threads. The three points of the grid that did best in one run each were asked twice more;
then the best of them, and the servers without a grid, were asked ten times or more; figures are medians of these runs.

| load | off: rows/s | auto: rows/s | **of off** | best of the grid: rows/s | **auto of best** | p50 us: off, auto |
| --- | --- | --- | --- | --- | --- | --- |
"""


def sections(results: list[dict[str, Any]]) -> dict[str, str]:
    """The section, by its title."""
    return {"Batches that size themselves": TEXT + "".join(map(_row, results))}


def _row(result: dict[str, Any]) -> str:
    rates, p50 = result["rates"], result["p50_us"]
    grid = {name: rate for name, rate in rates.items() if name not in (OFF, AUTO)}
    best = max(grid, key=lambda name: grid[name]) if grid else None
    by_hand = f"{grid[best]:,.0f} ({best}) | **{rates[AUTO] / grid[best]:.2f}**" if best else "- | -"
    ways = f"{rates[OFF]:,.0f} | {rates[AUTO]:,.0f} | **{rates[AUTO] / rates[OFF]:.2f}**"
    return f"| {result['name']} | {ways} | {by_hand} | {p50[OFF]:,.0f}, {p50[AUTO]:,.0f} |\n"
