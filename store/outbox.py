"""The outbox: what changed, in commit order by shard, for the cache and for watchers.

What lives here: the making of rows, in a transaction that has locked the shards. The projector and
the feed read them.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from sqlalchemy import Connection

from decision.instants import Instant
from store.chain import canonical_json
from store.change_codec import EncodedChange
from store.database import copy_rows
from store.subjects import Member, ShardPosition

BY_TIME: Final[Mapping[str, object]] = {"time": True}
"""The cause of what begins or lapses by itself."""

_COLUMNS: Final = ("shard", "seq", "subject", "root", "recorded_at", "cause", "changes")


class Notice(NamedTuple):
    """That a customer id's record is due, and what changed for it and why."""

    member: Member
    root: int
    cause: Mapping[str, object]
    changes: list[EncodedChange]


def append_notices(
    connection: Connection,
    notices: Iterable[Notice],
    recorded_at: Instant,
    positions: dict[int, ShardPosition],
) -> None:
    """Append notices to the outboxes of locked shards, moving their positions."""
    rows = []
    for member, root, cause, changes in notices:
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
                canonical_json(changes),
            )
        )
    copy_rows(connection, "outbox", _COLUMNS, rows)
