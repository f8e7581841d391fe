"""Exposition: what the processes of one port have counted, told to Prometheus as one.

What lives here: adding up. Series that are 0 are told as well, so that a rate begins where counting
does: but for those of methods that this port does not serve, and outcomes of calls that are rare.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from service.metrics.labels import (
    DECIDING,
    DECISION_REASONS,
    DURATION_BOUNDS_SECONDS,
    INTERNAL,
    OK,
    OUTCOMES,
)
from service.metrics.memory import MetricMemory
from service.metrics.metric import Across, Kind, Metric, Reading
from service.metrics.table import BY_NAME, METRICS
from store.clocks import NANOSECONDS_PER_SECOND, boot_nanoseconds

_BEGUN: Final = frozenset(
    {
        OK,
        INTERNAL,
        *(
            (code, reason)
            for code, reason in OUTCOMES
            if code in {"UNAVAILABLE", "RESOURCE_EXHAUSTED"}
        ),
    }
)
"""Outcomes of calls that are told while they are 0: those by which alarms are raised."""

_ACROSS: Final[dict[Across, Callable[[Iterable[float]], float]]] = {
    Across.SUM: sum,
    Across.MAX: max,
    Across.MIN: min,
}


class PortCollector(Collector):
    """Tells what is in the memories of the processes of one port."""

    def __init__(
        self,
        memories: Sequence[MetricMemory],
        servers: frozenset[str],
        services: frozenset[str],
        processes: Callable[[], int] = lambda: 1,
        restarts: Callable[[], int] = lambda: 0,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        """Tell of `servers` as the table has them, and of methods of `services`, by their names.

        `processes` tells how many run, `restarts` how many died before. `settle` is called before
        anything is told.
        """
        began_at = time.time()
        self._settle = settle
        self._memories = memories
        self._metrics = [metric for metric in METRICS if metric.servers & servers]
        self._services = services
        self._of_parent: dict[str, Callable[[], float]] = {
            "maywe_processes": processes,
            "maywe_process_restarts_total": restarts,
            "maywe_process_start_time_seconds": lambda: began_at,
        }

    def collect(self) -> Iterator[Family]:
        """Give every metric with its series."""
        self._settle()
        now = boot_nanoseconds() / NANOSECONDS_PER_SECOND
        for metric in self._metrics:
            yield self._family(metric, now)

    def describe(self) -> Iterator[Family]:
        """Give every metric, without reading anything."""
        for metric in self._metrics:
            yield _empty(metric)

    def _family(self, metric: Metric, now: float) -> Family:
        family = _empty(metric)
        served = (values for values in metric.series if self._is_served(metric, values))
        if isinstance(family, HistogramMetricFamily):
            for values in served:
                self._add_histogram(family, metric, values)
            return family
        for values in served:
            told = self._told(metric, values, now)
            if told is not None:
                family.add_metric(values, told)
        return family

    def _is_served(self, metric: Metric, values: tuple[str, ...]) -> bool:
        names = [label.name for label in metric.labels]
        return "method" not in names or (
            values[names.index("method")].partition("/")[0] in self._services
        )

    def _told(self, metric: Metric, values: tuple[str, ...], now: float) -> float | None:
        if metric.is_of_parent:
            return float(self._of_parent[metric.name]())
        if metric.kind is Kind.GAUGE:
            known = [
                memory.gauge_of(metric.name, values)
                for memory in self._memories
                if memory.knows(metric.name, values)
            ]
            told = [_read(metric.reading, held, now) for held in known]
            return _ACROSS[metric.across](told) if told else None
        if metric is _CALLS and values[1:] == OK and values[0] in DECIDING:
            # Each answer has its reason, by which it was counted.
            return float(sum(self._count(_DECISIONS, (values[0], one)) for one in DECISION_REASONS))
        count = self._count(metric, values)
        if metric is _CALLS and not count and values[1:] not in _BEGUN:
            return None
        return count / metric.units_per_one

    def _count(self, metric: Metric, values: tuple[str, ...]) -> int:
        return sum(memory.count_of(metric.name, values) for memory in self._memories)

    def _add_histogram(
        self, family: HistogramMetricFamily, metric: Metric, values: tuple[str, ...]
    ) -> None:
        found = [memory.buckets_of(metric.name, values) for memory in self._memories]
        buckets, below = [], 0
        for bound, *counts in zip(_BOUNDS, *(buckets for buckets, _ in found), strict=True):
            below += sum(counts)
            buckets.append((bound, below))
        family.add_metric(values, buckets, sum(total for _, total in found) / metric.units_per_one)


_CALLS: Final = BY_NAME["maywe_calls_total"]
_DECISIONS: Final = BY_NAME["maywe_decisions_total"]

_BOUNDS: Final = (*map(floatToGoString, DURATION_BOUNDS_SECONDS), "+Inf")


def _empty(metric: Metric) -> CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily:
    """Give a metric without series."""
    labels = [label.name for label in metric.labels]
    if metric.kind is Kind.HISTOGRAM:
        return HistogramMetricFamily(metric.name, metric.help, labels=labels)
    make = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    return make(metric.name, metric.help, labels=labels)


def _read(reading: Reading, held: float, now: float) -> float:
    """Give what is told of what a gauge holds; an instant of 0 never came."""
    if reading is Reading.VALUE:
        return held
    if reading is Reading.UNTIL:
        return max(0.0, held - now)
    return max(0.0, now - held) if held else 0.0


def registry_of(collector: PortCollector) -> CollectorRegistry:
    """Give what Prometheus' formats are made of."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return registry
