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
    to_regclass('seen_database') IS NOT NULL,
    (SELECT system_identifier::text FROM pg_control_system()),
    CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END,
    -- Whatever restores a dump makes the table anew, and what copies a database makes another.
    (SELECT oid::text FROM pg_database WHERE datname = current_database())
        || '/' || to_regclass('installation')::oid::text
"""

_KNOWN: Final = """
SELECT system_identifier, timeline, identity FROM installation, seen_database
"""

_STORE_SERVER: Final = """
UPDATE installation SET system_identifier = %(system)s, timeline = %(timeline)s
WHERE system_identifier IS NULL
"""

_STORE_DATABASE: Final = """
UPDATE seen_database SET identity = %(database)s WHERE identity IS NULL
"""

_CHANGE_SERVER: Final = f"""
UPDATE installation
SET epoch = greatest(epoch + 1, {_SECONDS}), system_identifier = %(system)s, timeline = %(timeline)s
RETURNING epoch
"""  # noqa: S608 - constants

_CHANGE_DATABASE: Final = "UPDATE seen_database SET identity = %(database)s"


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
    """Begin a new epoch if the server or the database is not the one last seen.

    The server is known by its system identifier and timeline, the database by what no dump brings
    along. The first ones seen are only noted. A database that is not migrated yet has nothing to
    compare, and a standby, whose timeline is another's, cannot be written to anyway. Takes a
    connection without a transaction and leaves it so. Raises psycopg.Error.
    """
    try:
        # Of a query without FROM there is always exactly one row.
        [(is_migrated, system_identifier, timeline, database)] = connection.execute(
            _IDENTITY
        ).fetchall()
        if is_migrated and timeline is not None:
            _compare_identity(connection, _Identity(system_identifier, timeline, database))
        connection.commit()
    except BaseException:
        connection.rollback()
        raise


class _Identity(NamedTuple):
    """Which server, and which of its databases, a ledger is in."""

    system: str
    timeline: str
    database: str


def _compare_identity(connection: psycopg.Connection[Any], found: _Identity) -> None:
    known = connection.execute(_KNOWN).fetchone()
    if known == found:
        return
    # Of a ledger that was migrated just now the server is known already, and the database not yet.
    if known in {(None, None, None), (found.system, found.timeline, None)}:
        connection.execute(_STORE_SERVER, found._asdict())
        connection.execute(_STORE_DATABASE, found._asdict())
        return
    connection.execute(_LOCK)
    # Another connection may have noticed it meanwhile.
    known = connection.execute(_KNOWN).fetchone()
    if known == found:
        return
    changed = connection.execute(_CHANGE_SERVER, found._asdict()).fetchone()
    connection.execute(_CHANGE_DATABASE, found._asdict())
    if changed is not None:
        _logger.warning(
            "PostgreSQL is system %s on timeline %s, database %s, after %s: epoch %d of the ledger "
            "begins",
            *found,
            known,
            *changed,
        )
