"""Epochs: the lives of the ledger, and noticing that this PostgreSQL is not the one it was.

What lives here: raising the epoch, settling it, and comparing the server's identity with the one
last seen. A ledger that was set back to an older state begins a new epoch: whatever Redis, the
decision processes and tokens hold of an older one proves nothing any more (`design.md`, "No stale
ALLOW", step 8).
"""

import logging
from typing import Any, Final, NamedTuple

import psycopg
from sqlalchemy import Connection, Engine, event, select, text, update

from store.database import CATALOG_LOCK, reading, run_transaction
from store.schema import installation

_logger = logging.getLogger(__name__)

NO_EPOCH: Final = 0
"""Below every epoch: that of who has not heard of any yet."""

# Two restores of one backup both begin an epoch after the same one. Counting on by one they would
# get the same number, and what Redis holds of the first would pass for the second's. Seconds since
# 2020 tell them apart; that epochs rise is seen to without the clock.
_SECONDS: Final = "extract(epoch FROM clock_timestamp() - timestamptz '2020-01-01Z')::integer"

_LOCK: Final = f"SELECT pg_advisory_xact_lock({CATALOG_LOCK})"

_RAISE: Final = text(
    f"UPDATE installation SET epoch = greatest(:seen_epoch + 1, {_SECONDS}) "  # noqa: S608 - constants
    "WHERE epoch <= :seen_epoch RETURNING epoch"
)

_IDENTITY: Final = """
SELECT
    EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = to_regclass('installation') AND attname = 'timeline' AND NOT attisdropped
    ),
    (SELECT system_identifier::text FROM pg_control_system()),
    CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END
"""

_STORE_IDENTITY: Final = """
UPDATE installation SET system_identifier = %s, timeline = %s WHERE system_identifier IS NULL
"""

_CHANGE_IDENTITY: Final = f"""
UPDATE installation
SET epoch = greatest(epoch + 1, {_SECONDS}), system_identifier = %(system)s, timeline = %(timeline)s
WHERE (system_identifier, timeline) IS DISTINCT FROM (%(system)s, %(timeline)s)
RETURNING epoch
"""  # noqa: S608 - constants


class Epoch(NamedTuple):
    """The life of the ledger, and the last one that is settled.

    Of a settled epoch it is known that every lease from before its beginning is over.
    """

    number: int
    settled: int

    @property
    def is_settled(self) -> bool:
        """Whether writes may be answered as effective."""
        return self.settled == self.number


def read_epoch(connection: Connection) -> Epoch:
    """Give the epoch that a transaction sees."""
    row = connection.execute(select(installation.c.epoch, installation.c.settled_epoch)).one()
    return Epoch(row.epoch, row.settled_epoch)


def raise_epoch(engine: Engine, seen_epoch: int) -> int:
    """Begin an epoch above `seen_epoch`, unless there is one by now, and give the epoch there is.

    The new epoch is not settled. Whoever records holds the catalog lock shared until commit, so
    nothing is recorded across its beginning: whatever was recorded in an older epoch is in every
    snapshot that shows the newer one. Raises UnavailableError when PostgreSQL does not answer.
    """
    with reading(engine) as connection:
        found = read_epoch(connection).number
    if found > seen_epoch:
        return found

    def work(connection: Connection) -> tuple[int, bool]:
        connection.execute(text(_LOCK))
        raised: int | None = connection.scalar(_RAISE, {"seen_epoch": seen_epoch})
        if raised is None:
            return read_epoch(connection).number, False
        return raised, True

    epoch, is_raised = run_transaction(engine, work)
    if is_raised:
        _logger.warning("epoch %d of the ledger begins, after epoch %d", epoch, found)
    return epoch


def settle_epoch(engine: Engine, epoch: int) -> bool:
    """Note that every lease from before an epoch is over; false when another one has begun.

    Whoever calls MUST have watched for as long as a lease may last since it first saw the epoch.
    Raises UnavailableError when PostgreSQL does not answer.
    """
    statement = update(installation).where(installation.c.epoch == epoch)
    return run_transaction(
        engine,
        lambda connection: connection.execute(statement.values(settled_epoch=epoch)).rowcount == 1,
    )


def guard_identity(engine: Engine) -> None:
    """Compare the server's identity on every new physical connection of an engine.

    A pooler between us and PostgreSQL would keep its connection to us over a change of servers, so
    there must be none.
    """
    event.listen(engine, "connect", _on_connect)


def _on_connect(connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's, untyped there
    try:
        ensure_identity(connection)
    except BaseException:
        # The pool has not taken it over yet, so nobody else would close it.
        connection.close()
        raise


def ensure_identity(connection: psycopg.Connection[Any]) -> None:
    """Begin a new epoch if the server is not the one last seen, by system identifier and timeline.

    The first server seen is only noted. A database that is not migrated yet has nothing to compare,
    and a standby, whose timeline is another's, cannot be written to anyway. Takes a connection
    without a transaction and leaves it so. Raises psycopg.Error.
    """
    try:
        # Of a query without FROM there is always exactly one row.
        [(is_migrated, system_identifier, timeline)] = connection.execute(_IDENTITY).fetchall()
        if is_migrated and timeline is not None:
            _compare_identity(connection, system_identifier, timeline)
        connection.commit()
    except BaseException:
        connection.rollback()
        raise


def _compare_identity(
    connection: psycopg.Connection[Any], system_identifier: str, timeline: str
) -> None:
    known = connection.execute("SELECT system_identifier, timeline FROM installation").fetchone()
    if known == (system_identifier, timeline):
        return
    if known == (None, None):
        connection.execute(_STORE_IDENTITY, (system_identifier, timeline))
        return
    connection.execute(_LOCK)
    raised = connection.execute(
        _CHANGE_IDENTITY, {"system": system_identifier, "timeline": timeline}
    ).fetchone()
    if raised is not None:
        _logger.warning(
            "PostgreSQL is system %s on timeline %s, after %s: epoch %d of the ledger begins",
            system_identifier,
            timeline,
            known,
            *raised,
        )
