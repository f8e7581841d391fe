"""The product-consent matrix: which row a purchase matches (`semantics.md`, rule 1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from decision.instants import Instant
from decision.products import Mask, Product, normalise

_Key = TypeVar("_Key")

NAMES_KEPT_MAX: Final = 4096
"""Codes of products, with or without a series, whose rows are kept; senders may make up any."""


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """A product selector and the consent types a customer signs when buying such a product.

    Criteria that are not given are None. In force during `[in_force_from, in_force_to)`.
    """

    id: str
    system_code: str | None
    product_type: str | None
    series_mask: Mask | None
    number_mask: Mask | None
    in_force_from: Instant
    in_force_to: Instant
    consent_types: tuple[str, ...]

    @property
    def masks(self) -> tuple[Mask, ...]:
        """The masks that are given."""
        return tuple(mask for mask in (self.series_mask, self.number_mask) if mask is not None)

    @property
    def normalised_selector(self) -> "NormalisedSelector":
        """The selector in the form in which two rows are compared for sameness."""
        return NormalisedSelector(
            self.system_code,
            self.product_type,
            None if self.series_mask is None else self.series_mask.normalised,
            None if self.number_mask is None else self.number_mask.normalised,
        )


class NormalisedSelector(NamedTuple):
    """The criteria of a row, masks normalised; what is not given is None."""

    system_code: str | None
    product_type: str | None
    series_mask: str | None
    number_mask: str | None


class Precedence(NamedTuple):
    """How specific a row is; of two rows that match, the one that sorts first wins."""

    has_no_mask: bool
    literal_count_negated: int
    has_no_product_type: bool
    has_no_system_code: bool
    in_force_from_negated: Instant
    row_id: str


def precedence(row: MatrixRow) -> Precedence:
    """Give what a row is ordered by (`semantics.md`, rule 1)."""
    return Precedence(
        has_no_mask=not row.masks,
        literal_count_negated=-sum(mask.literal_count for mask in row.masks),
        has_no_product_type=row.product_type is None,
        has_no_system_code=row.system_code is None,
        in_force_from_negated=-row.in_force_from,
        row_id=row.id,
    )


class Matrix:
    """The rows in order of precedence, so that the first that matches is the one that counts."""

    def __init__(self, rows: Sequence[MatrixRow]) -> None:
        """Order the rows. Rows do not change afterwards."""
        self._rows = tuple(sorted(rows, key=precedence))
        # By exact codes, and by series as well: people's products repeat both.
        self._rows_of_codes: dict[tuple[str, str], tuple[MatrixRow, ...]] = {}
        self._rows_of_series: dict[tuple[str, str, str], tuple[MatrixRow, ...]] = {}

    def match(self, product: Product, at: Instant) -> MatrixRow | None:
        """Give the most specific row in force at `at` whose every given criterion matches."""
        if not self._rows:
            return None
        rows = self._rows_of_series.get(product[:3])
        if rows is None:
            rows = self._rows_but_for_number(product)
        for row in rows:
            if row.in_force_from <= at < row.in_force_to and (
                row.number_mask is None or row.number_mask.matches(normalise(product.number))
            ):
                return row
        return None

    def _rows_but_for_number(self, product: Product) -> tuple[MatrixRow, ...]:
        """Give the rows at some time whose every criterion but that of the number matches."""
        series = normalise(product.series)
        rows = tuple(
            row
            for row in self._rows_with_codes(product.system_code, product.product_type)
            if row.series_mask is None or row.series_mask.matches(series)
        )
        return _keep(self._rows_of_series, product[:3], rows)

    def _rows_with_codes(self, system_code: str, product_type: str) -> tuple[MatrixRow, ...]:
        key = (system_code, product_type)
        rows = self._rows_of_codes.get(key)
        if rows is None:
            rows = tuple(
                row
                for row in self._rows
                if row.system_code in (None, system_code)
                and row.product_type in (None, product_type)
            )
            _keep(self._rows_of_codes, key, rows)
        return rows


def _keep(
    kept: dict[_Key, tuple[MatrixRow, ...]], key: _Key, rows: tuple[MatrixRow, ...]
) -> tuple[MatrixRow, ...]:
    """Keep rows for the next time, and give them."""
    if len(kept) >= NAMES_KEPT_MAX:
        kept.clear()
    kept[key] = rows
    return rows
