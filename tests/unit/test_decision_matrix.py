"""The choice of a matrix row, one rule of precedence at a time (`semantics.md`, rule 1)."""

from typing import Any

import pytest

from decision.instants import parse_instant
from decision.products import Product
from tests.unit.decision_builders import FEBRUARY, JANUARY, LOAN, MARCH, catalog, row


def chosen(*rows: dict[str, Any], product: Product = LOAN, at: int = JANUARY) -> str | None:
    """The id of the row that counts; the order in which rows stand never matters."""
    found = [
        None
        if (match := catalog(matrix=list(order)).matrix.match(product, at)) is None
        else match.id
        for order in (rows, rows[::-1])
    ]
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize(
    "criteria",
    [
        {"system_code": "ABS"},
        {"product_type": "loan"},
        {"series_mask": "к?*"},
        {"number_mask": "00*"},
        {"system_code": "ABS", "product_type": "loan", "series_mask": "KR", "number_mask": "*"},
    ],
)
def test_every_given_criterion_has_to_match(criteria: dict[str, str]) -> None:
    """A row matches when all it gives match, and any one that does not rules it out."""
    assert chosen(row(**criteria)) == "row"
    for name in criteria:
        assert chosen(row(**criteria | {name: "OTHER"})) is None


def test_codes_compare_exactly() -> None:
    """System codes and product types are not normalised."""
    assert chosen(row(system_code="abs")) is None
    assert chosen(row(product_type="Loan")) is None


def test_absent_series_is_the_empty_string() -> None:
    """A mask of stars alone matches a product without a series, one with a letter does not."""
    bare = Product("ABS", "loan")
    assert chosen(row(series_mask="*"), product=bare) == "row"
    assert chosen(row(series_mask="?*"), product=bare) is None


def test_rows_are_in_force_at_their_beginning_and_no_longer_at_their_end() -> None:
    """The instant of the purchase decides, half-open."""
    dated = row(
        system_code="ABS",
        in_force_from="2024-02-01T00:00:00Z",
        in_force_to="2024-03-01T00:00:00Z",
    )
    assert chosen(dated, at=FEBRUARY - 1) is None
    assert chosen(dated, at=FEBRUARY) == "row"
    assert chosen(dated, at=MARCH - 1) == "row"
    assert chosen(dated, at=MARCH) is None


def test_contract_mask_beats_everything_without_one() -> None:
    """A mask of stars alone is a mask: it beats system code and product type together."""
    both = row("both", system_code="ABS", product_type="loan")
    assert chosen(both, row("mask", series_mask="*")) == "mask"


def test_more_literal_characters_beat_fewer() -> None:
    """Literal characters count over both masks, whatever else is given."""
    long = row("long", series_mask="K*", number_mask="00*")
    short = row("short", series_mask="KR", system_code="ABS", product_type="loan")
    assert chosen(long, short) == "long"


def test_literal_characters_count_after_normalisation() -> None:
    """Dashes and spaces in a mask make it no more specific: here two characters beat one."""
    plain, gaps = row("plain", series_mask="KR"), row("gaps", number_mask="0 - - - *")
    assert chosen(plain, gaps) == "plain"


def test_product_type_beats_system_code() -> None:
    """With equal masks a product type given counts before a system code given."""
    by_type = row("type", product_type="loan")
    by_system = row("system", system_code="ABS")
    assert chosen(by_type, by_system) == "type"
    masked = {"series_mask": "KR"}
    assert chosen(by_type | masked, by_system | masked) == "type"


def test_system_code_beats_none() -> None:
    """With equal masks and product types a system code given counts."""
    assert (
        chosen(
            row("more", system_code="ABS", product_type="loan"), row("less", product_type="loan")
        )
        == "more"
    )


def test_later_start_of_force_beats_an_earlier_one() -> None:
    """Of equally specific rows the one in force since later counts."""
    old = row("a-old", series_mask="K*")
    new = row("new", series_mask="*R", in_force_from="2010-01-01T00:00:00Z")
    assert chosen(old, new) == "new"


def test_smaller_row_id_by_code_point_decides_last() -> None:
    """Upper case sorts before lower case, and what is beyond 16 bits last."""
    rows = [row(name, series_mask=mask) for name, mask in (("b", "K*"), ("B", "*R"), ("a", "?R"))]
    assert chosen(*rows) == "B"
    assert chosen(row("\uff5a", series_mask="K*"), row("\U0001f600", series_mask="*R")) == "\uff5a"


def test_row_of_long_ago_is_matched_by_a_purchase_of_long_ago() -> None:
    """Which row counts follows from the instant of the purchase alone."""
    old = row("old", system_code="ABS", in_force_to="2010-01-01T00:00:00Z")
    new = row("new", system_code="ABS", in_force_from="2010-01-01T00:00:00Z")
    assert chosen(old, new, at=parse_instant("2009-12-31T23:59:59Z")) == "old"
    assert chosen(old, new, at=parse_instant("2010-01-01T00:00:00Z")) == "new"
