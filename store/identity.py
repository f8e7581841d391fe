"""Voids, merges and splits: what changes which events count for whom.

What lives here: their checks against the ledger and their effects, each in the transaction that
`recording` opened (`semantics.md`, rules 7 and 9).
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType

from sqlalchemy import Connection, delete, func, insert, select, update

from decision.errors import ErrorCode, NotFoundError, PreconditionError
from decision.events import Merge, NewEvent, Split, Void
from store import ledger, states
from store.erased import refuse_while_erased
from store.publications import Catalogs
from store.schema import customer, event_void, merge_link, permission, state, subject, unmatched
from store.sharding import shard_of
from store.state_writing import Rewrite, rewrite_of
from store.subjects import (
    Person,
    find_or_make_subjects,
    find_subjects,
    lock_persons,
    persons_of_roots,
)
from store.writing import Entry, Recording, Written, finish


def record(
    connection: Connection, catalogs: Catalogs, recording: Recording, event: NewEvent
) -> Written:
    """Record a void, merge or split that is new and well formed.

    Raises NotFoundError for an unknown voided event and PreconditionError for what the ledger
    does not allow.
    """
    change = _Change(connection, catalogs, recording, event)
    match event.body:
        case Void():
            return change.void(event.body)
        case Merge():
            return change.merge(event.body)
        case Split():
            return change.split(event.body)
        case _:
            message = f"{type(event.body).__name__} is no void, merge or split"
            raise TypeError(message)


class _Change:
    def __init__(
        self,
        connection: Connection,
        catalogs: Catalogs,
        recording: Recording,
        event: NewEvent,
    ) -> None:
        self._connection = connection
        self._catalogs = catalogs
        self._recording = recording
        self._published = recording.published
        self._event = event
        self._cause = {"event_ids": [event.event_id]}

    def void(self, body: Void) -> Written:
        voided = self._voidable_event(body.voided_event_id)
        persons = lock_persons(self._connection, [voided.subject])
        _refuse_erased_owner(persons, voided.subject, body.voided_event_id)
        # Looked up only now: whoever voided it in the meantime held the same lock.
        self._refuse_void_event(body.voided_event_id)
        self._connection.execute(
            insert(event_void).values(
                voided_event_id=body.voided_event_id,
                event_id=self._event.event_id,
                recorded_at=ledger.NOT_RECORDED_YET,
            )
        )
        before = states.load_states(self._connection, persons)
        rewrites = [
            rewrite_of(folded, before.get(folded.person.root), self._cause)
            for folded in states.load_and_fold(self._connection, persons.values(), self._published)
        ]
        written = self._finish(voided.subject, voided.shard, rewrites)
        self._connection.execute(
            update(event_void)
            .where(event_void.c.voided_event_id == body.voided_event_id)
            .values(recorded_at=written.recorded_at[0])
        )
        return written

    def _voidable_event(self, event_id: str) -> ledger.StoredEvent:
        voided = ledger.find_events(self._connection, [event_id]).get(event_id)
        if voided is None:
            message = f"there is no event {event_id!r} to void"
            raise NotFoundError(
                message,
                ErrorCode.EVENT_NOT_FOUND,
                {"field": "voided_event_id", "event_id": event_id},
            )
        if voided.kind in ledger.IDENTITY_KINDS:
            message = f"{event_id!r} is a {voided.kind}, which can not be voided"
            raise PreconditionError(
                message,
                ErrorCode.NOT_VOIDABLE,
                {"field": "voided_event_id", "kind": voided.kind},
            )
        return voided

    def _refuse_void_event(self, event_id: str) -> None:
        by_event_id = self._connection.scalar(
            select(event_void.c.event_id).where(event_void.c.voided_event_id == event_id)
        )
        if by_event_id is not None:
            message = f"{event_id!r} is void already, by event {by_event_id!r}"
            raise PreconditionError(
                message,
                ErrorCode.ALREADY_VOID,
                {"field": "voided_event_id", "voided_by_event_id": by_event_id},
            )

    def merge(self, body: Merge) -> Written:
        found = find_or_make_subjects(
            self._connection, [body.from_customer_id, body.into_customer_id]
        )
        from_subject = found[body.from_customer_id]
        into_subject = found[body.into_customer_id]
        persons = lock_persons(self._connection, [from_subject, into_subject])
        refuse_while_erased(persons.values())
        into_root = _root_of(persons, into_subject)
        merged_into = self._merged_into(from_subject)
        if merged_into is not None:
            message = f"{body.from_customer_id!r} is merged already: split it first"
            raise PreconditionError(
                message,
                ErrorCode.ALREADY_MERGED,
                {
                    "field": "from_customer_id",
                    "into_customer_id": self._customer_id_of(merged_into),
                },
            )
        if into_root == from_subject:
            message = f"{body.into_customer_id!r} is merged into {body.from_customer_id!r} already"
            raise PreconditionError(
                message,
                ErrorCode.MERGE_CIRCLE,
                {"field": "into_customer_id", "customer_id": body.into_customer_id},
            )
        previous = self._previous_states(persons)
        self._connection.execute(
            update(subject).where(subject.c.root == from_subject).values(root=into_root)
        )
        self._connection.execute(
            update(subject).where(subject.c.number == from_subject).values(merged_into=into_subject)
        )
        self._connection.execute(
            update(subject)
            .where(subject.c.number.in_([from_subject, into_subject]))
            .values(named_by_merge=True)
        )
        self._forget_state(from_subject)
        written = self._finish(
            from_subject,
            shard_of(body.from_customer_id),
            self._rewrite_persons([into_root], previous),
            # The ids may be erased; who was one person with whom has to stay provable.
            {"from_subject": from_subject, "into_subject": into_subject},
        )
        self._connection.execute(
            insert(merge_link).values(
                event_id=self._event.event_id,
                from_subject=from_subject,
                into_subject=into_subject,
                recorded_at=written.recorded_at[0],
            )
        )
        return written

    def split(self, body: Split) -> Written:
        found = find_subjects(self._connection, [body.customer_id])
        number = found.get(body.customer_id)
        persons = lock_persons(self._connection, found.values())
        refuse_while_erased(persons.values())
        if number is None or self._merged_into(number) is None:
            message = f"{body.customer_id!r} is not merged into another customer"
            raise PreconditionError(
                message,
                ErrorCode.NOT_MERGED,
                {"field": "customer_id", "customer_id": body.customer_id},
            )
        previous = self._previous_states(persons)
        self._connection.execute(
            update(subject).where(subject.c.number == number).values(merged_into=None)
        )
        self._connection.execute(
            update(subject)
            .where(subject.c.number.in_(self._merged_below(number)))
            .values(root=number)
        )
        written = self._finish(
            number,
            shard_of(body.customer_id),
            self._rewrite_persons([*persons, number], previous),
            {"split_subject": number},
        )
        self._connection.execute(
            update(merge_link)
            .where(merge_link.c.from_subject == number)
            .where(merge_link.c.undone_at.is_(None))
            .values(undone_at=written.recorded_at[0], split_event_id=self._event.event_id)
        )
        return written

    def _merged_into(self, number: int) -> int | None:
        return self._connection.scalar(
            select(subject.c.merged_into).where(subject.c.number == number)
        )

    def _customer_id_of(self, number: int) -> str:
        """Give the outside id of a subject; an erased one has none."""
        return (
            self._connection.scalar(
                select(customer.c.customer_id).where(customer.c.subject == number)
            )
            or ""
        )

    def _merged_below(self, number: int) -> Collection[int]:
        """Give a subject with all that were merged into it, directly or not."""
        below = select(subject.c.number).where(subject.c.number == number).cte(recursive=True)
        below = below.union(select(subject.c.number).where(subject.c.merged_into == below.c.number))
        return self._connection.scalars(select(below.c.number)).all()

    def _previous_states(self, persons: dict[int, Person]) -> dict[int, states.StoredState | None]:
        """Give the state under which each member answers before the change."""
        before = states.load_states(self._connection, persons)
        return {
            member.subject: before.get(root)
            for root, person in persons.items()
            for member in person.members
        }

    def _rewrite_persons(
        self, roots: Collection[int], previous: dict[int, states.StoredState | None]
    ) -> list[Rewrite]:
        persons = persons_of_roots(self._connection, roots)
        return [
            Rewrite(
                folded,
                {member.subject: previous[member.subject] for member in folded.person.members},
                self._cause,
            )
            for folded in states.load_and_fold(self._connection, persons.values(), self._published)
        ]

    def _forget_state(self, root: int) -> None:
        """Drop what is kept for a subject that is no root any more; its state is the root's."""
        for table in (state, permission, unmatched):
            self._connection.execute(delete(table).where(table.c.subject == func.any([root])))

    def _finish(
        self,
        number: int,
        shard: int,
        rewrites: list[Rewrite],
        facts: Mapping[str, object] = MappingProxyType({}),
    ) -> Written:
        written = finish(
            self._connection,
            self._catalogs,
            self._recording,
            [Entry(self._event, number, shard, facts)],
            rewrites,
        )
        # Also who lost nothing by it: see `recording`.
        return replace(written, narrowing=replace(written.narrowing, customers=written.standing))


def _refuse_erased_owner(persons: Mapping[int, Person], number: int, event_id: str) -> None:
    """Refuse to void an event of somebody who is erased: nothing counts that it could change."""
    person = persons[_root_of(persons, number)]
    if person.is_erased and not person.customer_ids:
        message = f"the customer of {event_id!r} was erased: nothing of theirs counts any more"
        raise PreconditionError(
            message,
            ErrorCode.CUSTOMER_ERASED,
            {"field": "voided_event_id", "event_id": event_id},
        )
    refuse_while_erased([person])


def _root_of(persons: Mapping[int, Person], number: int) -> int:
    return next(
        root
        for root, person in persons.items()
        if any(member.subject == number for member in person.members)
    )
