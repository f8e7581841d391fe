"""Writing states: what takes the place of a person's state, and who is told of the change.

What lives here: rows of states, permissions and unmatched events, and the notices for cache and
watchers. Whoever calls has locked the persons. Folding them is `states`' business.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

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
from decision.instants import Instant
from decision.timeline import NOBODY, PermissionTimeline
from store import record
from store.change_codec import NO_CHANGES, encode_changes
from store.database import ROWS_PER_INSERT_MAX, Query, array_text, insert_rows, send
from store.floors import NOW_AHEAD_MICROSECONDS_MAX
from store.outbox import BY_TIME, Loss, Notice
from store.publications import Catalogs, PublishedCatalog
from store.states import FoldedPerson, StoredState
from store.subjects import Person


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
    folded: FoldedPerson,
    before: StoredState | None,
    cause: Mapping[str, object],
    changes: Sequence[PermissionChange] | None = None,
) -> Rewrite:
    """Give the rewrite of a person whose members all answered alike before."""
    previous = {member.subject: before for member in folded.person.members}
    return Rewrite(folded, previous, cause, changes, stored=before)


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


# Gives those that stand otherwise than was thought.
_MOVE_ENDS: Final = Query(
    text(
        """
        WITH
            expected AS (
                SELECT * FROM unnest(
                    CAST(:scopes AS bigint[]), CAST(:subjects AS bigint[]),
                    CAST(:starts AS bigint[]),
                    CAST(:old_ends AS bigint[]), CAST(:new_ends AS bigint[])
                ) AS expected (scope, subject, start, old_end, new_end)
            ),
            moved AS (
                UPDATE permission SET allowed_until = expected.new_end
                FROM expected
                WHERE permission.scope = expected.scope
                    AND permission.subject = expected.subject
                    AND permission.allowed_from = expected.start
                    AND permission.allowed_until = expected.old_end
                RETURNING permission.scope, permission.subject
            )
        SELECT scope, subject FROM expected EXCEPT SELECT scope, subject FROM moved
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
        otherwise = [
            _PermissionsOtherwise(number, rewrite.folded.person.root, before, after)
            for rewrite in rewrites
            if rewrite.stored is not None
            for number, before, after in self._permissions_otherwise(rewrite, rewrite.stored)
        ]
        return StateRows(
            _roots_kept(rewrites),
            _roots_kept(whole),
            otherwise,
            [self._state_row(rewrite) for rewrite in rewrites],
            permissions,
            [row for rewrite in rewrites for row in _unmatched_rows(rewrite)],
        )

    def replace(self, rows: "StateRows") -> None:
        """Replace states and what follows from them.

        Nothing of it has to be waited for, unless the rows are so many that they go by COPY.
        """
        otherwise = rows.permissions_otherwise
        if rows.count_max > ROWS_PER_INSERT_MAX:
            otherwise = self._move_ends(otherwise)
        forget = _FORGET(
            roots=array_text(rows.roots),
            roots_with_all_permissions=array_text(rows.roots_with_all_permissions),
            scopes=array_text(one.scope for one in otherwise),
            subjects=array_text(one.root for one in otherwise),
        )
        if rows.roots:
            send(self._connection, forget)
        insert_rows(self._connection, "state", _STATE_COLUMNS, rows.states)
        insert_rows(
            self._connection,
            "permission",
            _PERMISSION_COLUMNS,
            [
                *rows.permissions,
                *(
                    (one.scope, one.root, start, end)
                    for one in otherwise
                    for start, end in one.after
                ),
            ],
            are_integers=True,
        )
        insert_rows(self._connection, "unmatched", _UNMATCHED_COLUMNS, rows.unmatched)

    def _move_ends(
        self, otherwise: Sequence["_PermissionsOtherwise"]
    ) -> Sequence["_PermissionsOtherwise"]:
        """Move the ends of rows of which nothing else changes, and give what is still to be done.

        No index knows of an end: a row that is written anew in place costs half of one that goes
        and one that comes, and a third of what is logged.
        """
        movable = [one for one in otherwise if one.may_differ_in_end_only]
        if not movable:
            return otherwise
        move = _MOVE_ENDS(
            scopes=array_text(one.scope for one in movable),
            subjects=array_text(one.root for one in movable),
            # Where the stored row begins, the old record need not say: it leaves out the past.
            starts=array_text(one.after[0].start for one in movable),
            old_ends=array_text(one.before[0].end for one in movable),
            new_ends=array_text(one.after[0].end for one in movable),
        )
        left = {(row.scope, row.subject) for row in send(self._connection, move).rows()}
        return [
            one
            for one in otherwise
            if not one.may_differ_in_end_only or (one.scope, one.root) in left
        ]

    def notices(self, rewrites: Sequence[Rewrite]) -> list[Notice]:
        """Give the notices to append about new states."""
        return [notice for rewrite in rewrites for notice in self._notices(rewrite)]

    def _state_row(self, rewrite: Rewrite) -> tuple[object, ...]:
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

    def _permission_rows(self, rewrite: Rewrite) -> Iterable[tuple[object, ...]]:
        timeline = rewrite.folded.timeline
        ended_before = self._now - record.TRIM_MARGIN_MICROSECONDS
        for scope, intervals in allowed_intervals_by_scope(timeline, ended_before):
            if intervals:
                number = self._published.numbers.scope_number(scope)
                for start, end in intervals:
                    yield (number, rewrite.folded.person.root, start, end)

    def _permissions_otherwise(
        self, rewrite: Rewrite, stored: StoredState
    ) -> Iterable[tuple[int, Sequence[Interval], Sequence[Interval]]]:
        """Give the scopes whose permissions differ from those stored, by number, with both.

        What differs only in a past that is over by now stays: nobody asks for that, and records
        hold only a part of it.
        """
        numbers = self._published.numbers
        for scope, before, after in allowed_otherwise(
            stored.timeline(numbers), rewrite.folded.timeline, self._now
        ):
            yield numbers.scope_number(scope), before, after

    def _notices(self, rewrite: Rewrite) -> Iterable[Notice]:
        """Give a notice for each member, and before it one of what time had changed untold."""
        compared: dict[int, _Comparison] = {}
        root = rewrite.folded.person.root
        for member in rewrite.folded.person.members:
            before = rewrite.previous[member.subject]
            found = compared.get(id(before))
            if found is None:
                found = compared[id(before)] = self._compare(before, rewrite)
            if found.lapses != NO_CHANGES:
                yield Notice(member, root, BY_TIME, found.lapses)
            yield Notice(member, root, rewrite.cause, found.changes, found.loss)

    def _compare(self, stored: StoredState | None, rewrite: Rewrite) -> "_Comparison":
        """Tell what time had changed before and nobody had told of yet, then what changes now."""
        published, after = self._published, rewrite.folded.timeline
        catalog, numbers = published.catalog, published.numbers
        if stored is None:
            changes = permission_changes(NOBODY, catalog, after, catalog, self._now)
            return _Comparison(NO_CHANGES, encode_changes(changes, numbers), None)
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

        All that the old record still holds of the last day is compared: whoever reads it may be
        behind.
        """
        losses = first_losses(before, after, self._now - record.TRIM_MARGIN_MICROSECONDS)
        if not losses:
            return None
        counting_as_now = [
            instant for instant in losses if instant <= self._now + NOW_AHEAD_MICROSECONDS_MAX
        ]
        lost_at = max(counting_as_now) if counting_as_now else min(losses)
        return Loss(version, max(self._now, lost_at))


class _PermissionsOtherwise(NamedTuple):
    """When a scope is allowed to a root otherwise than is stored; `before` has not the past."""

    scope: int
    root: int
    before: Sequence[Interval]
    after: Sequence[Interval]

    @property
    def may_differ_in_end_only(self) -> bool:
        """Whether one row is to stand in the place of one, beside what is over by now."""
        return len(self.before) == len(self.after) == 1


class StateRows(NamedTuple):
    """What takes the place of the states of some roots, and of what follows from them.

    Of some roots all permissions are replaced, of the others those of the scopes that differ.
    """

    roots: Sequence[int]
    roots_with_all_permissions: Sequence[int]
    permissions_otherwise: Sequence[_PermissionsOtherwise]
    states: Sequence[tuple[object, ...]]
    permissions: Sequence[tuple[object, ...]]
    unmatched: Sequence[tuple[object, ...]]

    @property
    def count_max(self) -> int:
        """How many rows one table gets at the most."""
        permission_count = len(self.permissions) + sum(
            len(one.after) for one in self.permissions_otherwise
        )
        return max(len(self.states), permission_count, len(self.unmatched))


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


def _roots_kept(rewrites: Iterable[Rewrite]) -> list[int]:
    """Give the roots of which something may be kept: not of who is new."""
    return [rewrite.folded.person.root for rewrite in rewrites if not rewrite.folded.person.is_new]


def _unmatched_rows(rewrite: Rewrite) -> Iterable[tuple[object, ...]]:
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

    lapses: str
    changes: str
    loss: Loss | None


def new_version(rewrite: Rewrite) -> int:
    """Give a version above those of all states under which the members answered before."""
    return 1 + max(
        (before.version for before in rewrite.previous.values() if before is not None), default=0
    )
