"""The beginning and the end of every write.

What lives here: what a transaction that records has to know before anything else, and the one
sequence in which it finishes, holding its persons' locks: states replaced, shards locked, instants
drawn, events appended.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Connection, select, text

from decision.events import NewEvent
from decision.instants import Instant
from store import ledger
from store.cache import Batch
from store.database import (
    CATALOG_LOCK,
    COMMIT,
    DRAW_INSTANTS,
    Query,
    Question,
    Rows,
    ask,
    send,
    unawaited,
)
from store.floors import CustomerFloor, Narrowing
from store.ledger_clock import CLOCK_SQL
from store.meta import CacheLife
from store.outbox import Notice, append_notices, narrowed_at
from store.publications import NEWEST_PUBLICATION, Catalogs, PublishedCatalog
from store.schema import installation
from store.state_writing import Rewrite, StateWriter, new_version
from store.subjects import (
    ShardPosition,
    lock_shards_question,
    move_shards,
    shard_positions,
)


class Entry(NamedTuple):
    """An event that is about to be appended, with the subject under which it is recorded.

    `facts` are added to its body: what the ledger knows of it and its sender could not say.
    """

    event: NewEvent
    subject: int
    shard: int
    facts: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True)
class Recording:
    """Under what a transaction records; all of it holds until commit, but for the clock.

    `now` is PostgreSQL's clock and not ours: a writer whose clock jumps judges no state by it.
    With `is_epoch_settled` every lease of an older epoch is known to be over.
    """

    published: PublishedCatalog
    epoch: int
    is_epoch_settled: bool
    now: Instant


@dataclass(frozen=True, slots=True)
class Written:
    """When each entry was recorded, where the shards stand that tell of it, what was taken away.

    `standing` gives for every customer id concerned, whether or not it lost anything, the floor
    that demands what is recorded of it by now. `batches` are what each shard's cache lacks once it
    shows where the shard stood before: exactly the rows appended to its outbox.
    """

    recorded_at: Sequence[Instant]
    positions: Mapping[int, int]
    narrowing: Narrowing
    standing: Sequence[CustomerFloor]
    batches: Mapping[int, Batch]


STATE_VERSION: Final = "state_version"
"""What the body of an event calls the version of the person's state that is the first with it."""

_RECORDING: Final = Query(
    select(
        NEWEST_PUBLICATION.label("newest"),
        installation.c.epoch,
        installation.c.settled_epoch,
        text(f"{CLOCK_SQL} AS now"),
    )
)

BEGIN_RECORDING: Final[Sequence[Question]] = (
    # A statement of its own: the next one has to see what was committed while it waited.
    Query(text("SELECT pg_advisory_xact_lock_shared(:lock)"))(lock=CATALOG_LOCK),
    _RECORDING(),
)
"""What every write asks first; `recording_of` takes the last answer."""


def begin_recording(connection: Connection, catalogs: Catalogs) -> Recording:
    """Keep publications and new epochs out until commit, and tell under what events are derived."""
    return recording_of(connection, catalogs, ask(connection, BEGIN_RECORDING)[-1])


def read_recording(connection: Connection, catalogs: Catalogs) -> Recording:
    """Tell under what events are derived; the caller holds the catalog lock, shared or not."""
    return recording_of(connection, catalogs, ask(connection, [_RECORDING()])[0])


def recording_of(connection: Connection, catalogs: Catalogs, rows: Rows) -> Recording:
    """Tell under what events are derived, from what was read under the catalog lock."""
    [row] = rows
    catalogs.enter_epoch(row.epoch)
    return Recording(
        catalogs.by_number(connection, row.newest),
        row.epoch,
        row.settled_epoch == row.epoch,
        row.now,
    )


def finish(
    connection: Connection,
    catalogs: Catalogs,
    recording: Recording,
    entries: Sequence[Entry],
    rewrites: Sequence[Rewrite],
    *,
    tells_losses: bool = True,
    commits: bool = False,
) -> Written:
    """Replace the states and append the entries; what needs the shards' locks comes last.

    Without `tells_losses` nothing counts as taken away: so does a roll-out, whose publication was
    told of when it was recorded. With `commits` the commit is sent with the last statements, and
    nothing may follow; see `database.run_transaction_asking`.
    """
    writer = StateWriter(
        connection, catalogs, recording.published, recording.now, tells_losses=tells_losses
    )
    rows = writer.rows(rewrites)
    # Worked out before the shards are locked, which nobody should be for longer than need be.
    notices = writer.notices(rewrites)
    instant_count = max(1, len(entries))
    with unawaited(connection, rows.count_max):
        writer.replace(rows)
        locked = send(
            connection,
            lock_shards_question(
                {notice.member.shard for notice in notices} | {entry.shard for entry in entries}
            ),
        )
        # After the locks, so that a question as known at an instant can wait for us.
        drawn = send(connection, DRAW_INSTANTS(count=instant_count))
    positions = shard_positions(locked.rows())
    [[first]] = drawn.rows()
    recorded_at = [first + index for index in range(len(entries))]
    began_at = {number: position.seq for number, position in positions.items()}
    last = first + instant_count - 1
    versions = {
        member.subject: new_version(rewrite)
        for rewrite in rewrites
        for member in rewrite.folded.person.members
    }
    with unawaited(connection, max(len(entries), len(notices))):
        ledger.append(
            connection,
            [
                ledger.Appended(
                    entry.event,
                    entry.subject,
                    entry.shard,
                    instant,
                    # So that it can be told which events an answer from this state rested on.
                    {**entry.facts, STATE_VERSION: versions[entry.subject]},
                )
                for entry, instant in zip(entries, recorded_at, strict=True)
            ],
            positions,
        )
        floors = append_notices(connection, notices, last, positions)
        move_shards(connection, positions)
        # Before the commit: whatever went wrong here would still undo everything.
        losses = [notice.loss for notice in notices if notice.loss is not None]
        written = Written(
            recorded_at,
            {number: position.seq for number, position in positions.items()},
            Narrowing(
                recording.epoch,
                floors,
                narrowed_at=max((narrowed_at(last, loss.lost_at) for loss in losses), default=last),
            ),
            [
                CustomerFloor(member.customer_id, positions[member.shard].seq, new_version(rewrite))
                for rewrite in rewrites
                for member in rewrite.folded.person.members
                if member.customer_id
            ],
            _batches(recording, notices, writer.records, began_at, positions),
        )
        if commits:
            send(connection, COMMIT)
    return written


def _batches(
    recording: Recording,
    notices: Sequence[Notice],
    records: Mapping[int, bytes],
    began_at: Mapping[int, int],
    positions: Mapping[int, ShardPosition],
) -> dict[int, Batch]:
    records_by_shard: dict[int, dict[str, bytes]] = {}
    for notice in notices:
        shown = records_by_shard.setdefault(notice.member.shard, {})
        # Nobody can ask for an erased id any more.
        if notice.member.customer_id:
            shown[notice.member.customer_id] = records[notice.root]
    return {
        number: Batch(
            CacheLife(recording.epoch, positions[number].incarnation),
            began_at[number] + 1,
            positions[number].seq,
            # Whether the roll-out is done is for those to say who look after commit.
            publication=0,
            newest_publication=recording.published.number,
            records=shown,
        )
        for number, shown in records_by_shard.items()
    }
