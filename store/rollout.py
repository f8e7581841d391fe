"""The roll-out of a publication: every state is brought under it, in resumable pieces.

What lives here: taking pieces of work, doing them, and telling how far it has come. Several workers
share the pieces with SKIP LOCKED; one that dies leaves its piece where its last commit left it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from sqlalchemy import Connection, Engine, func, select, update

from decision.catalog import Catalog
from decision.changes import PermissionChange, permission_changes
from decision.impact import Impact
from decision.instants import Instant
from decision.timeline import PermissionTimeline
from store import record, states
from store.cache import Batch
from store.direct import DirectProjector
from store.publications import NEWEST_PUBLICATION, Catalogs
from store.publishing import ROLL_OUT
from store.schema import job, job_piece, shard, state
from store.sharding import SHARD_COUNT
from store.state_writing import rewrite_of
from store.states import StoredState
from store.stepping import SteppingWorker
from store.subjects import lock_persons
from store.writing import Recording, Written, begin_recording, finish

SUBJECTS_PER_STEP: Final = 400
"""Persons that one transaction of a roll-out folds; it holds their locks that long."""


class RolloutState(Enum):
    """How far a publication's roll-out has come, as far as PostgreSQL knows."""

    RECORDED = "RECORDED"
    ROLLING_OUT = "ROLLING_OUT"
    WRITTEN = "WRITTEN"
    SUPERSEDED = "SUPERSEDED"


@dataclass(frozen=True, slots=True)
class RolloutProgress:
    """Where a roll-out stands. WRITTEN means that only the cache may be behind."""

    state: RolloutState
    pieces_done: int
    pieces_total: int
    customers_done: int
    customers_total: int
    customers_changed: int
    completed_at: Instant | None


class RolloutWorker(SteppingWorker):
    """Does pieces of the newest publication's roll-out."""

    def __init__(
        self,
        engine: Engine,
        catalogs: Catalogs,
        announce: Callable[[Mapping[int, int]], None],
        projector: DirectProjector | None = None,
    ) -> None:
        """Work as the class above says; `projector`, if given, is told what to put into Redis."""
        super().__init__(engine, catalogs, announce)
        self._projector = projector
        self._batches: Mapping[int, Batch] = {}

    def _tell(self, positions: Mapping[int, int]) -> None:
        if self._projector is None:
            super()._tell(positions)
        else:
            self._projector.project(self._batches)

    def _step(self, connection: Connection) -> Mapping[int, int] | None:
        recording = begin_recording(connection, self._catalogs)
        piece = connection.execute(
            select(job_piece)
            .join(job, job.c.number == job_piece.c.job)
            .where(job.c.kind == ROLL_OUT)
            .where(job_piece.c.is_done.is_(False))
            .order_by(job_piece.c.job, job_piece.c.shard)
            .limit(1)
            .with_for_update(skip_locked=True, of=job_piece)
        ).one_or_none()
        if piece is None:
            return _complete(connection, recording)
        subjects = connection.scalars(
            select(state.c.subject)
            .where(state.c.shard == piece.shard)
            .where(state.c.subject >= piece.next_subject)
            .order_by(state.c.subject)
            .limit(SUBJECTS_PER_STEP)
        ).all()
        step = _Step(connection, self._catalogs, recording)
        written = step.bring_under(list(subjects)) if subjects else None
        self._batches = written.batches if written is not None else {}
        connection.execute(
            update(job_piece)
            .where(job_piece.c.job == piece.job)
            .where(job_piece.c.shard == piece.shard)
            .values(
                next_subject=subjects[-1] + 1 if subjects else piece.next_subject,
                subjects_done=job_piece.c.subjects_done + len(subjects),
                subjects_changed=job_piece.c.subjects_changed + step.changed_count,
                is_done=len(subjects) < SUBJECTS_PER_STEP,
            )
        )
        return written.positions if written is not None else {}


class _Step:
    """One transaction's worth of persons brought under the newest publication."""

    def __init__(self, connection: Connection, catalogs: Catalogs, recording: Recording) -> None:
        self._connection = connection
        self._catalogs = catalogs
        self._recording = recording
        self._published = recording.published
        self._older: dict[int, tuple[Catalog, Impact]] = {}
        """By its number, a publication under which states were folded, and how ours differs."""
        self.changed_count = 0

    def bring_under(self, subjects: list[int]) -> Written | None:
        """Fold whom it concerns and write what changed; None when nothing did."""
        persons = lock_persons(self._connection, subjects)
        before = states.load_states(self._connection, persons)
        # A state folded under this publication already, by an event since, is right as it is.
        stale = {
            root: person
            for root, person in persons.items()
            if root in before and before[root].publication < self._published.number
        }
        unmatched_before = states.load_unmatched(self._connection, stale)
        cause = {"publication": self._published.number}
        rewrites = []
        for person, events in states.load_events(self._connection, stale.values()):
            root = person.root
            _, impact = self._older_publication(before[root])
            if not impact.concerns(events):
                continue
            folded = states.fold_person(person, events, self._published)
            changes = self._changes(before[root], folded.timeline)
            self.changed_count += bool(changes)
            if (
                changes
                or set(folded.folded.unmatched) != unmatched_before.get(root, set())
                or self._changes_record(before[root], folded.timeline)
            ):
                rewrites.append(rewrite_of(folded, before[root], cause, changes))
        if not rewrites:
            return None
        return finish(
            self._connection, self._catalogs, self._recording, [], rewrites, tells_losses=False
        )

    def _changes_record(self, before: StoredState, after: PermissionTimeline) -> bool:
        """Tell whether the record would say something else."""
        content = self._content(before, after)
        if content == record.content_of(before.record):
            return False
        # What it said of a past that is over by now makes no difference.
        old = before.timeline(self._published.numbers)
        return content != self._content(before, old)

    def _content(self, before: StoredState, timeline: PermissionTimeline) -> bytes:
        return record.content_of(
            record.encode(
                timeline,
                self._published.numbers,
                version=before.version,
                publication=self._published.number,
                made_at=self._recording.now,
            )
        )

    def _changes(
        self, before: StoredState, after: PermissionTimeline
    ) -> Sequence[PermissionChange]:
        catalog, _ = self._older_publication(before)
        return list(
            permission_changes(
                before.timeline(self._published.numbers),
                catalog,
                after,
                self._published.catalog,
                before.changes_from(self._recording.now),
            )
        )

    def _older_publication(self, before: StoredState) -> tuple[Catalog, Impact]:
        """Give the catalog under which a state was folded, and the differences to it."""
        older = self._older.get(before.publication)
        if older is None:
            catalog = self._catalogs.by_number(self._connection, before.publication).catalog
            older = catalog, Impact(catalog, self._published.catalog)
            self._older[before.publication] = older
        return older


def _complete(connection: Connection, recording: Recording) -> Mapping[int, int] | None:
    """Note the roll-out as complete, once, when nobody is at a piece of it any more."""
    number = recording.published.number
    behind = select(shard.c.number).where(shard.c.rolled_out_publication < number)
    if connection.scalar(behind.limit(1)) is None or _pieces_left(connection):
        return None
    connection.execute(behind.order_by(shard.c.number).with_for_update())
    connection.execute(update(shard).values(rolled_out_publication=number))
    connection.execute(
        update(job)
        .where(job.c.kind == ROLL_OUT)
        .where(job.c.publication == number)
        .values(completed_at=recording.now)
    )
    return {}


def _pieces_left(connection: Connection) -> bool:
    return (
        connection.scalar(select(job_piece.c.job).where(job_piece.c.is_done.is_(False)).limit(1))
        is not None
    )


def progress_of(connection: Connection, number: int) -> RolloutProgress:
    """Tell how far the roll-out of a publication has come."""
    counts = connection.execute(
        select(
            func.count().filter(job_piece.c.is_done).label("done"),
            func.count().label("total"),
            func.coalesce(func.sum(job_piece.c.subjects_done), 0).label("customers_done"),
            func.coalesce(func.sum(job_piece.c.subjects_total), 0).label("customers_total"),
            func.coalesce(func.sum(job_piece.c.subjects_changed), 0).label("customers_changed"),
        )
        .select_from(job_piece.join(job, job.c.number == job_piece.c.job))
        .where(job.c.publication == number)
    ).one()
    written = connection.scalar(select(func.min(shard.c.rolled_out_publication))) or 0
    newest = connection.execute(select(NEWEST_PUBLICATION)).scalar_one()
    if written >= number and counts.done == SHARD_COUNT:
        rollout_state = RolloutState.WRITTEN
    elif newest > number:
        rollout_state = RolloutState.SUPERSEDED
    elif counts.done:
        rollout_state = RolloutState.ROLLING_OUT
    else:
        rollout_state = RolloutState.RECORDED
    return RolloutProgress(
        rollout_state,
        counts.done,
        SHARD_COUNT,
        int(counts.customers_done),
        # Customers who came after the job was laid out are done as well.
        max(int(counts.customers_total), int(counts.customers_done)),
        int(counts.customers_changed),
        connection.scalar(select(job.c.completed_at).where(job.c.publication == number)),
    )
