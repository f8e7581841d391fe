"""The product-consent matrix: which row a purchase matches (`semantics.md`, rule 1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from decision.instants import Instant
from decision.products import Mask, Product, normalise

CODES_KEPT_MAX: Final = 4096
"""Pairs of a system code and a product type whose rows are kept; senders may make up any."""


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
        # By exact codes: a catalog knows few, and people's products repeat them.
        self._rows_of_codes: dict[tuple[str, str], tuple[MatrixRow, ...]] = {}

    def match(self, product: Product, at: Instant) -> MatrixRow | None:
        """Give the most specific row in force at `at` whose every given criterion matches."""
        if not self._rows:
            return None
        system_code, product_type, series, number = product
        for row in self._rows_with_codes(system_code, product_type):
            if (
                row.in_force_from <= at < row.in_force_to
                and (row.series_mask is None or row.series_mask.matches(normalise(series)))
                and (row.number_mask is None or row.number_mask.matches(normalise(number)))
            ):
                return row
        return None

    def _rows_with_codes(self, system_code: str, product_type: str) -> tuple[MatrixRow, ...]:
        key = (system_code, product_type)
        rows = self._rows_of_codes.get(key)
        if rows is None:
            if len(self._rows_of_codes) >= CODES_KEPT_MAX:
                self._rows_of_codes.clear()
            rows = self._rows_of_codes[key] = tuple(
                row
                for row in self._rows
                if row.system_code in (None, system_code)
                and row.product_type in (None, product_type)
            )
        return rows
