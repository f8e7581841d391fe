"""Positions: up to which event of the ledger a version of a person's state goes.

What lives here: reading it from the ledger alone. Every event says which version of its person's
state is the first with it (`writing.STATE_VERSION`), and along a person's history, through merges
and splits, versions only rise.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from sqlalchemy import BigInteger, Connection, func, or_, select

from decision.instants import BEGINNING, FOREVER, Instant
from store.schema import event, merge_link
from store.subjects import find_subjects
from store.writing import STATE_VERSION

BEFORE_EVERYTHING: Final[Instant] = BEGINNING


class Position(NamedTuple):
    """Known time up to which events counted.

    One that is not `is_exact` rests on events of earlier versions of this program, which do not say
    what state they came into: those count that were recorded before the answer was given.
    """

    known_at: Instant
    is_exact: bool


class Link(NamedTuple):
    """Two subjects that were one person from one recorded instant to another."""

    from_subject: int
    into_subject: int
    since: Instant
    until: Instant


class LedgerEvent(NamedTuple):
    """An event as far as positions go; `version` is None where it does not say."""

    subject: int
    recorded_at: Instant
    version: int | None


def find_position(
    connection: Connection, customer_id: str, version: int, answered_at: Instant
) -> Position:
    """Find up to where the state `version` of a customer goes, by which was answered then."""
    number = find_subjects(connection, [customer_id]).get(customer_id)
    if number is None:
        return Position(BEFORE_EVERYTHING, is_exact=True)
    links = _links_around(connection, number)
    subjects = {number}.union(*((link.from_subject, link.into_subject) for link in links))
    return position_of(number, links, _events_of(connection, subjects), version, answered_at)


def position_of(
    number: int,
    links: Sequence[Link],
    events: Iterable[LedgerEvent],
    version: int,
    answered_at: Instant,
) -> Position:
    """Work it out from all events, in the order recorded, of all who ever were one with somebody.

    Events of others count only as long as they were that person's: a merge or a split is of both
    who were, and who are, one person.
    """
    found = Position(BEFORE_EVERYTHING, is_exact=True)
    for one in events:
        if not _concerns(number, links, one):
            continue
        if one.version is None:
            if one.recorded_at <= answered_at:
                found = Position(one.recorded_at, is_exact=False)
        elif one.version <= version:
            found = Position(one.recorded_at, is_exact=True)
        else:
            break
    return found


def _concerns(number: int, links: Sequence[Link], one: LedgerEvent) -> bool:
    if one.subject == number:
        return True
    # Just before it and just after: a split is of both who were one person.
    instants = (one.recorded_at - 1, one.recorded_at)
    return any(one.subject in _person_at(number, links, at) for at in instants)


def _person_at(number: int, links: Sequence[Link], at: Instant) -> Collection[int]:
    person = {number}
    standing = [link for link in links if link.since <= at < link.until]
    while True:
        joined = {
            subject
            for link in standing
            if link.from_subject in person or link.into_subject in person
            for subject in (link.from_subject, link.into_subject)
        }
        if joined <= person:
            return person
        person |= joined


def _links_around(connection: Connection, number: int) -> list[Link]:
    """Give every merge of everybody who ever was one person with a subject, or with such a one."""
    found: dict[str, Link] = {}
    around = {number}
    looked_at: set[int] = set()
    while around > looked_at:
        looked_at = set(around)
        rows = connection.execute(
            select(merge_link).where(
                or_(
                    merge_link.c.from_subject == func.any(list(around)),
                    merge_link.c.into_subject == func.any(list(around)),
                )
            )
        )
        for row in rows:
            until = FOREVER if row.undone_at is None else row.undone_at
            found[row.event_id] = Link(row.from_subject, row.into_subject, row.recorded_at, until)
            around.update((row.from_subject, row.into_subject))
    return list(found.values())


def _events_of(connection: Connection, subjects: Collection[int]) -> Iterator[LedgerEvent]:
    version = event.c.body[STATE_VERSION].astext.cast(BigInteger)
    rows = connection.execute(
        select(event.c.subject, event.c.recorded_at, version)
        .where(event.c.subject == func.any(list(subjects)))
        .order_by(event.c.recorded_at)
    )
    return (LedgerEvent(*row) for row in rows)
