"""Batches: many checks at once, each with its own answer or error.

What lives here: answering the checks of a batch from many cached records together, and by
`checking` those of which that can not be told so. Nothing here knows of messages.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from decision.answer import Answer
from decision.errors import MayweError, OverloadedError, UnavailableError
from decision.instants import Instant
from decision.reasons import Reason
from decision.scopes import Scope
from service.asked import Asked, ask
from service.checking import (
    Check,
    Checker,
    Decision,
    Undetermined,
    is_plain_identifier,
    new_decision_id,
)
from store.bulk_reading import BulkReader, ManyPermissions
from store.judging import asked_scopes
from store.judging_bases import read_bases
from store.record import read_basis
from store.token import Token

Result: TypeAlias = Decision | Undetermined | MayweError

_DAMAGED: Final = 0
_NOBODYS_VERSION: Final = 0
_DENIALS: Final = {reason.value: Answer(reason) for reason in Reason}
_UNKNOWN: Final = _DENIALS[Reason.UNKNOWN_CUSTOMER]


class _Entry(NamedTuple):
    """A check of a batch, where it stands there, and what it asks about."""

    place: int
    check: Check
    asked: Asked


class BatchDecider:
    """Answers batches. Safe to be used by several threads."""

    def __init__(self, bulk: BulkReader, checker: Checker) -> None:
        """Answer from many records together, or by `checker`."""
        self._bulk = bulk
        self._checker = checker

    def decide_each(self, checks: Iterable[Check | MayweError]) -> list[Result]:
        """Answer each of many checks by itself: with a decision, an error, or that it is unknown.

        A check that could not even be read is given as its error, and given back.
        """
        results: list[Result | None] = []
        groups: dict[tuple[Token | None, Instant | None], list[_Entry]] = {}
        # Of the checks of a batch many ask the same, which is the same object.
        known: dict[tuple[int, Instant | None], Asked] = {}
        for place, check in enumerate(checks):
            error: MayweError | None = None
            if isinstance(check, MayweError):
                error = check
            else:
                try:
                    asked = known.get((id(check.question), check.at))
                    if asked is None or not is_plain_identifier(check.customer_id):
                        asked = self._checker.asked_by(check)
                        known[id(check.question), check.at] = asked
                    entry = _Entry(place, check, asked)
                    groups.setdefault((check.token, check.at), []).append(entry)
                except MayweError as fault:
                    error = fault
            results.append(error)
        for (token, at), entries in groups.items():
            left = self._decide_together(entries, token, at, results)
            if left:
                self._decide_singly(left, results)
        return [result for result in results if result is not None]

    def _decide_together(
        self,
        entries: Sequence[_Entry],
        token: Token | None,
        at: Instant | None,
        results: list[Result | None],
    ) -> Sequence[_Entry]:
        """Put in the answers for whom Redis can be trusted, and give the checks that are left."""
        try:
            reading = self._bulk.begin([entry.check.customer_id for entry in entries], token)
            found = self._bulk.finish(reading)
        except (UnavailableError, OverloadedError):
            return entries
        judged = _JudgedBatch(self._bulk, found, entries, at)
        decisions = [judged.decision(index) for index in range(len(entries))]
        # Only now: the answers have to be known within the lease.
        if not found.guard.is_lease_valid():
            return entries
        left = []
        for entry, decision in zip(entries, decisions, strict=True):
            if decision is None:
                left.append(entry)
            else:
                results[entry.place] = decision
        return left

    def _decide_singly(self, left: Sequence[_Entry], results: list[Result | None]) -> None:
        decided: Sequence[Decision | Undetermined]
        try:
            decided = self._checker.decide_each(
                [entry.check for entry in left], [entry.asked for entry in left]
            )
        except (UnavailableError, OverloadedError):
            decided = [
                Undetermined(self._checker.instant(entry.check.at), new_decision_id())
                for entry in left
            ]
        for entry, one in zip(left, decided, strict=True):
            results[entry.place] = one


class _Shape(NamedTuple):
    """Where the scopes of a question are among all that a batch asks about.

    The first `asked_count` of them have answers that are told, the others are only for `channels`:
    these tell for each channel that may be suggested which of `scopes` it is.
    """

    scopes: Sequence[int]
    is_told: Sequence[bool]
    asked_count: int
    channels: Sequence[tuple[str, int]]


class _JudgedBatch:
    """The answers for all scopes of all checks of a batch, worked out at once."""

    def __init__(
        self,
        bulk: BulkReader,
        found: ManyPermissions,
        entries: Sequence[_Entry],
        at: Instant | None,
    ) -> None:
        published = found.published
        self._numbers = published.numbers
        self._publication = published.number
        self._at = found.now if at is None else max(found.now, at)
        scopes: dict[Scope, int] = {}
        shapes: dict[int, _Shape] = {}
        self._shapes = []
        for entry in entries:
            asked = entry.asked
            shape = shapes.get(id(asked))
            if shape is None:
                is_right = asked.published is published
                shape = _shape_of(
                    asked if is_right else ask(entry.check.question, published), scopes
                )
                shapes[id(asked)] = shape
            self._shapes.append(shape)
        self._judge(bulk, found, tuple(scopes))

    def _judge(self, bulk: BulkReader, found: ManyPermissions, scopes: Sequence[Scope]) -> None:
        # In the order of the checks, as all is from here on; records are in that of their shards.
        record_of_check = np.empty(len(self._shapes), np.int64)
        record_of_check[found.places] = np.arange(len(self._shapes))
        answerable = bulk.answerable(found, scopes)[record_of_check]
        counts = np.array([len(shape.scopes) for shape in self._shapes])
        is_asked = np.repeat(answerable, counts)
        asked = np.array([place for shape in self._shapes for place in shape.scopes], np.int64)
        catalog = found.published.catalog
        places = np.repeat(record_of_check, counts)[is_asked]
        answers = found.records.judge(
            places,
            asked_scopes(scopes, [catalog.suspension_of(scope) for scope in scopes], self._numbers),
            asked[is_asked],
            self._at,
            with_not_after=True,
        )
        self._first_answers = (np.cumsum(counts * answerable) - counts * answerable).tolist()
        self._reasons = np.where(answers.is_damaged, _DAMAGED, answers.reasons).tolist()
        self._not_after = answers.not_after.tolist()
        self._basis_indexes = answers.bases.tolist()
        # Of the channels that are only suggested no basis is told.
        is_told = np.array([told for shape in self._shapes for told in shape.is_told], np.bool_)
        with_basis = np.flatnonzero(is_told[is_asked] & (answers.reasons == Reason.ALLOWED))
        self._bases = dict(
            zip(
                with_basis.tolist(),
                read_bases(
                    found.records, places[with_basis], answers.bases[with_basis], self._numbers
                ),
                strict=True,
            )
        )
        self._answerable = answerable.tolist()
        self._is_nobodys = found.is_nobodys[record_of_check].tolist()
        is_known, versions = found.records.is_known, found.records.versions
        self._versions = np.where(is_known, versions, 0)[record_of_check].tolist()
        self._records = [found.plain_records[index] for index in record_of_check.tolist()]

    def decision(self, index: int) -> Decision | None:
        """Give the answer to a check, by its place in the batch; None where it is left."""
        shape = self._shapes[index]
        if self._is_nobodys[index]:
            return self._decided([_UNKNOWN] * shape.asked_count, [], _NOBODYS_VERSION)
        if not self._answerable[index]:
            return None
        first = self._first_answers[index]
        reasons = self._reasons[first : first + len(shape.scopes)]
        record = self._records[index]
        if _DAMAGED in reasons or record is None:
            return None
        try:
            answers = [
                self._allowed(record, first + place)
                if reason == Reason.ALLOWED
                else _DENIALS[reason]
                for place, reason in enumerate(reasons[: shape.asked_count])
            ]
        except (ValueError, LookupError):
            return None
        channels = [code for code, place in shape.channels if reasons[place] == Reason.ALLOWED]
        return self._decided(answers, channels, self._versions[index])

    def _allowed(self, record: bytes, index: int) -> Answer:
        basis = self._bases[index]
        if basis is None:
            basis = read_basis(record, self._basis_indexes[index], self._numbers)
        return Answer(Reason.ALLOWED, self._not_after[index], basis)

    def _decided(
        self, answers: Sequence[Answer], channels: Sequence[str], version: int
    ) -> Decision:
        return Decision(
            answers,
            channels,
            version,
            self._publication,
            self._at,
            new_decision_id(),
            is_outside_promise=False,
        )


def _shape_of(asked: Asked, scopes: dict[Scope, int]) -> _Shape:
    """Find the scopes of a question among those asked so far, to which new ones are added."""
    place_within = {scope: place for place, scope in enumerate(asked.scopes_to_read)}
    return _Shape(
        [scopes.setdefault(scope, len(scopes)) for scope in asked.scopes_to_read],
        [place < len(asked.scopes) for place in range(len(asked.scopes_to_read))],
        len(asked.scopes),
        [(code, place_within[scope]) for code, scope in asked.channels],
    )
