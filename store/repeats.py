"""Events that the ledger has already: the same ones are answered anew, others refused.

What lives here: what a repeated event is answered with. It was recorded by an earlier transaction,
and perhaps nobody was told of it.
"""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection

from decision.errors import AlreadyExistsError, ErrorCode
from decision.events import NewEvent, TimelineEvent
from store import ledger
from store.floors import CustomerFloor, Narrowing
from store.ledger import StoredEvent
from store.narrowing import lost_by
from store.outcomes import Recorded
from store.subjects import ConnectedMember, connected_members
from store.writing import Recording


def refuse_other_content(event: NewEvent, earlier: NewEvent, *, is_erased: bool) -> None:
    """Raise AlreadyExistsError unless an event is the one that was there under its id before.

    Of one that `is_erased` nobody can tell, and whoever it was of is nobody now: as a repeat it
    would be acknowledged and yet count for nobody.
    """
    if is_erased:
        message = (
            f"the event {event.event_id!r} was erased with its customer: "
            "if it is to count, record it anew under a new id"
        )
        raise AlreadyExistsError(
            message,
            ErrorCode.EVENT_ERASED,
            {"field": "event_id", "event_id": event.event_id},
        )
    if not event.is_same_as(earlier):
        message = (
            f"the event id {event.event_id!r} is taken by an event with other content: "
            "record a new fact under a new id"
        )
        raise AlreadyExistsError(
            message,
            ErrorCode.EVENT_ID_TAKEN,
            {"field": "event_id", "event_id": event.event_id},
        )


def repeats(
    connection: Connection,
    repeated: Sequence[tuple[NewEvent, StoredEvent]],
    recording: Recording,
    *,
    with_timelines: bool,
) -> Iterator[Recorded]:
    """Answer events that the ledger has already with the same content, as people stand now."""
    numbers = {stored.subject for _, stored in repeated}
    if not numbers:
        return
    connected = connected_members(connection, numbers)
    timelines: dict[int, list[TimelineEvent]] = {}
    if with_timelines:
        timelines = ledger.load_timelines_to_fold(
            connection,
            {found.member.subject for members in connected.values() for found in members},
        )
    for event, stored in repeated:
        yield _repeated(event, stored, connected[stored.subject], timelines, recording)


def _repeated(
    event: NewEvent,
    stored: StoredEvent,
    connected: Sequence[ConnectedMember],
    timelines: dict[int, list[TimelineEvent]],
    recording: Recording,
) -> Recorded:
    """Answer one event that is repeated.

    What it took away may never have been told of, and its row in the outbox may be one of many
    since. So every customer id that was ever one person with its own gets a floor, where it stands
    now: a merge or split since then may have carried off an id that the event concerned.
    """
    [root] = {found.root for found in connected if found.member.subject == stored.subject}
    members = [found for found in connected if found.root == root]
    return Recorded(
        event,
        stored.recorded_at,
        is_repeated=True,
        epoch=recording.epoch,
        is_epoch_settled=recording.is_epoch_settled,
        positions={found.member.shard: found.shard_seq for found in members},
        published=recording.published,
        events=ledger.joined(timelines, (found.member.subject for found in members)),
        narrowing=Narrowing(
            recording.epoch,
            [
                CustomerFloor(found.member.customer_id, found.shard_seq, found.version)
                for found in connected
                if found.member.customer_id
            ],
            narrowed_at=lost_by(event.body, stored.recorded_at),
        ),
    )
