"""Checks: questions about now or later, answered from the permissions kept ready.

What lives here: what a check means beyond the rules of `decision`: which instant is meant, which
catalog its codes belong to, and what becomes of an answer that can not be known. Nothing here knows
of messages.
"""

import secrets
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from decision.answer import Answer, answer_scope
from decision.errors import (
    FieldFault,
    InvalidArgumentError,
)
from decision.event_rules import check_identifier, check_instant
from decision.instants import Instant
from decision.reasons import Reason
from decision.timeline import PermissionTimeline
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
        asked = self.asked_by(check)
        customer_id, _, at, token = check
        customer_ids = (customer_id,)
        (permissions,) = self._reader.read(customer_ids, asked.scopes_to_read, token, at)
        if permissions.published.number != asked.published.number:
            (permissions,) = self._read_all(customer_ids, token, at)
        return _decide(check, asked, permissions)

    def refuse_faulty_question(self, question: CheckQuestion, at: Instant | None) -> None:
        """Check a question that is asked about many customers. Raises InvalidArgumentError."""
        self._ask(question, at)

    def asked_by(self, check: Check) -> Asked:
        """Give what a check asks about. Raises InvalidArgumentError with all that is wrong."""
        faults: list[FieldFault] = []
        if not _is_plain_identifier(check.customer_id):
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
        scopes = tuple(dict.fromkeys(scope for one in asked for scope in one.scopes_to_read))
        found = self._reader.read(customer_ids, scopes, token, at)
        if all(
            permissions.publication == one.published.number
            for permissions, one in zip(found, asked, strict=True)
        ):
            return found
        return self._read_all(customer_ids, token, at)

    def _read_all(
        self, customer_ids: Sequence[str], token: Token | None, at: Instant | None
    ) -> Sequence[Permissions]:
        """Read again after the read itself brought a newer catalog than that of the questions.

        It may know channels that were not asked for. That happens once a publication; then
        everything is read, whatever is published next.
        """
        return self._reader.read(customer_ids, None, token, at)

    def decide_each(self, checks: Sequence[Check], asked: Sequence[Asked]) -> list[Decision]:
        """Answer checks that were read with `asked_by`, all with the same token and instant.

        Raises UnavailableError or OverloadedError when one of the answers can not be known.
        """
        customer_ids = [check.customer_id for check in checks]
        found = self._read(customer_ids, asked, checks[0].token, checks[0].at)
        return [
            _decide(check, one, permissions)
            for check, one, permissions in zip(checks, asked, found, strict=True)
        ]

    def instant(self, at: Instant | None) -> Instant:
        """Give the instant that was asked about where nothing could be read for it."""
        now = self._reader.now()
        return now if at is None else max(now, at)


IDENTIFIER_LENGTH_PLAIN_MAX: Final = 128
"""Ids up to this length of printable characters are faultless; others need a closer look."""


def are_plain_identifiers(texts: Sequence[str]) -> bool:
    """Tell at a glance that ids are faultless: those that are not plain may be so all the same."""
    lengths = list(map(len, texts))
    has_fitting_lengths = (
        min(lengths, default=0) > 0 and max(lengths) <= IDENTIFIER_LENGTH_PLAIN_MAX
    )
    # What is printable has neither control characters nor halves of surrogate pairs.
    return has_fitting_lengths and "".join(texts).isprintable()


def _is_plain_identifier(text: str) -> bool:
    """Tell of one id what `are_plain_identifiers` tells of many."""
    return 0 < len(text) <= IDENTIFIER_LENGTH_PLAIN_MAX and text.isprintable()


def instant_of(permissions: Permissions, at: Instant | None) -> Instant:
    """Give the instant to decide for: the one asked about, or what was now for those who read."""
    return permissions.now if at is None else max(permissions.now, at)


_ID_DIGITS: Final = 32
"""Hexadecimal; drawn at random, such an id is unique without anybody being asked."""

_IDS_DRAWN: Final = 1024
"""Ids that are drawn at once: to ask the system for each takes longer than the rest of it."""

_ids_drawn: Final[deque[str]] = deque()


def new_decision_id() -> str:
    """Give an id that no other decision has.

    It tells nothing: in numbers that rise a partner could read how many others ask.
    """
    try:
        return _ids_drawn.popleft()
    except IndexError:
        digits = secrets.token_hex(_IDS_DRAWN * _ID_DIGITS // 2)
        starts = range(0, len(digits), _ID_DIGITS)
        first, *others = (digits[start : start + _ID_DIGITS] for start in starts)
        _ids_drawn.extend(others)
        return first


def _decide(check: Check, asked: Asked, permissions: Permissions) -> Decision:
    if asked.published is not permissions.published:
        asked = ask(check.question, permissions.published)
    at = instant_of(permissions, check.at)
    timeline = permissions.timeline
    answers = [answer_scope(timeline, suspension, scope, at) for scope, suspension in asked.scopes]
    return Decision(
        answers,
        _allowed_channels(timeline, asked, answers[0], at) if asked.channels else (),
        permissions.state_version,
        permissions.published.number,
        at,
        new_decision_id(),
        permissions.is_outside_promise,
    )


def _allowed_channels(
    timeline: PermissionTimeline, asked: Asked, answer: Answer, at: Instant
) -> list[str]:
    """Give the channels allowed for the purpose; no channel is ever suspended.

    `answer` is that of the scope asked about.
    """
    segments_by_scope = timeline.segments
    # Channels that are granted together share their segments: unless something is restricted, they
    # have one answer.
    scope_asked, _ = asked.scopes[0]
    alike = None if timeline.restrictions else segments_by_scope.get(scope_asked)
    is_alike_allowed = answer.reason is Reason.ALLOWED
    allowed = []
    for code, scope in asked.channels:
        segments = segments_by_scope.get(scope)
        # A channel without segments is never allowed, so its answer need not be worked out.
        if segments and (
            is_alike_allowed
            if segments is alike
            else answer_scope(timeline, None, scope, at).is_allowed
        ):
            allowed.append(code)
    return allowed
