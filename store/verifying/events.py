"""Walking a part of a shard's chain of events.

What lives here: working out again, event by event, what must be stored; what follows from an event
in other tables is compared page by page. A part can be walked by a process of its own: whether it
follows the part before is for whoever has both to say.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from decision.events import EventKind
from decision.instants import Instant
from store import chain
from store.verifying.following import problems_following
from store.verifying.heads import Head
from store.verifying.values import Fault

EVENTS_PER_PAGE: Final = 2000
"""Events that are in memory at once."""


@dataclass(frozen=True, slots=True)
class Part:
    """Part of a shard's chain: the positions in `[first, end)`; without `end` to the end.

    `instants` are those at which it is of interest how far the chain was.
    """

    shard: int
    first: int
    end: int | None
    instants: Sequence[Instant]


@dataclass(slots=True)
class WalkedPart:
    """What was found in a part. Where there is a fault, the walk ended with it.

    `heads` gives for each instant the last event recorded by then, if it is in the part.
    """

    part: Part
    events: int = 0
    personal: int = 0
    first_previous_hash: bytes = chain.GENESIS
    last_hash: bytes = chain.GENESIS
    first_event_id: str = ""
    first_recorded_at: Instant = 0
    last_recorded_at: Instant = 0
    heads: dict[Instant, Head] = field(default_factory=dict)
    fault: Fault | None = None


class EventRow(NamedTuple):
    """An event as stored, with what is stored beside it of its personal fields and its subject."""

    event_id: str
    position: int
    subject: int
    kind: str
    effective_at: Instant | None
    recorded_at: Instant
    body: str
    personal_commitment: bytes
    previous_hash: bytes
    hash: bytes
    salt: bytes | None
    personal: str | None
    subject_shard: int | None
    erased_at: Instant | None
    customer_id: str | None


# Looked up one by one: as joins, PostgreSQL may read whole tables for each page.
_PAGE: Final = """
SELECT event.event_id, event.position, event.subject, event.kind, event.effective_at,
    event.recorded_at, event.body::text, event.personal_commitment, event.previous_hash,
    event.hash, kept.salt, kept.personal, owner.shard, owner.erased_at, owner.customer_id
FROM event
LEFT JOIN LATERAL (
    SELECT salt, personal::text AS personal FROM event_personal
    WHERE event_personal.event_id = event.event_id LIMIT 1
) AS kept ON true
LEFT JOIN LATERAL (
    SELECT subject.shard, subject.erased_at,
        (SELECT customer_id FROM customer WHERE customer.subject = subject.number) AS customer_id
    FROM subject WHERE subject.number = event.subject LIMIT 1
) AS owner ON true
WHERE event.shard = %(shard)s AND event.position >= %(first)s AND event.position < %(end)s
ORDER BY event.position
LIMIT %(limit)s
"""

_POSITION_MAX: Final = 2**62


def walk_part(driver: Any, part: Part) -> WalkedPart:  # noqa: ANN401 - the driver's connection
    """Verify the events of a part, on a connection that shows one snapshot all the time."""
    walked = WalkedPart(part)
    position = part.first
    end = _POSITION_MAX if part.end is None else part.end
    # Whatever stands before the first of all has no place either.
    lowest = -_POSITION_MAX if part.first == 0 else part.first
    while position < end:
        parameters = {
            "shard": part.shard,
            "first": lowest,
            "end": end,
            "limit": EVENTS_PER_PAGE,
        }
        with driver.cursor(binary=True) as cursor:
            # All at once: the driver takes twice as long to give them one by one.
            rows = list(map(EventRow._make, cursor.execute(_PAGE, parameters).fetchall()))
        _walk_page(driver, walked, rows)
        if walked.fault is not None or len(rows) < EVENTS_PER_PAGE:
            break
        position = lowest = rows[-1].position + 1
    if walked.fault is None and part.end is not None and part.first + walked.events < part.end:
        walked.fault = _missing(part.shard, part.first + walked.events)
    return walked


def _walk_page(driver: Any, walked: WalkedPart, rows: Sequence[EventRow]) -> None:  # noqa: ANN401 - as above
    bodies: list[tuple[EventRow, Mapping[str, Any]]] = []
    for row in rows:
        problem, body = _problem_of(walked, row)
        if problem:
            walked.fault = Fault(problem, walked.part.shard, row.position, row.event_id)
            if row.position > walked.part.first + walked.events:
                walked.fault = _missing(walked.part.shard, walked.part.first + walked.events, row)
            break
        bodies.append((row, body))
        _take(walked, row)
    found = problems_following(driver, bodies)
    if found is not None:
        # It is before whatever else is wrong on the page.
        row, problem = found
        walked.fault = Fault(problem, walked.part.shard, row.position, row.event_id)


def _missing(shard: int, position: int, following: EventRow | None = None) -> Fault:
    after = f"; the next one there is {following.event_id}" if following is not None else ""
    return Fault(f"the event at this position is missing{after}", shard, position)


def _take(walked: WalkedPart, row: EventRow) -> None:
    if not walked.events:
        walked.first_previous_hash = row.previous_hash
        walked.first_event_id = row.event_id
        walked.first_recorded_at = row.recorded_at
    walked.events += 1
    walked.personal += row.personal is not None
    walked.last_hash = row.hash
    walked.last_recorded_at = row.recorded_at
    for instant in walked.part.instants:
        if row.recorded_at <= instant:
            walked.heads[instant] = Head(row.position + 1, row.hash)


_NOTHING: Final[Mapping[str, Any]] = {}


def _problem_of(walked: WalkedPart, row: EventRow) -> tuple[str, Mapping[str, Any]]:
    """Give what is wrong with an event, empty if nothing is, and its body."""
    if row.position != walked.part.first + walked.events:
        return "it is out of place", _NOTHING
    if walked.events and row.previous_hash != walked.last_hash:
        return "it does not follow the event before", _NOTHING
    try:
        body = orjson.loads(row.body)
        is_hashed = row.hash == chain.link(
            row.previous_hash, _content_of(walked.part.shard, row, body)
        )
    except (orjson.JSONEncodeError, orjson.JSONDecodeError):
        is_hashed = False
    if not is_hashed:
        return "it is not what was recorded: its hash is another", _NOTHING
    if walked.events and row.recorded_at <= walked.last_recorded_at:
        return "it was not recorded after the event before", _NOTHING
    return next(_problems_beside(walked.part.shard, row), ""), body


def _content_of(shard: int, row: EventRow, body: object) -> str:
    return chain.canonical_json(
        {
            "body": body,
            "effective_at": row.effective_at,
            "event_id": row.event_id,
            "kind": row.kind,
            "personal_commitment": row.personal_commitment.hex(),
            "position": row.position,
            "recorded_at": row.recorded_at,
            "shard": shard,
            "subject": row.subject,
        }
    )


_OWN_ID: Final = {
    EventKind.MERGE.value: "from_customer_id",
    EventKind.SPLIT.value: "split_customer_id",
}
"""Under what name the personal fields have the id by which an event was recorded."""


def _problems_beside(shard: int, row: EventRow) -> Iterator[str]:
    """Check what is stored beside an event: its subject, and what is personal of it."""
    if row.subject_shard != shard:
        yield "its subject is missing or was moved to another shard"
    if row.personal is None or row.salt is None:
        if row.erased_at is None and row.kind != EventKind.MERGE.value:
            yield "its personal fields are missing, and its customer was not erased"
        return
    personal = orjson.loads(row.personal)
    try:
        committed = chain.commitment(row.salt, chain.canonical_json(personal))
    except orjson.JSONEncodeError:
        committed = b""
    if committed != row.personal_commitment:
        yield "its personal fields are not those that were recorded"
    name = _OWN_ID.get(row.kind, "customer_id")
    if name in personal and personal[name] != row.customer_id:
        # While an erasure is under way both are there, once it is complete neither is.
        yield "its subject is another customer's by now, or nobody's"
