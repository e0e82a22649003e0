# SPDX-License-Identifier: Apache-2.0
"""The section of the page about overload and priorities."""

from typing import Any

OVERLOAD = """\
{model}, rows a request: {rows}, batches that size themselves, `--max_in_flight={in_flight_limit}`. The generator
sends at a fixed rate, whether requests were answered or not, from the same processors as the server: it took
{generator_cpu_percent:.0f} % of one, the server {server_cpu_percent:.0f} %. Capacity is what was answered with as many
in flight as may be, before and after the overload.

| what | figure |
| --- | --- |
| capacity, requests/s | {capacity_before:,.0f} before, {capacity_after:,.0f} after |
| offered, requests/s, for {seconds:.0f} s | {offered_per_second:,.0f} |
| **answered, requests/s (share of capacity)** | **{goodput:,.0f} ({goodput_of_capacity:.2f})** |
| offered = answered + refused + lost | {offered:,} = {answered:,} + {refused:,} + {lost:,} |
| answered: p50, p90, **p99** ms | {answered_p50:,.1f}, {answered_p90:,.1f}, **{answered_p99:,.1f}** |
| time to compute as many as may be in flight, ms | {limit_ms:,.1f} |
| refused: p50, p90, p99 ms | {refused_p50:,.1f}, {refused_p90:,.1f}, {refused_p99:,.1f} |
| RssAnon MB before, a tenth into the overload, at its end, at most | {before:.1f}, {start:.1f}, {end:.1f}, {most:.1f} |
"""

PRIORITIES = """\
Urgent requests (`x-tensorserve-priority: high`), {urgent_per_second:.0f} per second, alone and while
{patient_in_flight} requests of low priority are always in flight. A batch of {batch_rows} of these took
{batch_ms:.1f} ms; the p99 of the urgent ones rose by {p99_raised_by_ms:.1f} ms.

| | p50 ms | p90 ms | **p99 ms** |
| --- | --- | --- | --- |
| alone | {alone_p50:,.2f} | {alone_p90:,.2f} | {alone_p99:,.2f} |
| among patient ones | {saturated_p50:,.2f} | {saturated_p90:,.2f} | {saturated_p99:,.2f} |
"""


def sections(overload: dict[str, Any]) -> dict[str, str]:
    """The sections, by their titles."""
    priorities = overload["priorities"]
    figures = overload | overload["rss_anon_mb"] | _percentiles(overload, "answered", "refused")
    urgent = PRIORITIES.format(**priorities, **_percentiles(priorities, "alone", "saturated"))
    return {
        "Three times more than the server can compute": OVERLOAD.format(**figures),
        "Urgent requests among patient ones": urgent,
    }


def _percentiles(results: dict[str, Any], *names: str) -> dict[str, float]:
    return {f"{name}_{percent}": time for name in names for percent, time in results[f"{name}_ms"].items()}
