"""Recording events: the one way in which the ledger grows and states follow.

What lives here: transactions that record events of customers' timelines, one or many at a time,
each event accepted, repeated or refused by itself. Voids, merges and splits, which change which
events count, are in `identity`. Locks are taken in one order everywhere: the catalog shared, then
persons, then shards.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

from sqlalchemy import Connection, Engine
from sqlalchemy.dialects.postgresql import insert as upsert

from decision.catalog_history import UsedCode, codes_of_body
from decision.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    MayweError,
    NotFoundError,
    PreconditionError,
)
from decision.event_rules import check_event
from decision.events import Merge, NewEvent, Split, TimelineEvent, Void
from decision.instants import FOREVER
from store import identity, ledger, states
from store.cache import Batch
from store.database import (
    Question,
    RetryTransactionError,
    Rows,
    ask,
    run_transaction,
    run_transaction_asking,
    text_array,
)
from store.erased import being_erased, subjects_being_erased
from store.ledger import StoredEvent
from store.narrowing import FloorsOfMembers
from store.outcomes import Outcome, Recorded, Refused
from store.publications import Catalogs, PublishedCatalog
from store.repeats import refuse_other_content, repeats
from store.schema import used_code
from store.sharding import shard_of
from store.state_writing import Rewrite, rewrite_of
from store.states import StoredState
from store.subjects import (
    FIND_SUBJECTS,
    Member,
    Person,
    lock_persons_asking,
    make_missing_subjects,
    subjects_of_rows,
)
from store.writing import (
    BEGIN_RECORDING,
    Entry,
    Recording,
    begin_recording,
    finish,
    recording_of,
)


class Recorder:
    """Records events. Safe to be used by several threads at once."""

    def __init__(
        self,
        engine: Engine,
        catalogs: Catalogs,
        announce: Callable[[Mapping[int, int]], None],
        hand_over: Callable[[Mapping[int, Batch]], None] = lambda _: None,
    ) -> None:
        """Record into the ledger at `engine`, and `announce` positions after commits.

        What takes something away is not announced: nothing needs the cache then, and whoever
        acknowledges it has more urgent things to do first. Before that `hand_over` is given what
        the cache lacks.
        """
        self._engine = engine
        self._catalogs = catalogs
        self._announce = announce
        self._hand_over = hand_over
        self._known_used_codes: dict[int, set[UsedCode]] = {}

    def record_one(self, event: NewEvent) -> Recorded:
        """Record one event. Raises whatever it is refused with."""
        outcome = self.record([event])[0]
        if isinstance(outcome, Refused):
            raise outcome.error
        return outcome

    def record(self, events: Sequence[NewEvent]) -> list[Outcome]:
        """Record events in the order given and tell the outcome of each.

        Events of timelines that follow one another share a transaction; each void, merge and split
        has one of its own. Raises UnavailableError when PostgreSQL does not answer: then nobody
        knows whether the transaction at hand was committed, and all may be sent again.
        """
        outcomes: list[Outcome] = []
        for changes_identity, run in groupby(events, key=_changes_identity):
            if changes_identity:
                outcomes += [self._record_identity(event) for event in run]
            else:
                outcomes += self._record_run(list(run))
        return outcomes

    def _record_run(self, events: Sequence[NewEvent]) -> list[Outcome]:
        batches: Mapping[int, Batch] = {}

        def work(connection: Connection, answers: Sequence[Rows]) -> list[Outcome]:
            nonlocal batches
            *begun, stored, subjects = answers
            run = TimelineRun(
                connection,
                self._catalogs,
                self._mark_used,
                recording_of(connection, self._catalogs, begun[-1]),
            )
            outcomes = run.record_and_commit(events, Known.of(stored, subjects))
            batches = run.batches
            return outcomes

        questions = [*BEGIN_RECORDING, *_what_is_known(events)]
        outcomes = run_transaction_asking(self._engine, questions, work)
        self._hand_over(batches)
        self.note_committed(outcomes)
        return outcomes

    def begin_run(self, connection: Connection) -> "TimelineRun":
        """Begin to record events of timelines in a transaction of the caller's.

        After the commit `note_committed` MUST be told of the outcomes.
        """
        return TimelineRun(
            connection,
            self._catalogs,
            self._mark_used,
            begin_recording(connection, self._catalogs),
        )

    def note_committed(self, outcomes: Sequence[Outcome]) -> None:
        """Announce what a committed run gave, and learn which codes are marked as used."""
        self._tell(outcomes)
        # Only what is committed may be taken as marked: a rollback takes the marks away too.
        for outcome in outcomes:
            if isinstance(outcome, Recorded):
                known = self._known_used_codes.setdefault(outcome.epoch, set())
                known |= codes_of_body(outcome.event.body)

    def _record_identity(self, event: NewEvent) -> Outcome:
        def work(connection: Connection) -> Recorded:
            recording = begin_recording(connection, self._catalogs)
            check_event(event, recording.published.catalog)
            found = ledger.find_events(connection, [event.event_id]).get(event.event_id)
            if found is not None:
                refuse_other_content(event, found.event, is_erased=found.is_erased)
                return next(repeats(connection, [(event, found)], recording, with_timelines=False))
            try:
                written = identity.record(connection, self._catalogs, recording, event)
            except PreconditionError:
                # What is in the way may be this very event, sent twice at once.
                if ledger.find_events(connection, [event.event_id]):
                    raise RetryTransactionError from None
                raise
            return Recorded(
                event,
                written.recorded_at[0],
                is_repeated=False,
                epoch=recording.epoch,
                is_epoch_settled=recording.is_epoch_settled,
                positions=written.positions,
                published=recording.published,
                events=(),
                narrowing=written.narrowing,
            )

        try:
            outcome = run_transaction(self._engine, work)
        except (
            InvalidArgumentError,
            AlreadyExistsError,
            NotFoundError,
            PreconditionError,
        ) as error:
            return Refused(event, error)
        self._tell([outcome])
        return outcome

    def _tell(self, outcomes: Sequence[Outcome]) -> None:
        """Announce what was given. What was taken away is announced once everybody was told."""
        positions: dict[int, int] = {}
        for outcome in outcomes:
            if isinstance(outcome, Recorded) and outcome.narrowing.is_empty:
                for number, seq in outcome.positions.items():
                    positions[number] = max(seq, positions.get(number, 0))
        if positions:
            self._announce(positions)

    def _mark_used(
        self, connection: Connection, recording: Recording, events: Sequence[NewEvent]
    ) -> None:
        used = set[UsedCode]().union(*(codes_of_body(event.body) for event in events))
        # What was marked in an older epoch may be lost with the end of it.
        mark_used(connection, used - self._known_used_codes.get(recording.epoch, set()))


def mark_used(connection: Connection, used: set[UsedCode]) -> None:
    """Note codes as used, in order, so that two transactions can not wait for each other."""
    if used:
        connection.execute(
            upsert(used_code).on_conflict_do_nothing(),
            sorted(
                (
                    {
                        "code_list": code.code_list.value,
                        "code": code.code,
                        "consent_type": code.consent_type,
                    }
                    for code in used
                ),
                key=lambda row: tuple(row.values()),
            ),
        )


def _changes_identity(event: NewEvent) -> bool:
    return isinstance(event.body, Void | Merge | Split)


class TimelineRun:
    """One transaction's worth of timeline events. Publications are kept out from its beginning."""

    def __init__(
        self,
        connection: Connection,
        catalogs: Catalogs,
        mark_used: Callable[[Connection, Recording, Sequence[NewEvent]], None],
        recording: Recording,
    ) -> None:
        """Go on with a recording that was begun in the transaction of `connection`."""
        self._connection = connection
        self._catalogs = catalogs
        self._mark_used = mark_used
        self._recording = recording
        self.batches: Mapping[int, Batch] = {}
        """What the cache lacks once the events that were recorded are committed."""

    @property
    def published(self) -> PublishedCatalog:
        """The publication under which the events are derived."""
        return self._recording.published

    def record(self, events: Sequence[NewEvent], *, with_timelines: bool = True) -> list[Outcome]:
        """Record events in the order given; the caller commits.

        Without `with_timelines` the timelines of repeated events are not read, which costs more
        than all else that is done for them.
        """
        known = Known.of(*ask(self._connection, _what_is_known(events)))
        return self._record(events, known, with_timelines=with_timelines, commits=False)

    def record_and_commit(self, events: Sequence[NewEvent], known: "Known") -> list[Outcome]:
        """Record events, of which so much is `known`, in the order given.

        They may be committed by then, and nothing may follow.
        """
        # Repeats are answered after the others have been written, in the same transaction.
        commits = not known.stored
        return self._record(events, known, with_timelines=True, commits=commits)

    def _record(
        self, events: Sequence[NewEvent], known: "Known", *, with_timelines: bool, commits: bool
    ) -> list[Outcome]:
        stored = known.stored
        accepted, refusals = self._sort_out(events, stored)
        recorded = self._write(accepted, known, commits=commits) if accepted else {}
        repeated = repeats(
            self._connection,
            [
                (event, stored[event.event_id])
                for event, refusal in zip(events, refusals, strict=True)
                if refusal is None and event.event_id in stored
            ],
            self._recording,
            with_timelines=with_timelines,
        )
        outcomes: list[Outcome] = []
        answered: set[str] = set()
        for event, refusal in zip(events, refusals, strict=True):
            if refusal is not None:
                outcomes.append(Refused(event, refusal))
            elif event.event_id in stored:
                outcomes.append(next(repeated))
            elif event.event_id not in recorded:
                outcomes.append(Refused(event, being_erased()))
            elif event.event_id in answered:
                # Whatever comes under this id after the first one repeats it.
                outcomes.append(replace(recorded[event.event_id], is_repeated=True))
            else:
                outcomes.append(recorded[event.event_id])
                answered.add(event.event_id)
        return outcomes

    def _sort_out(
        self, events: Sequence[NewEvent], found: Mapping[str, StoredEvent]
    ) -> tuple[list[NewEvent], list[MayweError | None]]:
        """Give the events that are new, and for each event at hand why it is refused, if it is."""
        accepted: dict[str, NewEvent] = {}
        refusals: list[MayweError | None] = []
        for event in events:
            stored = found.get(event.event_id)
            earlier = stored.event if stored is not None else accepted.get(event.event_id)
            refusal = None
            try:
                if earlier is None:
                    check_event(event, self._recording.published.catalog)
                    accepted[event.event_id] = event
                else:
                    is_erased = stored is not None and stored.is_erased
                    refuse_other_content(event, earlier, is_erased=is_erased)
            except MayweError as error:
                refusal = error
            refusals.append(refusal)
        return list(accepted.values()), refusals

    def _write(
        self, events: Sequence[NewEvent], known: "Known", *, commits: bool
    ) -> dict[str, Recorded]:
        connection, recording = self._connection, self._recording
        customer_ids = {event.customer_id for event in events}
        subjects, made = make_missing_subjects(connection, customer_ids, known.subjects)
        numbers = [subjects[customer_id] for customer_id in customer_ids]
        found = _lock_and_read(connection, [number for number in numbers if number not in made])
        held_up = subjects_being_erased(found.persons.values())
        if held_up:
            events = [event for event in events if subjects[event.customer_id] not in held_up]
            if not events:
                return {}
        there = {root: person for root, person in found.persons.items() if not person.is_erased}
        persons = {**there, **made}
        self._mark_used(connection, recording, events)
        shards = {customer_id: shard_of(customer_id) for customer_id in customer_ids}
        entries = [
            Entry(event, subjects[event.customer_id], shards[event.customer_id]) for event in events
        ]
        rewrites = self._fold(persons, entries, found.timelines, found.states)
        written = finish(connection, self._catalogs, recording, entries, rewrites, commits=commits)
        self.batches = written.batches
        events_of_subject = {
            subject: rewrite.folded.events for rewrite in rewrites for subject in rewrite.previous
        }
        members_of_subject: dict[int, Sequence[Member]] = {}
        positions_of_subject: dict[int, Mapping[int, int]] = {}
        for person in persons.values():
            positions = {member.shard: written.positions[member.shard] for member in person.members}
            for member in person.members:
                members_of_subject[member.subject] = person.members
                positions_of_subject[member.subject] = positions
        floors = FloorsOfMembers(written, recording.published.catalog)
        return {
            entry.event.event_id: Recorded(
                entry.event,
                recorded_at,
                is_repeated=False,
                epoch=recording.epoch,
                is_epoch_settled=recording.is_epoch_settled,
                positions=positions_of_subject[entry.subject],
                published=recording.published,
                events=events_of_subject[entry.subject],
                narrowing=floors.narrowing_of(
                    entry.event.body, recorded_at, members_of_subject[entry.subject]
                ),
            )
            for entry, recorded_at in zip(entries, written.recorded_at, strict=True)
        }

    def _fold(
        self,
        persons: Mapping[int, Person],
        entries: Sequence[Entry],
        timelines: dict[int, list[TimelineEvent]],
        before: Mapping[int, StoredState],
    ) -> list[Rewrite]:
        """Fold each person with what the ledger has and what is about to be appended."""
        root_of_subject = {
            member.subject: root for root, person in persons.items() for member in person.members
        }
        new_events: dict[int, list[TimelineEvent]] = {root: [] for root in persons}
        for entry in entries:
            new_events[root_of_subject[entry.subject]].append(new_timeline_event(entry.event))
        return [
            rewrite_of(
                states.fold_person(
                    person,
                    [
                        *ledger.joined(timelines, (member.subject for member in person.members)),
                        *new_events[root],
                    ],
                    self._recording.published,
                ),
                before.get(root),
                {"event_ids": [event.event_id for event in new_events[root]]},
            )
            for root, person in persons.items()
        ]


class Known(NamedTuple):
    """What the ledger knows of events that are to be recorded, before anybody is locked."""

    stored: Mapping[str, StoredEvent]
    subjects: dict[str, int]

    @classmethod
    def of(cls, stored: Rows, subjects: Rows) -> "Known":
        """Take the answers to what `_what_is_known` asks."""
        return cls(ledger.events_of_rows(stored), subjects_of_rows(subjects))


class _Found(NamedTuple):
    """People who were there before, locked, with what is kept of them."""

    persons: Mapping[int, Person]
    timelines: dict[int, list[TimelineEvent]]
    states: Mapping[int, StoredState]


def _lock_and_read(connection: Connection, numbers: Sequence[int]) -> _Found:
    """Lock the persons to whom some subjects belong, and read what is kept of them."""
    if not numbers:
        return _Found({}, {}, {})
    persons, [timelines, before] = lock_persons_asking(
        connection,
        numbers,
        [
            ledger.TIMELINES_OF_PERSONS(subjects=numbers, known_at=FOREVER),
            states.STATES_OF_PERSONS(subjects=numbers),
        ],
    )
    return _Found(persons, ledger.timelines_of_rows(timelines), states.stored_states(before))


def _what_is_known(events: Sequence[NewEvent]) -> Sequence[Question]:
    return (
        ledger.FIND_EVENTS(event_ids=_keepable({event.event_id for event in events})),
        FIND_SUBJECTS(customer_ids=_keepable({event.customer_id for event in events})),
    )


def _keepable(texts: set[str]) -> str:
    """Give an array of texts without those that PostgreSQL can not keep, so that none is known.

    It would refuse the whole question; what they stand in is refused by itself once it is checked.
    """
    return text_array(text for text in texts if "\0" not in text)


def new_timeline_event(event: NewEvent) -> TimelineEvent:
    """Give an event that is about to be recorded as part of its timeline."""
    event_id, customer_id, body, source, _ = event
    return TimelineEvent(event_id, customer_id, body, source)  # type: ignore[arg-type]  # voids, merges and splits never come here
