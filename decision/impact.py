"""Whom a new catalog may concern: a cheap test before anybody is folded anew.

What lives here: what the differences between two catalogs mean for single events. It errs on one
side only: where it says no, folding under either catalog gives the same.
"""

from collections.abc import Iterable

from decision.catalog import Catalog
from decision.catalog_differences import CatalogDifferences
from decision.events import Acquisition, Consent, Purchase, TimelineEvent
from decision.instants import Instant
from decision.matrix import Matrix
from decision.products import Product


class Impact:
    """The differences between two catalogs, as far as they matter to events."""

    def __init__(self, old: Catalog, new: Catalog) -> None:
        """Compare two catalogs once, for many customers."""
        self._old = old
        self._new = new
        differences = CatalogDifferences(old, new)
        # A suspension reaches everybody who shares, whatever the events.
        self._concerns_everybody = differences.has_other_suspensions
        self._changed_types = differences.types
        self._changed_rows = Matrix(differences.rows)
        self._changed_partners = differences.partners

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
        keeps_row = self._changed_rows.match(product, at) is None
        if keeps_row and not self._changed_types:
            return False
        old_row = self._old.matrix.match(product, at)
        new_row = old_row if keeps_row else self._new.matrix.match(product, at)
        if old_row is None or new_row is None:
            return old_row is not new_row
        return (old_row.id, old_row.consent_types) != (new_row.id, new_row.consent_types) or any(
            consent_type in self._changed_types for consent_type in new_row.consent_types
        )
