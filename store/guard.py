"""The guard: what a decision process knows that keeps a stale cache from allowing anything.

What lives here: the allow rule's clauses over one immutable value, and its keeper, which replaces
that value when the lease is renewed and when a writer tells of a narrowing (`design.md`, "No stale
ALLOW", steps 3 to 5). Renewing is `leases`' business, applying the rule `reader`'s.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from decision.instants import BEGINNING, Instant
from store.clocks import NANOSECONDS_PER_SECOND, boot_nanoseconds, wall_clock
from store.epochs import NO_EPOCH
from store.floors import CustomerFloor, Narrowing, joined_floors
from store.meta import Meta
from store.record import Header
from store.sharding import SHARD_COUNT, shard_of

CUSTOMER_FLOORS_MAX: Final = 10_000
"""Beyond so many the floors are kept by shard: every customer of such a shard is then read from
PostgreSQL until the projector has caught up."""

CLOCK_DRIFT_PARTS: Final = 1000
"""The boot clock may be wrong by one part in so many, compared with PostgreSQL's."""

_NANOSECONDS_PER_MICROSECOND: Final = 1000
_NEVER: Final = 0


class ClockReading(NamedTuple):
    """What PostgreSQL's clock said, some time between two readings of the boot clock."""

    instant: Instant
    sent_at_nanoseconds: int
    received_at_nanoseconds: int

    def clamp(self, instant: Instant) -> Instant:
        """Give `instant`, or what is nearest to it of what PostgreSQL's clock may say now.

        So a machine whose clock was set wrongly neither revives what has lapsed nor begins early.
        """
        now = boot_nanoseconds()
        read, sent_at, received_at = self
        drift = (now - received_at) // CLOCK_DRIFT_PARTS
        earliest = read + (now - received_at - drift) // _NANOSECONDS_PER_MICROSECOND
        if instant <= earliest:
            return earliest
        latest = read + (now - sent_at + drift) // _NANOSECONDS_PER_MICROSECOND + 1
        return min(instant, latest)


@dataclass(frozen=True, slots=True)
class Guard:
    """A lease with the epoch and the floors that hold during it, read once by each check.

    `bases` gives for each shard how far its cache must be applied; `customers` what must be shown
    beyond that; `publication` the oldest catalog that may answer; `narrowed_at` how late it is at
    least. The deadline is of the boot clock.
    """

    epoch: int
    deadline_nanoseconds: int
    bases: Sequence[int]
    customers: Mapping[str, CustomerFloor]
    publication: int
    narrowed_at: Instant
    clock_reading: ClockReading | None

    def is_lease_valid(self, grace_seconds: float = 0.0) -> bool:
        """Tell whether the lease holds now, or was lost no longer ago than the grace."""
        grace_nanoseconds = int(grace_seconds * NANOSECONDS_PER_SECOND)
        # Who never had a lease knows no floors, whatever the grace.
        return (
            self.deadline_nanoseconds != _NEVER
            and boot_nanoseconds() < self.deadline_nanoseconds + grace_nanoseconds
        )

    def is_of_epoch(self, meta: Meta) -> bool:
        """Tell whether the cache belongs to the life of the ledger in which the lease was given."""
        return meta.life.epoch == self.epoch

    def is_shard_reached(self, number: int, meta: Meta) -> bool:
        """Tell whether a shard's cache is where this process has seen it already.

        One that went back, emptied or failed over, is not.
        """
        return meta.applied_seq >= self.bases[number]

    def is_customer_reached(self, customer_id: str, meta: Meta, header: Header | None) -> bool:
        """Tell whether a customer's entry shows what was last taken away from them."""
        floor = self.customers.get(customer_id)
        return (
            floor is None
            or meta.applied_seq >= floor.seq
            or (header is not None and header.version >= floor.version)
        )

    def now(self) -> Instant:
        """Give now: this machine's clock, within what PostgreSQL's allows, past every narrowing."""
        instant = wall_clock()
        if self.clock_reading is not None:
            instant = self.clock_reading.clamp(instant)
        return max(instant, self.narrowed_at)


NO_LEASE: Final = Guard(
    epoch=NO_EPOCH,
    deadline_nanoseconds=_NEVER,
    bases=(0,) * SHARD_COUNT,
    customers={},
    publication=0,
    narrowed_at=BEGINNING,
    clock_reading=None,
)
"""The guard of a process that has not had a lease yet: nothing in the cache counts."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """What one renewal brought, all of it read after the lease was committed.

    `began_after` is what `GuardKeeper.begin_reading` gave before the floors were read.
    """

    began_after: int
    epoch: int
    deadline_nanoseconds: int
    bases: Sequence[int]
    customers: Iterable[CustomerFloor]
    publication: int
    narrowed_at: Instant
    clock_reading: ClockReading


class GuardKeeper:
    """Keeps the guard of one process. Safe to be used by several threads.

    What a writer told while a renewal was reading its floors may be missing from what that read
    found: it is kept until a renewal that began to read later is done.
    """

    def __init__(self) -> None:
        """Begin without a lease."""
        self._lock = threading.Lock()
        self._guard = NO_LEASE
        self._told: list[Narrowing] = []
        self._told_before = 0
        self._epoch_told = NO_EPOCH

    def current(self) -> Guard:
        """Give the guard as it is now."""
        return self._guard

    def now(self) -> Instant:
        """Give now, as `Guard.now`."""
        return self._guard.now()

    def raise_floors(self, narrowing: Narrowing) -> None:
        """Heed what a writer has committed: every check that begins after this does."""
        with self._lock:
            self._told.append(narrowing)
            self._epoch_told = max(self._epoch_told, narrowing.epoch)
            self._guard = self._heeding(self._guard, [narrowing])

    def begin_reading(self) -> int:
        """Note that a renewal is about to read its floors; `renewed` is given what this gives."""
        with self._lock:
            return self._told_before + len(self._told)

    def renewed(self, renewal: Renewal) -> None:
        """Take a new lease with the floors that were read for it."""
        with self._lock:
            forgotten = renewal.began_after - self._told_before
            if forgotten < 0:
                # A renewal that began to read later is done already, and knows more.
                return
            del self._told[:forgotten]
            self._told_before = renewal.began_after
            guard = Guard(
                renewal.epoch,
                renewal.deadline_nanoseconds,
                renewal.bases,
                joined_floors({}, renewal.customers),
                renewal.publication,
                max(renewal.narrowed_at, self._guard.narrowed_at),
                renewal.clock_reading,
            )
            self._guard = self._heeding(guard, self._told)

    def give_up(self) -> None:
        """Let the lease go: from now on nothing in the cache counts."""
        with self._lock:
            self._guard = replace(self._guard, deadline_nanoseconds=_NEVER)

    def _heeding(self, guard: Guard, narrowings: Iterable[Narrowing]) -> Guard:
        customers = guard.customers
        publication, narrowed_at = guard.publication, guard.narrowed_at
        for narrowing in narrowings:
            customers = joined_floors(customers, narrowing.customers)
            publication = max(publication, narrowing.publication)
            narrowed_at = max(narrowed_at, narrowing.narrowed_at)
        bases = guard.bases
        if len(customers) > CUSTOMER_FLOORS_MAX:
            bases, customers = _by_shard(bases, customers.values()), {}
        return replace(
            guard,
            bases=bases,
            customers=customers,
            publication=publication,
            narrowed_at=narrowed_at,
            # The floors of a later life of the ledger are not known until they are read.
            deadline_nanoseconds=(
                guard.deadline_nanoseconds if guard.epoch >= self._epoch_told else _NEVER
            ),
        )


def _by_shard(bases: Sequence[int], floors: Iterable[CustomerFloor]) -> Sequence[int]:
    raised = list(bases)
    for floor in floors:
        number = shard_of(floor.customer_id)
        raised[number] = max(raised[number], floor.seq)
    return tuple(raised)
