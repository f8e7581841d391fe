"""The outbox: what changed, in commit order by shard, for the cache and for watchers.

What lives here: the making of rows, in a transaction that has locked the shards. The projector and
the feed read them.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy import Connection

from decision.changes import PermissionChange
from decision.instants import Instant
from store.chain import canonical_json
from store.change_codec import EncodedChange, encode_changes
from store.code_numbers import CodeNumbers
from store.database import copy_rows
from store.subjects import Member, ShardPosition

BY_TIME: Final[Mapping[str, object]] = {"time": True}
"""The cause of what begins or lapses by itself."""

_COLUMNS: Final = ("shard", "seq", "subject", "root", "recorded_at", "cause", "changes")


class Outbox:
    """Appends rows to the outboxes of locked shards, moving their positions."""

    def __init__(
        self,
        connection: Connection,
        numbers: CodeNumbers,
        recorded_at: Instant,
        positions: dict[int, ShardPosition],
    ) -> None:
        """Append rows that are recorded at one instant."""
        self._connection = connection
        self._numbers = numbers
        self._recorded_at = recorded_at
        self._positions = positions
        self._rows: list[tuple[object, ...]] = []

    def encode(self, changes: Iterable[PermissionChange]) -> list[EncodedChange]:
        """Write changes in the form in which rows hold them; they may be told of many members."""
        return encode_changes(changes, self._numbers)

    def add(
        self,
        member: Member,
        root: int,
        cause: Mapping[str, object],
        changes: list[EncodedChange],
    ) -> None:
        """Tell the shard of a customer id that its record is due, and what changed for it."""
        position = self._positions[member.shard]
        position = position._replace(seq=position.seq + 1)
        self._positions[member.shard] = position
        self._rows.append(
            (
                member.shard,
                position.seq,
                member.subject,
                root,
                self._recorded_at,
                canonical_json(cause),
                canonical_json(changes),
            )
        )

    def flush(self) -> None:
        """Write the rows."""
        copy_rows(self._connection, "outbox", _COLUMNS, self._rows)
        self._rows = []
