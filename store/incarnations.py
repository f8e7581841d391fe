"""Incarnations: the lives of each shard's cache, numbered in PostgreSQL.

What lives here: drawing the next ones. Beginning one in Redis is `cache`'s, deciding that
one is due the projector's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Connection, column, func, literal, select, update

from store.meta import Meta
from store.schema import shard, subject
from store.shard_sources import ShardSource, read_sources

Seen = tuple[ShardSource, Meta | None]
"""How a shard stands in PostgreSQL and in Redis."""


def draw_incarnations(
    connection: Connection, seen: Sequence[Seen], *, is_waiting: bool
) -> Mapping[int, Meta]:
    """Draw lives later than PostgreSQL's and Redis's; gives what they begin with, by shard.

    Those of which somebody else has drawn one are left out, and, unless `is_waiting`, those that
    somebody is writing to: who waits for one while holding others holds up all who write to these.

    The shards stay locked until commit, so nothing is recorded between a seq and its life.
    """
    numbers = [source.number for source, _ in seen]
    free = connection.scalars(
        select(shard.c.number)
        .where(shard.c.number == func.any(_array(numbers)))
        .order_by(shard.c.number)
        .with_for_update(skip_locked=not is_waiting)
    ).all()
    lives = (
        func.unnest(
            _array(numbers),
            _array([source.life.incarnation for source, _ in seen]),
            _array([(source if meta is None else meta).life.incarnation for source, meta in seen]),
        )
        .table_valued(column("number"), column("in_ledger"), column("in_cache"), name="life")
        .render_derived()
    )
    drawn = connection.scalars(
        update(shard)
        .where(shard.c.number == func.any(_array(free)))
        .where(shard.c.number == lives.c.number)
        .where(shard.c.incarnation == lives.c.in_ledger)
        .values(incarnation=func.greatest(shard.c.incarnation, lives.c.in_cache) + 1)
        .returning(shard.c.number)
    ).all()
    has_customers = select(subject.c.number).where(subject.c.shard == shard.c.number).exists()
    without_customers = set(
        connection.scalars(
            select(shard.c.number).where(shard.c.number == func.any(_array(drawn)), ~has_customers)
        )
    )
    return {
        source.number: Meta(
            source.life,
            source.seq,
            source.publication,
            is_complete=source.number in without_customers,
            newest_publication=source.newest_publication,
        )
        for source in read_sources(connection, drawn)
    }


def _array(numbers: Sequence[int]) -> Any:  # noqa: ANN401 - an expression
    return literal(list(numbers), ARRAY(BigInteger))
