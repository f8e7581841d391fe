"""One transaction's worth of events of customers' timelines, from what is known to what is written.

What lives here: sorting events into new, repeated and refused, locking whom they are of, folding
and writing. Which transaction that is, and what is told of it afterwards, is `recording`'s.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import Connection

from decision.errors import MayweError
from decision.event_rules import check_event
from decision.events import NewEvent, TimelineEvent
from decision.instants import FOREVER
from store import ledger, states
from store.cache import Batch
from store.database import Question, Rows, ask, text_array
from store.erased import being_erased, subjects_being_erased
from store.ledger import StoredEvent
from store.narrowing import FloorsOfMembers
from store.outcomes import Outcome, Recorded, Refused
from store.publications import Catalogs, PublishedCatalog
from store.repeats import refuse_other_content, repeats
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
from store.writing import Entry, Recording, finish


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
        known = Known.of(*ask(self._connection, what_is_known(events)))
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
        """Take the answers to what `what_is_known` asks."""
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


def what_is_known(events: Sequence[NewEvent]) -> Sequence[Question]:
    """Ask what is known of events before anybody is locked; `Known.of` takes the answers."""
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
