"""The ledger: appending events to their shards' chains, and reading people's timelines.

What lives here: the rows of `event` and their companions. Which events are allowed, and what they
change, is decided in `recording` and `identity`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, Select, bindparam, func, select

from decision.events import EventKind, NewEvent, TimelineEvent, effective_at
from decision.instants import FOREVER, Instant
from store import chain
from store.database import insert_rows
from store.event_codec import decode_event, encode_event
from store.schema import event, event_personal, event_void
from store.subjects import ShardPosition

IDENTITY_KINDS: Final = (EventKind.VOID.value, EventKind.MERGE.value, EventKind.SPLIT.value)
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


class Appended(NamedTuple):
    """An event to be appended: what it is, whose, when it was recorded, what else its body says."""

    event: NewEvent
    subject: int
    shard: int
    recorded_at: Instant
    facts: Mapping[str, object]


def append(
    connection: Connection,
    appended: Iterable[Appended],
    positions: dict[int, ShardPosition],
) -> None:
    """Append events to the chains of their shards, moving `positions`; the shards are locked."""
    rows = []
    personal_rows = []
    for entry in appended:
        encoded = encode_event(entry.event)
        body = {**encoded.body, **entry.facts}
        salt = chain.new_salt()
        personal_commitment = chain.commitment(salt, encoded.personal)
        before = positions[entry.shard]
        at = effective_at(entry.event.body)
        content = {
            "event_id": entry.event.event_id,
            "shard": entry.shard,
            "position": before.chain_length,
            "subject": entry.subject,
            "kind": encoded.kind.value,
            "effective_at": at,
            "recorded_at": entry.recorded_at,
            "body": body,
            "personal_commitment": personal_commitment.hex(),
        }
        link = chain.link(before.chain_hash, content)
        rows.append(
            (
                *(content[name] for name in _EVENT_COLUMNS[:7]),
                chain.canonical_json(body),
                personal_commitment,
                before.chain_hash,
                link,
            )
        )
        personal_rows.append((entry.event.event_id, salt, chain.canonical_json(encoded.personal)))
        positions[entry.shard] = before._replace(
            chain_length=before.chain_length + 1, chain_hash=link
        )
    insert_rows(connection, "event", _EVENT_COLUMNS, rows)
    insert_rows(connection, "event_personal", ("event_id", "salt", "personal"), personal_rows)


_EVENT_COLUMNS: Final = (
    "event_id",
    "shard",
    "position",
    "subject",
    "kind",
    "effective_at",
    "recorded_at",
    "body",
    "personal_commitment",
    "previous_hash",
    "hash",
)


def _stored_events() -> Select[Any]:
    return select(
        event.c.event_id,
        event.c.subject,
        event.c.shard,
        event.c.position,
        event.c.recorded_at,
        event.c.kind,
        event.c.body,
        event_personal.c.personal,
    ).select_from(event.outerjoin(event_personal, event_personal.c.event_id == event.c.event_id))


def _stored(row: Row[Any]) -> StoredEvent:
    decoded = decode_event(row.event_id, row.kind, row.body, row.personal)
    return StoredEvent(decoded, row.subject, row.shard, row.position, row.recorded_at, row.kind)


# Built once: building costs as much as sending, and every write sends these.
_EVENTS: Final = _stored_events().where(event.c.event_id == func.any(bindparam("event_ids")))
_TIMELINES: Final = (
    _stored_events()
    .where(event.c.subject == func.any(bindparam("subjects")))
    .where(event.c.recorded_at <= bindparam("known_at"))
    .where(event.c.kind.not_in(IDENTITY_KINDS))
    .where(
        ~select(event_void.c.voided_event_id)
        .where(event_void.c.voided_event_id == event.c.event_id)
        .where(event_void.c.recorded_at <= bindparam("known_at"))
        .exists()
    )
    .order_by(event.c.recorded_at)
)


def find_events(connection: Connection, event_ids: Collection[str]) -> dict[str, StoredEvent]:
    """Give the events with these ids that the ledger has, whether void or not."""
    rows = connection.execute(_EVENTS, {"event_ids": list(event_ids)})
    return {row.event_id: _stored(row) for row in rows}


def load_timelines(
    connection: Connection, subjects: Collection[int], known_at: Instant = FOREVER
) -> dict[int, list[TimelineEvent]]:
    """Give the events of each subject that count as known at an instant, oldest known first.

    Voids, merges and splits are no part of a timeline, and void events do not count.
    """
    rows = connection.execute(_TIMELINES, {"subjects": list(subjects), "known_at": known_at})
    timelines: dict[int, list[TimelineEvent]] = {}
    for row in rows:
        timelines.setdefault(row.subject, []).append(timeline_event(_stored(row)))
    return timelines


def timeline_event(stored: StoredEvent) -> TimelineEvent:
    """Give a stored event as part of a timeline; it is none of the identity kinds."""
    event_id, customer_id, body, source = stored.event
    return TimelineEvent(event_id, customer_id, body, source, stored.recorded_at)  # type: ignore[arg-type]  # the kinds without a timeline are filtered out before


def joined(
    timelines: dict[int, list[TimelineEvent]], subjects: Iterable[int]
) -> Sequence[TimelineEvent]:
    """Give the events of several subjects, who are one person, as one timeline."""
    events = [found for number in subjects for found in timelines.get(number, ())]
    events.sort(key=lambda found: found.recorded_at)
    return events
