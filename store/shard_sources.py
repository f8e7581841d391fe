"""How shards stand in PostgreSQL: what the cache has to come to show, and may not show more than.

What lives here: one statement, so that all of it is of one snapshot. Who compares it with Redis has
to choose which of the two to read first.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, func, select

from store.database import Query, ask
from store.meta import CacheLife
from store.publications import NEWEST_PUBLICATION
from store.schema import installation, shard


@dataclass(frozen=True, slots=True)
class ShardSource:
    """How a shard stands in PostgreSQL, all read in one snapshot.

    `publication` is the newest one under which all records of the shard's customers are right. A
    customer who was merged shows the state of another shard, so every shard has to be rolled out.
    """

    number: int
    seq: int
    life: CacheLife
    publication: int
    newest_publication: int


_SOURCES: Final = Query(
    select(
        shard.c.number,
        shard.c.seq,
        shard.c.incarnation,
        installation.c.epoch,
        select(func.min(shard.alias().c.rolled_out_publication))
        .scalar_subquery()
        .label("rolled_out"),
        NEWEST_PUBLICATION.label("newest"),
    )
    .select_from(shard.join(installation, installation.c.is_only_row))
    .where(shard.c.number == func.any(bindparam("numbers")))
    .order_by(shard.c.number)
)


def read_sources(connection: Connection, numbers: Collection[int]) -> list[ShardSource]:
    """Read how shards stand, in one statement and so in one snapshot, ordered by number."""
    return [
        ShardSource(
            row.number, row.seq, CacheLife(row.epoch, row.incarnation), row.rolled_out, row.newest
        )
        for row in ask(connection, [_SOURCES(numbers=list(numbers))])[0]
    ]
