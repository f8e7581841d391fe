"""Imports: who is at work on one, and how far it has come.

What lives here: the claim on an import and its progress. A position is passed only after everything
up to it is committed, so a crash repeats events, which changes nothing, and skips none.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from typing import Final, NamedTuple

from sqlalchemy import Connection, Engine, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import DBAPIError

from decision.errors import AbortedError, ErrorCode
from store.clocks import wall_clock
from store.database import reading, run_transaction
from store.pieces import PieceDesk
from store.schema import import_progress, installation

IMPORT_LOCK_CLASS: Final = 5_164_004
"""First key of the advisory lock on an import; the second is a digest of its id."""

FIRST_POSITION: Final = 1


class ImportCounts(NamedTuple):
    """What became of events of an import; every event is counted once."""

    accepted: int = 0
    repeated: int = 0
    rejected: int = 0


class ImportProgress:
    """Where a claimed import stands. Its events go to the workers over the `desk`."""

    def __init__(
        self,
        engine: Engine,
        import_id: str,
        next_position: int,
        counts: ImportCounts,
        event_id_key: bytes,
        desk: PieceDesk,
    ) -> None:
        """Go on at `next_position`; `event_id_key` is the installation's."""
        self.desk = desk
        self._engine = engine
        self._import_id = import_id
        self.next_position = next_position
        self.counts = counts
        self.event_id_key = event_id_key

    def advance(self, next_position: int, added: ImportCounts) -> None:
        """Note that everything below `next_position` is settled; one that is passed stays.

        Raises AbortedError when somebody else has moved it, as after the claim was lost.
        """
        if next_position <= self.next_position:
            return
        counts = ImportCounts(*(old + new for old, new in zip(self.counts, added, strict=True)))
        statement = (
            update(import_progress)
            .where(import_progress.c.import_id == self._import_id)
            .where(import_progress.c.next_position == self.next_position)
            .values(next_position=next_position, updated_at=wall_clock(), **counts._asdict())
        )
        moved = run_transaction(
            self._engine, lambda connection: connection.execute(statement).rowcount
        )
        if not moved:
            raise _in_progress(self._import_id)
        self.next_position = next_position
        self.counts = counts


@contextmanager
def claimed_import(engine: Engine, import_id: str) -> Iterator[ImportProgress]:
    """Claim an import for oneself, and give where it stands.

    Raises AbortedError when somebody else has claimed it.
    """
    keys = {"lock_class": IMPORT_LOCK_CLASS, "digest": _digest(import_id)}
    with reading(engine) as connection:
        # No transaction stays open while the claim is held, which may be for hours.
        connection.execution_options(isolation_level="AUTOCOMMIT")
        if not connection.scalar(text("SELECT pg_try_advisory_lock(:lock_class, :digest)"), keys):
            raise _in_progress(import_id)
        try:
            desk = PieceDesk(engine, connection, import_id)
            try:
                # What a stream that died had handed over is finished before anything comes again.
                desk.clear()
                yield _load(engine, connection, import_id, desk)
            finally:
                desk.close()
        finally:
            _release(connection, keys)


def _release(connection: Connection, keys: dict[str, int]) -> None:
    # A connection that is broken has released the claim already.
    with suppress(DBAPIError):
        connection.execute(text("SELECT pg_advisory_unlock(:lock_class, :digest)"), keys)


def _load(
    engine: Engine, connection: Connection, import_id: str, desk: PieceDesk
) -> ImportProgress:
    connection.execute(
        upsert(import_progress)
        .values(
            import_id=import_id,
            next_position=FIRST_POSITION,
            updated_at=wall_clock(),
            **ImportCounts()._asdict(),
        )
        .on_conflict_do_nothing()
    )
    row = connection.execute(
        select(import_progress).where(import_progress.c.import_id == import_id)
    ).one()
    counts = ImportCounts(row.accepted, row.repeated, row.rejected)
    event_id_key = connection.execute(select(installation.c.import_key)).scalar_one()
    return ImportProgress(engine, import_id, row.next_position, counts, event_id_key, desk)


def _digest(import_id: str) -> int:
    return int.from_bytes(blake2b(import_id.encode(), digest_size=4).digest(), "big", signed=True)


def _in_progress(import_id: str) -> AbortedError:
    return AbortedError(
        f"another stream is at work on the import {import_id!r}: wait for it to end",
        ErrorCode.IMPORT_IN_PROGRESS,
        {"import_id": import_id},
    )
