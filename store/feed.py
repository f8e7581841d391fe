"""The feed of permission changes: the outboxes, read from a cursor on.

What lives here: where a watcher stands, what comes next, and whether it is still kept. A shard's
rows are numbered without gaps in the order committed, so a watcher that has seen a number has seen
all before it.
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    Row,
    Select,
    SmallInteger,
    cast,
    func,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY

from decision.changes import PermissionChange
from decision.errors import ErrorCode, PreconditionError
from decision.instants import Instant
from store.change_codec import decode_changes
from store.code_numbers import CodeNumbers
from store.cursors import CursorKind, decode_cursor, encode_cursor
from store.database import reading
from store.publications import Catalogs
from store.schema import customer, installation, outbox, outbox_kept, shard
from store.sharding import SHARD_COUNT

ROWS_PER_READ_MAX: Final = 512
CHANGES_PER_PAGE_MAX: Final = 1000

NEWEST_SECONDS: Final = 0.05
"""How long what is known of the outboxes' ends serves everybody who watches."""


class FeedCause(Enum):
    """Why permissions changed."""

    EVENT = "event"
    PUBLICATION = "publication"
    TIME = "time"
    CORRECTION = "correction"


class FeedChange(NamedTuple):
    """One permission of one customer id that changed. Of several events the last is named."""

    shard: int
    seq: int
    customer_id: str
    change: PermissionChange
    cause: FeedCause
    event_id: str
    publication: int
    recorded_at: Instant


class FeedPosition(NamedTuple):
    """How far a watcher has come: the seq of every shard, in one life of the ledger."""

    epoch: int
    seqs: tuple[int, ...]

    def encode(self) -> str:
        """Write the position as an opaque cursor."""
        return encode_cursor(CursorKind.CHANGES, None, [self.epoch, *self.seqs])


class FeedPage(NamedTuple):
    """Changes that belong together in one message, and where the watcher stands after them."""

    changes: Sequence[FeedChange]
    position: FeedPosition


def decode_position(text: str) -> FeedPosition:
    """Read a cursor. Raises InvalidArgumentError naming `cursor`."""
    epoch, *seqs = decode_cursor("cursor", CursorKind.CHANGES, None, text, 1 + SHARD_COUNT)
    return FeedPosition(epoch, tuple(seqs))


class ChangeFeed:
    """Reads the feed. Safe to be used by several threads; holds no changes between two reads."""

    def __init__(self, engine: Engine, catalogs: Catalogs) -> None:
        """Read from the ledger's primary at `engine`."""
        self._engine = engine
        self._catalogs = catalogs
        self._lock = threading.Lock()
        self._newest: FeedPosition | None = None
        self._newest_read_at = 0.0

    def begin(self, *, from_oldest: bool) -> FeedPosition:
        """Give the position before the oldest change still kept, or after the newest."""
        with reading(self._engine) as connection:
            connection.execution_options(isolation_level="REPEATABLE READ")
            newest = _newest(connection)
            if not from_oldest:
                return newest
            oldest = _oldest_kept(connection)
            return newest._replace(
                seqs=tuple(
                    oldest[number] - 1 if number in oldest else seq
                    for number, seq in enumerate(newest.seqs)
                )
            )

    def has_more(self, position: FeedPosition) -> bool:
        """Tell whether reading on is worth while; PostgreSQL is asked once for all who watch."""
        with self._lock:
            if time.monotonic() - self._newest_read_at >= NEWEST_SECONDS or self._newest is None:
                with reading(self._engine) as connection:
                    self._newest = _newest(connection)
                self._newest_read_at = time.monotonic()
            return position != self._newest

    def read(self, position: FeedPosition) -> tuple[list[FeedPage], FeedPosition]:
        """Give what comes next, at most so many rows, and where the watcher stands after all of it.

        Raises PreconditionError when it is not kept any more, and UnavailableError.
        """
        with reading(self._engine) as connection:
            # One snapshot, so that no change names a code that a newer catalog brought.
            connection.execution_options(isolation_level="REPEATABLE READ")
            behind = _behind(position, _newest(connection))
            if not behind:
                return [], position
            numbers = self._catalogs.newest_in(connection).numbers
            rows = _next_rows(connection, behind)
        _refuse_gap(behind, rows)
        return _Pages(position, numbers).of(rows)


class _Pages:
    """Puts the changes of rows together into pages."""

    def __init__(self, position: FeedPosition, numbers: CodeNumbers) -> None:
        self._numbers = numbers
        self._epoch = position.epoch
        self._seqs = list(position.seqs)
        self._pages: list[FeedPage] = []
        self._changes: list[FeedChange] = []

    def of(self, rows: Sequence[Row[Any]]) -> tuple[list[FeedPage], FeedPosition]:
        for row in rows:
            for change in self._changes_of(row):
                if len(self._changes) == CHANGES_PER_PAGE_MAX:
                    self._end_page()
                self._changes.append(change)
            # A page that ends within a row stands before it: then the row comes again, in whole.
            self._seqs[row.shard] = row.seq
        if self._changes:
            self._end_page()
        return self._pages, self._position()

    def _end_page(self) -> None:
        self._pages.append(FeedPage(self._changes, self._position()))
        self._changes = []

    def _position(self) -> FeedPosition:
        return FeedPosition(self._epoch, tuple(self._seqs))

    def _changes_of(self, row: Row[Any]) -> Iterator[FeedChange]:
        # An erased customer has no id any more to tell of.
        if row.customer_id is None:
            return
        cause, event_id, publication = _decode_cause(row.cause)
        for change in decode_changes(row.changes, self._numbers):
            yield FeedChange(
                row.shard,
                row.seq,
                row.customer_id,
                change,
                cause,
                event_id,
                publication,
                row.recorded_at,
            )


def _decode_cause(cause: Mapping[str, Any]) -> tuple[FeedCause, str, int]:
    if "publication" in cause:
        return FeedCause.PUBLICATION, "", cause["publication"]
    if "event_ids" in cause:
        return FeedCause.EVENT, cause["event_ids"][-1], 0
    if "correction" in cause:
        return FeedCause.CORRECTION, "", 0
    return FeedCause.TIME, "", 0


def _newest(connection: Connection) -> FeedPosition:
    epoch = connection.execute(select(installation.c.epoch)).scalar_one()
    seqs = connection.scalars(select(shard.c.seq).order_by(shard.c.number)).all()
    return FeedPosition(epoch, tuple(seqs))


def _oldest_kept(connection: Connection) -> dict[int, int]:
    first = (
        select(outbox.c.seq)
        .where(outbox.c.shard == outbox_kept.c.shard)
        # What was pruned is still in the index until the table is vacuumed.
        .where(outbox.c.seq > outbox_kept.c.after_seq)
        .order_by(outbox.c.seq)
        .limit(1)
        .lateral()
    )
    rows = connection.execute(select(outbox_kept.c.shard, first.c.seq).join(first, true()))
    return {row.shard: row.seq for row in rows}


def _behind(position: FeedPosition, newest: FeedPosition) -> dict[int, int]:
    """Give the shards that have rows the watcher has not seen, and how far it has come in each."""
    is_ahead = any(seen > seq for seen, seq in zip(position.seqs, newest.seqs, strict=True))
    if position.epoch != newest.epoch or is_ahead:
        # The ledger was restored to an earlier state: what was seen may never have been.
        raise _too_old()
    return {
        number: seen
        for number, (seen, seq) in enumerate(zip(position.seqs, newest.seqs, strict=True))
        if seen < seq
    }


def _next_rows(connection: Connection, behind: Mapping[int, int]) -> Sequence[Row[Any]]:
    """Give the next rows of some shards, to each its part of what may be read at once."""
    seen = (
        func.unnest(
            cast(list(behind), ARRAY(SmallInteger)), cast(list(behind.values()), ARRAY(BigInteger))
        )
        .table_valued("number", "seq", name="seen")
        .render_derived()
    )
    rows = (
        select(outbox)
        .where(outbox.c.shard == seen.c.number)
        .where(outbox.c.seq > seen.c.seq)
        .order_by(outbox.c.seq)
        .limit(ROWS_PER_READ_MAX // len(behind))
        .lateral()
    )
    query: Select[Any] = (
        select(
            rows.c.shard,
            rows.c.seq,
            customer.c.customer_id,
            rows.c.cause,
            rows.c.changes,
            rows.c.recorded_at,
        )
        .select_from(seen.join(rows, true()))
        .outerjoin(customer, customer.c.subject == rows.c.subject)
        .order_by(rows.c.shard, rows.c.seq)
    )
    return connection.execute(query).all()


def _refuse_gap(behind: Mapping[int, int], rows: Sequence[Row[Any]]) -> None:
    """Refuse to go on where the next row was pruned. Raises PreconditionError."""
    first: dict[int, int] = {}
    for row in rows:
        first.setdefault(row.shard, row.seq)
    if any(first.get(number) != seen + 1 for number, seen in behind.items()):
        raise _too_old()


def _too_old() -> PreconditionError:
    message = "the changes after the cursor are no longer kept: read anew, then watch from now on"
    return PreconditionError(message, ErrorCode.CURSOR_TOO_OLD, {"field": "cursor"})
