"""What the sampler of a process follows, and what leases say.

What lives here: which part of an application each metric comes from.
"""

from typing import Final

from service.background import Background
from service.journalling import Journal
from service.metrics.labels import JOURNAL_OUTCOMES, POSTGRESQL_READS, TASKS
from service.metrics.memory import NOT_KNOWN
from service.metrics.meters import Meters
from service.metrics.sampling import Sampler
from store.clocks import NANOSECONDS_PER_SECOND, boot_nanoseconds
from store.floors import CustomerFloor
from store.guard import Guard
from store.projector import Projector
from store.reader import PermissionReader
from store.reconciling import Reconciler
from store.reconciling.differences import DifferenceKind

OTHER_TASK: Final = "other"


def follow_reader(sampler: Sampler, reader: PermissionReader) -> None:
    """Follow the reads of PostgreSQL for checks."""
    counts = reader.read_counts
    sampler.follow_count("maywe_postgresql_reads_total", lambda: counts().reads_sent)
    sampler.follow_count("maywe_postgresql_read_customers_total", lambda: counts().ids_read)
    sampler.follow_count("maywe_postgresql_reads_given_up_total", lambda: counts().calls_given_up)
    sampler.follow_count("maywe_shed_calls_total", lambda: counts().calls_shed, POSTGRESQL_READS)
    sampler.follow_gauge("maywe_postgresql_reads_waiting", lambda: counts().ids_waiting)


def follow_journal(sampler: Sampler, journal: Journal) -> None:
    """Follow what becomes of the answers that the journal is given."""
    for outcome, read in zip(
        JOURNAL_OUTCOMES,
        (lambda: journal.written, lambda: journal.shed, lambda: journal.lost),
        strict=True,
    ):
        sampler.follow_count("maywe_journal_decisions_total", read, outcome)
    sampler.follow_gauge("maywe_journal_decisions_waiting", lambda: journal.waiting)


def follow_projector(sampler: Sampler, projector: Projector) -> None:
    """Follow what the projector of this process does."""
    counts = projector.counts
    sampler.follow_count("maywe_projector_rows_total", lambda: counts.rows_applied)
    sampler.follow_count("maywe_projector_failures_total", lambda: counts.failures)
    sampler.follow_count("maywe_cache_shards_begun_total", lambda: counts.incarnations_begun)
    sampler.follow_count("maywe_epochs_begun_total", lambda: counts.epochs_begun)


def follow_reconciler(sampler: Sampler, reconciler: Reconciler) -> None:
    """Follow what the reconciler finds."""
    counts = reconciler.counts
    sampler.follow_count("maywe_reconciler_customers_total", lambda: counts.customers_compared)
    sampler.follow_count("maywe_reconciler_repairs_total", lambda: counts.repaired)
    sampler.follow_count("maywe_reconciler_failures_total", lambda: counts.failures)
    sampler.follow_count(
        "maywe_reconciler_possible_wrong_allows_total", lambda: counts.could_have_allowed
    )
    for kind in DifferenceKind:
        sampler.follow_count(
            "maywe_reconciler_differences_total",
            lambda kind=kind: counts.differences[kind],  # type: ignore[misc]  # a default binds the kind now
            kind.name,
        )


def follow_background(sampler: Sampler, *background: Background) -> None:
    """Follow how often background work failed."""

    def failures(name: str) -> int:
        return sum(
            counts.failures
            for some in background
            for task, counts in list(some.counts.items())
            if (task if task in TASKS else OTHER_TASK) == name
        )

    for task in TASKS:
        sampler.follow_count(
            "maywe_background_failures_total",
            lambda task=task: failures(task),  # type: ignore[misc]  # as above
            task,
        )


class LeaseGauges:
    """Says how the lease stands. For the thread that renews it."""

    def __init__(self, meters: Meters, length_seconds: float) -> None:
        """Say it in the memory of `meters`; a lease is `length_seconds` long."""
        self._meters = meters
        self._length_seconds = length_seconds
        self._first_seen_at: dict[CustomerFloor, float] = {}

    def note(self, guard: Guard) -> None:
        """Say how it stands after a renewal, or an attempt at one."""
        deadline = guard.deadline_nanoseconds / NANOSECONDS_PER_SECOND
        is_ever_had = guard.deadline_nanoseconds > 0
        self._meters.set_gauge(
            "maywe_lease_age_seconds", deadline - self._length_seconds if is_ever_had else NOT_KNOWN
        )
        self._meters.set_gauge("maywe_lease_remaining_seconds", deadline)
        now = boot_nanoseconds() / NANOSECONDS_PER_SECOND
        before = self._first_seen_at
        self._first_seen_at = {floor: before.get(floor, now) for floor in guard.customers.values()}
        self._meters.set_gauge("maywe_floor_lag_customers", float(len(self._first_seen_at)))
        self._meters.set_gauge(
            "maywe_floor_lag_seconds", min(self._first_seen_at.values(), default=0.0)
        )
