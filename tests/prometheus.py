# SPDX-License-Identifier: Apache-2.0
"""Reads a metrics page with Prometheus' own parser."""

from collections import defaultdict

from prometheus_client.parser import text_string_to_metric_families

Labels = dict[str, str]


class Metrics:
    """One page."""

    def __init__(self, page: str) -> None:
        self.types: dict[str, str] = {}
        self._samples: dict[str, list[tuple[Labels, float]]] = defaultdict(list)
        names = {line.split()[2] for line in page.split("\n") if line.startswith("# TYPE ")}
        for family in text_string_to_metric_families(page):
            self.types[family.name] = family.type
            for sample in family.samples:
                # The parser calls every counter `..._total`.
                bare = sample.name.removesuffix("_total")
                is_renamed = family.type == "counter" and sample.name not in names and bare in names
                self._samples[bare if is_renamed else sample.name].append((sample.labels, sample.value))

    def samples(self, name: str, **labels: str) -> list[tuple[Labels, float]]:
        """Labels and value of each sample that has these labels, among others."""
        return [found for found in self._samples[name] if labels.items() <= found[0].items()]

    def sum(self, name: str, **labels: str) -> float:
        """The values together; 0 if there are none."""
        return sum(value for _, value in self.samples(name, **labels))
