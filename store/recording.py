"""Recording events: the one way in which the ledger grows and states follow.

What lives here: transactions that record events of customers' timelines, one or many at a time,
each event accepted, repeated or refused by itself; what a transaction does with events of timelines
is in `timeline_run`. Voids, merges and splits, which change which events count, are in `identity`.
Locks are taken in one order everywhere: the catalog shared, then persons, then shards.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from sqlalchemy import Connection, Engine
from sqlalchemy.dialects.postgresql import insert as upsert

from decision.catalog_history import UsedCode, codes_of_body
from decision.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    NotFoundError,
    PreconditionError,
)
from decision.event_rules import check_event
from decision.events import Merge, NewEvent, Split, Void
from store import identity, ledger
from store.cache import Batch
from store.database import RetryTransactionError, Rows, run_transaction, run_transaction_asking
from store.outcomes import Outcome, Recorded, Refused
from store.publications import Catalogs
from store.repeats import refuse_other_content, repeats
from store.schema import used_code
from store.timeline_run import Known, TimelineRun, what_is_known
from store.writing import BEGIN_RECORDING, Recording, begin_recording, recording_of


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

        questions = [*BEGIN_RECORDING, *what_is_known(events)]
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
