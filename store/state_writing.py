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
from store.change_codec import EncodedChange, encode_changes
from store.database import Query, array_text, insert_rows, send
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
