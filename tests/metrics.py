"""Scraping the metrics of a server, as Prometheus does.

What lives here: one scrape as values by name and labels. A series that is told twice is an error.
"""

import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import parser
from prometheus_client.openmetrics import parser as open_metrics_parser

SCRAPE_SECONDS_MAX: Final = 20.0
UNTIL_SECONDS_MAX: Final = 60.0
"""Bounds against hanging, and no performance claims."""

Series = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Scrape:
    """What one scrape told."""

    values: Mapping[Series, float]
    families: Mapping[str, str]
    """The kind of each metric by its name, as a `# TYPE` line has it."""

    def value(self, name: str, **labels: str) -> float:
        """The value of one series. Raises KeyError when it is not told."""
        return self.values[name, frozenset(labels.items())]

    def total(self, name: str, **labels: str) -> float:
        """The sum of all series of a name that have some labels."""
        wanted = set(labels.items())
        return sum(
            value
            for (found, its_labels), value in self.values.items()
            if found == name and wanted <= its_labels
        )

    def labels_of(self, name: str) -> set[frozenset[str]]:
        """The label names of every series of a name."""
        return {
            frozenset(label for label, _ in labels)
            for found, labels in self.values
            if found == name
        }


def scrape(address: str, *, is_open_metrics: bool = False) -> Scrape:
    """Scrape HOST:PORT, in the older format or in OpenMetrics, which Prometheus asks for first."""
    accepted = "application/openmetrics-text; version=1.0.0" if is_open_metrics else "text/plain"
    request = urllib.request.Request(f"http://{address}/metrics", headers={"Accept": accepted})
    with urllib.request.urlopen(request, timeout=SCRAPE_SECONDS_MAX) as response:  # noqa: S310 - our own
        assert response.headers["Content-Type"].startswith(accepted.partition(";")[0])
        text = response.read().decode()
    read = parser.text_string_to_metric_families
    if is_open_metrics:
        read = open_metrics_parser.text_string_to_metric_families
    values: dict[Series, float] = {}
    families = {}
    for family in read(text):
        families[family.name] = family.type
        for sample in family.samples:
            series = sample.name, frozenset(sample.labels.items())
            assert series not in values, f"told twice: {series}"
            values[series] = sample.value
    return Scrape(values, families)


def scraped_until(address: str, condition: Callable[[Scrape], bool]) -> Scrape:
    """Scrape until something that has to come is told."""
    deadline = time.monotonic() + UNTIL_SECONDS_MAX
    while True:
        found = scrape(address)
        if condition(found):
            return found
        assert time.monotonic() < deadline, sorted(found.values.items(), key=str)
        time.sleep(0.1)
