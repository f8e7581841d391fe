"""The fold: a person's events under one catalog become grants and restrictions.

This is the one implementation of `semantics.md`, "From events to grants". It takes the events that
count, that is without voided ones, in any order; which events those are as of some known time is
the ledger's business.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias, TypeVar

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
    Basis,
    Ending,
    FoldedTimeline,
    Grant,
    ImposedRestriction,
    Unmatched,
    UnmatchedCause,
)
from decision.instants import Instant
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
    # Most are purchases, which end and impose nothing.
    others = derivation.derive(events)
    grants = derivation.grants
    if others or catalog.latest_types:
        endings = _Endings(catalog, others, grants)
        grants = [endings.finish(grant) for grant in grants]
    return FoldedTimeline(
        is_known=bool(events) or named_by_merge,
        grants=grants,
        restrictions=_impose(catalog, others) if others else (),
        unmatched=derivation.unmatched,
    )


def unmatched_of(catalog: Catalog, events: Iterable[TimelineEvent]) -> Sequence[Unmatched]:
    """Give only the events that wait for a publication, which takes no folding."""
    derivation = _Derivation(catalog)
    derivation.derive(events)
    return derivation.unmatched


class _Derivation:
    """Rules 1 to 3: which grants the events give, before anything but their terms has ended them.

    And which events wait for a publication.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.grants: list[Grant] = []
        self.unmatched: list[Unmatched] = []

    def derive(self, events: Iterable[TimelineEvent]) -> list[TimelineEvent]:
        """Take events, and give those that are no purchases."""
        others = []
        for event in events:
            body = event.body
            if isinstance(body, Purchase):
                self._derive_purchase(event.event_id, body.purchased_at, body.product)
            else:
                others.append(event)
                if isinstance(body, Consent):
                    self._derive_consent(event.event_id, body)
        return others

    def _derive_purchase(self, event_id: str, at: Instant, product: Product) -> None:
        signed = self._catalog.signed_with(product, at)
        if signed is None:
            self.unmatched.append(Unmatched(event_id, UnmatchedCause.NO_MATRIX_ROW))
            return
        row_id, wordings, without_wording = signed
        for wording in wordings:
            self._give(event_id, wording, product, at, row_id)
        if without_wording:
            self.unmatched.append(
                Unmatched(event_id, UnmatchedCause.NO_WORDING_IN_FORCE, without_wording, row_id)
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
        ending = None
        if effect is Effect.REFUSES:
            ending = Ending(at, Reason.CONSENT_REFUSED, event_id)
        elif consent.expires_at is not None:
            ending = Ending(consent.expires_at, Reason.CONSENT_EXPIRED)
        self._give(event_id, wording, consent.product, at, ending=ending)

    def _give(
        self,
        event_id: str,
        wording: Wording,
        product: Product | None,
        at: Instant,
        row_id: str = "",
        ending: Ending | None = None,
    ) -> None:
        """Note a grant under a wording, for the wording's term unless something else ends it."""
        consent_type, version, term = wording.consent_type, wording.version, wording.term
        ends_at = end_of_term(at, term, self._catalog.zone) if ending is None else ending.at
        basis = Basis(event_id, consent_type, version, product, at, ends_at, row_id)
        self.grants.append(
            Grant(basis, Reason.CONSENT_EXPIRED, wording.scopes, term is UNTIL_PRODUCT_CLOSED)
            if ending is None
            else Grant(basis, ending.cause, wording.scopes, ended_by_event_id=ending.event_id)
        )


def effect_of(catalog: Catalog, consent: Consent) -> Effect:
    """Give the effect of an explicit consent's value.

    A catalog that does not know the type or value, as one of earlier knowledge may not, gives no
    meaning to it: nothing is granted and nothing ended.
    """
    consent_type = catalog.consent_types.get(consent.consent_type)
    value = consent_type.values.get(consent.value) if consent_type is not None else None
    return Effect.NOTES if value is None else value.effect


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


_Selection: TypeAlias = tuple[Selector, _Marks, Sequence[Scope]]


class _Endings:
    """Rules 3 to 5 and `terms: latest`: what ends each scope of each grant."""

    def __init__(
        self, catalog: Catalog, events: Sequence[TimelineEvent], grants: Sequence[Grant]
    ) -> None:
        closings: list[tuple[ProductKey, Instant, str]] = []
        refusals: list[tuple[str, Instant, str]] = []
        revocations: list[tuple[Selector, Instant, str]] = []
        for event in events:
            body = event.body
            if isinstance(body, ProductClosing):
                closings.append((body.product.key, body.closed_at, event.event_id))
            elif isinstance(body, Revocation):
                revocations.append((body.selector, body.revoked_at, event.event_id))
            elif isinstance(body, Consent) and effect_of(catalog, body) is Effect.REFUSES:
                refusals.append((body.consent_type, body.obtained_at, event.event_id))
        self._closings: Mapping[ProductKey, _Marks] = _index(closings)
        self._refusals: Mapping[str, _Marks] = _index(refusals)
        self._revocations: Mapping[Selector, _Marks] = _index(revocations)
        # By the identities of the lists of scopes of which there are grants.
        self._selections_by_list: dict[int, Sequence[_Selection]] = {}
        self._successors: Mapping[str, _Marks] = _index(
            (grant.consent_type, grant.obtained_at, grant.event_id)
            for grant in (grants if catalog.latest_types else ())
            if grant.consent_type in catalog.latest_types
        )

    def finish(self, grant: Grant) -> Grant:
        """Give a grant with what ends it as a whole and each of its scopes."""
        endings = self._endings_of(grant)
        if endings:
            term_end = min((grant.term_end, *endings), key=_order)
            if term_end != grant.term_end:
                grant = grant.with_term_end(term_end)
        if self._revocations:
            ends_apart = self._ends_apart(grant)
            if ends_apart:
                return grant._replace(ends_apart=ends_apart)
        return grant

    def _endings_of(self, grant: Grant) -> Sequence[Ending]:
        """Give what else than its term ends a grant as a whole, where anything does."""
        _, consent_type, _, product, obtained_at, _, _ = grant.basis
        endings: list[Ending] = []
        if self._closings and grant.is_until_closed and product is not None:
            closings = self._closings.get(product.key)
            if closings is not None and (mark := closings.first_at_or_after(obtained_at)):
                endings.append(Ending(mark[0], Reason.PRODUCT_CLOSED, mark[1]))
        refusals = self._refusals.get(consent_type)
        if refusals is not None and (mark := refusals.first_at_or_after(obtained_at)):
            endings.append(Ending(mark[0], Reason.CONSENT_REFUSED, mark[1]))
        successors = self._successors.get(consent_type)
        if successors is not None and (mark := successors.first_after(obtained_at)):
            endings.append(Ending(mark[0], Reason.CONSENT_SUPERSEDED, mark[1]))
        return endings

    def _ends_apart(self, grant: Grant) -> Mapping[Scope, Ending]:
        """End the scopes that revocations select, each by the first that comes before its end."""
        selections = self._selections_by_list.get(id(grant.scopes))
        if selections is None:
            selections = self._selections_of(grant.scopes)
            self._selections_by_list[id(grant.scopes)] = selections
        event_id, consent_type, _, _, obtained_at, _, _ = grant.basis
        found = [
            (mark, scopes)
            for selector, marks, scopes in selections
            if selector.matches_grant(event_id, consent_type)
            and (mark := marks.first_at_or_after(obtained_at)) is not None
        ]
        ends_apart: dict[Scope, Ending] = {}
        term_end_order = grant.term_end.order if found else ()
        found.sort(key=_instant_of_mark)
        for (revoked_at, revoked_by), scopes in found:
            revocation = Ending(revoked_at, Reason.CONSENT_REVOKED, revoked_by)
            if revocation.order < term_end_order:
                for scope in scopes:
                    ends_apart.setdefault(scope, revocation)
        return ends_apart

    def _selections_of(self, scopes: Sequence[Scope]) -> Sequence[_Selection]:
        """Give the revocations that select any of the scopes of a wording, each with these."""
        selections = (
            (selector, marks, [scope for scope in scopes if selector.matches_scope(scope)])
            for selector, marks in self._revocations.items()
        )
        return [selection for selection in selections if selection[2]]


def _instant_of_mark(found: tuple[tuple[Instant, str], object]) -> Instant:
    return found[0][0]


def _order(ending: Ending) -> tuple[Instant, int]:
    return ending.order


_IMPOSING: Final = (Restriction, Acquisition)


def _impose(catalog: Catalog, events: Sequence[TimelineEvent]) -> list[ImposedRestriction]:
    """Rules 6 and 8: the restrictions and what acquisitions bring, as far as not lifted."""
    imposing = [event for event in events if isinstance(event.body, _IMPOSING)]
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
