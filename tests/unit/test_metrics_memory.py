"""Counting in memory that outlives a process, and telling several as one."""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from service.application import ALL_ROLES
from service.metrics.exposition import registry_of
from service.metrics.memory import LAYOUT, MetricMemory, new_memory
from service.metrics.meters import Meters
from service.metrics.sampling import Sampler
from service.server import port_collector
from store.clocks import NANOSECONDS_PER_SECOND, boot_nanoseconds

ROWS: Final = "maywe_projector_rows_total"
CHECKS: Final = "maywe_calls_under_way"


def told(memories: list[MetricMemory], name: str, **labels: str) -> float | None:
    """What several processes tell together."""
    return registry_of(port_collector(memories, ALL_ROLES)).get_sample_value(name, labels)


def test_who_comes_next_counts_on_where_the_one_before_ended() -> None:
    """In the same memory, whatever it counts itself from nothing; gauges of before are gone."""
    memory = new_memory()
    rows = [5, 7]
    first = Sampler(Meters(memory))
    first.follow_count(ROWS, lambda: rows[0])
    first.follow_gauge(CHECKS, lambda: 3.0, "checks")
    first.sample()
    Meters(memory).count("maywe_shed_calls_total", "caller")
    memory.forget_gauges()
    assert told([memory], CHECKS, executor="checks") is None
    second = Sampler(Meters(MetricMemory(os.dup(memory.descriptor))))
    second.follow_count(ROWS, lambda: rows[1])
    second.sample()
    assert told([memory], ROWS) == 12
    assert told([memory], "maywe_shed_calls_total", limit="caller") == 1


def test_several_processes_are_told_as_one() -> None:
    """Counts are added up; gauges as the table says, without those that nobody knows."""
    memories = [new_memory() for _ in range(3)]
    now = boot_nanoseconds() / NANOSECONDS_PER_SECOND
    for meters, ago in zip(map(Meters, memories[:2]), (1.0, 5.0), strict=True):
        meters.count(ROWS, count=10)
        meters.set_gauge(CHECKS, ago, "checks")
        meters.set_gauge("maywe_lease_age_seconds", now - ago)
        meters.set_gauge("maywe_lease_remaining_seconds", now + 100 * ago)
    assert told(memories, ROWS) == 20
    assert told(memories, CHECKS, executor="checks") == 6
    age = told(memories, "maywe_lease_age_seconds")
    remaining = told(memories, "maywe_lease_remaining_seconds")
    assert age is not None
    assert age >= 5
    assert remaining is not None
    assert 0 < remaining <= 100
    assert told(memories, "maywe_rollout_publication") is None


def test_a_lease_that_is_over_has_nothing_left() -> None:
    """And its age goes on growing, whatever its process does."""
    memory = new_memory()
    Meters(memory).set_gauge("maywe_lease_remaining_seconds", 1.0)
    assert told([memory], "maywe_lease_remaining_seconds") == 0


def test_no_place_is_anothers() -> None:
    """Each series has its own, and all are within the memory."""
    places = sorted(LAYOUT.places.values())
    assert len(set(places)) == len(places)
    assert places[0] > 0
    assert LAYOUT.bytes < 64 * 1024


def test_a_memory_of_other_code_is_refused() -> None:
    """Its places would be others."""
    memory = new_memory()
    memory.counts[0] += 1
    with pytest.raises(ValueError, match="other code"):
        MetricMemory(memory.descriptor)


def test_threads_lose_nothing() -> None:
    """However they count at once."""
    meters = Meters()

    def count() -> None:
        for _ in range(20_000):
            meters.lookups.count_hits(1)

    with ThreadPoolExecutor(8) as executor:
        for _ in range(8):
            executor.submit(count)
        meters.settle()
    meters.settle()
    assert told([meters.memory], "maywe_cache_lookups_total", result="hit") == 160_000


def test_a_gauge_that_nobody_set_is_not_told() -> None:
    """Rather than as 0, which would be a figure."""
    memory = new_memory()
    assert math.isnan(memory.gauge_of("maywe_projector_lag_rows"))
    assert told([memory], "maywe_projector_lag_rows") is None
