"""Repairs: states written anew, and lives of a shard's cache ended.

What lives here: the two ways in which a difference is put right. Both are one transaction, and
whoever dies in the middle leaves nothing half done: what is not repaired is found again. Nothing
is ever deleted from Redis; records go upwards and lives end.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from sqlalchemy import Connection, Engine, func, update

from decision.instants import Instant
from decision.timeline import NOBODY, PermissionTimeline
from store import record
from store.change_codec import NO_CHANGES
from store.database import draw_recorded_instants, run_transaction
from store.floors import Narrowing
from store.meta import CacheLife
from store.outbox import Loss, Notice, append_notices, narrowed_at
from store.publications import Catalogs, PublishedCatalog
from store.reconciling.differences import Difference
from store.reconciling.examining import Examined, Examiner
from store.schema import shard
from store.state_writing import Rewrite, rewrite_of
from store.states import FoldedPerson, StoredState, fold_person
from store.subjects import lock_persons, lock_shards, move_shards
from store.writing import Recording, begin_recording, finish

VERSION_MAX: Final = 2**48
"""Versions above this are damage: no customer has as many events, and Redis compares versions as
floating point numbers."""

CORRECTION: Final[Mapping[str, object]] = {"correction": True}
"""The cause of what changes because it had not followed from the ledger before."""


class Suspect(NamedTuple):
    """A subject whose record in Redis is not what it should be.

    `compared_version` is that of the state beside which it was found, `shown_version` that of the
    record, 0 where nobody can read one.
    """

    subject: int
    compared_version: int
    shown_version: int
    difference: Difference

    def is_suspect_still(self, version: int) -> bool:
        """Tell whether a state of this version would not replace what Redis holds by itself."""
        return version == self.compared_version or version <= self.shown_version


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What a repair wrote: the differences it met, and where and what is to be told of it."""

    differences: Sequence[Difference]
    persons: int
    positions: Mapping[int, int]
    narrowing: Narrowing


_NOTHING: Final = Rewritten((), 0, {}, Narrowing(epoch=0))


class Repairer:
    """Writes states anew. Safe to be used by several processes at once."""

    def __init__(self, engine: Engine, catalogs: Catalogs) -> None:
        """Repair the states in `engine`."""
        self._engine = engine
        self._catalogs = catalogs

    def write_anew(
        self,
        subjects: Collection[int],
        suspects: Collection[Suspect] = (),
        versions_shown: Mapping[int, int] | None = None,
    ) -> Rewritten:
        """Write the states of some subjects' persons anew where they still differ.

        So are those of suspects, whatever their states say, with a version above what Redis shows.
        `versions_shown` are the versions that Redis shows for other subjects.

        Raises UnavailableError; then nothing was written.
        """

        def work(connection: Connection) -> Rewritten:
            recording = begin_recording(connection, self._catalogs)
            return _Repair(connection, self._catalogs, recording).write(
                {*subjects, *(suspect.subject for suspect in suspects)},
                {suspect.subject: suspect for suspect in suspects},
                versions_shown or {},
            )

        return run_transaction(self._engine, work)

    def end_life(self, number: int, life: CacheLife, beyond: int = 0) -> bool:
        """End a life of a shard's cache; the projector then begins one of which nothing is cached.

        The next incarnation is above `beyond` too. False when the life was over already. Raises
        UnavailableError.
        """

        def work(connection: Connection) -> bool:
            ended = connection.execute(
                update(shard)
                .where(shard.c.number == number)
                .where(shard.c.incarnation == life.incarnation)
                .values(incarnation=func.greatest(shard.c.incarnation, beyond) + 1)
            )
            return ended.rowcount > 0

        return run_transaction(self._engine, work)


class _Repair:
    """One transaction that writes states anew."""

    def __init__(self, connection: Connection, catalogs: Catalogs, recording: Recording) -> None:
        self._connection = connection
        self._catalogs = catalogs
        self._recording = recording

    def write(
        self,
        subjects: Collection[int],
        suspects: Mapping[int, Suspect],
        versions_shown: Mapping[int, int],
    ) -> Rewritten:
        persons = lock_persons(self._connection, subjects)
        examiner = Examiner(
            self._connection, self._catalogs, self._recording.published, self._recording.now
        )
        differences: list[Difference] = []
        rewrites: list[Rewrite] = []
        losses: list[Notice] = []
        # Examined again now that the locks are had: somebody may have repaired some meanwhile.
        for examined in examiner.examine(persons.values()):
            members = [member.subject for member in examined.person.members]
            version = examined.stored.version if examined.stored is not None else 0
            suspected = [
                suspects[one]
                for one in members
                if one in suspects and suspects[one].is_suspect_still(version)
            ]
            found = [*examined.differences, *(suspect.difference for suspect in suspected)]
            if not found:
                continue
            shown = [versions_shown.get(one, 0) for one in members]
            shown += [suspect.shown_version for suspect in suspected]
            rewrite = self._rewrite(examined, shown)
            differences += found
            rewrites.append(rewrite)
            losses += self._losses(rewrite, {suspect.subject for suspect in suspected})
        if not rewrites:
            return _NOTHING
        written = finish(self._connection, self._catalogs, self._recording, [], rewrites)
        return self._tell_losses(
            Rewritten(differences, len(rewrites), written.positions, written.narrowing), losses
        )

    def _rewrite(self, examined: Examined, versions_shown: Iterable[int]) -> Rewrite:
        """Give the rewrite under the newest publication, above all versions that are shown."""
        folded = fold_person(examined.person, examined.events, self._recording.published)
        before = _readable(examined, folded, self._recording.published, self._recording.now)
        versions = (before.version, record.decode_header(before.record).version, *versions_shown)
        version = max(version for version in versions if version <= VERSION_MAX)
        rewrite = rewrite_of(folded, replace(before, version=version), CORRECTION)
        # What is beside the state is written whole: it need not be as the state says.
        return replace(rewrite, stored=None)

    def _losses(self, rewrite: Rewrite, subjects: Collection[int]) -> list[Notice]:
        """Tell that what Redis shows for subjects does not count until it shows the new version.

        The state itself may not change at all, so that its own notices tell of no loss.
        """
        person = rewrite.folded.person
        version = 1 + max(before.version for before in rewrite.previous.values() if before)
        return [
            Notice(member, person.root, CORRECTION, NO_CHANGES, Loss(version, self._recording.now))
            for member in person.members
            if member.subject in subjects
        ]

    def _tell_losses(self, rewritten: Rewritten, losses: Sequence[Notice]) -> Rewritten:
        if not losses:
            return rewritten
        positions = lock_shards(self._connection, {notice.member.shard for notice in losses})
        recorded_at = draw_recorded_instants(self._connection, 1)
        floors = append_notices(self._connection, losses, recorded_at, positions)
        move_shards(self._connection, positions)
        narrowing = rewritten.narrowing
        return replace(
            rewritten,
            positions={
                **rewritten.positions,
                **{number: position.seq for number, position in positions.items()},
            },
            narrowing=replace(
                narrowing,
                customers=[*narrowing.customers, *floors],
                narrowed_at=max(
                    narrowing.narrowed_at, narrowed_at(recorded_at, self._recording.now)
                ),
            ),
        )


def _readable(
    examined: Examined, folded: FoldedPerson, published: PublishedCatalog, now: Instant
) -> StoredState:
    """Give the state before the repair as the writing of states can read it.

    Where there is none, nobody was known. Where it can not be read, nobody was answered from it, so
    it changes nothing.
    """
    stored = examined.stored
    if stored is None:
        return _stored(NOBODY, published, 0, now)
    if examined.decoded is None or stored.publication > published.number:
        return _stored(folded.timeline, published, stored.version, now)
    return stored


def _stored(
    timeline: PermissionTimeline, published: PublishedCatalog, version: int, now: Instant
) -> StoredState:
    encoded = record.encode(
        timeline, published.numbers, version=version, publication=published.number, made_at=now
    )
    return StoredState(version, published.number, encoded, now)
