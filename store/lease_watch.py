"""Which processes may answer from the cache, and until when at most, as a writer sees it.

What lives here: reading the lease table, timing each renewal by our own clock from when it was
first seen, removing leases that are over, and settling an epoch (`design.md`, "No stale ALLOW",
steps 6 and 8). Telling processes is `service.effectuation`'s business.

Why a writer may rely on it. Let a narrowing be committed, and a read of the table be sent after
that; let the read show a process with some renewal R.

- A process commits a renewal first, reads the floors in a snapshot after that, and only then takes
  the lease that the renewal gives. So any renewal later than R, which our read did not show, was
  committed after our snapshot, and its floors contain the narrowing. From the end of R's lease on
  the process is harmless, whether it renews or not: it has no lease, or one with our floors. That
  it has *committed* another renewal says nothing before then: until it has read its floors, it goes
  on under R.
- R's lease counts, at the process, from before R was sent, and we saw R after it was committed. So
  it is over once our clock says that its length has passed since then, and a margin, as two clocks
  may run differently.
- A process that the read does not show has no lease from before the narrowing. Whoever appears
  later was committed after our snapshot, and needs nothing. A row that was there and is gone was
  given up by its process, or was over.
- The length has to have passed since we *received* the read that first showed R, because R may have
  been committed while that read was on its way; and the row may be removed only when a read that
  was *sent* after that still shows R, because the process may have renewed meanwhile. The removal
  itself goes by the renewal, for the same reason.
- A counter may begin anew when a row was removed and its process comes back. So a renewal is known
  by its counter and the instant that PostgreSQL noted with it.

PostgreSQL may have lost leases when it was restored or failed over; then it is in another epoch.
All of them began before the epoch did, so they are over when the longest lease there may be has
passed since we first saw the epoch, and a margin.
"""

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Connection, Engine, delete, select, true

from store.clocks import NANOSECONDS_PER_SECOND, boot_nanoseconds
from store.database import reading_once, run_transaction
from store.epochs import settle_epoch
from store.schema import installation, lease
from store.shared_reads import SharedReads

LEASE_MARGIN_SHARE: Final = 0.1
LEASE_MARGIN_SECONDS_MIN: Final = 0.1
"""A lease is over only so much of its length, and at least so long, after its length has passed."""

READ_SECONDS_MAX: Final = 1.0
"""How long a read of the leases may wait to be sent, and how long it may take then."""

_NANOSECONDS_PER_MILLISECOND: Final = 1_000_000
_TABLE: Final = "lease"


class Renewal(NamedTuple):
    """Which renewal of its lease a process has committed."""

    counter: int
    renewed_at: int


@dataclass(frozen=True, slots=True)
class Lease:
    """A process's lease; from `over_at_nanoseconds` of our clock on it is surely over."""

    process_id: str
    control_address: str
    renewal: Renewal
    over_at_nanoseconds: int


@dataclass(frozen=True, slots=True)
class LeaseReading:
    """What one read of the lease table showed.

    From `settled_at_nanoseconds` of our clock on, every lease is over that an earlier life of
    PostgreSQL gave and this one does not know of.
    """

    epoch: int
    is_settled: bool
    settled_at_nanoseconds: int
    sent_at_nanoseconds: int
    leases: Sequence[Lease]


class LeaseWatch:
    """Watches the leases of one installation. Safe to be used by several threads."""

    def __init__(
        self,
        engine: Engine,
        length_seconds: float,
        clock: Callable[[], int] = boot_nanoseconds,
    ) -> None:
        """Watch at the ledger's primary; `length_seconds` is how long leases are by our settings.

        `clock` gives nanoseconds and MUST run on while the machine is suspended.
        """
        self._engine = engine
        self._clock = clock
        self._shared = SharedReads(
            self._load,
            in_flight_max=1,
            wait_seconds_max=READ_SECONDS_MAX,
            read_seconds_max=READ_SECONDS_MAX,
        )
        self._lock = threading.Lock()
        self._first_seen: dict[str, tuple[Renewal, int]] = {}
        self._epoch_first_seen = (0, 0)
        self._longest = int(length_seconds * NANOSECONDS_PER_SECOND)

    def read(self) -> LeaseReading:
        """Read the leases in a snapshot that is taken after this call began.

        Callers share a read that is not sent yet, and never join one that is. Raises
        UnavailableError and OverloadedError when PostgreSQL does not answer, or not in time.
        """
        return self._shared.read([_TABLE])[_TABLE]

    def remove_over(self, found: LeaseReading) -> None:
        """Remove the rows that a reading proves over. Raises UnavailableError."""
        over = [one for one in found.leases if one.over_at_nanoseconds <= found.sent_at_nanoseconds]

        def work(connection: Connection) -> None:
            for one in over:
                connection.execute(
                    delete(lease)
                    .where(lease.c.process_id == one.process_id)
                    .where(lease.c.renewals == one.renewal.counter)
                    .where(lease.c.renewed_at == one.renewal.renewed_at)
                )

        if over:
            run_transaction(self._engine, work)

    def settle(self, found: LeaseReading) -> None:
        """Note in PostgreSQL that the epoch of a reading is settled, once it is.

        Raises UnavailableError.
        """
        if not found.is_settled and found.settled_at_nanoseconds <= self._clock():
            settle_epoch(self._engine, found.epoch)

    def _load(self, _: Collection[str]) -> LeaseReading:
        with reading_once(self._engine) as connection:
            # Sent no earlier and received no later than these say.
            sent_at = self._clock()
            rows = connection.execute(_LEASES).all()
            received_at = self._clock()
        leases = [
            (
                row.process_id,
                row.control_address,
                Renewal(row.renewals, row.renewed_at),
                row.length_milliseconds * _NANOSECONDS_PER_MILLISECOND,
            )
            for row in rows
            if row.process_id is not None
        ]
        with self._lock:
            if self._epoch_first_seen[0] != rows[0].epoch:
                self._epoch_first_seen = (rows[0].epoch, received_at)
            self._longest = max([self._longest, *(length for *_, length in leases)])
            seen_before = self._first_seen
            self._first_seen = {
                process_id: (renewal, _since(seen_before.get(process_id), renewal, received_at))
                for process_id, _, renewal, _ in leases
            }
            return LeaseReading(
                epoch=rows[0].epoch,
                is_settled=rows[0].settled_epoch == rows[0].epoch,
                settled_at_nanoseconds=self._epoch_first_seen[1] + _with_margin(self._longest),
                sent_at_nanoseconds=sent_at,
                leases=[
                    Lease(
                        process_id,
                        control_address,
                        renewal,
                        self._first_seen[process_id][1] + _with_margin(length),
                    )
                    for process_id, control_address, renewal, length in leases
                ],
            )


_LEASES: Final = select(
    installation.c.epoch,
    installation.c.settled_epoch,
    lease.c.process_id,
    lease.c.control_address,
    lease.c.renewals,
    lease.c.length_milliseconds,
    lease.c.renewed_at,
).select_from(installation.outerjoin(lease, true()))
"""One statement, and so one snapshot; a row without a process where there is no lease."""


def _since(seen: tuple[Renewal, int] | None, renewal: Renewal, received_at: int) -> int:
    """Give when a renewal was first seen: now, unless it is the one that was there before."""
    return seen[1] if seen is not None and seen[0] == renewal else received_at


def _with_margin(length_nanoseconds: int) -> int:
    margin_min = int(LEASE_MARGIN_SECONDS_MIN * NANOSECONDS_PER_SECOND)
    return length_nanoseconds + max(int(length_nanoseconds * LEASE_MARGIN_SHARE), margin_min)
