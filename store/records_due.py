"""Records that are due in Redis: what the rows of outboxes name, read for the projector."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, Engine, SmallInteger, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from store.database import reading_once
from store.schema import outbox, state, subject
from store.subjects import customer_id_of

_RANGES: Final = (
    func.unnest(
        bindparam("numbers", type_=ARRAY(SmallInteger)),
        bindparam("afters", type_=ARRAY(BigInteger)),
        bindparam("lasts", type_=ARRAY(BigInteger)),
    )
    .table_valued("number", "after", "last")
    .render_derived("wanted")
)
_ROOT: Final = (
    # Whoever the subject belongs to now, not when the row was written: a record may be newer than
    # its row, never older.
    select(subject.c.root)
    .where(subject.c.number == outbox.c.subject)
    .correlate(outbox)
    .scalar_subquery()
)
_RECORDS_DUE: Final = (
    # Not joins, for which PostgreSQL may read whole tables: see `ledger`.
    select(
        outbox.c.shard,
        outbox.c.seq,
        customer_id_of(outbox.c.subject),
        select(state.c.record).where(state.c.subject == _ROOT).scalar_subquery().label("record"),
    )
    .select_from(_RANGES)
    .join(
        outbox,
        (outbox.c.shard == _RANGES.c.number)
        & (outbox.c.seq > _RANGES.c.after)
        & (outbox.c.seq <= _RANGES.c.last),
    )
    .order_by(outbox.c.shard, outbox.c.seq)
)


def read_records_due(
    engine: Engine, ranges: Mapping[int, tuple[int, int]]
) -> Mapping[int, Sequence[Any]]:
    """Read outbox rows of several shards at once: for each those after one seq, up to another.

    Each has `seq`, `customer_id` (none: erased) and `record` (none: there is no state). Raises
    UnavailableError, OverloadedError.
    """
    wanted = [(number, after, last) for number, (after, last) in ranges.items() if after < last]
    if not wanted:
        return {}
    numbers, afters, lasts = map(list, zip(*wanted, strict=True))
    rows: dict[int, list[Any]] = {}
    with reading_once(engine) as connection:
        for row in connection.execute(
            _RECORDS_DUE, {"numbers": numbers, "afters": afters, "lasts": lasts}
        ):
            rows.setdefault(row.shard, []).append(row)
    return rows
