"""The fold: a person's events under one catalog become grants and restrictions.

This is the one implementation of `semantics.md`, "From events to grants". It takes the events that
count, that is without voided ones, in any order; which events those are as of some known time is
the ledger's business.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

from decision.catalog import Catalog, Effect, Wording
from decision.events import (
    Acquisition,
    Consent,
    Lifting,
    ProductClosing,
    Purchase,
    Restriction,
    Revocation,
    TimelineEvent,
)
from decision.grants import (
    NEVER,
    AlikeEndings,
    Ending,
    FoldedTimeline,
    Grant,
    ImposedRestriction,
    Unmatched,
    UnmatchedCause,
)
from decision.instants import FOREVER, Instant
from decision.products import Product, ProductKey
from decision.reasons import Reason
from decision.scopes import Scope
from decision.selectors import Selector
from decision.terms import UNTIL_PRODUCT_CLOSED, end_of_term

_Key = TypeVar("_Key")

ACQUISITION_KIND = "acquisition"
"""The kind of the restrictions that acquisition rules impose."""


def fold(
    catalog: Catalog, events: Sequence[TimelineEvent], *, named_by_merge: bool = False
) -> FoldedTimeline:
    """Work out what `events` of one person, under any of their ids, amount to under `catalog`.

    `named_by_merge` says that a merge names the person, which makes a person without events known.
    """
    derivation = _Derivation(catalog)
    for event in events:
        derivation.derive(event)
    endings = _Endings(catalog, events, derivation.drafts)
    return FoldedTimeline(
        is_known=bool(events) or named_by_merge,
        grants=[endings.finish(draft) for draft in derivation.drafts],
        restrictions=_impose(catalog, events),
        unmatched=derivation.unmatched,
    )


def unmatched_of(catalog: Catalog, events: Iterable[TimelineEvent]) -> Sequence[Unmatched]:
    """Give only the events that wait for a publication, which takes no folding."""
    derivation = _Derivation(catalog)
    for event in events:
        derivation.derive(event)
    return derivation.unmatched


class _Draft(NamedTuple):
    """A grant before anything but its term has ended it."""

    event_id: str
    wording: Wording
    product: Product | None
    obtained_at: Instant
    term_end: Ending
    matrix_row_id: str = ""


class _Derivation:
    """Rules 1 to 3: which drafts the events give, and which events wait for a publication."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.drafts: list[_Draft] = []
        self.unmatched: list[Unmatched] = []

    def derive(self, event: TimelineEvent) -> None:
        body = event.body
        if isinstance(body, Purchase):
            self._derive_purchase(event.event_id, body)
        elif isinstance(body, Consent):
            self._derive_consent(event.event_id, body)

    def _derive_purchase(self, event_id: str, purchase: Purchase) -> None:
        row = self._catalog.matrix.match(purchase.product, purchase.purchased_at)
        if row is None:
            self.unmatched.append(Unmatched(event_id, UnmatchedCause.NO_MATRIX_ROW))
            return
        without_wording = []
        at = purchase.purchased_at
        for consent_type in row.consent_types:
            wording = self._catalog.wording_in_force(consent_type, at)
            if wording is None:
                without_wording.append(consent_type)
                continue
            term_end = _end_of_wording_term(self._catalog, wording, at)
            self.drafts.append(_Draft(event_id, wording, purchase.product, at, term_end, row.id))
        if without_wording:
            self.unmatched.append(
                Unmatched(
                    event_id, UnmatchedCause.NO_WORDING_IN_FORCE, tuple(without_wording), row.id
                )
            )

    def _derive_consent(self, event_id: str, consent: Consent) -> None:
        effect = effect_of(self._catalog, consent)
        if effect is Effect.NOTES:
            return
        at = consent.obtained_at
        wording = (
            self._catalog.wording_in_force(consent.consent_type, at)
            if consent.wording_version is None
            else self._catalog.wording(consent.consent_type, consent.wording_version)
        )
        if wording is None:
            if effect is Effect.GRANTS:
                self.unmatched.append(
                    Unmatched(event_id, UnmatchedCause.NO_WORDING_IN_FORCE, (consent.consent_type,))
                )
            return
        if effect is Effect.REFUSES:
            term_end = Ending(at, Reason.CONSENT_REFUSED, event_id)
        elif consent.expires_at is not None:
            term_end = Ending(consent.expires_at, Reason.CONSENT_EXPIRED)
        else:
            term_end = _end_of_wording_term(self._catalog, wording, at)
        self.drafts.append(_Draft(event_id, wording, consent.product, at, term_end))


def effect_of(catalog: Catalog, consent: Consent) -> Effect:
    """Give the effect of an explicit consent's value.

    A catalog that does not know the type or value, as one of earlier knowledge may not, gives no
    meaning to it: nothing is granted and nothing ended.
    """
    consent_type = catalog.consent_types.get(consent.consent_type)
    value = consent_type.values.get(consent.value) if consent_type is not None else None
    return Effect.NOTES if value is None else value.effect


_OPEN_UNTIL_CLOSED = Ending(FOREVER, Reason.PRODUCT_CLOSED)
"""Marks a draft that a closing of its product ends."""


def _end_of_wording_term(catalog: Catalog, wording: Wording, at: Instant) -> Ending:
    if wording.term is UNTIL_PRODUCT_CLOSED:
        return _OPEN_UNTIL_CLOSED
    return Ending(end_of_term(at, wording.term, catalog.zone), Reason.CONSENT_EXPIRED)


class _Marks:
    """Instants at which something happened, each with the event that did it, for look-ups."""

    def __init__(self, marks: Iterable[tuple[Instant, str]]) -> None:
        ordered = sorted(marks)
        self._instants = [instant for instant, _ in ordered]
        self._event_ids = [event_id for _, event_id in ordered]

    @property
    def earliest(self) -> tuple[Instant, str]:
        return self._instants[0], self._event_ids[0]

    def first_at_or_after(self, at: Instant) -> tuple[Instant, str] | None:
        return self._mark(bisect_left(self._instants, at))

    def first_after(self, at: Instant) -> tuple[Instant, str] | None:
        return self._mark(bisect_right(self._instants, at))

    def _mark(self, index: int) -> tuple[Instant, str] | None:
        if index == len(self._instants):
            return None
        return self._instants[index], self._event_ids[index]


def _index(marks: Iterable[tuple[_Key, Instant, str]]) -> dict[_Key, _Marks]:
    by_key: dict[_Key, list[tuple[Instant, str]]] = {}
    for key, instant, event_id in marks:
        by_key.setdefault(key, []).append((instant, event_id))
    return {key: _Marks(entries) for key, entries in by_key.items()}


class _Endings:
    """Rules 3 to 5 and `terms: latest`: what ends each scope of each draft."""

    def __init__(
        self, catalog: Catalog, events: Sequence[TimelineEvent], drafts: Sequence[_Draft]
    ) -> None:
        closings: list[tuple[ProductKey, Instant, str]] = []
        refusals: list[tuple[str, Instant, str]] = []
        revocations: list[tuple[Selector, Instant, str]] = []
        for event in events:
            body = event.body
            # Most are purchases, which end nothing.
            if isinstance(body, Purchase):
                continue
            if isinstance(body, ProductClosing):
                closings.append((body.product.key, body.closed_at, event.event_id))
            elif isinstance(body, Revocation):
                revocations.append((body.selector, body.revoked_at, event.event_id))
            elif isinstance(body, Consent) and effect_of(catalog, body) is Effect.REFUSES:
                refusals.append((body.consent_type, body.obtained_at, event.event_id))
        self._closings: Mapping[ProductKey, _Marks] = _index(closings)
        self._refusals: Mapping[str, _Marks] = _index(refusals)
        self._revocations: Mapping[Selector, _Marks] = _index(revocations)
        self._successors: Mapping[str, _Marks] = (
            _index(
                (draft.wording.consent_type, draft.obtained_at, draft.event_id)
                for draft in drafts
                if draft.wording.consent_type in catalog.latest_types
            )
            if catalog.latest_types
            else {}
        )
        self._ends_only_terms = not (refusals or revocations or self._successors)

    def finish(self, draft: _Draft) -> Grant:
        """Give the grant of a draft, with what ends each of its scopes."""
        wording = draft.wording
        term_end = self._end_as_a_whole(draft)
        revocations = self._revocations_of(draft) if self._revocations else ()
        return Grant(
            draft.event_id,
            wording.consent_type,
            wording.version,
            draft.product,
            draft.obtained_at,
            term_end,
            {scope: _end_of_scope(scope, term_end, revocations) for scope in wording.scopes}
            if revocations
            else AlikeEndings(wording.scopes, term_end),
            draft.matrix_row_id,
        )

    def _revocations_of(self, draft: _Draft) -> Sequence[tuple[Selector, Ending]]:
        return [
            (selector, Ending(mark[0], Reason.CONSENT_REVOKED, mark[1]))
            for selector, marks in self._revocations.items()
            if selector.matches_grant(draft.event_id, draft.wording.consent_type)
            and (mark := marks.first_at_or_after(draft.obtained_at)) is not None
        ]

    def _end_as_a_whole(self, draft: _Draft) -> Ending:
        ending = self._close(draft) if draft.term_end is _OPEN_UNTIL_CLOSED else draft.term_end
        if self._ends_only_terms:
            return ending
        consent_type = draft.wording.consent_type
        endings = [ending]
        refusals = self._refusals.get(consent_type)
        if refusals is not None and (mark := refusals.first_at_or_after(draft.obtained_at)):
            endings.append(Ending(mark[0], Reason.CONSENT_REFUSED, mark[1]))
        successors = self._successors.get(consent_type)
        if successors is not None and (mark := successors.first_after(draft.obtained_at)):
            endings.append(Ending(mark[0], Reason.CONSENT_SUPERSEDED, mark[1]))
        return min(endings, key=lambda ending: ending.order)

    def _close(self, draft: _Draft) -> Ending:
        if not self._closings or draft.product is None:
            return NEVER
        closings = self._closings.get(draft.product.key)
        mark = None if closings is None else closings.first_at_or_after(draft.obtained_at)
        return NEVER if mark is None else Ending(mark[0], Reason.PRODUCT_CLOSED, mark[1])


def _end_of_scope(
    scope: Scope, term_end: Ending, revocations: Sequence[tuple[Selector, Ending]]
) -> Ending:
    ending = term_end
    for selector, revocation in revocations:
        if revocation.order < ending.order and selector.matches_scope(scope):
            ending = revocation
    return ending


_IMPOSING: Final = (Restriction, Acquisition)


def _impose(catalog: Catalog, events: Sequence[TimelineEvent]) -> list[ImposedRestriction]:
    """Rules 6 and 8: the restrictions and what acquisitions bring, as far as not lifted."""
    imposing = [event for event in events if isinstance(event.body, _IMPOSING)]
    if not imposing:
        return []
    liftings = _index(
        (event.body.restriction_event_id, event.body.lifted_at, event.event_id)
        for event in events
        if isinstance(event.body, Lifting)
    )
    imposed = []
    for event in imposing:
        if isinstance(event.body, Restriction):
            restrictions = [_restriction(event.event_id, event.body)]
        elif isinstance(event.body, Acquisition):
            restrictions = _restrictions_of_acquisition(catalog, event.event_id, event.body)
        else:
            continue
        marks = liftings.get(event.event_id)
        imposed += [_lift(restriction, marks) for restriction in restrictions]
    return imposed


def _restriction(event_id: str, body: Restriction) -> ImposedRestriction:
    return ImposedRestriction(
        event_id, body.kind, body.selector, body.effective_from, body.effective_until
    )


def _restrictions_of_acquisition(
    catalog: Catalog, event_id: str, body: Acquisition
) -> list[ImposedRestriction]:
    at = body.acquired_at
    return [
        ImposedRestriction(
            event_id, ACQUISITION_KIND, rule.selector, at, end_of_term(at, rule.term, catalog.zone)
        )
        for rule in catalog.acquisition_rules_of(body.partner)
    ]


def _lift(restriction: ImposedRestriction, marks: _Marks | None) -> ImposedRestriction:
    """End a restriction at its earliest lifting; one at or before its start leaves nothing."""
    if marks is None:
        return restriction
    lifted_at, event_id = marks.earliest
    if lifted_at >= restriction.end:
        return restriction
    return restriction._replace(end=max(restriction.start, lifted_at), lifted_by_event_id=event_id)
