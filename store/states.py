"""States: each person's permissions folded and kept ready, and all that follows from them.

What lives here: folding a person under a publication and writing the state, its permissions, its
unmatched events and the outbox rows that tell the cache and the watchers. Whoever calls has locked
the persons.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, func, select, text

from decision.answer import allowed_intervals_by_scope
from decision.catalog import Interval
from decision.changes import (
    PermissionChange,
    allowed_otherwise,
    first_losses,
    lapses_and_beginnings,
    next_change_at,
    permission_changes,
)
from decision.events import TimelineEvent
from decision.fold import fold
from decision.grants import FoldedTimeline, Unmatched, UnmatchedCause
from decision.instants import BEGINNING, Instant
from decision.timeline import NOBODY, PermissionTimeline, permission_timeline
from store import ledger, record
from store.change_codec import EncodedChange, encode_changes
from store.code_numbers import CodeNumbers
from store.database import Query, Rows, array_text, ask, insert_rows, send
from store.floors import NOW_AHEAD_MICROSECONDS_MAX
from store.outbox import BY_TIME, Loss, Notice
from store.publications import Catalogs, PublishedCatalog
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
    """Fold a person's events under a publication."""
    folded = fold(published.catalog, events, named_by_merge=person.is_named_by_merge)
    return FoldedPerson(person, events, folded, permission_timeline(folded))


def load_events(
    connection: Connection, persons: Iterable[Person]
) -> list[tuple[Person, Sequence[TimelineEvent]]]:
    """Read people's timelines from the ledger."""
    wanted = list(persons)
    timelines = ledger.load_timelines(
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


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A person's new state, beside the state under which each member answered before."""

    folded: FoldedPerson
    previous: Mapping[int, StoredState | None]
    cause: Mapping[str, object]
    changes: Sequence[PermissionChange] | None = None
    """What the new state changes, of a person whose members all answered alike, where known."""
    stored: StoredState | None = None
    """The person's own state, where the permissions that are stored are known to be as it says."""


def rewrite_of(
    folded: FoldedPerson, before: StoredState | None, cause: Mapping[str, object]
) -> Rewrite:
    """Give the rewrite of a person whose members all answered alike before."""
    previous = {member.subject: before for member in folded.person.members}
    return Rewrite(folded, previous, cause, stored=before)


def shards_of(persons: Iterable[Person]) -> set[int]:
    """Give the shards whose outboxes tell of changes to these persons."""
    return {member.shard for person in persons for member in person.members}


_FORGET: Final = Query(
    text(
        """
        WITH
            forgotten_state AS (DELETE FROM state WHERE subject = any(CAST(:roots AS bigint[]))),
            forgotten_permission AS (
                DELETE FROM permission
                WHERE subject = any(CAST(:roots_with_all_permissions AS bigint[]))
            ),
            replaced_permission AS (
                DELETE FROM permission USING
                    unnest(CAST(:scopes AS bigint[]), CAST(:subjects AS bigint[]))
                        AS replaced (scope, subject)
                WHERE permission.scope = replaced.scope AND permission.subject = replaced.subject
            )
        DELETE FROM unmatched WHERE subject = any(CAST(:roots AS bigint[]))
        """
    )
)


class StateWriter:
    """Writes new states in one transaction, which has locked their persons."""

    def __init__(
        self,
        connection: Connection,
        catalogs: Catalogs,
        published: PublishedCatalog,
        now: Instant,
        *,
        tells_losses: bool = True,
    ) -> None:
        """Write states folded under `published`, judged from `now` on, which is PostgreSQL's.

        Without `tells_losses` the notices name no loss: what a publication takes away counts from
        its recording on, and not only when the roll-out comes by.
        """
        self._connection = connection
        self._catalogs = catalogs
        self._published = published
        self._now = now
        self._tells_losses = tells_losses
        self._records: dict[int, bytes] = {}

    @property
    def records(self) -> Mapping[int, bytes]:
        """The records written, by root."""
        return self._records

    def rows(self, rewrites: Sequence[Rewrite]) -> "StateRows":
        """Work out what takes the place of people's states and of what follows from them."""
        whole = [rewrite for rewrite in rewrites if rewrite.stored is None]
        permissions = [row for rewrite in whole for row in self._permission_rows(rewrite)]
        replaced = []
        for rewrite in rewrites:
            if rewrite.stored is not None:
                root = rewrite.folded.person.root
                for number, intervals in self._permissions_replaced(rewrite, rewrite.stored):
                    replaced.append((number, root))
                    permissions += [(number, root, start, end) for start, end in intervals]
        return StateRows(
            [rewrite.folded.person.root for rewrite in rewrites],
            [rewrite.folded.person.root for rewrite in whole],
            replaced,
            [self._state_row(rewrite) for rewrite in rewrites],
            permissions,
            [row for rewrite in rewrites for row in _unmatched_rows(rewrite)],
        )

    def replace(self, rows: "StateRows") -> None:
        """Replace states and what follows from them. Nothing of it has to be waited for."""
        forget = _FORGET(
            roots=array_text(rows.roots),
            roots_with_all_permissions=array_text(rows.roots_with_all_permissions),
            scopes=array_text(scope for scope, _ in rows.replaced_permissions),
            subjects=array_text(root for _, root in rows.replaced_permissions),
        )
        send(self._connection, forget)
        insert_rows(self._connection, "state", _STATE_COLUMNS, rows.states)
        insert_rows(self._connection, "permission", _PERMISSION_COLUMNS, rows.permissions)
        insert_rows(self._connection, "unmatched", _UNMATCHED_COLUMNS, rows.unmatched)

    def notices(self, rewrites: Sequence[Rewrite]) -> list[Notice]:
        """Give the notices to append about new states."""
        return [notice for rewrite in rewrites for notice in self._notices(rewrite)]

    def _state_row(self, rewrite: Rewrite) -> Sequence[object]:
        person, timeline = rewrite.folded.person, rewrite.folded.timeline
        version = new_version(rewrite)
        # A machine whose clock is behind may not begin to watch what was told of already.
        watched_through = max(
            [
                self._now,
                *(before.watched_through for before in rewrite.previous.values() if before),
            ]
        )
        encoded = record.encode(
            timeline,
            self._published.numbers,
            version=version,
            publication=self._published.number,
            made_at=self._now,
        )
        self._records[person.root] = encoded
        return (
            person.root,
            next(member.shard for member in person.members if member.subject == person.root),
            version,
            self._published.number,
            encoded,
            next_change_at(timeline, self._published.catalog, watched_through),
            watched_through,
        )

    def _permission_rows(self, rewrite: Rewrite) -> Iterable[Sequence[object]]:
        timeline = rewrite.folded.timeline
        ended_before = self._now - record.TRIM_MARGIN_MICROSECONDS
        for scope, intervals in allowed_intervals_by_scope(timeline, ended_before):
            if intervals:
                number = self._published.numbers.scope_number(scope)
                for start, end in intervals:
                    yield (number, rewrite.folded.person.root, start, end)

    def _permissions_replaced(
        self, rewrite: Rewrite, stored: StoredState
    ) -> Iterable[tuple[int, Sequence[Interval]]]:
        """Give the scopes whose permissions differ from those stored, by number, with the new ones.

        What differs only in a past that is over by now stays.
        """
        numbers = self._published.numbers
        ended_before = self._now - record.TRIM_MARGIN_MICROSECONDS
        for scope, intervals in allowed_otherwise(
            stored.timeline(numbers), rewrite.folded.timeline, ended_before
        ):
            yield numbers.scope_number(scope), intervals

    def _notices(self, rewrite: Rewrite) -> Iterable[Notice]:
        """Give a notice for each member, and before it one of what time had changed untold."""
        compared: dict[int, _Comparison] = {}
        root = rewrite.folded.person.root
        for member in rewrite.folded.person.members:
            before = rewrite.previous[member.subject]
            found = compared.get(id(before))
            if found is None:
                found = compared[id(before)] = self._compare(before, rewrite)
            if found.lapses:
                yield Notice(member, root, BY_TIME, found.lapses)
            yield Notice(member, root, rewrite.cause, found.changes, found.loss)

    def _compare(self, stored: StoredState | None, rewrite: Rewrite) -> "_Comparison":
        """Tell what time had changed before and nobody had told of yet, then what changes now."""
        published, after = self._published, rewrite.folded.timeline
        catalog, numbers = published.catalog, published.numbers
        if stored is None:
            changes = permission_changes(NOBODY, catalog, after, catalog, self._now)
            return _Comparison([], encode_changes(changes, numbers), None)
        before = stored.timeline(numbers)
        before_catalog = self._catalogs.by_number(self._connection, stored.publication).catalog
        now = stored.changes_from(self._now)
        lapses = lapses_and_beginnings(before, before_catalog, stored.watched_through, now)
        changed = (
            permission_changes(before, before_catalog, after, catalog, now)
            if rewrite.changes is None
            else rewrite.changes
        )
        loss = self._loss(before, after, new_version(rewrite)) if self._tells_losses else None
        return _Comparison(encode_changes(lapses, numbers), encode_changes(changed, numbers), loss)

    def _loss(
        self, before: PermissionTimeline, after: PermissionTimeline, version: int
    ) -> Loss | None:
        """Tell whether the old record shows anything as allowed that the new one does not.

        All that the old record still holds is compared, also of the last day: whoever reads it has
        a clock of their own, which may be behind.
        """
        losses = first_losses(before, after, self._now - record.TRIM_MARGIN_MICROSECONDS)
        if not losses:
            return None
        counting_as_now = [
            instant for instant in losses if instant <= self._now + NOW_AHEAD_MICROSECONDS_MAX
        ]
        lost_at = max(counting_as_now) if counting_as_now else min(losses)
        return Loss(version, max(self._now, lost_at))


class StateRows(NamedTuple):
    """What takes the place of the states of some roots, and of what follows from them.

    Of some roots all permissions are replaced, of the others those that are named by scope number
    and root.
    """

    roots: Sequence[int]
    roots_with_all_permissions: Sequence[int]
    replaced_permissions: Sequence[tuple[int, int]]
    states: Sequence[Sequence[object]]
    permissions: Sequence[Sequence[object]]
    unmatched: Sequence[Sequence[object]]

    @property
    def count_max(self) -> int:
        """How many rows one table gets at the most."""
        return max(len(self.states), len(self.permissions), len(self.unmatched))


_STATE_COLUMNS: Final = (
    "subject",
    "shard",
    "version",
    "publication",
    "record",
    "next_change_at",
    "watched_through",
)
_PERMISSION_COLUMNS: Final = ("scope", "subject", "allowed_from", "allowed_until")
_UNMATCHED_COLUMNS: Final = ("event_id", "subject", "cause", "consent_types", "matrix_row_id")


def _unmatched_rows(rewrite: Rewrite) -> Iterable[Sequence[object]]:
    for missed in rewrite.folded.folded.unmatched:
        yield (
            missed.event_id,
            rewrite.folded.person.root,
            missed.cause.value,
            list(missed.consent_types),
            missed.matrix_row_id,
        )


class _Comparison(NamedTuple):
    """What a member's new state changes against the one under which it answered before."""

    lapses: list[EncodedChange]
    changes: list[EncodedChange]
    loss: Loss | None


def new_version(rewrite: Rewrite) -> int:
    """Give a version above those of all states under which the members answered before."""
    return 1 + max(
        (before.version for before in rewrite.previous.values() if before is not None), default=0
    )


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
