"""Checks: questions about now or later, answered from the permissions kept ready.

What lives here: what a check means beyond the rules of `decision`: which instant is meant, which
catalog its codes belong to, and what becomes of an answer that can not be known. Nothing here knows
of messages.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from decision.answer import Answer, ShareAnswer, answer_scope
from decision.catalog import Catalog
from decision.errors import (
    FieldFault,
    InvalidArgumentError,
    MayweError,
    OverloadedError,
    UnavailableError,
)
from decision.event_rules import check_identifier, check_instant
from decision.instants import Instant
from decision.questions import ContactQuestion, ShareQuestion, check_question
from decision.reasons import Reason
from decision.scopes import Scope, contact
from store.publications import Catalogs
from store.reader import PermissionReader, Permissions
from store.token import Token

PAST_TOLERANCE_MICROSECONDS: Final = 5_000_000
"""An instant asked about may lie so far in the past and still mean now (`design.md`, step 5)."""


@dataclass(frozen=True, slots=True)
class Check:
    """A question about one customer. `at` None means now."""

    customer_id: str
    question: ContactQuestion | ShareQuestion
    at: Instant | None = None
    token: Token | None = None


@dataclass(frozen=True, slots=True)
class Decision:
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


@dataclass(frozen=True, slots=True)
class Undetermined:
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

    def decide(self, check: Check) -> Decision:
        """Answer one check.

        Raises InvalidArgumentError, and UnavailableError or OverloadedError when the answer can not
        be known.
        """
        self._refuse_faulty(check)
        (permissions,) = self._read([check], check.token, check.at)
        return self._decide(check, permissions)

    def decide_each(
        self, checks: Iterable[Check | MayweError]
    ) -> list[Decision | Undetermined | MayweError]:
        """Answer each of many checks by itself: with a decision, an error, or that it is unknown.

        A check that could not even be read is given as its error, and given back.
        """
        results: list[Decision | Undetermined | MayweError | None] = []
        readable: dict[tuple[Token | None, Instant | None], list[tuple[int, Check]]] = {}
        for index, check in enumerate(checks):
            error = check if isinstance(check, MayweError) else self._fault_of(check)
            results.append(error)
            if isinstance(check, Check) and error is None:
                readable.setdefault((check.token, check.at), []).append((index, check))
        for (token, at), entries in readable.items():
            for index, decided in self._decide_together(token, at, entries):
                results[index] = decided
        return [result for result in results if result is not None]

    def refuse_faulty_question(
        self, question: ContactQuestion | ShareQuestion, at: Instant | None
    ) -> None:
        """Check a question that is asked about many customers. Raises InvalidArgumentError."""
        try:
            check_question(question, self._catalogs.newest().catalog)
        except InvalidArgumentError:
            # A code may have been published a moment ago; the ledger knows.
            check_question(question, self._catalogs.refresh().catalog)
        if at is not None:
            check_instant("at", at)
            if at < self._reader.now() - PAST_TOLERANCE_MICROSECONDS:
                problem = "lies in the past, where Explain answers; leave it out to mean now"
                raise InvalidArgumentError(FieldFault("at", problem))

    def decide_audience(
        self,
        customer_ids: Sequence[str],
        question: ContactQuestion | ShareQuestion,
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
        return AudienceDecision(
            [
                ShareAnswer(
                    _answers(permissions, question.scopes, _instant_of(permissions, at))
                ).reason
                for permissions in found
            ],
            max((_instant_of(permissions, at) for permissions in found), default=self._instant(at)),
            max((permissions.publication for permissions in found), default=0),
            any(permissions.is_outside_promise for permissions in found),
        )

    def _fault_of(self, check: Check) -> MayweError | None:
        try:
            self._refuse_faulty(check)
        except MayweError as error:
            return error
        return None

    def _refuse_faulty(self, check: Check) -> None:
        faults: list[FieldFault] = []
        try:
            check_identifier("customer_id", check.customer_id)
        except InvalidArgumentError as error:
            faults += error.faults
        try:
            self.refuse_faulty_question(check.question, check.at)
        except InvalidArgumentError as error:
            faults += error.faults
        if faults:
            raise InvalidArgumentError(*faults)

    def _read(
        self, checks: Sequence[Check], token: Token | None, at: Instant | None
    ) -> Sequence[Permissions]:
        """Read what is needed to answer, which for a contact is every channel for its purpose."""
        customer_ids = [check.customer_id for check in checks]
        assumed = self._catalogs.newest()
        scopes = {
            scope for check in checks for scope in _scopes_to_read(check.question, assumed.catalog)
        }
        found = self._reader.read(customer_ids, scopes, token, at)
        if all(permissions.publication == assumed.number for permissions in found):
            return found
        # The read itself brought a newer catalog, which may know channels that were not asked for.
        # That happens once a publication; then everything is read, whatever is published next.
        return self._reader.read(customer_ids, None, token, at)

    def _decide_together(
        self, token: Token | None, at: Instant | None, entries: Sequence[tuple[int, Check]]
    ) -> Iterable[tuple[int, Decision | Undetermined]]:
        try:
            found = self._read([check for _, check in entries], token, at)
        except (UnavailableError, OverloadedError):
            return [
                (index, Undetermined(self._instant(check.at), _new_decision_id()))
                for index, check in entries
            ]
        return [
            (index, self._decide(check, permissions))
            for (index, check), permissions in zip(entries, found, strict=True)
        ]

    def _decide(self, check: Check, permissions: Permissions) -> Decision:
        at = _instant_of(permissions, check.at)
        return Decision(
            _answers(permissions, check.question.scopes, at),
            _allowed_channels(permissions, check.question, at),
            permissions.state_version,
            permissions.publication,
            at,
            _new_decision_id(),
            permissions.is_outside_promise,
        )

    def _instant(self, at: Instant | None) -> Instant:
        """Give the instant that was asked about where nothing could be read for it."""
        now = self._reader.now()
        return now if at is None else max(now, at)


def _instant_of(permissions: Permissions, at: Instant | None) -> Instant:
    """Give the instant to decide for: the one asked about, or what was now for those who read."""
    return permissions.now if at is None else max(permissions.now, at)


def _scopes_to_read(question: ContactQuestion | ShareQuestion, catalog: Catalog) -> Iterable[Scope]:
    if isinstance(question, ShareQuestion):
        return question.scopes
    return [contact(question.purpose, channel) for channel in catalog.channels]


def _new_decision_id() -> str:
    return uuid.uuid4().hex


def _answers(permissions: Permissions, scopes: Iterable[Scope], at: Instant) -> list[Answer]:
    catalog = permissions.published.catalog
    return [
        answer_scope(permissions.timeline, catalog.suspension_of(scope), scope, at)
        for scope in scopes
    ]


def _allowed_channels(
    permissions: Permissions, question: ContactQuestion | ShareQuestion, at: Instant
) -> list[str]:
    """Give the channels allowed for the purpose, in the catalog's order; retired ones if asked."""
    if isinstance(question, ShareQuestion):
        return []
    return [
        channel.code
        for channel in permissions.published.catalog.channels.values()
        if (not channel.retired or channel.code == question.channel)
        and answer_scope(
            permissions.timeline, None, contact(question.purpose, channel.code), at
        ).is_allowed
    ]
