"""Whom a new catalog may concern: a cheap test before anybody is folded anew.

What lives here: the comparison of what two catalogs derive from single events. It errs on one side
only: where it says no, folding under either catalog gives the same.
"""

from collections.abc import Iterable

from decision.catalog import Catalog
from decision.events import Acquisition, Consent, Purchase, TimelineEvent
from decision.instants import Instant
from decision.matrix import MatrixRow
from decision.products import Product


class Impact:
    """The differences between two catalogs, as far as they matter to events."""

    def __init__(self, old: Catalog, new: Catalog) -> None:
        """Compare two catalogs once, for many customers."""
        self._old = old
        self._new = new
        # A zone moves the end of every term, a suspension reaches everybody who shares.
        self._concerns_everybody = old.zone.key != new.zone.key or (
            _suspensions(old) != _suspensions(new)
        )
        self._changed_types = {
            consent_type
            for consent_type in {*old.consent_types, *new.consent_types}
            if _meaning_of_type(old, consent_type) != _meaning_of_type(new, consent_type)
        }
        self._keeps_matrix = _rows(old) == _rows(new)
        self._changed_partners = {
            partner
            for partner in {*old.partners, *new.partners}
            if old.acquisition_rules_of(partner) != new.acquisition_rules_of(partner)
        }

    def concerns(self, events: Iterable[TimelineEvent]) -> bool:
        """Tell whether a person with these events may fare otherwise under the new catalog."""
        return self._concerns_everybody or any(self._concerns_event(event) for event in events)

    def _concerns_event(self, event: TimelineEvent) -> bool:
        match event.body:
            case Purchase(purchased_at=at, product=product):
                return self._concerns_purchase(product, at)
            case Consent(consent_type=consent_type):
                return consent_type in self._changed_types
            case Acquisition(partner=partner):
                return partner in self._changed_partners
            case _:
                return False

    def _concerns_purchase(self, product: Product, at: Instant) -> bool:
        if self._keeps_matrix and not self._changed_types:
            return False
        old_row = self._old.matrix.match(product, at)
        new_row = old_row if self._keeps_matrix else self._new.matrix.match(product, at)
        if old_row is None or new_row is None:
            return old_row is not new_row
        return (old_row.id, old_row.consent_types) != (new_row.id, new_row.consent_types) or any(
            consent_type in self._changed_types for consent_type in new_row.consent_types
        )


def _meaning_of_type(catalog: Catalog, code: str) -> object:
    """Give all of a consent type that a fold looks at; names and texts it does not."""
    consent_type = catalog.consent_types.get(code)
    if consent_type is None:
        return None
    return (
        consent_type.latest_counts,
        {value.code: value.effect for value in consent_type.values.values()},
        {
            wording.version: (wording.in_force, wording.term_text, frozenset(wording.scopes))
            for wording in catalog.wordings_of(code)
        },
    )


def _rows(catalog: Catalog) -> set[tuple[object, ...]]:
    return {_meaning_of_row(row) for row in catalog.matrix_rows}


def _meaning_of_row(row: MatrixRow) -> tuple[object, ...]:
    in_force = (row.in_force_from, row.in_force_to)
    return (row.id, row.normalised_selector, in_force, row.consent_types)


def _suspensions(catalog: Catalog) -> dict[str, object]:
    return {
        code: partner.suspension
        for code, partner in catalog.partners.items()
        if partner.suspension is not None
    }
