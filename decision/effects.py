"""What one event did: the consents it gave, the scopes it ended.

What lives here: the details with which a write is answered, worked out by the one fold and the one
evaluator. Nothing here decides anything of its own.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from decision.answer import Answer, allowed_intervals
from decision.card import allowed_scopes
from decision.catalog import Catalog, Effect, Interval
from decision.changes import permission_changes
from decision.events import Consent, Purchase, Revocation, TimelineEvent
from decision.evidence import Picture
from decision.fold import effect_of, fold
from decision.grants import Grant, Unmatched, UnmatchedCause
from decision.instants import FOREVER, Instant
from decision.scopes import Scope
from decision.terms import UNTIL_PRODUCT_CLOSED
from decision.timeline import PermissionTimeline


class GivenConsent(NamedTuple):
    """A consent as an event gave it, whatever happened to it since.

    `expires_at` is FOREVER when nothing but a closing, or nothing at all, ends it by itself.
    """

    consent_type: str
    wording_version: int
    expires_at: Instant
    is_until_product_closed: bool


class PurchaseEffect(NamedTuple):
    """What a purchase gave: the row it matched, the consents, and why some are missing."""

    matrix_row_id: str = ""
    consents: Sequence[GivenConsent] = ()
    unmatched_cause: UnmatchedCause | None = None
    consent_types_without_wording: Sequence[str] = ()


class ConsentEffect(NamedTuple):
    """What an explicit consent did: its value's effect, what it gave, and why it gave nothing."""

    effect: Effect
    consent: GivenConsent | None = None
    unmatched_cause: UnmatchedCause | None = None


class EndedScope(NamedTuple):
    """A scope that a revocation ended, and until when it would have held; FOREVER is unbounded."""

    scope: Scope
    would_have_held_until: Instant


class RevocationEffect(NamedTuple):
    """What a revocation ended, and what is allowed all the same."""

    ended: Sequence[EndedScope]
    surviving: Sequence[tuple[Scope, Answer]]


NOTHING_GIVEN: Final = PurchaseEffect()


def effect_of_purchase(
    catalog: Catalog, events: Sequence[TimelineEvent], event_id: str
) -> PurchaseEffect:
    """Tell what a purchase among `events` gave under `catalog`; a void one gave nothing."""
    event = _find(events, event_id)
    if event is None or not isinstance(event.body, Purchase):
        return NOTHING_GIVEN
    row = catalog.matrix.match(event.body.product, event.body.purchased_at)
    given, unmatched = _given_by(catalog, event)
    return PurchaseEffect(
        row.id if row is not None else "",
        given,
        unmatched.cause if unmatched is not None else None,
        unmatched.consent_types if unmatched is not None else (),
    )


def effect_of_consent(
    catalog: Catalog, events: Sequence[TimelineEvent], event_id: str, consent: Consent
) -> ConsentEffect:
    """Tell what an explicit consent among `events` did under `catalog`; a void one gave nothing."""
    effect = effect_of(catalog, consent)
    event = _find(events, event_id)
    if event is None or effect is not Effect.GRANTS:
        return ConsentEffect(effect)
    given, unmatched = _given_by(catalog, event)
    return ConsentEffect(
        effect,
        given[0] if given else None,
        unmatched.cause if unmatched is not None else None,
    )


def effect_of_revocation(
    catalog: Catalog, events: Sequence[TimelineEvent], event_id: str, now: Instant
) -> RevocationEffect:
    """Tell what a revocation among `events` ended and what survives it; a void one ended nothing.

    Scopes count from the instant of revocation on. What survives is what is allowed at that instant
    or `now`, whichever is later.
    """
    event = _find(events, event_id)
    revoked_at = event.body.revoked_at if event and isinstance(event.body, Revocation) else now
    others = [other for other in events if other.event_id != event_id]
    before = Picture(catalog, others, is_named_by_merge=False).timeline
    picture = Picture(catalog, events, is_named_by_merge=False)
    after = picture.timeline
    return RevocationEffect(
        [
            EndedScope(change.scope, _end_without(catalog, before, after, change.scope, revoked_at))
            for change in permission_changes(before, catalog, after, catalog, revoked_at)
        ],
        allowed_scopes(picture, max(revoked_at, now)),
    )


def _find(events: Sequence[TimelineEvent], event_id: str) -> TimelineEvent | None:
    return next((event for event in events if event.event_id == event_id), None)


def _given_by(
    catalog: Catalog, event: TimelineEvent
) -> tuple[list[GivenConsent], Unmatched | None]:
    """Fold the event by itself: what it gave, without what happened to that since."""
    folded = fold(catalog, [event])
    return (
        [_given(catalog, grant, event) for grant in folded.grants],
        folded.unmatched[0] if folded.unmatched else None,
    )


def _given(catalog: Catalog, grant: Grant, event: TimelineEvent) -> GivenConsent:
    wording = catalog.wording(grant.consent_type, grant.wording_version)
    has_explicit_end = isinstance(event.body, Consent) and event.body.expires_at is not None
    return GivenConsent(
        grant.consent_type,
        grant.wording_version,
        grant.term_end.at,
        wording is not None and wording.term is UNTIL_PRODUCT_CLOSED and not has_explicit_end,
    )


def _end_without(
    catalog: Catalog,
    before: PermissionTimeline,
    after: PermissionTimeline,
    scope: Scope,
    revoked_at: Instant,
) -> Instant:
    """Give the end of the last interval that the revocation took away or shortened."""
    suspension = catalog.suspension_of(scope)
    kept = allowed_intervals(after, suspension, scope, revoked_at)
    return max(
        (
            interval.end
            for interval in allowed_intervals(before, suspension, scope, revoked_at)
            if not _is_within(interval, kept, revoked_at)
        ),
        default=FOREVER,
    )


def _is_within(interval: Interval, kept: Sequence[Interval], revoked_at: Instant) -> bool:
    start = max(interval.start, revoked_at)
    return any(wide.start <= start and interval.end <= wide.end for wide in kept)
