"""The consent card: all consents of a customer, one line for each consent type.

What lives here: the common term and status of a type's grants, and the scopes allowed at an
instant. Single grants and restrictions are shown by `evidence`.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple

from decision.answer import Answer, allowed_intervals, answer_scope
from decision.catalog import Interval
from decision.evidence import Picture, ShownGrant
from decision.grants import Ending, FoldedTimeline, Grant
from decision.instants import BEGINNING, Instant
from decision.reasons import STRENGTH_BY_CAUSE, Reason
from decision.scopes import Scope, process
from decision.timeline import permission_timeline


class ConsentStatus(Enum):
    """How a consent type stands, restrictions and suspensions left aside."""

    IN_FORCE = "IN_FORCE"
    NOT_YET_VALID = "NOT_YET_VALID"
    ENDED = "ENDED"


class ConsentSummary(NamedTuple):
    """All grants of one consent type.

    `common_term` is that of the unbroken union of the grants over all their scopes that holds, else
    of the last that held, or of the next when not yet valid; None when none ever held. `ended_by`
    is None unless the type's consents have ended.
    """

    consent_type: str
    status: ConsentStatus
    common_term: Interval | None
    ended_by: Reason | None
    grants: Sequence[ShownGrant]


def summarise(grants: Sequence[ShownGrant], valid_at: Instant) -> list[ConsentSummary]:
    """Give one summary for each consent type of which there is a grant, by code."""
    by_type: dict[str, list[ShownGrant]] = {}
    for shown in grants:
        by_type.setdefault(shown.grant.consent_type, []).append(shown)
    return [
        _summarise_type(consent_type, by_type[consent_type], valid_at)
        for consent_type in sorted(by_type)
    ]


def allowed_scopes(picture: Picture, valid_at: Instant) -> list[tuple[Scope, Answer]]:
    """Give every scope allowed at an instant with its answer, by kind and codes."""
    ordered = sorted(picture.timeline.segments, key=lambda scope: (scope.kind.value, *scope[1:]))
    answered = (
        (
            scope,
            answer_scope(picture.timeline, picture.catalog.suspension_of(scope), scope, valid_at),
        )
        for scope in ordered
    )
    return [(scope, answer) for scope, answer in answered if answer.is_allowed]


_AS_A_WHOLE: Final = process("")
"""Stands for all scopes of a type together, so that the one sweep over grants judges them too."""

_STATUSES: Final = {
    Reason.ALLOWED: ConsentStatus.IN_FORCE,
    Reason.CONSENT_NOT_YET_VALID: ConsentStatus.NOT_YET_VALID,
}


def _summarise_type(
    consent_type: str, grants: Sequence[ShownGrant], valid_at: Instant
) -> ConsentSummary:
    timeline = permission_timeline(
        FoldedTimeline(
            is_known=True,
            grants=[_as_a_whole(shown.grant) for shown in grants],
            restrictions=(),
            unmatched=(),
        )
    )
    reason = answer_scope(timeline, None, _AS_A_WHOLE, valid_at).reason
    status = _STATUSES.get(reason, ConsentStatus.ENDED)
    terms = allowed_intervals(timeline, None, _AS_A_WHOLE, BEGINNING)
    return ConsentSummary(
        consent_type,
        status,
        _common_term(terms, status, valid_at),
        # A refusal dated in the future alone ends nothing and has begun nothing.
        reason if status is ConsentStatus.ENDED and reason in STRENGTH_BY_CAUSE else None,
        grants,
    )


def _as_a_whole(grant: Grant) -> Grant:
    """Give a grant as if it had one scope, which ends when the last of its scopes does."""
    endings = grant.endings.values() or (grant.term_end,)
    last = max(endings, key=_later_then_stronger)
    return grant.with_term_end(last)._replace(scopes=(_AS_A_WHOLE,), ends_apart={})


def _later_then_stronger(ending: Ending) -> tuple[Instant, int]:
    return (ending.at, STRENGTH_BY_CAUSE[ending.cause])


def _common_term(
    terms: Sequence[Interval], status: ConsentStatus, valid_at: Instant
) -> Interval | None:
    begun = [term for term in terms if term.start <= valid_at]
    if begun:
        return begun[-1]
    return terms[0] if terms and status is ConsentStatus.NOT_YET_VALID else None
