"""Knowledge: what the ledger held about one person as known at an instant.

What lives here: waiting until an instant is settled, and reading who was one person with whom,
which events counted and which catalog was published, all as known then. What it amounts to is
worked out by `decision`; single events as they were recorded are in `history`.

Recorded instants are drawn under the locks of the shards concerned, publications' under the catalog
lock. So whoever has drawn an instant already, and then had those locks shared for a moment, has
waited for everybody who may still commit something recorded before (`semantics.md`, As of).
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, case, func, or_, select, text

from decision.errors import FieldFault, InvalidArgumentError, UnavailableError
from decision.evidence import Picture
from decision.instants import Instant
from store import ledger
from store.database import CATALOG_LOCK, draw_recorded_instants, reading
from store.history import load_identity_event_ids
from store.publications import Catalogs, PublishedCatalog
from store.schema import customer, merge_link, shard, subject
from store.sharding import SHARD_COUNT, shard_of
from store.subjects import find_subjects

SETTLING_ROUNDS_MAX: Final = 16
"""Rounds of waiting for one person; each further one means that a merge came to light."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """One person as known at an instant. Of an unknown customer only `known_at` says anything.

    `customer_ids` are by code point, without erased ones; `subjects` are all of them.
    """

    known_at: Instant
    published: PublishedCatalog
    subjects: Collection[int]
    customer_ids: tuple[str, ...]
    canonical_customer_id: str
    picture: Picture


def draw_now(engine: Engine) -> Instant:
    """Give PostgreSQL's now as a recorded instant: whatever is recorded from here on is later.

    It is drawn like one, because the clock alone may tie with the next event, or be set back. That
    the transaction is rolled back does not take it back.
    """
    with reading(engine) as connection:
        return draw_recorded_instants(connection, 1)


def refuse_future(known_at: Instant, now: Instant) -> None:
    """Refuse to tell what will be known. Raises InvalidArgumentError."""
    if known_at > now:
        raise InvalidArgumentError(
            FieldFault("known_at", "lies in the future: leave it out for all that is known now")
        )


def wait_for_person(engine: Engine, customer_id: str, instants: Collection[Instant]) -> None:
    """Wait until what was known about a person at some instants can not change any more.

    The instants MUST NOT be later than one drawn before. Raises UnavailableError.
    """
    waited_for: set[int] = set()
    concerned = {shard_of(customer_id)}
    for _ in range(SETTLING_ROUNDS_MAX):
        _wait_for_shards(engine, concerned)
        waited_for |= concerned
        # A merge that has come to light brings other shards, whose writers are to be waited for.
        with reading(engine) as connection:
            concerned = {
                member.shard
                for known_at in instants
                for member in members_known_at(connection, customer_id, known_at)
            }
        if concerned <= waited_for:
            return
    message = "the customer is being merged again and again: ask again"
    raise UnavailableError(message)


def wait_for_everybody(engine: Engine) -> None:
    """Wait as `wait_for_person` does, for all events of all customers."""
    _wait_for_shards(engine, range(SHARD_COUNT))


def _wait_for_shards(engine: Engine, numbers: Iterable[int]) -> None:
    """Have the locks shared for a moment, in the order in which everybody takes them."""
    with reading(engine) as connection:
        connection.execute(
            text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": CATALOG_LOCK}
        )
        connection.execute(
            select(shard.c.number)
            .where(shard.c.number == func.any(sorted(numbers)))
            .order_by(shard.c.number)
            .with_for_update(read=True)
        )


def load_knowledge(
    connection: Connection, catalogs: Catalogs, customer_id: str, known_at: Instant
) -> Knowledge:
    """Read what was known at an instant that is settled."""
    return load_knowledge_under(
        connection, catalogs.known_at(connection, known_at), customer_id, known_at
    )


def load_knowledge_under(
    connection: Connection, published: PublishedCatalog, customer_id: str, known_at: Instant
) -> Knowledge:
    """Read which events were known at an instant that is settled, under any publication."""
    person = _load_person(connection, customer_id, known_at)
    picture = Picture(
        published.catalog,
        ledger.joined(
            ledger.load_timelines(connection, person.subjects, known_at), person.subjects
        ),
        is_named_by_merge=bool(load_identity_event_ids(connection, person.subjects, known_at)),
    )
    return Knowledge(
        known_at,
        published,
        person.subjects,
        person.customer_ids,
        person.canonical_customer_id,
        picture,
    )


class KnownMember(NamedTuple):
    """A subject that was one person with the customer asked about."""

    number: int
    shard: int


class _KnownPerson(NamedTuple):
    subjects: Collection[int]
    customer_ids: tuple[str, ...]
    canonical_customer_id: str


_NOBODY: Final = _KnownPerson((), (), "")


def _load_person(connection: Connection, customer_id: str, known_at: Instant) -> _KnownPerson:
    numbers = [member.number for member in members_known_at(connection, customer_id, known_at)]
    if not numbers:
        return _NOBODY
    rows = connection.execute(
        select(
            subject.c.number,
            customer.c.customer_id,
            merge_link.c.into_subject,
        )
        .select_from(
            subject.outerjoin(customer, customer.c.subject == subject.c.number).outerjoin(
                merge_link,
                (merge_link.c.from_subject == subject.c.number) & _is_known(known_at),
            )
        )
        .where(subject.c.number == func.any(numbers))
    ).all()
    # The chain of merges ends in the one who was merged into nobody.
    root = next(row for row in rows if row.into_subject is None)
    return _KnownPerson(
        numbers,
        tuple(sorted(row.customer_id for row in rows if row.customer_id is not None)),
        root.customer_id or "",
    )


def members_known_at(
    connection: Connection, customer_id: str, known_at: Instant
) -> list[KnownMember]:
    """Give number and shard of all who were one person with a customer, as known at an instant."""
    number = find_subjects(connection, [customer_id]).get(customer_id)
    if number is None:
        return []
    if connection.scalar(select(subject.c.erased_at).where(subject.c.number == number)) is not None:
        # The id is about to go with all that it names.
        return []
    person = select(subject.c.number).where(subject.c.number == number).cte(recursive=True)
    other_end = case(
        (merge_link.c.from_subject == person.c.number, merge_link.c.into_subject),
        else_=merge_link.c.from_subject,
    )
    person = person.union(
        select(other_end)
        .select_from(person)
        .join(
            merge_link,
            or_(
                merge_link.c.from_subject == person.c.number,
                merge_link.c.into_subject == person.c.number,
            ),
        )
        .where(_is_known(known_at))
    )
    rows = connection.execute(
        select(subject.c.number, subject.c.shard)
        .join(person, person.c.number == subject.c.number)
        .order_by(subject.c.number)
    )
    return [KnownMember(*row) for row in rows]


def _is_known(known_at: Instant) -> ColumnElement[bool]:
    """Say that a merge was known, and not undone as far as was known."""
    return (merge_link.c.recorded_at <= known_at) & (
        merge_link.c.undone_at.is_(None) | (merge_link.c.undone_at > known_at)
    )
