"""Examining whether what PostgreSQL keeps ready follows from the ledger.

What lives here: one person's state, permissions and unmatched events beside a fresh fold. Whoever
calls gives a connection on which all of it is of one instant: a snapshot, or the person's lock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Connection, func, select

from decision.answer import allowed_intervals
from decision.changes import next_change_at
from decision.events import TimelineEvent
from decision.grants import Unmatched
from decision.instants import Instant
from decision.timeline import NOBODY, PermissionTimeline
from store import record
from store.publications import Catalogs, PublishedCatalog
from store.reconciling.differences import Difference, DifferenceKind, difference_of
from store.schema import permission, shard, state
from store.states import FoldedPerson, StoredState, fold_person, load_events, load_unmatched
from store.subjects import Person

_PermissionRow = tuple[int, Instant, Instant]


class _Row(NamedTuple):
    """A row of `state`, and under which publication all states of its shard are right."""

    stored: StoredState
    shard: int
    next_change_at: Instant
    rolled_out: int


@dataclass(frozen=True, slots=True)
class Examined:
    """A person, what is stored for them, and how that differs from a fold of their events.

    `decoded` is what the stored record says; None where there is none or its bytes are damaged.
    """

    person: Person
    events: Sequence[TimelineEvent]
    stored: StoredState | None
    decoded: PermissionTimeline | None
    differences: Sequence[Difference]


class Examiner:
    """Examines persons under the newest publication of one transaction."""

    def __init__(
        self,
        connection: Connection,
        catalogs: Catalogs,
        published: PublishedCatalog,
        now: Instant,
    ) -> None:
        """Examine what `connection` sees, under `published` or what a roll-out has still to do."""
        self._connection = connection
        self._catalogs = catalogs
        self._published = published
        self._now = now

    def examine(self, persons: Iterable[Person]) -> list[Examined]:
        """Compare what is stored for persons with a fold of their events."""
        wanted = list(persons)
        roots = [person.root for person in wanted]
        rows = self._read_rows(roots)
        permissions = self._read_permissions(roots)
        unmatched = load_unmatched(self._connection, roots)
        examined = []
        for person, events in load_events(self._connection, wanted):
            row = rows.get(person.root)
            folded = fold_person(person, events, self._publication_of(row))
            decoded = self._decode(row)
            kinds = [
                *self._kinds_of_state(row, decoded, folded),
                *self._kinds_beside_state(
                    row,
                    folded,
                    permissions.get(person.root, []),
                    unmatched.get(person.root, set()),
                ),
            ]
            examined.append(
                Examined(
                    person,
                    events,
                    row.stored if row is not None else None,
                    decoded,
                    [self._difference(kind, decoded, folded) for kind in kinds],
                )
            )
        return examined

    def _read_rows(self, roots: Sequence[int]) -> Mapping[int, _Row]:
        rows = self._connection.execute(
            select(
                state.c.subject,
                state.c.version,
                state.c.publication,
                state.c.record,
                state.c.watched_through,
                state.c.shard,
                state.c.next_change_at,
                shard.c.rolled_out_publication,
            )
            .select_from(state.outerjoin(shard, shard.c.number == state.c.shard))
            .where(state.c.subject == func.any(roots))
        )
        return {
            row.subject: _Row(
                StoredState(row.version, row.publication, bytes(row.record), row.watched_through),
                row.shard,
                row.next_change_at,
                row.rolled_out_publication or 0,
            )
            for row in rows
        }

    def _read_permissions(self, roots: Sequence[int]) -> Mapping[int, list[_PermissionRow]]:
        found: dict[int, list[_PermissionRow]] = {}
        for row in self._connection.execute(
            select(permission).where(permission.c.subject == func.any(roots))
        ):
            found.setdefault(row.subject, []).append(
                (row.scope, row.allowed_from, row.allowed_until)
            )
        return found

    def _publication_of(self, row: _Row | None) -> PublishedCatalog:
        """Give the publication under which a state has to be right by now."""
        if row is None or max(row.stored.publication, row.rolled_out) >= self._published.number:
            return self._published
        return self._catalogs.by_number(self._connection, row.stored.publication)

    def _decode(self, row: _Row | None) -> PermissionTimeline | None:
        if row is None:
            return NOBODY
        try:
            return record.decode(row.stored.record, self._published.numbers).timeline
        except (ValueError, LookupError):
            return None

    def _kinds_of_state(
        self, row: _Row | None, decoded: PermissionTimeline | None, folded: FoldedPerson
    ) -> Iterable[DifferenceKind]:
        if row is None:
            return [DifferenceKind.STATE_MISSING] if folded.timeline.is_known else []
        stored = row.stored
        if decoded is None or not self._is_named_rightly(row, folded.person):
            return [DifferenceKind.STATE]
        # What it says of a past that is over by now makes no difference.
        if self._content(decoded, row) != self._content(folded.timeline, row):
            return [DifferenceKind.STATE]
        catalog = self._catalogs.by_number(self._connection, stored.publication).catalog
        if row.next_change_at != next_change_at(decoded, catalog, stored.watched_through):
            return [DifferenceKind.NEXT_CHANGE]
        return []

    def _is_named_rightly(self, row: _Row, person: Person) -> bool:
        """Tell whether the row and the record's header name the same version, and the shard."""
        header = record.decode_header(row.stored.record)
        return (
            header.version == row.stored.version
            and header.publication == row.stored.publication
            and row.stored.publication <= self._published.number
            and row.shard == _shard_of_root(person)
        )

    def _content(self, timeline: PermissionTimeline, row: _Row) -> bytes:
        return record.content_of(
            record.encode(
                timeline,
                self._published.numbers,
                version=0,
                publication=0,
                made_at=self._made_at(row),
            )
        )

    def _kinds_beside_state(
        self,
        row: _Row | None,
        folded: FoldedPerson,
        permissions: Iterable[_PermissionRow],
        unmatched: set[Unmatched],
    ) -> Iterable[DifferenceKind]:
        if row is None:
            # Writing the state brings the rest with it.
            return
        since = self._made_at(row)
        right = (
            (self._published.numbers.scope_number(scope), interval.start, interval.end)
            for scope in folded.timeline.segments
            for interval in allowed_intervals(folded.timeline, None, scope, since)
        )
        if _since(since, permissions) != _since(since, right):
            yield DifferenceKind.PERMISSIONS
        if unmatched != set(folded.folded.unmatched):
            yield DifferenceKind.UNMATCHED

    def _made_at(self, row: _Row) -> Instant:
        """Give an instant no earlier than that at which the record was made."""
        return max(self._now, row.stored.watched_through)

    def _difference(
        self,
        kind: DifferenceKind,
        decoded: PermissionTimeline | None,
        folded: FoldedPerson,
    ) -> Difference:
        person = folded.person
        shard_number = _shard_of_root(person)
        if kind in _OF_WHAT_CHECKS_READ:
            return difference_of(
                kind, shard_number, person.root, decoded, folded.timeline, self._now
            )
        # Checks do not read it; only who asks in the other direction was misled.
        return Difference(kind, shard_number, person.root)


_OF_WHAT_CHECKS_READ: Final = frozenset({DifferenceKind.STATE, DifferenceKind.STATE_MISSING})


def _shard_of_root(person: Person) -> int:
    return next(member.shard for member in person.members if member.subject == person.root)


def _since(instant: Instant, rows: Iterable[_PermissionRow]) -> set[_PermissionRow]:
    """Cut off what was over by then: a roll-out does not write anew what differs only there."""
    return {(scope, max(start, instant), end) for scope, start, end in rows if end > instant}
