"""Retention: rows of the outbox that nobody needs any more are removed, and what is kept is shown.

What lives here: pruning each shard's outbox from its oldest row on, in small steps, and measuring
what the tables hold. The ledger itself is never pruned: every answer rests on it
(`docs/adr/0028`).

Of a shard only rows are removed that Redis shows as applied and that are old enough for whoever
watches changes, and for a Redis that went back, to have had them. How far it is pruned stands in
`outbox_kept`, changed in the same transaction: whoever reads floors must not take rows that are
gone for rows that narrowed nobody (`leases`).
"""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Engine, delete, func, select, text, true, update

from decision.errors import UnavailableError
from decision.instants import Instant
from store.cache import Cache
from store.database import reading, run_transaction
from store.ledger_clock import CLOCK_SQL
from store.schema import event, outbox, outbox_kept
from store.shard_sources import read_sources

ROWS_PER_STEP: Final = 1000
"""Rows that one transaction removes: a few milliseconds of PostgreSQL, and no lock on a shard."""

PAUSE_SECONDS: Final = 0.05
"""Between two steps, so that pruning a long outbox leaves most of PostgreSQL to others."""

SECONDS_PER_DAY: Final = 86_400
MICROSECONDS_PER_SECOND: Final = 1_000_000

_logger = logging.getLogger(__name__)

_first: Final = (
    select(outbox.c.shard, outbox.c.recorded_at)
    .where(outbox.c.shard == outbox_kept.c.shard)
    # What was pruned is still in the index until the table is vacuumed.
    .where(outbox.c.seq > outbox_kept.c.after_seq)
    .order_by(outbox.c.seq)
    .limit(1)
    .lateral()
)
_FIRST_KEPT: Final = (
    select(_first.c.shard, _first.c.recorded_at)
    .select_from(outbox_kept.join(_first, true()))
    .subquery()
)
"""The oldest row of each shard that has one."""


class OutboxPruner:
    """Prunes the outboxes of one installation. Any number may work side by side."""

    def __init__(
        self,
        engine: Engine,
        cache: Cache,
        kept_seconds: float,
        *,
        rows_per_step: int = ROWS_PER_STEP,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        """Keep what was recorded in the last `kept_seconds`, by PostgreSQL's clock."""
        self._engine = engine
        self._cache = cache
        kept_microseconds = int(kept_seconds * MICROSECONDS_PER_SECOND)
        self._kept_from = text(f"{CLOCK_SQL} - :kept_microseconds").bindparams(
            kept_microseconds=kept_microseconds
        )
        self._rows_per_step = rows_per_step
        self._pause_seconds = pause_seconds

    def run_pending(self, stop: threading.Event) -> int:
        """Prune all that is due, or as much until `stop` is set, and give how many rows that was.

        While Redis does not answer nothing is due. Raises UnavailableError when PostgreSQL does
        not answer.
        """
        limits = self._limits()
        removed = 0
        for number, last_seq in limits.items():
            while not stop.is_set() and (count := self.step(number, last_seq)):
                removed += count
                if count < self._rows_per_step:
                    break
                stop.wait(self._pause_seconds)
        if removed:
            _logger.info("%d rows of the outbox are pruned", removed)
        return removed

    def step(self, number: int, last_seq: int) -> int:
        """Remove the oldest rows of a shard up to `last_seq`, in one transaction; give how many.

        0 when none is old enough, or somebody else is at the shard.
        """
        return run_transaction(
            self._engine, lambda connection: self._step(connection, number, last_seq)
        )

    def _limits(self) -> Mapping[int, int]:
        """Give each shard that has something old, and up to which seq: as far as Redis shows it."""
        # Redis first: a life that PostgreSQL began meanwhile is another one, and counts as nothing.
        try:
            metas = self._cache.read_metas()
        except UnavailableError:
            return {}
        with reading(self._engine) as connection:
            old = connection.scalars(
                select(_FIRST_KEPT.c.shard).where(_FIRST_KEPT.c.recorded_at < self._kept_from)
            ).all()
            sources = read_sources(connection, old)
        return {
            source.number: min(meta.applied_seq, source.seq)
            for source in sources
            if (meta := metas.get(source.number)) is not None and meta.life == source.life
        }

    def _step(self, connection: Connection, number: int, last_seq: int) -> int:
        after_seq = connection.scalar(
            select(outbox_kept.c.after_seq)
            .where(outbox_kept.c.shard == number)
            .with_for_update(skip_locked=True)
        )
        if after_seq is None:
            return 0
        next_rows = (
            select(outbox.c.seq, outbox.c.recorded_at)
            .where(outbox.c.shard == number)
            .where(outbox.c.seq > after_seq)
            .where(outbox.c.seq <= last_seq)
            .order_by(outbox.c.seq)
            .limit(self._rows_per_step)
            .subquery()
        )
        # Instants rise with the rows of a shard, so what is old enough comes first.
        pruned_to = connection.scalar(
            select(func.max(next_rows.c.seq)).where(next_rows.c.recorded_at < self._kept_from)
        )
        if pruned_to is None:
            return 0
        removed = connection.execute(
            delete(outbox)
            .where(outbox.c.shard == number)
            .where(outbox.c.seq > after_seq)
            .where(outbox.c.seq <= pruned_to)
        )
        connection.execute(
            update(outbox_kept).where(outbox_kept.c.shard == number).values(after_seq=pruned_to)
        )
        return removed.rowcount


@dataclass(frozen=True, slots=True)
class TableSize:
    """What a table and its indexes take on disk, and about how many rows it has."""

    name: str
    rows: int
    table_bytes: int
    index_bytes: int


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the database holds, the largest table first, and how far ledger and outbox go back.

    An instant is None where there is no row.
    """

    tables: tuple[TableSize, ...]
    ledger_from: Instant | None
    outbox_from: Instant | None


_TABLES: Final = text(
    """
    SELECT
        coalesce(pg_partition_root(oid)::regclass, oid::regclass)::text AS name,
        sum(greatest(reltuples, 0))::bigint AS rows,
        sum(pg_table_size(oid))::bigint AS table_bytes,
        sum(pg_indexes_size(oid))::bigint AS index_bytes
    FROM pg_class
    WHERE relkind = 'r'
        AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('event'))
    GROUP BY 1
    ORDER BY sum(pg_total_relation_size(oid)) DESC, 1
    """
)


def read_holdings(engine: Engine) -> Holdings:
    """Measure what the database holds; rows are as PostgreSQL last estimated them.

    Raises UnavailableError.
    """
    with reading(engine) as connection:
        return Holdings(
            tuple(TableSize(*row) for row in connection.execute(_TABLES)),
            connection.scalar(select(func.min(event.c.recorded_at))),
            connection.scalar(select(func.min(_FIRST_KEPT.c.recorded_at))),
        )
