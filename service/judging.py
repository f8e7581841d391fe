"""Judging many checks at once: the answers to all of them, by column.

What lives here: what `checking` makes of one customer's permissions, made of what Redis holds for
many. No object is made for a check: thousands of them would take longer than judging does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from decision.instants import Instant
from decision.reasons import Reason
from decision.scopes import Scope
from service.asked import Asked, CheckQuestion, ask
from service.checking import new_decision_id
from store.bulk_reading import BulkReader, ManyPermissions
from store.judging import Flags, Numbers, asked_scopes
from store.judging_bases import Bases, read_bases
from store.publications import PublishedCatalog

_NOT_ANSWERED: Final = 0


class JudgedQuestion(NamedTuple):
    """A question, and of how many scopes its answer is made.

    First stand those that it asks about, whose answers are told. Of any other is only told whether
    it allows: `channels` are those that may be suggested, in the catalog's order, each with its
    scope's place.
    """

    question: CheckQuestion
    scope_count: int
    channels: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Judged:
    """The answers to checks, by column; an index is that of a check among those asked.

    `left` are those that Redis can not answer, `answered` all others, with which `questions` (as
    numbers of `asked`), `state_versions` and `firsts` go: from the latter on the reasons for the
    scopes of the question stand in `reasons`, a byte each. `allowed` are the places there of every
    ALLOW that is told, with which `not_after` and `bases` go.
    """

    left: Sequence[int]
    answered: Sequence[int]
    questions: Sequence[int]
    state_versions: Sequence[int]
    firsts: Sequence[int]
    asked: Sequence[JudgedQuestion]
    reasons: bytes
    allowed: Sequence[int]
    not_after: Numbers
    bases: Bases
    publication: int
    decided_at: Instant
    decision_id: str
    """Of all of them together; each has its own, by its place among the checks of the batch."""

    def decision_id_at(self, place: int) -> str:
        """Give the decision id of the check at a place of the batch."""
        return self.decision_id + place_suffix(place)


def place_suffix(place: int) -> str:
    """Give what the decision id ends with at a place of a batch; what it begins with is shared."""
    return f"-{place:03x}"


def judge(
    bulk: BulkReader,
    found: ManyPermissions,
    questions: Sequence[tuple[CheckQuestion, Asked]],
    question_numbers: Sequence[int],
    at: Instant | None,
) -> Judged:
    """Answer for customers whom `bulk` has found, each asked a question by its number."""
    numbered = np.array(question_numbers)
    lines = _Lines(questions, numbered, found.published)
    # In the order of the checks, as all is from here on; records are in that of their shards.
    records = np.empty(len(numbered), np.int64)
    records[found.places] = np.arange(len(numbered))
    is_judged = bulk.answerable(found, lines.scopes)[records]
    is_nobodys = found.is_nobodys[records]
    reasons = np.where(is_nobodys, Reason.UNKNOWN_CUSTOMER, _NOT_ANSWERED).astype(np.uint8)
    reasons = reasons[lines.checks]
    judged = np.flatnonzero(is_judged[lines.checks])
    rows = records[lines.checks[judged]]
    decided_at = found.now if at is None else max(found.now, at)
    catalog, numbers = found.published.catalog, found.published.numbers
    suspensions = [catalog.suspension_of(scope) for scope in lines.scopes]
    answers = found.records.judge(
        rows,
        asked_scopes(lines.scopes, suspensions, numbers),
        lines.asked[judged],
        decided_at,
        with_not_after=True,
    )
    reasons[judged] = np.where(answers.is_damaged, _NOT_ANSWERED, answers.reasons)
    allowed = np.flatnonzero(lines.is_told[judged] & (answers.reasons == Reason.ALLOWED))
    bases = read_bases(found.records, rows[allowed], answers.bases[allowed], numbers)
    reasons[judged[allowed[~bases.is_readable]]] = _NOT_ANSWERED
    is_answered = np.minimum.reduceat(reasons, lines.firsts) != _NOT_ANSWERED
    answered = np.flatnonzero(is_answered)
    # Nobody's record is missing: what stands in its place says nothing.
    has_version = (found.records.is_known[records] & ~is_nobodys)[answered]
    versions = np.where(has_version, found.records.versions[records[answered]], 0)
    return Judged(
        left=np.flatnonzero(~is_answered).tolist(),
        answered=answered.tolist(),
        questions=numbered[answered].tolist(),
        state_versions=versions.tolist(),
        firsts=lines.firsts[answered].tolist(),
        asked=lines.questions,
        reasons=reasons.tobytes(),
        allowed=judged[allowed].tolist(),
        not_after=answers.not_after[allowed],
        bases=bases,
        publication=found.published.number,
        decided_at=decided_at,
        decision_id=new_decision_id(),
    )


class _Lines:
    """One line for each scope of each check, those of one check together.

    `checks`, `asked` and `is_told` go by line: the check's index, the scope's place in `scopes`,
    whether it has an answer that is told. `firsts` tells where the lines of each check begin.
    """

    def __init__(
        self,
        questions: Sequence[tuple[CheckQuestion, Asked]],
        question_numbers: Numbers,
        published: PublishedCatalog,
    ) -> None:
        places: dict[Scope, int] = {}
        self.questions: list[JudgedQuestion] = []
        all_read: list[int] = []
        told_counts: list[int] = []
        for question, asked in questions:
            is_right = asked.published is published
            _, told, channels, read = asked if is_right else ask(question, published)
            suggested = [(code, read.index(scope)) for code, scope in channels]
            self.questions.append(JudgedQuestion(question, len(read), suggested))
            all_read += [places.setdefault(scope, len(places)) for scope in read]
            told_counts.append(len(told))
        self.scopes = tuple(places)
        read_counts = np.array([one.scope_count for one in self.questions])
        begins = (np.cumsum(read_counts) - read_counts)[question_numbers]
        counts = read_counts[question_numbers]
        self.firsts: Numbers = np.cumsum(counts) - counts
        self.checks: Numbers = np.repeat(np.arange(len(counts)), counts)
        within = np.arange(len(self.checks)) - self.firsts[self.checks]
        self.is_told: Flags = within < np.array(told_counts)[question_numbers][self.checks]
        self.asked: Numbers = np.array(all_read)[begins[self.checks] + within]
