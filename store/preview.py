"""What a publication would do: who gains and who loses what, exactly.

What lives here: folding every person under the newest publication and under the one to be, in one
snapshot of the ledger, and counting the differences. Nothing is written.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine, select

from decision.changes import Direction, PermissionChange, permission_changes
from decision.errors import ErrorCode, UnavailableError
from decision.events import TimelineEvent
from decision.fold import unmatched_of
from decision.impact import Impact
from decision.instants import Instant
from decision.scopes import Scope
from store import states
from store.clocks import wall_clock
from store.database import reading
from store.publications import Catalogs, PublishedCatalog
from store.publishing import check_document, read_document
from store.schema import state
from store.subjects import Person, persons_of_roots

_Key = TypeVar("_Key")

PERSONS_PER_STEP: Final = 500
"""Persons folded at a time, which bounds the memory that a preview takes."""


class Sample(NamedTuple):
    """One customer whose permissions would change, by the id they answer to now."""

    customer_id: str
    changes: Sequence[PermissionChange]


class Effect(NamedTuple):
    """How many persons gain, lose, and see either."""

    gaining: int = 0
    losing: int = 0
    changed: int = 0


@dataclass(frozen=True, slots=True)
class Preview:
    """The effect of a publication on everybody, compared from `compared_at` on."""

    base_number: int
    compared_at: Instant
    person_count: int
    total: Effect
    by_scope: Mapping[Scope, Effect]
    by_partner: Mapping[str, Effect]
    samples: Sequence[Sample]
    unmatched_before: int
    unmatched_after: int


def preview(
    engine: Engine,
    catalogs: Catalogs,
    content: object,
    sample_size: int,
    should_stop: Callable[[], bool],
) -> Preview:
    """Compare the newest publication with a document, for every person.

    `should_stop` is asked before each step of PERSONS_PER_STEP persons.

    Raises PublicationRefusedError when the document could not be published, and UnavailableError
    when the comparison was stopped.
    """
    document = read_document(content)
    snapshot = engine.execution_options(isolation_level="REPEATABLE READ")
    with reading(snapshot) as connection:
        newest = catalogs.newest_in(connection)
        candidate = check_document(connection, document, newest)
        comparison = _Comparison(newest, candidate, wall_clock(), sample_size)
        for persons in _all_persons(connection):
            if should_stop():
                message = "the preview was stopped before it was done: ask again"
                raise UnavailableError(message, ErrorCode.SHUTTING_DOWN)
            for person, events in states.load_events(connection, persons):
                comparison.add(person, events)
        return comparison.result()


def _all_persons(connection: Connection) -> Iterable[Sequence[Person]]:
    after = -1
    while True:
        roots = connection.scalars(
            select(state.c.subject)
            .where(state.c.subject > after)
            .order_by(state.c.subject)
            .limit(PERSONS_PER_STEP)
        ).all()
        if not roots:
            return
        after = roots[-1]
        yield list(persons_of_roots(connection, roots).values())


class _Tally(Generic[_Key]):
    """Counts persons by what they see; a person is counted once in each."""

    def __init__(self) -> None:
        self.gaining: Counter[_Key] = Counter()
        self.losing: Counter[_Key] = Counter()
        self.changed: Counter[_Key] = Counter()

    def add(self, directions: Iterable[tuple[_Key, Direction]]) -> None:
        seen = set(directions)
        gaining = {key for key, direction in seen if direction is not Direction.NARROWED}
        losing = {key for key, direction in seen if direction is not Direction.WIDENED}
        self.gaining.update(gaining)
        self.losing.update(losing)
        self.changed.update(gaining | losing)

    def effect(self, key: _Key) -> Effect:
        return Effect(self.gaining[key], self.losing[key], self.changed[key])


class _Comparison:
    """Adds up the differences between two folds of the same persons."""

    def __init__(
        self, newest: PublishedCatalog, candidate: PublishedCatalog, at: Instant, sample_size: int
    ) -> None:
        self._newest = newest
        self._candidate = candidate
        self._impact = Impact(newest.catalog, candidate.catalog)
        self._at = at
        self._sample_size = sample_size
        self._person_count = 0
        self._unmatched_before = 0
        self._unmatched_after = 0
        self._total: _Tally[None] = _Tally()
        self._scopes: _Tally[Scope] = _Tally()
        self._partners: _Tally[str] = _Tally()
        self._losers: list[Sample] = []
        self._gainers: list[Sample] = []

    def add(self, person: Person, events: Sequence[TimelineEvent]) -> None:
        self._person_count += 1
        if not self._impact.concerns(events):
            unmatched_count = len(unmatched_of(self._newest.catalog, events))
            self._unmatched_before += unmatched_count
            self._unmatched_after += unmatched_count
            return
        old = states.fold_person(person, events, self._newest)
        new = states.fold_person(person, events, self._candidate)
        self._unmatched_before += len(old.folded.unmatched)
        self._unmatched_after += len(new.folded.unmatched)
        changes = list(
            permission_changes(
                old.timeline,
                self._newest.catalog,
                new.timeline,
                self._candidate.catalog,
                self._at,
            )
        )
        if changes:
            self._count(person, changes)

    def _count(self, person: Person, changes: Sequence[PermissionChange]) -> None:
        directions = [(change.scope, change.direction) for change in changes]
        self._total.add((None, direction) for _, direction in directions)
        self._scopes.add(directions)
        self._partners.add(
            (scope.partner, direction) for scope, direction in directions if scope.partner
        )
        customer_id = next(
            member.customer_id for member in person.members if member.subject == person.root
        )
        loses = any(direction is not Direction.WIDENED for _, direction in directions)
        samples = self._losers if loses else self._gainers
        samples.append(Sample(customer_id, changes))
        if len(samples) > 2 * self._sample_size:
            samples[:] = self._first(samples)

    def _first(self, samples: Iterable[Sample]) -> list[Sample]:
        return heapq.nsmallest(self._sample_size, samples, key=lambda sample: sample.customer_id)

    def result(self) -> Preview:
        samples = [*self._first(self._losers), *self._first(self._gainers)]
        return Preview(
            self._newest.number,
            self._at,
            self._person_count,
            self._total.effect(None),
            {scope: self._scopes.effect(scope) for scope in sorted(self._scopes.changed, key=str)},
            {
                partner: self._partners.effect(partner)
                for partner in sorted(self._partners.changed, key=str)
            },
            samples[: self._sample_size],
            self._unmatched_before,
            self._unmatched_after,
        )
