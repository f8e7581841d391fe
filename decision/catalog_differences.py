"""What differs between two catalogs, as far as a fold looks at it.

What lives here: the one comparison of two publications; names, texts and codes that nothing derives
from do not count. Whom a difference concerns is told from events in `impact`, and which answers it
leaves as they are in `catalog_step`.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias, TypeVar

from decision.catalog import AcquisitionRule, Catalog, ConsentType, Interval
from decision.matrix import MatrixRow, NormalisedSelector, precedence
from decision.products import Mask
from decision.terms import Duration, Term

IntervalsByType: TypeAlias = Mapping[str, Sequence[Interval]]
"""By consent type, the intervals in which something may be so of what was obtained then."""

PAIRS_MAX: Final = 250_000
"""Pairs of matrix rows that a comparison looks at. Where more have changed, any type that a row
signs is taken to be signed anew."""

_WILDCARDS: Final = frozenset("*?")


class CatalogDifferences:
    """The differences between two catalogs. A publication that changes only texts has none."""

    def __init__(self, old: Catalog, new: Catalog) -> None:
        """Compare two catalogs once."""
        self.types = frozenset(
            code
            for code in {*old.consent_types, *new.consent_types}
            if _meaning_of_type(old, code) != _meaning_of_type(new, code)
        )
        """The consent types that differ in values, terms, dates or scopes."""
        old_rows = {_meaning_of_row(row): row for row in old.matrix_rows}
        new_rows = {_meaning_of_row(row): row for row in new.matrix_rows}
        self.rows_removed = _missing(old_rows, new_rows)
        self.rows_added = _missing(new_rows, old_rows)
        self.partners = frozenset(
            partner
            for partner in {*old.partners, *new.partners}
            if _meanings_of_rules(old, partner) != _meanings_of_rules(new, partner)
        )
        """The partners whose acquisition rules differ."""
        old_rules = {_meaning_of_rule(old, rule): rule for rule in old.acquisition_rules}
        new_rules = {_meaning_of_rule(new, rule): rule for rule in new.acquisition_rules}
        self.rules_removed: Sequence[AcquisitionRule] = _missing(old_rules, new_rules)
        self.rules_added: Sequence[AcquisitionRule] = _missing(new_rules, old_rules)
        self.has_other_suspensions = _suspensions(old) != _suspensions(new)

    @property
    def rows(self) -> Sequence[MatrixRow]:
        """The matrix rows that stand in one of the two catalogs only.

        A purchase that none of them matches has the same row in both: rows that stand in both have
        the same order among themselves in both.
        """
        return [*self.rows_removed, *self.rows_added]


_Listed = TypeVar("_Listed")
_Meaning: TypeAlias = tuple[Hashable, ...]


def _missing(
    listed: Mapping[_Meaning, _Listed], other: Mapping[_Meaning, _Listed]
) -> list[_Listed]:
    return [entry for meaning, entry in listed.items() if meaning not in other]


def meaning_of_term(catalog: Catalog, term: Term) -> Hashable:
    """Give a term with what it is reckoned by: only durations are, by the company zone."""
    return (term, catalog.zone.key if isinstance(term, Duration) else "")


def _meaning_of_type(catalog: Catalog, code: str) -> object:
    """Give all of a consent type that a fold looks at; names and texts it does not."""
    consent_type = catalog.consent_types.get(code)
    if consent_type is None:
        return None
    return (
        consent_type.latest_counts,
        _effects(consent_type),
        {
            wording.version: (
                wording.in_force,
                meaning_of_term(catalog, wording.term),
                frozenset(wording.scopes),
            )
            for wording in catalog.wordings_of(code)
        },
    )


def _effects(consent_type: ConsentType) -> object:
    return {value.code: value.effect for value in consent_type.values.values()}


def _meaning_of_row(row: MatrixRow) -> _Meaning:
    # The id counts too: it decides where two rows are equal otherwise, and evidence shows it.
    in_force = (row.in_force_from, row.in_force_to)
    return (row.id, row.normalised_selector, in_force, row.consent_types)


def _meaning_of_rule(catalog: Catalog, rule: AcquisitionRule) -> _Meaning:
    return (rule.partner, rule.selector, meaning_of_term(catalog, rule.term))


def _meanings_of_rules(catalog: Catalog, partner: str) -> list[_Meaning]:
    return [_meaning_of_rule(catalog, rule) for rule in catalog.acquisition_rules_of(partner)]


def _suspensions(catalog: Catalog) -> dict[str, object]:
    return {
        code: partner.suspension
        for code, partner in catalog.partners.items()
        if partner.suspension is not None
    }


def types_signed_anew(
    before: Sequence[MatrixRow],
    after: Sequence[MatrixRow],
    removed: Sequence[MatrixRow],
    added: Sequence[MatrixRow],
) -> IntervalsByType:
    """Tell which types a purchase may give under the matrix `after` and did not under `before`.

    `removed` and `added` are the rows that stand in one of the two only. It errs on the side of
    telling too much. With the arguments the other way round it tells what is signed no more.

    A purchase whose row is another one either matches an added row now, or has lost a removed one
    and falls through to a row that comes after that. An added row gives nothing anew of a type that
    a row gave before it to all its purchases, and took precedence no later: what went before that
    one goes before the added one too, or was removed and is looked at by itself.
    """
    found: dict[str, list[Interval]] = defaultdict(list)
    rows_before: dict[NormalisedSelector, list[MatrixRow]] = defaultdict(list)
    for row in before:
        rows_before[row.normalised_selector].append(row)
    for row in added:
        of_same_products = [
            other for other in rows_before[row.normalised_selector] if _takes_in(other, row)
        ]
        for consent_type in row.consent_types:
            if not any(consent_type in other.consent_types for other in of_same_products):
                found[consent_type].append(_in_force(row))
    for consent_type, when in _signed_behind(removed, after):
        found[consent_type].append(when)
    return found


def _takes_in(row: MatrixRow, narrower: MatrixRow) -> bool:
    """Tell whether a row with the same selector is in force as long and goes no later."""
    return (
        row.in_force_from <= narrower.in_force_from
        and narrower.in_force_to <= row.in_force_to
        and precedence(row) <= precedence(narrower)
    )


def _signed_behind(
    removed: Sequence[MatrixRow], after: Sequence[MatrixRow]
) -> Iterator[tuple[str, Interval]]:
    """Give the types that purchases may sign which fall through, and when."""
    if len(removed) * len(after) > PAIRS_MAX:
        for row in after:
            for consent_type in row.consent_types:
                yield consent_type, _in_force(row)
        return
    ordered = [(precedence(row), row) for row in after]
    for row in removed:
        own_precedence = precedence(row)
        for other_precedence, other in ordered:
            if other_precedence > own_precedence and _may_share_products(row, other):
                start = max(row.in_force_from, other.in_force_from)
                end = min(row.in_force_to, other.in_force_to)
                for consent_type in other.consent_types:
                    if start < end and consent_type not in row.consent_types:
                        yield consent_type, Interval(start, end)


def _may_share_products(row: MatrixRow, other: MatrixRow) -> bool:
    return (
        _agree(row.product_type, other.product_type)
        and _agree(row.system_code, other.system_code)
        and _may_match_alike(row.series_mask, other.series_mask)
        and _may_match_alike(row.number_mask, other.number_mask)
    )


def _agree(criterion: str | None, other: str | None) -> bool:
    return criterion is None or other is None or criterion == other


def _may_match_alike(mask: Mask | None, other: Mask | None) -> bool:
    """Tell masks apart by what stands before their first wildcards; beyond that they may agree."""
    if mask is None or other is None:
        return True
    for letter, other_letter in zip(mask.normalised, other.normalised, strict=False):
        if letter in _WILDCARDS or other_letter in _WILDCARDS:
            return True
        if letter != other_letter:
            return False
    return True


def _in_force(row: MatrixRow) -> Interval:
    return Interval(row.in_force_from, row.in_force_to)
