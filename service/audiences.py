"""Audiences: one question about many customers, a chunk at a time.

What lives here: answering a chunk from many cached records together, and by `reader` for those of
whom that can not be told so. Nothing here knows of messages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from decision.answer import ShareAnswer, answer_scope
from decision.errors import OverloadedError, UnavailableError
from decision.event_rules import check_identifier
from decision.instants import Instant
from decision.reasons import Reason
from service.asked import CheckQuestion
from service.checking import Check, are_plain_identifiers, instant_of
from store.bulk_reading import BulkReader, ManyPermissions, Reading
from store.judging import Flags, asked_scopes
from store.reader import PermissionReader, Permissions

_NOT_ANSWERED: Final = 0

Reasons = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Customers that are being asked about; `reading` is None where Redis does not answer."""

    customer_ids: Sequence[str]
    reading: Reading | None


@dataclass(frozen=True, slots=True)
class ChunkDecision:
    """The reasons for the customers of one chunk, as numbers, in its order."""

    reasons: Reasons
    decided_at: Instant
    publication: int
    is_outside_promise: bool = False


class AudienceDecider:
    """Answers one question about customers. Safe to be used by several threads."""

    def __init__(self, bulk: BulkReader, reader: PermissionReader, check: Check) -> None:
        """Answer the question of `check`, which was found to be faultless."""
        self._bulk = bulk
        self._reader = reader
        self._question: CheckQuestion = check.question
        self._scopes = check.question.scopes
        self._at = check.at
        self._token = check.token

    def begin(self, customer_ids: Sequence[str]) -> Chunk:
        """Ask for customers without awaiting the reply; `finish` or `drop` MUST follow.

        MUST be called after the chunk was received. Raises InvalidArgumentError for a faulty
        customer id.
        """
        check_identifiers(customer_ids)
        return self._begin(customer_ids)

    def finish(self, chunk: Chunk) -> ChunkDecision:
        """Answer for a chunk at the instant that is now; what can not be known is UNAVAILABLE.

        Every ALLOW holds at `decided_at`.
        """
        together = self._decide_together(chunk)
        if together is None:
            # The lease of when the chunk was begun may be over only because nobody took answers.
            together = self._decide_together(self._begin(chunk.customer_ids))
        if together is None:
            nothing = np.full(len(chunk.customer_ids), _NOT_ANSWERED, np.uint8)
            together = _Together(None, ChunkDecision(nothing, self._reader.now(), 0))
        left = np.flatnonzero(together.decision.reasons == _NOT_ANSWERED).tolist()
        self._bulk.lookups.count_hits(len(chunk.customer_ids) - len(left))
        return (
            self._decide_singly(chunk.customer_ids, left, together) if left else together.decision
        )

    def drop(self, chunk: Chunk) -> None:
        """Give up a chunk."""
        if chunk.reading is not None:
            self._bulk.drop(chunk.reading)

    def _begin(self, customer_ids: Sequence[str]) -> Chunk:
        try:
            return Chunk(customer_ids, self._bulk.begin(customer_ids, self._token))
        except UnavailableError:
            return Chunk(customer_ids, None)

    def _decide_together(self, chunk: Chunk) -> "_Together | None":
        """Answer for whom Redis can be trusted; None where it can be for nobody any more."""
        if chunk.reading is None:
            return None
        try:
            found = self._bulk.finish(chunk.reading)
        except (UnavailableError, OverloadedError):
            return None
        at = found.now if self._at is None else max(found.now, self._at)
        reasons = self._judge(found, at)
        # Only now: the answers have to be known within the lease.
        if not found.guard.is_lease_valid():
            return None
        return _Together(found, ChunkDecision(reasons, at, found.published.number))

    def _judge(self, found: ManyPermissions, at: Instant) -> Reasons:
        """Give the reasons in the order asked."""
        answerable = self._bulk.answerable(found, self._scopes)
        places = np.flatnonzero(answerable)
        catalog, numbers = found.published.catalog, found.published.numbers
        suspensions = [catalog.suspension_of(scope) for scope in self._scopes]
        asked = asked_scopes(self._scopes, suspensions, numbers)
        # Of several data sets the first that is denied gives the reason.
        joined = np.full(len(places), Reason.ALLOWED, np.uint8)
        is_damaged: Flags = np.zeros(len(places), np.bool_)
        for scope in range(len(self._scopes)):
            answers = found.records.judge(places, asked, np.full(len(places), scope), at)
            joined = np.where(joined == Reason.ALLOWED, answers.reasons, joined)
            is_damaged |= answers.is_damaged
        joined[is_damaged] = _NOT_ANSWERED
        reasons = np.where(found.is_nobodys, Reason.UNKNOWN_CUSTOMER, _NOT_ANSWERED).astype(
            np.uint8
        )
        reasons[places] = joined
        in_order = np.empty_like(reasons)
        in_order[found.places] = reasons
        return in_order

    def _decide_singly(
        self, customer_ids: Sequence[str], left: Sequence[int], together: "_Together"
    ) -> ChunkDecision:
        """Answer for those at the places that are `left`, each by itself."""
        decided = together.decision
        try:
            found = self._reader.read(
                [customer_ids[place] for place in left],
                self._scopes,
                self._token,
                self._at,
                is_for_later=True,
            )
        except (UnavailableError, OverloadedError):
            decided.reasons[left] = Reason.UNAVAILABLE
            return decided
        decided_at = max(
            decided.decided_at, *(instant_of(permissions, self._at) for permissions in found)
        )
        reasons = decided.reasons
        if together.found is not None and decided_at > decided.decided_at:
            # Permissions may have ended while the others were read.
            reasons = self._judge(together.found, decided_at)
            reasons[reasons == _NOT_ANSWERED] = Reason.UNAVAILABLE
        reasons[left] = [self._reason_at(decided_at, permissions) for permissions in found]
        return ChunkDecision(
            reasons,
            decided_at,
            max(decided.publication, *(permissions.publication for permissions in found)),
            any(permissions.is_outside_promise for permissions in found),
        )

    def _reason_at(self, decided_at: Instant, permissions: Permissions) -> Reason:
        """Give the reason of one customer, who was read at `decided_at` or before."""
        answer = self._answer(permissions, instant_of(permissions, self._at))
        if not answer.is_allowed or decided_at < answer.not_after:
            return answer.reason
        ended = self._answer(permissions, decided_at)
        # What begins again after an end was not asked about when the permissions were read.
        return Reason.UNAVAILABLE if ended.is_allowed else ended.reason

    def _answer(self, permissions: Permissions, at: Instant) -> ShareAnswer:
        catalog = permissions.published.catalog
        return ShareAnswer(
            [
                answer_scope(permissions.timeline, catalog.suspension_of(scope), scope, at)
                for scope in self._scopes
            ]
        )


@dataclass(frozen=True, slots=True)
class _Together:
    """What was answered from Redis, and what from; nothing where Redis can not be trusted."""

    found: ManyPermissions | None
    decision: ChunkDecision


def check_identifiers(customer_ids: Sequence[str]) -> None:
    """Check the ids of a chunk. Raises InvalidArgumentError naming the first faulty one."""
    if are_plain_identifiers(customer_ids):
        return
    for index, customer_id in enumerate(customer_ids):
        check_identifier(f"chunk.customer_ids[{index}]", customer_id)
