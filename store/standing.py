"""How the installation stands: how far Redis is behind, roll-outs, and what waits for a catalog.

What lives here: reading what nobody counts, for those who watch the whole of it. Each read costs a
few statements over a row for each shard, but for the unmatched events, which are counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import BigInteger, Connection, Engine, SmallInteger, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from decision.grants import UnmatchedCause
from store.cache import Cache
from store.database import reading
from store.ledger_clock import CLOCK_SQL
from store.meta import Meta
from store.rollout import RolloutProgress, progress_of
from store.schema import outbox, unmatched
from store.shard_sources import ShardSource, read_sources
from store.sharding import SHARD_COUNT

_MICROSECONDS_PER_SECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Standing:
    """How an installation stood at one instant.

    `lag_rows` are recorded and not shown by Redis, the oldest of them since `lag_seconds`. The
    roll-out is that of the newest `publication`, None before the first; once that
    `is_rolled_out`, nobody needs to keep what is told of it.
    """

    lag_rows: int
    lag_seconds: float
    shards_incomplete: int
    publication: int
    is_rolled_out: bool
    rollout: RolloutProgress | None


def read_standing(engine: Engine, cache: Cache) -> Standing:
    """Read how the installation stands. Raises UnavailableError, OverloadedError."""
    with reading(engine) as connection:
        sources = read_sources(connection, range(SHARD_COUNT))
        publication = sources[0].newest_publication
        rollout = progress_of(connection, publication) if publication else None
    # Afterwards: what is shown by then was not behind.
    metas = cache.read_metas()
    missing = {source.number: _missing(source, metas.get(source.number)) for source in sources}
    lagging = [source for source in sources if missing[source.number]]
    lag_seconds = 0.0
    if lagging:
        firsts = [source.seq - missing[source.number] + 1 for source in lagging]
        with reading(engine) as connection:
            lag_seconds = _age(connection, [source.number for source in lagging], firsts)
    return Standing(
        sum(missing.values()),
        lag_seconds,
        sum(meta is None or not meta.is_complete for meta in map(metas.get, range(SHARD_COUNT))),
        publication,
        sources[0].publication >= publication,
        rollout,
    )


def count_unmatched(engine: Engine) -> Mapping[UnmatchedCause, int]:
    """Count the events that wait for a publication, by why. Raises as `read_standing`."""
    query = select(unmatched.c.cause, func.count()).group_by(unmatched.c.cause)
    with reading(engine) as connection:
        found = {UnmatchedCause(cause): count for cause, count in connection.execute(query)}
    return {cause: found.get(cause, 0) for cause in UnmatchedCause}


def _missing(source: ShardSource, meta: Meta | None) -> int:
    """Give how many rows of a shard Redis does not show; of another life it shows nothing."""
    is_of_life = meta is not None and meta.life == source.life
    return max(0, source.seq - (meta.applied_seq if meta is not None and is_of_life else 0))


_FIRST: Final = (
    func.unnest(
        bindparam("numbers", type_=ARRAY(SmallInteger)),
        bindparam("seqs", type_=ARRAY(BigInteger)),
    )
    .table_valued("number", "seq")
    .render_derived("missing")
)
_OLDEST: Final = (
    select(text(CLOCK_SQL), func.min(outbox.c.recorded_at))
    .select_from(_FIRST)
    .join(outbox, (outbox.c.shard == _FIRST.c.number) & (outbox.c.seq == _FIRST.c.seq))
)


def _age(connection: Connection, numbers: Sequence[int], seqs: Sequence[int]) -> float:
    """Give how many seconds ago the oldest of some rows of the outbox was recorded.

    A row that is not there any more was shown before: then Redis has lost it, and begins anew.
    """
    now, oldest = connection.execute(_OLDEST, {"numbers": list(numbers), "seqs": list(seqs)}).one()
    return 0.0 if oldest is None else max(0.0, (now - oldest) / _MICROSECONDS_PER_SECOND)
