"""A scrape, read the way Prometheus reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Scrape:
    """Its text, and the value of each sample by name and labels."""

    text: str
    samples: Mapping[tuple[str, Labels], float]

    def __call__(self, name: str, **labels: Any) -> float:
        """One sample; KeyError when it is not there."""
        return self.samples[name, frozenset((key, str(value)) for key, value in labels.items())]

    def sum(self, name: str, **labels: Any) -> float:
        """All samples of this name that have these labels."""
        wanted = {(key, str(value)) for key, value in labels.items()}
        return sum(value for (found, has), value in self.samples.items() if found == name and wanted <= has)

    def values(self, label: str, prefix: str = "") -> set[str]:
        """Every value of a label."""
        return {
            value
            for name, labels in self.samples
            if name.startswith(prefix)
            for key, value in labels
            if key == label
        }

    def series(self) -> int:
        """Series of the database's families."""
        return sum(1 for name, _ in self.samples if name.startswith(("v2_", "mge_")))


def read_scrape(text: str) -> Scrape:
    """Raises when the text is not in Prometheus' format, or holds a series twice."""
    found: dict[tuple[str, Labels], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found, f"{key} is there twice"
            found[key] = sample.value
    return Scrape(text, found)
