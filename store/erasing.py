"""Erasing persons: everything personal goes, and the proof stays.

What lives here: the two transactions of an erasure, and what is removed. The first records that
nothing of the person counts any more, as an event of the ledger; their customer ids still lead to
them then, so that the cache can be told. Once no check can miss it and the cache shows it, which is
for the caller to see to, the second removes the ids and every personal field, in Redis too. Between
the two nothing is recorded of the person; whoever comes under the id afterwards is somebody new.

An erasure that stops in between stands in `erasure`, and is completed by whoever finds it there.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Engine, Row, delete, func, insert, or_, select, text, update

from decision.errors import AlreadyExistsError, ErrorCode, PreconditionError, UnavailableError
from decision.event_rules import check_event
from decision.events import Erasure, EventKind, NewEvent
from decision.instants import Instant
from store import journal, ledger, pieces, states
from store.cache import Cache
from store.database import reading, run_transaction
from store.floors import CustomerFloor, Narrowing
from store.ledger_clock import read_now
from store.publications import Catalogs
from store.schema import (
    customer,
    erasure,
    event,
    event_personal,
    merge_link,
    subject,
)
from store.shard_sources import read_sources
from store.sharding import shard_of
from store.state_writing import Rewrite
from store.subjects import Person, find_subjects, lock_persons, persons_of_roots
from store.writing import Entry, Recording, begin_recording, finish

UNDER_WAY_READ_MAX: Final = 100
"""Erasures under way that are completed in one turn, the oldest first."""


class NotAppliedError(UnavailableError):
    """Redis does not show yet that nothing of the person counts."""

    def __init__(self) -> None:
        super().__init__("Redis does not show the erasure yet: send it again in a moment")


class Progress(Enum):
    """How far an erasure is."""

    NOTHING_HELD = "nobody is known under the id"
    UNDER_WAY = "nothing of the person counts; what is personal is still there"
    COMPLETE = "nothing personal is left"


@dataclass(frozen=True, slots=True)
class Begun:
    """An erasure as the first transaction left it.

    Of one UNDER_WAY `positions` says at which seq of each shard the cache shows it, and `narrowing`
    what everybody has to be told of. `root` is the person's, 0 where nothing is held.
    """

    progress: Progress
    event_id: str
    root: int = 0
    recorded_at: Instant = 0
    is_repeated: bool = False
    epoch: int = 0
    positions: Mapping[int, int] = field(default_factory=dict)
    narrowing: Narrowing | None = None


class Removed(NamedTuple):
    """What the second transaction removed.

    `event_ids_naming` counts events that stay with an id of their own in which a customer id of the
    person stands: ids of events can not be changed.
    """

    customer_ids: int
    events: int
    event_ids_naming: int


NOTHING_REMOVED: Final = Removed(0, 0, 0)


def begin(engine: Engine, catalogs: Catalogs, new: NewEvent) -> Begun:
    """Record that nothing of a customer's person counts any more.

    One that is under way already is gone on with, under whatever event id. Raises
    InvalidArgumentError, PreconditionError when the person has several ids and not all were asked
    for, and AlreadyExistsError when the event id is another event's.
    """
    return run_transaction(engine, lambda connection: _begin(connection, catalogs, new))


def _begin(connection: Connection, catalogs: Catalogs, new: NewEvent) -> Begun:
    recording = begin_recording(connection, catalogs)
    check_event(new, recording.published.catalog)
    number = find_subjects(connection, [new.customer_id]).get(new.customer_id)
    stored = ledger.find_events(connection, [new.event_id]).get(new.event_id)
    if stored is not None and not _is_of(connection, stored, number):
        raise _taken(new.event_id)
    if number is None:
        progress = Progress.NOTHING_HELD if stored is None else Progress.COMPLETE
        return Begun(progress, new.event_id, is_repeated=stored is not None)
    [person] = lock_persons(connection, [number]).values()
    if person.is_erased:
        return _under_way(connection, recording, person)
    others = len(person.customer_ids) - 1
    if others and isinstance(new.body, Erasure) and not new.body.with_merged:
        message = (
            f"{others} more customer ids are one person with {new.customer_id!r}: "
            "erase all of them together, or split them before"
        )
        raise PreconditionError(
            message,
            ErrorCode.SEVERAL_IDS,
            {"field": "customer_id", "other_count": str(others)},
        )
    return _record(connection, catalogs, recording, person, number, new)


def _is_of(connection: Connection, stored: ledger.StoredEvent, number: int | None) -> bool:
    """Tell whether an event is the erasure of whoever a customer id leads to; or led, if to nobody.

    An id that leads to somebody else by now may not be told that it is erased.
    """
    if stored.kind != EventKind.ERASURE.value:
        return False
    row = connection.execute(
        select(erasure).where(erasure.c.event_id == stored.event.event_id)
    ).one()
    if number is None:
        return row.completed_at is not None
    root = connection.scalar(select(subject.c.root).where(subject.c.number == number))
    return bool(root == row.root)


def _taken(event_id: str) -> AlreadyExistsError:
    message = f"the event id {event_id!r} is taken by another event: erase under a new id"
    return AlreadyExistsError(
        message, ErrorCode.EVENT_ID_TAKEN, {"field": "event_id", "event_id": event_id}
    )


def _record(
    connection: Connection,
    catalogs: Catalogs,
    recording: Recording,
    person: Person,
    number: int,
    new: NewEvent,
) -> Begun:
    numbers = [member.subject for member in person.members]
    connection.execute(
        update(subject)
        .where(subject.c.number == func.any(numbers))
        .values(erased_at=ledger.NOT_RECORDED_YET)
    )
    before = states.load_states(connection, [person.root]).get(person.root)
    folded = states.fold_person(person._replace(is_erased=True), (), recording.published)
    written = finish(
        connection,
        catalogs,
        recording,
        [Entry(new, number, shard_of(new.customer_id), {"erased_subjects": numbers})],
        # Without the state before, so that every permission goes, also what is past.
        [Rewrite(folded, dict.fromkeys(numbers, before), {"event_ids": [new.event_id]})],
    )
    [recorded_at] = written.recorded_at
    connection.execute(
        update(subject).where(subject.c.number == func.any(numbers)).values(erased_at=recorded_at)
    )
    positions = {member.shard: written.positions[member.shard] for member in person.members}
    connection.execute(
        insert(erasure).values(
            event_id=new.event_id,
            root=person.root,
            recorded_at=recorded_at,
            positions={str(number): seq for number, seq in positions.items()},
        )
    )
    return Begun(
        Progress.UNDER_WAY,
        new.event_id,
        person.root,
        recorded_at,
        is_repeated=False,
        epoch=recording.epoch,
        positions=positions,
        narrowing=replace(written.narrowing, customers=written.standing),
    )


def _under_way(connection: Connection, recording: Recording, person: Person) -> Begun:
    """Give the erasure that a person is in, to be told of anew: perhaps nobody has been told."""
    row = connection.execute(select(erasure).where(erasure.c.root == person.root)).one()
    positions = _positions(row)
    version = states.load_states(connection, [person.root])[person.root].version
    floors = [
        CustomerFloor(member.customer_id, positions[member.shard], version)
        for member in person.members
        if member.customer_id
    ]
    return Begun(
        Progress.UNDER_WAY,
        row.event_id,
        person.root,
        row.recorded_at,
        is_repeated=True,
        epoch=recording.epoch,
        positions=positions,
        narrowing=Narrowing(recording.epoch, floors, narrowed_at=row.recorded_at),
    )


def _positions(row: Row[Any]) -> dict[int, int]:
    return {int(number): seq for number, seq in row.positions.items()}


def list_under_way(
    engine: Engine, catalogs: Catalogs, older_than_seconds: float
) -> Sequence[Begun]:
    """Give the erasures that somebody began so long ago and nobody has completed."""

    def work(connection: Connection) -> Sequence[Begun]:
        recording = begin_recording(connection, catalogs)
        until = read_now(connection) - int(older_than_seconds * _MICROSECONDS_PER_SECOND)
        roots = connection.scalars(
            select(erasure.c.root)
            .where(erasure.c.completed_at.is_(None))
            .where(erasure.c.recorded_at < until)
            .order_by(erasure.c.recorded_at)
            .limit(UNDER_WAY_READ_MAX)
        ).all()
        return [
            _under_way(connection, recording, person)
            for person in persons_of_roots(connection, roots).values()
        ]

    return run_transaction(engine, work)


_MICROSECONDS_PER_SECOND: Final = 1_000_000


def complete(engine: Engine, cache: Cache, root: int) -> Removed:
    """Remove everything personal of a person, from Redis and PostgreSQL.

    Every check MUST heed by now that nothing of the person counts (`Begun.narrowing`). Raises
    NotAppliedError while Redis does not show it, and UnavailableError. Once it is done it does
    nothing.
    """
    return run_transaction(engine, lambda connection: _complete(connection, cache, root))


def _complete(connection: Connection, cache: Cache, root: int) -> Removed:
    # Whoever wants to record under one of the ids waits for this lock, and is somebody new after.
    [person] = lock_persons(connection, [root]).values()
    row = connection.execute(
        select(erasure).where(erasure.c.root == root).where(erasure.c.completed_at.is_(None))
    ).one_or_none()
    if row is None:
        return NOTHING_REMOVED
    # Redis first: as long as the ids are there, a crash leaves somebody to do it again.
    _forget(connection, cache, _positions(row), person.customer_ids)
    removed = _remove(connection, person)
    connection.execute(
        update(erasure)
        .where(erasure.c.event_id == row.event_id)
        .values(completed_at=read_now(connection))
    )
    return removed


def forget_stranger(engine: Engine, cache: Cache, customer_id: str) -> None:
    """Remove what is kept under an id by which nobody is known: in the journal, and in Redis.

    There it may be after Redis went back.

    Nobody can become known by it meanwhile. Nothing is done if somebody is. Raises NotAppliedError
    while the shard's cache has no life that PostgreSQL knows, and UnavailableError.
    """
    with reading(engine) as connection:
        # A row that is never committed: whoever wants to make one waits for it to be gone.
        reserved = connection.execute(_RESERVE, {"customer_id": customer_id})
        try:
            if not reserved.rowcount:
                return
            _forget(connection, cache, {}, [customer_id])
        finally:
            connection.rollback()
    run_transaction(engine, lambda connection: journal.forget(connection, [customer_id]))


_RESERVE: Final = text(
    "INSERT INTO customer (customer_id, subject) "
    "VALUES (:customer_id, nextval('subject_number')) ON CONFLICT DO NOTHING"
)


def _forget(
    connection: Connection,
    cache: Cache,
    positions: Mapping[int, int],
    customer_ids: Collection[str],
) -> None:
    by_shard: dict[int, list[str]] = {}
    for customer_id in customer_ids:
        by_shard.setdefault(shard_of(customer_id), []).append(customer_id)
    for source in read_sources(connection, list(by_shard)):
        number = source.number
        seq = positions.get(number, 0)
        if not cache.forget(number, source.life, seq, by_shard[number]).is_accepted:
            raise NotAppliedError


def _remove(connection: Connection, person: Person) -> Removed:
    numbers = [member.subject for member in person.members]
    customer_ids = list(person.customer_ids)
    # Merges with somebody else, undone since: they name both.
    named = select(merge_link.c.event_id).where(
        or_(
            merge_link.c.from_subject == func.any(numbers),
            merge_link.c.into_subject == func.any(numbers),
        )
    )
    of_person = select(event.c.event_id).where(event.c.subject == func.any(numbers))
    event_ids = set(connection.scalars(of_person)) | set(connection.scalars(named))
    removed = connection.execute(
        delete(event_personal).where(event_personal.c.event_id == func.any(list(event_ids)))
    )
    connection.execute(delete(customer).where(customer.c.subject == func.any(numbers)))
    pieces.remove_left(connection, customer_ids)
    journal.forget(connection, customer_ids)
    naming = sum(
        any(customer_id in event_id for customer_id in customer_ids) for event_id in event_ids
    )
    return Removed(len(customer_ids), removed.rowcount, naming)
