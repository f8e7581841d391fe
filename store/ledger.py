"""The ledger: appending events to their shards' chains, and reading people's timelines.

What lives here: the rows of `event` and their companions. Which events are allowed, and what they
change, is decided in `recording` and `identity`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, Text, bindparam, cast, func, select

from decision.events import EventKind, NewEvent, TimelineEvent, effective_at
from decision.instants import FOREVER, Instant
from store import chain
from store.database import Query, Rows, ask, insert_rows, text_array
from store.event_codec import decode_body, decode_event, encode_event
from store.schema import event, event_personal, event_void, subject
from store.subjects import ROOTS_OF_SUBJECTS, ShardPosition

IDENTITY_KINDS: Final = (
    EventKind.VOID.value,
    EventKind.MERGE.value,
    EventKind.SPLIT.value,
    EventKind.ERASURE.value,
)
"""Kinds that change which events count, and are no part of a timeline themselves."""


NOT_RECORDED_YET: Final[Instant] = FOREVER - 1
"""Stands for a recorded instant until it is drawn, under the shard's lock, later in the same
transaction. It is before the known time of a question that takes everything into account.
"""


class StoredEvent(NamedTuple):
    """An event of the ledger, whether void or not."""

    event: NewEvent
    subject: int
    shard: int
    position: int
    recorded_at: Instant
    kind: str
    is_erased: bool = False
    """Whether its personal fields were erased, so that nobody can tell what it was."""


class Appended(NamedTuple):
    """An event to be appended: what it is, whose, when it was recorded, what else its body says."""

    event: NewEvent
    subject: int
    shard: int
    recorded_at: Instant
    facts: Mapping[str, object]


def append(
    connection: Connection,
    appended: Sequence[Appended],
    positions: dict[int, ShardPosition],
) -> None:
    """Append events to the chains of their shards, moving `positions`; the shards are locked."""
    rows = []
    personal_rows = []
    salts = chain.new_salts(len(appended))
    for salt, (new, of_subject, shard, recorded_at, facts) in zip(salts, appended, strict=True):
        kind, body, personal = encode_event(new)
        personal_json = chain.canonical_json(personal)
        seq, chain_length, chain_hash, incarnation = positions[shard]
        columns = _Columns(
            new.event_id,
            shard,
            chain_length,
            of_subject,
            kind.value,
            effective_at(new.body),
            recorded_at,
            chain.canonical_json({**body, **facts}),
            chain.commitment(salt, personal_json),
        )
        link = chain.link(chain_hash, _chained(columns))
        rows.append((*columns, chain_hash, link))
        personal_rows.append((new.event_id, salt, personal_json))
        positions[shard] = ShardPosition(seq, chain_length + 1, link, incarnation)
    insert_rows(connection, "event", (*_Columns._fields, "previous_hash", "hash"), rows)
    insert_rows(connection, "event_personal", ("event_id", "salt", "personal"), personal_rows)


class _Columns(NamedTuple):
    """What is chained of an event, in the order of its columns; `body` is canonical JSON."""

    event_id: str
    shard: int
    position: int
    subject: int
    kind: str
    effective_at: Instant | None
    recorded_at: Instant
    body: str
    personal_commitment: bytes


def _chained(columns: _Columns) -> str:
    """Write the columns as `chain.canonical_json` would, without writing the body once more."""
    at = "null" if columns.effective_at is None else columns.effective_at
    return (
        f'{{"body":{columns.body},"effective_at":{at},'
        f'"event_id":{chain.canonical_json(columns.event_id)},"kind":"{columns.kind}",'
        f'"personal_commitment":"{columns.personal_commitment.hex()}",'
        f'"position":{columns.position},"recorded_at":{columns.recorded_at},'
        f'"shard":{columns.shard},"subject":{columns.subject}}}'
    )


def _stored_events() -> Select[Any]:
    # Scalar subqueries, not joins: each event's is looked up by its key. As a join, PostgreSQL may
    # read the whole table for a few hundred events, above all where it has no statistics yet.
    personal = (
        select(cast(event_personal.c.personal, Text))
        .where(event_personal.c.event_id == event.c.event_id)
        .scalar_subquery()
    )
    return select(
        event.c.event_id,
        event.c.subject,
        event.c.shard,
        event.c.position,
        event.c.recorded_at,
        event.c.kind,
        # The driver takes longer to read JSON than to hand on its text.
        cast(event.c.body, Text).label("body"),
        personal.label("personal"),
    )


def _stored(row: Any) -> StoredEvent:  # noqa: ANN401 - a named tuple of the columns above
    decoded = decode_event(row.event_id, row.kind, row.body, row.personal)
    return StoredEvent(
        decoded,
        row.subject,
        row.shard,
        row.position,
        row.recorded_at,
        row.kind,
        is_erased=row.personal is None,
    )


FIND_EVENTS: Final = Query(
    _stored_events().where(event.c.event_id == func.any(bindparam("event_ids")))
)
"""The events with these `event_ids`, for `events_of_rows`."""


def _timelines_of(subjects: ColumnElement[Any]) -> Query:
    voided_at = (
        select(event_void.c.recorded_at)
        .where(event_void.c.voided_event_id == event.c.event_id)
        .where(event_void.c.recorded_at <= bindparam("known_at"))
        .scalar_subquery()
    )
    return Query(
        _stored_events()
        .where(event.c.subject == func.any(subjects))
        .where(event.c.recorded_at <= bindparam("known_at"))
        .where(*(event.c.kind != kind for kind in IDENTITY_KINDS))
        .where(voided_at.is_(None))
        .order_by(event.c.recorded_at)
    )


_TIMELINES: Final = _timelines_of(bindparam("subjects"))
TIMELINES_OF_PERSONS: Final = _timelines_of(
    func.array(
        select(subject.c.number)
        .where(subject.c.root == func.any(ROOTS_OF_SUBJECTS))
        .scalar_subquery()
    )
)
"""The timelines of the persons to whom `subjects` belong, for `timelines_of_rows`."""


def find_events(connection: Connection, event_ids: Collection[str]) -> dict[str, StoredEvent]:
    """Give the events with these ids that the ledger has, whether void or not."""
    [rows] = ask(connection, [FIND_EVENTS(event_ids=text_array(event_ids))])
    return events_of_rows(rows)


def events_of_rows(rows: Rows) -> dict[str, StoredEvent]:
    """Give events by id from the rows that hold them."""
    return {row.event_id: _stored(row) for row in rows}


def load_timelines(
    connection: Connection, subjects: Collection[int], known_at: Instant = FOREVER
) -> dict[int, list[TimelineEvent]]:
    """Give the events of each subject that count as known at an instant, oldest known first.

    Voids, merges and splits are no part of a timeline, and void events do not count. The events
    come with their sources and customer ids, which evidence shows.
    """
    [rows] = ask(connection, [_TIMELINES(subjects=list(subjects), known_at=known_at)])
    timelines: dict[int, list[TimelineEvent]] = {}
    for row in rows:
        timelines.setdefault(row.subject, []).append(timeline_event(_stored(row)))
    return timelines


def load_timelines_to_fold(
    connection: Connection, subjects: Collection[int]
) -> dict[int, list[TimelineEvent]]:
    """Give all events that count, as `timelines_of_rows` does."""
    [rows] = ask(connection, [_TIMELINES(subjects=list(subjects), known_at=FOREVER)])
    return timelines_of_rows(rows)


def timelines_of_rows(rows: Rows) -> dict[int, list[TimelineEvent]]:
    """Give timelines by subject from the rows that hold their events, in the order of these.

    Their sources and customer ids are left out: a fold does not look at them.
    """
    timelines: dict[int, list[TimelineEvent]] = {}
    for event_id, of_subject, _, _, recorded_at, kind, body, personal in rows:
        found = TimelineEvent(
            event_id,
            "",
            decode_body(kind, body, personal),  # type: ignore[arg-type]  # the kinds without a timeline are filtered out before
            recorded_at=recorded_at,
        )
        timelines.setdefault(of_subject, []).append(found)
    return timelines


def timeline_event(stored: StoredEvent) -> TimelineEvent:
    """Give a stored event as part of a timeline; it is none of the identity kinds."""
    event_id, customer_id, body, source, _ = stored.event
    return TimelineEvent(event_id, customer_id, body, source, stored.recorded_at)  # type: ignore[arg-type]  # the kinds without a timeline are filtered out before


def joined(
    timelines: dict[int, list[TimelineEvent]], subjects: Iterable[int]
) -> Sequence[TimelineEvent]:
    """Give the events of several subjects, who are one person, as one timeline."""
    parts = [timelines[number] for number in subjects if number in timelines]
    if len(parts) == 1:
        # They were read in order.
        return parts[0]
    return sorted((found for part in parts for found in part), key=lambda found: found.recorded_at)
