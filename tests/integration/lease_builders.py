"""Builders for tests of leases: rows as a process writes them, a clock in hand, threads that wait.

Here live defaults for all that does not matter to a test; a test names only what matters to it.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Engine, delete, select, text, update
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.dialects.postgresql import insert as upsert

from store.clocks import NANOSECONDS_PER_SECOND
from store.floors import CustomerFloor, Narrowing
from store.schema import installation, lease

WAIT_SECONDS_MAX: Final = 30.0
"""A bound against hanging; not a performance claim."""

LENGTH_SECONDS: Final = 2
OVER_SECONDS: Final = 2.2
"""After so long, the margin included, a lease of LENGTH_SECONDS is over."""

NOBODY_LISTENS: Final = "127.0.0.1:1"


class Clock:
    """A clock of leases that a test sets on."""

    def __init__(self) -> None:
        self._nanoseconds = NANOSECONDS_PER_SECOND

    def __call__(self) -> int:
        """Give now, in nanoseconds."""
        return self._nanoseconds

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._nanoseconds += round(seconds * NANOSECONDS_PER_SECOND)


def renew(
    engine: Engine,
    process_id: str,
    address: str = NOBODY_LISTENS,
    length_seconds: float = LENGTH_SECONDS,
) -> None:
    """Commit a renewal as a process does."""
    values = {
        "control_address": address,
        "length_milliseconds": round(length_seconds * 1000),
        "renewed_at": text("(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"),
    }
    with engine.begin() as connection:
        connection.execute(
            upsert(lease)
            .values(process_id=process_id, renewals=1, **values)
            .on_conflict_do_update(
                index_elements=[lease.c.process_id],
                set_={"renewals": lease.c.renewals + 1, **values},
            )
        )


def release(engine: Engine, process_id: str) -> None:
    """Remove a lease, as a process that ends in order does."""
    with engine.begin() as connection:
        connection.execute(delete(lease).where(lease.c.process_id == process_id))


def processes_of(engine: Engine) -> list[str]:
    """Who has a row in the lease table."""
    with engine.begin() as connection:
        return list(connection.scalars(select(lease.c.process_id).order_by(lease.c.process_id)))


def begin_epoch(engine: Engine) -> int:
    """Begin a later epoch, which is not settled, and give its number."""
    with engine.begin() as connection:
        connection.execute(update(installation).values(epoch=installation.c.epoch + 1))
    return epoch_of(engine)


def epoch_of(engine: Engine) -> int:
    """Give the epoch of the ledger."""
    with engine.begin() as connection:
        number: int = connection.scalars(select(installation.c.epoch)).one()
        return number


def settled_epoch_of(engine: Engine) -> int:
    """Give the last epoch that is settled."""
    with engine.begin() as connection:
        number: int = connection.scalars(select(installation.c.settled_epoch)).one()
        return number


def narrowing(engine: Engine, *customer_ids: str, publication: int = 0) -> Narrowing:
    """What a write of this epoch took away from customers."""
    floors = [CustomerFloor(customer_id, 7, 3) for customer_id in customer_ids]
    return Narrowing(epoch_of(engine), floors, publication)


@contextmanager
def counted_lease_reads(engine: Engine) -> Iterator[list[str]]:
    """Collect the statements that read the lease table."""
    found: list[str] = []

    def note(*arguments: object) -> None:
        statement = str(arguments[2])
        if statement.startswith("SELECT") and "lease" in statement:
            found.append(statement)

    sqlalchemy_event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sqlalchemy_event.remove(engine, "before_cursor_execute", note)


@contextmanager
def held_lease_table(engine: Engine) -> Iterator[None]:
    """Let every read of the lease table wait."""
    with engine.begin() as connection:
        connection.execute(text("LOCK TABLE lease IN ACCESS EXCLUSIVE MODE"))
        yield


@contextmanager
def threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Give threads, which end with the test."""
    with ThreadPoolExecutor(count) as pool:
        yield pool
