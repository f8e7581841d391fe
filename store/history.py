"""History: events as they were recorded, void ones, merges and splits included.

What lives here: finding and paging recorded events, with what became of them. Which of them count,
and what they amount to, is in `knowledge`.
"""

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, func, select, union

from decision.events import NewEvent, TimelineEvent
from decision.instants import Instant
from store import ledger
from store.schema import event, event_void, merge_link


class RecordedEvent(NamedTuple):
    """An event of the ledger, and the event that voided it, if one did as far as was known."""

    event: NewEvent
    recorded_at: Instant
    voided_by_event_id: str = ""
    voided_at: Instant | None = None


def find_recorded(
    connection: Connection, event_ids: Collection[str], known_at: Instant
) -> list[RecordedEvent]:
    """Give events that the ledger has, as known at an instant, in the order recorded."""
    voids = {
        row.voided_event_id: (row.event_id, row.recorded_at)
        for row in connection.execute(
            select(event_void)
            .where(event_void.c.voided_event_id == func.any(list(event_ids)))
            .where(event_void.c.recorded_at <= known_at)
        )
    }
    found = ledger.find_events(connection, event_ids)
    recorded = [
        RecordedEvent(stored.event, stored.recorded_at, *voids.get(event_id, ("", None)))
        for event_id, stored in found.items()
        if stored.recorded_at <= known_at
    ]
    recorded.sort(key=lambda one: one.recorded_at)
    return recorded


def load_void_events(
    connection: Connection, subjects: Collection[int], known_at: Instant
) -> list[TimelineEvent]:
    """Give the events of some subjects that were void as known at an instant."""
    event_ids = connection.scalars(
        select(event.c.event_id)
        .join(event_void, event_void.c.voided_event_id == event.c.event_id)
        .where(event.c.subject == func.any(list(subjects)))
        .where(event_void.c.recorded_at <= known_at)
    ).all()
    return [
        ledger.timeline_event(stored)
        for stored in ledger.find_events(connection, event_ids).values()
    ]


def load_identity_event_ids(
    connection: Connection, subjects: Collection[int], known_at: Instant
) -> set[str]:
    """Give the merges that name any of some subjects, and their splits, as known at an instant."""
    rows = connection.execute(
        select(merge_link)
        .where(_names_any_of(subjects))
        .where(merge_link.c.recorded_at <= known_at)
    ).all()
    splits = {
        row.split_event_id
        for row in rows
        if row.undone_at is not None and row.undone_at <= known_at
    }
    return {row.event_id for row in rows} | splits


def list_event_ids(
    connection: Connection,
    subjects: Collection[int] | None,
    after: Instant,
    until: Instant,
    limit: int,
) -> list[tuple[Instant, str]]:
    """Give when and as what the next events in `(after, until]` were recorded, in that order.

    With `subjects` only events under any of them, and the merges and splits that name one.
    """
    recorded: Any = select(event.c.recorded_at, event.c.event_id)
    if subjects is not None:
        recorded = recorded.where(event.c.subject == func.any(list(subjects)))
    recorded = _next_of(recorded, event.c.recorded_at, after, until, limit)
    if subjects is not None:
        named = _names_any_of(subjects)
        merges = select(merge_link.c.recorded_at, merge_link.c.event_id).where(named)
        splits = select(merge_link.c.undone_at, merge_link.c.split_event_id).where(named)
        recorded = union(
            recorded.subquery().select(),
            _next_of(merges, merge_link.c.recorded_at, after, until, limit).subquery().select(),
            _next_of(splits, merge_link.c.undone_at, after, until, limit).subquery().select(),
        )
        recorded = recorded.order_by("recorded_at").limit(limit)
    return [(recorded_at, event_id) for recorded_at, event_id in connection.execute(recorded)]


def _names_any_of(subjects: Collection[int]) -> ColumnElement[bool]:
    numbers = list(subjects)
    return (merge_link.c.from_subject == func.any(numbers)) | (
        merge_link.c.into_subject == func.any(numbers)
    )


def _next_of(
    query: Select[Any], column: ColumnElement[int], after: Instant, until: Instant, limit: int
) -> Select[Any]:
    return query.where(column > after).where(column <= until).order_by(column).limit(limit)
