"""Incarnations: the lives of each shard's cache, numbered in PostgreSQL.

What lives here: drawing the next one. Beginning it in Redis is `cache`'s, deciding that one is due
the projector's.
"""

from sqlalchemy import Connection, func, select, update

from store.meta import Meta
from store.schema import shard, subject
from store.shard_sources import ShardSource, read_sources


def draw_incarnation(connection: Connection, seen: ShardSource, cached: Meta | None) -> Meta | None:
    """Draw a life later than PostgreSQL's and Redis's; None when somebody else has drawn one.

    The shard stays locked until commit, so nothing is recorded between the seq and the life.
    """
    cached_life = cached.life if cached is not None else seen.life
    drawn = connection.execute(
        update(shard)
        .where(shard.c.number == seen.number)
        .where(shard.c.incarnation == seen.life.incarnation)
        .values(incarnation=func.greatest(shard.c.incarnation, cached_life.incarnation) + 1)
    )
    if drawn.rowcount == 0:
        return None
    source = read_sources(connection, [seen.number])[0]
    has_customers = connection.scalar(
        select(select(subject.c.number).where(subject.c.shard == seen.number).exists())
    )
    return Meta(
        source.life,
        source.seq,
        source.publication,
        is_complete=not has_customers,
        newest_publication=source.newest_publication,
    )
