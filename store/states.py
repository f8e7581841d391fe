"""States: each person's permissions folded and kept ready.

What lives here: folding a person under a publication, and reading what is kept. Writing it, and all
that follows from it, is `state_writing`'s business.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, func, select

from decision.events import TimelineEvent
from decision.fold import fold
from decision.grants import FoldedTimeline, Unmatched, UnmatchedCause
from decision.instants import BEGINNING, Instant
from decision.timeline import PermissionTimeline, permission_timeline
from store import ledger, record
from store.code_numbers import CodeNumbers
from store.database import Query, Rows, ask
from store.publications import PublishedCatalog
from store.schema import customer, shard, state, subject, unmatched
from store.subjects import ROOTS_OF_SUBJECTS, Person, persons_of_roots


@dataclass(slots=True)
class StoredState:
    """A row of `state`. Its record is read when it is needed, and once."""

    version: int
    publication: int
    record: bytes
    watched_through: Instant
    _timeline: PermissionTimeline | None = None

    def changes_from(self, now: Instant) -> Instant:
        """Tell from when on changes are new: a machine whose clock is behind may not tell twice."""
        return max(now, self.watched_through)

    def timeline(self, numbers: CodeNumbers) -> PermissionTimeline:
        """Give what the record says. Raises as `record.decode_for_comparing` does."""
        if self._timeline is None:
            self._timeline = record.decode_for_comparing(self.record, numbers)
        return self._timeline


@dataclass(frozen=True, slots=True)
class FoldedPerson:
    """A person folded under a publication, before it is written."""

    person: Person
    events: Sequence[TimelineEvent]
    folded: FoldedTimeline
    timeline: PermissionTimeline


def fold_person(
    person: Person, events: Sequence[TimelineEvent], published: PublishedCatalog
) -> FoldedPerson:
    """Fold a person's events under a publication; of who is erased none count."""
    if person.is_erased:
        person, events = person._replace(is_named_by_merge=False), ()
    folded = fold(published.catalog, events, named_by_merge=person.is_named_by_merge)
    return FoldedPerson(person, events, folded, permission_timeline(folded))


def load_events(
    connection: Connection, persons: Iterable[Person]
) -> list[tuple[Person, Sequence[TimelineEvent]]]:
    """Read people's timelines from the ledger."""
    wanted = list(persons)
    timelines = ledger.load_timelines_to_fold(
        connection, [member.subject for person in wanted for member in person.members]
    )
    return [
        (person, ledger.joined(timelines, (member.subject for member in person.members)))
        for person in wanted
    ]


def load_and_fold(
    connection: Connection, persons: Iterable[Person], published: PublishedCatalog
) -> list[FoldedPerson]:
    """Read people's timelines from the ledger and fold them."""
    return [
        fold_person(person, events, published)
        for person, events in load_events(connection, persons)
    ]


def fold_afresh(
    connection: Connection, published: PublishedCatalog, roots: Collection[int]
) -> list[FoldedPerson]:
    """Fold the persons of some root subjects under a publication, without writing anything."""
    return load_and_fold(connection, persons_of_roots(connection, roots).values(), published)


_COLUMNS: Final = (
    state.c.subject,
    state.c.version,
    state.c.publication,
    state.c.record,
    state.c.watched_through,
)
_STATES: Final = Query(select(*_COLUMNS).where(state.c.subject == func.any(bindparam("roots"))))
STATES_OF_PERSONS: Final = Query(
    select(*_COLUMNS).where(state.c.subject == func.any(ROOTS_OF_SUBJECTS))
)
"""The states of the persons to whom `subjects` belong, for `stored_states`."""


def load_states(connection: Connection, roots: Collection[int]) -> dict[int, StoredState]:
    """Give the states of some root subjects."""
    [rows] = ask(connection, [_STATES(roots=list(roots))])
    return stored_states(rows)


def stored_states(rows: Rows) -> dict[int, StoredState]:
    """Give states by root from the rows that hold them."""
    return {
        row.subject: StoredState(row.version, row.publication, row.record, row.watched_through)
        for row in rows
    }


def load_unmatched(connection: Connection, roots: Collection[int]) -> dict[int, set[Unmatched]]:
    """Give the unmatched events of some root subjects."""
    rows = connection.execute(select(unmatched).where(unmatched.c.subject == func.any(list(roots))))
    found: dict[int, set[Unmatched]] = {}
    for row in rows:
        found.setdefault(row.subject, set()).add(
            Unmatched(
                row.event_id,
                UnmatchedCause(row.cause),
                tuple(row.consent_types),
                row.matrix_row_id,
            )
        )
    return found


class CurrentRecord(NamedTuple):
    """A customer's record under the newest publication; folded afresh when it is not stored so."""

    record: bytes
    is_stored: bool


def read_records(
    connection: Connection, customer_ids: Collection[str], published: PublishedCatalog
) -> dict[str, CurrentRecord]:
    """Give the record of each customer id under `published`; ids without one are unknown.

    A state folded under an older publication, whose roll-out has not come by yet, is folded afresh
    from the ledger and not written: that is the roll-out's business.
    """
    rows = connection.execute(
        select(
            customer.c.customer_id,
            state.c.subject,
            state.c.version,
            state.c.publication,
            state.c.record,
            shard.c.rolled_out_publication,
        )
        .select_from(customer)
        .join(subject, subject.c.number == customer.c.subject)
        .join(state, state.c.subject == subject.c.root)
        .join(shard, shard.c.number == state.c.shard)
        .where(customer.c.customer_id == func.any(list(customer_ids)))
        # Their ids are about to go, and nothing that is read now may bring them back into Redis.
        .where(subject.c.erased_at.is_(None))
    ).all()
    current: dict[str, CurrentRecord] = {}
    stale: dict[str, int] = {}
    versions: dict[int, int] = {}
    for row in rows:
        if max(row.publication, row.rolled_out_publication) >= published.number:
            current[row.customer_id] = CurrentRecord(bytes(row.record), is_stored=True)
        else:
            stale[row.customer_id] = row.subject
            versions[row.subject] = row.version
    if stale:
        encoded = {
            folded.person.root: record.encode(
                folded.timeline,
                published.numbers,
                version=versions[folded.person.root],
                publication=published.number,
                # Nothing is left out: this is read once, and no clock of ours need be trusted.
                made_at=BEGINNING,
            )
            for folded in fold_afresh(connection, published, versions)
        }
        for customer_id, root in stale.items():
            current[customer_id] = CurrentRecord(encoded[root], is_stored=False)
    return current
