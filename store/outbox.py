"""The outbox: what changed, in commit order by shard, for the cache and for watchers.

What lives here: the making of rows, in a transaction that has locked the shards. The projector and
the feed read them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from decision.instants import Instant
from store.chain import canonical_json
from store.database import insert_rows
from store.floors import NOW_AHEAD_MICROSECONDS_MAX, CustomerFloor
from store.subjects import Member, ShardPosition

BY_TIME: Final[Mapping[str, object]] = {"time": True}
"""The cause of what begins or lapses by itself."""

_COLUMNS: Final = (
    "shard",
    "seq",
    "subject",
    "root",
    "recorded_at",
    "cause",
    "changes",
    "narrowed_version",
    "lost_at",
)


class Loss(NamedTuple):
    """That a customer id lost something that its cached record may still show.

    `version` is that of the state which no longer shows it, and `lost_at` from when on it is lost.
    """

    version: int
    lost_at: Instant


class Notice(NamedTuple):
    """That a customer id's record is due, what changed for it and why, and what it lost if any.

    The changes are JSON, as `change_codec.encode_changes` writes it.
    """

    member: Member
    root: int
    cause: Mapping[str, object]
    changes: str
    loss: Loss | None = None


def narrowed_at(recorded_at: Instant, lost_at: Instant) -> Instant:
    """Tell which instant may not be taken for the future any more once a row's loss counts."""
    is_now = recorded_at < lost_at <= recorded_at + NOW_AHEAD_MICROSECONDS_MAX
    return lost_at if is_now else recorded_at


def append_notices(
    connection: Connection,
    notices: Iterable[Notice],
    recorded_at: Instant,
    positions: dict[int, ShardPosition],
) -> Sequence[CustomerFloor]:
    """Append notices to the outboxes of locked shards, moving their positions.

    Gives the floors of the customers who lost something. An erased id has none: nobody can ask for
    it any more.
    """
    rows = []
    floors = []
    for member, root, cause, changes, loss in notices:
        position = positions[member.shard]
        position = position._replace(seq=position.seq + 1)
        positions[member.shard] = position
        rows.append(
            (
                member.shard,
                position.seq,
                member.subject,
                root,
                recorded_at,
                canonical_json(cause),
                changes,
                *(loss or (None, None)),
            )
        )
        if loss is not None and member.customer_id:
            floors.append(CustomerFloor(member.customer_id, position.seq, loss.version))
    insert_rows(connection, "outbox", _COLUMNS, rows)
    return floors
