"""Batches: many checks at once, each with its own answer or error.

What lives here: answering the checks of a batch from many cached records together, and by
`checking` those of which that can not be told so. Nothing here knows of messages.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from decision.errors import MayweError, OverloadedError, UnavailableError
from decision.instants import Instant
from service.asked import Asked, CheckQuestion
from service.checking import (
    Check,
    Checker,
    Decision,
    Undetermined,
    are_plain_identifiers,
    new_decision_id,
)
from service.judging import Judged, judge
from store.bulk_reading import BulkReader
from store.token import Token


class Decided(NamedTuple):
    """The results of a batch of `check_count` checks: each is in one of three, with its place.

    `together`: what was judged, with the place of each index. `singly`: what was answered by
    itself, with its question. `errors`: why a check could not be asked.
    """

    check_count: int
    together: list[tuple[Sequence[int], Judged]]
    singly: dict[int, tuple[CheckQuestion, Decision | Undetermined]]
    errors: dict[int, MayweError]


@dataclass(frozen=True, slots=True)
class _Group:
    """Checks with the same token and instant: where they stand, and which question each asks.

    Of the checks of a batch many ask the same, which mostly is the same object.
    """

    token: Token | None
    at: Instant | None
    places: list[int] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    question_numbers: list[int] = field(default_factory=list)
    questions: list[tuple[CheckQuestion, Asked]] = field(default_factory=list)
    number_by_object: dict[int, int] = field(default_factory=dict)

    def number(self, question: CheckQuestion, asked: Asked) -> int:
        """Number a question, unless it has a number."""
        number = self.number_by_object.setdefault(id(question), len(self.questions))
        if number == len(self.questions):
            self.questions.append((question, asked))
        return number


class BatchDecider:
    """Answers batches. Safe to be used by several threads."""

    def __init__(self, bulk: BulkReader, checker: Checker) -> None:
        """Answer from many records together, or by `checker`."""
        self._bulk = bulk
        self._checker = checker

    def decide_each(self, checks: Sequence[Check | MayweError]) -> Decided:
        """Answer each of many checks by itself: with a decision, an error, or that it is unknown.

        A check that could not even be read is given as its error, and given back.
        """
        decided = Decided(len(checks), [], {}, {})
        for group in self._groups(checks, decided.errors):
            judged = self._judge(group)
            left: Sequence[int] = range(len(group.places))
            if judged is not None:
                decided.together.append((group.places, judged))
                self._bulk.lookups.count_hits(len(judged.answered))
                left = judged.left
            if left:
                decided.singly.update(self._decide_singly(group, left))
        return decided

    def _groups(
        self, checks: Sequence[Check | MayweError], errors: dict[int, MayweError]
    ) -> Iterable[_Group]:
        """Group the checks that are to be read together; what is faulty gets its error."""
        are_plain = are_plain_identifiers(
            [check.customer_id for check in checks if isinstance(check, Check)]
        )
        groups: dict[tuple[Token | None, Instant | None], _Group] = {}
        for place, check in enumerate(checks):
            if isinstance(check, MayweError):
                errors[place] = check
                continue
            _, question, at, token = check
            group = groups.get((token, at))
            if group is None:
                group = groups[token, at] = _Group(token, at)
            number = group.number_by_object.get(id(question)) if are_plain else None
            if number is None:
                try:
                    number = group.number(question, self._checker.asked_by(check))
                except MayweError as fault:
                    errors[place] = fault
                    continue
            group.places.append(place)
            group.checks.append(check)
            group.question_numbers.append(number)
        return [group for group in groups.values() if group.checks]

    def _judge(self, group: _Group) -> Judged | None:
        """Give the answers for whom Redis can be trusted; None where it can be for nobody."""
        try:
            reading = self._bulk.begin([check.customer_id for check in group.checks], group.token)
            found = self._bulk.finish(reading)
        except (UnavailableError, OverloadedError):
            return None
        judged = judge(self._bulk, found, group.questions, group.question_numbers, group.at)
        # Only now: the answers have to be known within the lease.
        return judged if found.guard.is_lease_valid() else None

    def _decide_singly(
        self, group: _Group, left: Sequence[int]
    ) -> Iterator[tuple[int, tuple[CheckQuestion, Decision | Undetermined]]]:
        checks = [group.checks[index] for index in left]
        asked = [group.questions[group.question_numbers[index]][1] for index in left]
        decided: Sequence[Decision | Undetermined]
        try:
            decided = self._checker.decide_each(checks, asked)
        except (UnavailableError, OverloadedError):
            at = self._checker.instant(group.at)
            decided = [Undetermined(at, new_decision_id()) for _ in left]
        for index, check, one in zip(left, checks, decided, strict=True):
            yield group.places[index], (check.question, one)
