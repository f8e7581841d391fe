"""Imports: who is at work on one, and how far it has come.

What lives here: the claim on an import and its progress. A position is passed only after everything
up to it is committed, so a crash repeats events, which changes nothing, and skips none.

Who is at work holds an advisory lock on a connection, which may be lost without its noticing. So
each also draws a claim and writes it to the import: who finds another there is out (ADR 0014).
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from typing import Final, NamedTuple
from uuid import UUID, uuid4

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


class _Claim(NamedTuple):
    """What tells who claimed an import last from whoever did before."""

    import_id: str
    token: UUID

    def hold(self, connection: Connection) -> None:
        """Keep everybody from claiming the import until this transaction ends.

        Raises AbortedError when somebody else has claimed it.
        """
        found = connection.execute(
            select(import_progress.c.import_id)
            .where(import_progress.c.import_id == self.import_id)
            .where(import_progress.c.claim == self.token)
            .with_for_update(read=True)
        )
        if found.one_or_none() is None:
            raise _in_progress(self.import_id)


class ImportProgress:
    """Where a claimed import stands. Its events go to the workers over the `desk`."""

    def __init__(
        self,
        engine: Engine,
        claim: _Claim,
        next_position: int,
        counts: ImportCounts,
        event_id_key: bytes,
        desk: PieceDesk,
    ) -> None:
        """Go on at `next_position`; `event_id_key` is the installation's."""
        self.desk = desk
        self._engine = engine
        self._claim = claim
        self.next_position = next_position
        self.counts = counts
        self.event_id_key = event_id_key

    def advance(self, next_position: int, added: ImportCounts) -> None:
        """Note that everything below `next_position` is settled; one that is passed stays.

        Raises AbortedError when somebody else has claimed the import, or moved it.
        """
        if next_position <= self.next_position:
            return
        counts = ImportCounts(*(old + new for old, new in zip(self.counts, added, strict=True)))
        statement = (
            update(import_progress)
            .where(import_progress.c.import_id == self._claim.import_id)
            .where(import_progress.c.claim == self._claim.token)
            .where(import_progress.c.next_position == self.next_position)
            .values(next_position=next_position, updated_at=wall_clock(), **counts._asdict())
        )
        moved = run_transaction(
            self._engine, lambda connection: connection.execute(statement).rowcount
        )
        if not moved:
            raise _in_progress(self._claim.import_id)
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
            claim = _Claim(import_id, uuid4())
            desk = PieceDesk(engine, connection, import_id, claim.token, claim.hold)
            try:
                progress = _take_over(engine, connection, claim, desk)
                # What a stream that died had handed over is finished before anything comes again.
                desk.clear()
                yield progress
            finally:
                desk.close()
        finally:
            _release(connection, keys)


def _release(connection: Connection, keys: dict[str, int]) -> None:
    # A connection that is broken has released the claim already.
    with suppress(DBAPIError):
        connection.execute(text("SELECT pg_advisory_unlock(:lock_class, :digest)"), keys)


def _take_over(
    engine: Engine, connection: Connection, claim: _Claim, desk: PieceDesk
) -> ImportProgress:
    """Claim an import, once nothing is underway that an earlier claim allowed, and read it.

    One statement, since the position must be none that an earlier claim still moves.
    """
    row = connection.execute(
        upsert(import_progress)
        .values(
            import_id=claim.import_id,
            next_position=FIRST_POSITION,
            updated_at=wall_clock(),
            claim=claim.token,
            **ImportCounts()._asdict(),
        )
        .on_conflict_do_update(index_elements=["import_id"], set_={"claim": claim.token})
        .returning(import_progress)
    ).one()
    counts = ImportCounts(row.accepted, row.repeated, row.rejected)
    event_id_key = connection.execute(select(installation.c.import_key)).scalar_one()
    return ImportProgress(engine, claim, row.next_position, counts, event_id_key, desk)


def _digest(import_id: str) -> int:
    return int.from_bytes(blake2b(import_id.encode(), digest_size=4).digest(), "big", signed=True)


def _in_progress(import_id: str) -> AbortedError:
    return AbortedError(
        f"another stream is at work on the import {import_id!r}: wait for it to end",
        ErrorCode.IMPORT_IN_PROGRESS,
        {"import_id": import_id},
    )
