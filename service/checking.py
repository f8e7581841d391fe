"""Checks: questions about now or later, answered from the permissions kept ready.

What lives here: what a check means beyond the rules of `decision`: which instant is meant, which
catalog its codes belong to, and what becomes of an answer that can not be known. Nothing here knows
of messages.
"""

import secrets
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Final, NamedTuple

from decision.answer import Answer, ShareAnswer, answer_scope
from decision.errors import (
    FieldFault,
    InvalidArgumentError,
    MayweError,
    OverloadedError,
    UnavailableError,
)
from decision.event_rules import check_identifier, check_instant
from decision.instants import Instant
from decision.reasons import Reason
from service.asked import Asked, CheckQuestion, Questions, ask
from store.publications import Catalogs, PublishedCatalog
from store.reader import PermissionReader, Permissions
from store.token import Token

PAST_TOLERANCE_MICROSECONDS: Final = 5_000_000
"""An instant asked about may lie so far in the past and still mean now (`design.md`, step 5)."""


class Check(NamedTuple):
    """A question about one customer. `at` None means now."""

    customer_id: str
    question: CheckQuestion
    at: Instant | None = None
    token: Token | None = None


class Decision(NamedTuple):
    """The answer to a check: one answer for each scope asked about, in the order asked.

    One that `is_outside_promise` was given without a lease, as the operator chose.
    """

    answers: Sequence[Answer]
    allowed_channels: Sequence[str]
    state_version: int
    publication: int
    decided_at: Instant
    decision_id: str
    is_outside_promise: bool


class Undetermined(NamedTuple):
    """What is answered when the decision can not be known; never an ALLOW, never a DENY."""

    decided_at: Instant
    decision_id: str


class AudienceDecision(NamedTuple):
    """The reasons for the customers of one chunk, in its order."""

    reasons: Sequence[Reason]
    decided_at: Instant
    publication: int
    is_outside_promise: bool = False


class Checker:
    """Answers checks. Safe to be used by several threads."""

    def __init__(self, reader: PermissionReader, catalogs: Catalogs) -> None:
        """Answer from what `reader` gives, which also tells now."""
        self._reader = reader
        self._catalogs = catalogs
        self._questions = Questions(catalogs.newest())

    def decide(self, check: Check) -> Decision:
        """Answer one check.

        Raises InvalidArgumentError, and UnavailableError or OverloadedError when the answer can not
        be known.
        """
        asked = self._asked_by(check)
        (permissions,) = self._read((check.customer_id,), (asked,), check.token, check.at)
        return _decide(check, asked, permissions)

    def decide_each(
        self, checks: Iterable[Check | MayweError]
    ) -> list[Decision | Undetermined | MayweError]:
        """Answer each of many checks by itself: with a decision, an error, or that it is unknown.

        A check that could not even be read is given as its error, and given back.
        """
        results: list[Decision | Undetermined | MayweError | None] = []
        readable: dict[tuple[Token | None, Instant | None], list[_Entry]] = {}
        for index, check in enumerate(checks):
            error: MayweError | None = None
            if isinstance(check, MayweError):
                error = check
            else:
                try:
                    entry = _Entry(index, check, self._asked_by(check))
                    readable.setdefault((check.token, check.at), []).append(entry)
                except MayweError as fault:
                    error = fault
            results.append(error)
        for (token, at), entries in readable.items():
            for index, decided in self._decide_together(token, at, entries):
                results[index] = decided
        return [result for result in results if result is not None]

    def refuse_faulty_question(self, question: CheckQuestion, at: Instant | None) -> None:
        """Check a question that is asked about many customers. Raises InvalidArgumentError."""
        self._ask(question, at)

    def decide_audience(
        self,
        customer_ids: Sequence[str],
        question: CheckQuestion,
        at: Instant | None,
        token: Token | None,
    ) -> AudienceDecision:
        """Answer one question for each of many customers; what can not be known is UNAVAILABLE.

        The question was checked before. Raises InvalidArgumentError for a faulty customer id.
        """
        for index, customer_id in enumerate(customer_ids):
            check_identifier(f"chunk.customer_ids[{index}]", customer_id)
        try:
            found = self._reader.read(customer_ids, question.scopes, token, at)
        except (UnavailableError, OverloadedError):
            return AudienceDecision([Reason.UNAVAILABLE] * len(customer_ids), self._instant(at), 0)
        asked = self._ask(question, None)
        reasons = []
        for permissions in found:
            if asked.published is not permissions.published:
                asked = ask(question, permissions.published)
            answers = _answers(permissions, asked, _instant_of(permissions, at))
            reasons.append(ShareAnswer(answers).reason)
        return AudienceDecision(
            reasons,
            max((_instant_of(permissions, at) for permissions in found), default=self._instant(at)),
            max((permissions.publication for permissions in found), default=0),
            any(permissions.is_outside_promise for permissions in found),
        )

    def _asked_by(self, check: Check) -> Asked:
        """Give what a check asks about. Raises InvalidArgumentError with all that is wrong."""
        faults: list[FieldFault] = []
        try:
            check_identifier("customer_id", check.customer_id)
        except InvalidArgumentError as error:
            faults += error.faults
        try:
            asked = self._ask(check.question, check.at)
        except InvalidArgumentError as error:
            faults += error.faults
        if faults:
            raise InvalidArgumentError(*faults)
        return asked

    def _ask(self, question: CheckQuestion, at: Instant | None) -> Asked:
        try:
            asked = self._questions_under(self._catalogs.newest()).asked(question)
        except InvalidArgumentError:
            # A code may have been published a moment ago; the ledger knows.
            asked = self._questions_under(self._catalogs.refresh()).asked(question)
        if at is not None:
            check_instant("at", at)
            if at < self._reader.now() - PAST_TOLERANCE_MICROSECONDS:
                problem = "lies in the past, where Explain answers; leave it out to mean now"
                raise InvalidArgumentError(FieldFault("at", problem))
        return asked

    def _questions_under(self, published: PublishedCatalog) -> Questions:
        questions = self._questions
        if questions.published is not published:
            questions = self._questions = Questions(published)
        return questions

    def _read(
        self,
        customer_ids: Sequence[str],
        asked: Sequence[Asked],
        token: Token | None,
        at: Instant | None,
    ) -> Sequence[Permissions]:
        """Read what is needed to answer, which for a contact is every channel for its purpose."""
        scopes = (
            asked[0].scopes_to_read
            if len(asked) == 1
            else tuple(dict.fromkeys(scope for one in asked for scope in one.scopes_to_read))
        )
        found = self._reader.read(customer_ids, scopes, token, at)
        if all(
            permissions.publication == one.published.number
            for permissions, one in zip(found, asked, strict=True)
        ):
            return found
        # The read itself brought a newer catalog, which may know channels that were not asked for.
        # That happens once a publication; then everything is read, whatever is published next.
        return self._reader.read(customer_ids, None, token, at)

    def _decide_together(
        self, token: Token | None, at: Instant | None, entries: Sequence["_Entry"]
    ) -> Iterable[tuple[int, Decision | Undetermined]]:
        customer_ids = [entry.check.customer_id for entry in entries]
        try:
            found = self._read(customer_ids, [entry.asked for entry in entries], token, at)
        except (UnavailableError, OverloadedError):
            return [
                (entry.place, Undetermined(self._instant(at), _new_decision_id()))
                for entry in entries
            ]
        return [
            (entry.place, _decide(entry.check, entry.asked, permissions))
            for entry, permissions in zip(entries, found, strict=True)
        ]

    def _instant(self, at: Instant | None) -> Instant:
        """Give the instant that was asked about where nothing could be read for it."""
        now = self._reader.now()
        return now if at is None else max(now, at)


class _Entry(NamedTuple):
    """A check of a batch, where it stands there, and what it asks about."""

    place: int
    check: Check
    asked: Asked


def _instant_of(permissions: Permissions, at: Instant | None) -> Instant:
    """Give the instant to decide for: the one asked about, or what was now for those who read."""
    return permissions.now if at is None else max(permissions.now, at)


_ID_PREFIX: Final = secrets.token_hex(12)
"""Drawn by each process: so decision ids are unique without drawing one for each."""

_ID_COUNTER: Final = count()


def _new_decision_id() -> str:
    return f"{_ID_PREFIX}{next(_ID_COUNTER):x}"


def _decide(check: Check, asked: Asked, permissions: Permissions) -> Decision:
    if asked.published is not permissions.published:
        asked = ask(check.question, permissions.published)
    at = _instant_of(permissions, check.at)
    answers = _answers(permissions, asked, at)
    return Decision(
        answers,
        _allowed_channels(permissions, asked, answers, at),
        permissions.state_version,
        permissions.publication,
        at,
        _new_decision_id(),
        permissions.is_outside_promise,
    )


def _answers(permissions: Permissions, asked: Asked, at: Instant) -> list[Answer]:
    return [
        answer_scope(permissions.timeline, suspension, scope, at)
        for scope, suspension in asked.scopes
    ]


def _allowed_channels(
    permissions: Permissions, asked: Asked, answers: Sequence[Answer], at: Instant
) -> list[str]:
    """Give the channels allowed for the purpose; no channel is ever suspended."""
    scope_asked, _ = asked.scopes[0]
    return [
        code
        for code, scope in asked.channels
        if (
            answers[0]
            if scope == scope_asked
            else answer_scope(permissions.timeline, None, scope, at)
        ).is_allowed
    ]
