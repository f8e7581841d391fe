"""The end of every write: shards locked, instants drawn, events appended, states replaced.

What lives here: the one sequence in which a transaction that holds its persons' locks finishes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, func, select, text

from decision.events import NewEvent
from decision.instants import Instant
from store import ledger
from store.database import CATALOG_LOCK, draw_recorded_instants, wall_clock
from store.outbox import append_notices
from store.publications import Catalogs, PublishedCatalog
from store.schema import installation, shard
from store.states import Rewrite, StateWriter
from store.subjects import lock_shards, move_shards


class Entry(NamedTuple):
    """An event that is about to be appended, with the subject under which it is recorded.

    `facts` are added to its body: what the ledger knows of it and its sender could not say.
    """

    event: NewEvent
    subject: int
    shard: int
    facts: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True)
class Written:
    """When each entry was recorded, and where the shards stand whose outboxes tell of it."""

    recorded_at: Sequence[Instant]
    positions: Mapping[int, int]


def begin_recording(connection: Connection, catalogs: Catalogs) -> PublishedCatalog:
    """Keep publications out until commit and give the newest, under which events are derived."""
    connection.execute(text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": CATALOG_LOCK})
    return catalogs.newest_in(connection)


def finish(
    connection: Connection,
    catalogs: Catalogs,
    published: PublishedCatalog,
    entries: Sequence[Entry],
    rewrites: Sequence[Rewrite],
) -> Written:
    """Replace the states and append the entries; what needs the shards' locks comes last."""
    notices = StateWriter(connection, catalogs, published, wall_clock()).write(rewrites)
    positions = lock_shards(
        connection, {notice.member.shard for notice in notices} | {entry.shard for entry in entries}
    )
    instant_count = max(1, len(entries))
    first = draw_recorded_instants(connection, instant_count)
    recorded_at = [first + index for index in range(len(entries))]
    ledger.append(
        connection,
        (
            ledger.Appended(entry.event, entry.subject, entry.shard, instant, entry.facts)
            for entry, instant in zip(entries, recorded_at, strict=True)
        ),
        positions,
    )
    append_notices(connection, notices, first + instant_count - 1, positions)
    move_shards(connection, positions)
    return Written(recorded_at, {number: position.seq for number, position in positions.items()})


def read_epoch(connection: Connection) -> int:
    """Give the life of the ledger that tokens name."""
    epoch: int = connection.scalars(select(installation.c.epoch)).one()
    return epoch


def positions_of(connection: Connection, numbers: set[int]) -> dict[int, int]:
    """Give where shards stand, for an answer that repeats an earlier one."""
    rows = connection.execute(
        select(shard.c.number, shard.c.seq).where(shard.c.number == func.any(sorted(numbers)))
    )
    return {row.number: row.seq for row in rows}
