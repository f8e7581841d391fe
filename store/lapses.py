"""Lapses: what begins or ends by itself is told of, exactly once, when its time has come.

What lives here: the worker that follows `state.next_change_at`. Records carry intervals and need no
writer when a term ends; only those who watch changes do (`design.md`, Outbox).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Engine, Select, bindparam, select, update

from decision.changes import PermissionChange, lapses_and_beginnings, next_change_at
from decision.instants import Instant
from store import record, states
from store.change_codec import encode_changes
from store.database import draw_recorded_instants
from store.outbox import BY_TIME, Notice, append_notices
from store.publications import Catalogs, PublishedCatalog
from store.schema import state, subject
from store.state_writing import shards_of
from store.states import StoredState
from store.stepping import SteppingWorker
from store.subjects import Person, lock_shards, move_shards, persons_of_roots
from store.writing import begin_recording

PERSONS_PER_STEP: Final = 200
"""Persons that one transaction tells of; it holds their locks, and for its end their shards'."""


class LapseWorker(SteppingWorker):
    """Tells of lapses and beginnings."""

    def __init__(
        self,
        engine: Engine,
        catalogs: Catalogs,
        announce: Callable[[Mapping[int, int]], None],
        clock: Callable[[], Instant] | None = None,
    ) -> None:
        """Work as the class above says; `clock` tells what is due, PostgreSQL's by default."""
        super().__init__(engine, catalogs, announce)
        self._clock = clock

    def _step(self, connection: Connection) -> Mapping[int, int] | None:
        recording = begin_recording(connection, self._catalogs)
        published = recording.published
        now = recording.now if self._clock is None else self._clock()
        roots = _lock_due(connection, now)
        if not roots:
            return None
        # Read only now that the locks are had: somebody may have told of some in the meantime.
        persons = persons_of_roots(connection, roots)
        stored = states.load_states(connection, roots)
        lapses = [
            self._lapses_of(connection, persons[root], before, published, now)
            for root, before in stored.items()
        ]
        return _tell(connection, published, lapses)

    def _lapses_of(
        self,
        connection: Connection,
        person: Person,
        before: StoredState,
        published: PublishedCatalog,
        now: Instant,
    ) -> "_Lapses":
        """Work out what time has changed under the catalog by which the state was told of."""
        timeline = record.decode(before.record, published.numbers).timeline
        catalog = self._catalogs.by_number(connection, before.publication).catalog
        # A machine whose clock is behind may not tell of the same lapse twice.
        through = max(now, before.watched_through)
        return _Lapses(
            person,
            list(lapses_and_beginnings(timeline, catalog, before.watched_through, through)),
            through,
            next_change_at(timeline, catalog, through),
        )


@dataclass(frozen=True, slots=True)
class _Lapses:
    """What time alone has changed for a person up to an instant, and when it will next."""

    person: Person
    changes: Sequence[PermissionChange]
    watched_through: Instant
    next_change_at: Instant


def _lock_due(connection: Connection, now: Instant) -> Sequence[int]:
    """Lock persons of one shard whose time has come, passing over those that somebody has locked.

    As nothing is waited for, the order in which they are locked does not matter.
    """
    first = connection.execute(_due(now).limit(1)).one_or_none()
    if first is None:
        return ()
    rows = connection.execute(
        _due(now).where(state.c.shard == first.shard).limit(PERSONS_PER_STEP)
    ).all()
    return [row.number for row in rows]


def _due(now: Instant) -> Select[tuple[int, int]]:
    return (
        select(subject.c.number, state.c.shard)
        .join(state, state.c.subject == subject.c.number)
        .where(subject.c.root == subject.c.number)
        .where(state.c.next_change_at <= now)
        .order_by(state.c.next_change_at)
        .with_for_update(skip_locked=True, of=subject)
    )


def _tell(
    connection: Connection, published: PublishedCatalog, lapses: Sequence[_Lapses]
) -> Mapping[int, int]:
    """Append what has changed to the outboxes; the states and their versions stay as they are."""
    changed = [one for one in lapses if one.changes]
    positions = lock_shards(connection, shards_of(one.person for one in changed))
    notices = [
        Notice(member, one.person.root, BY_TIME, encoded)
        for one in changed
        for encoded in [encode_changes(one.changes, published.numbers)]
        for member in one.person.members
    ]
    append_notices(connection, notices, draw_recorded_instants(connection, 1), positions)
    if positions:
        move_shards(connection, positions)
    if lapses:
        connection.execute(
            update(state)
            .where(state.c.subject == bindparam("root"))
            .values(
                next_change_at=bindparam("new_next_change_at"),
                watched_through=bindparam("new_watched_through"),
            ),
            [
                {
                    "root": one.person.root,
                    "new_next_change_at": one.next_change_at,
                    "new_watched_through": one.watched_through,
                }
                for one in lapses
            ],
        )
    return {number: position.seq for number, position in positions.items()}
