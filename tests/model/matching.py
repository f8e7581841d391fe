"""Normalisation, masks and the choice of a matrix row, for the naive model.

What lives here: semantics.md, Masks and rule 1. What must not: consents, answers.
"""

import unicodedata
from functools import lru_cache
from typing import Any, Final

from tests.model.instants import NEVER, parse_instant

LOOK_ALIKES: Final = str.maketrans("АВЕКМНОРСТУХ", "ABEKMHOPCTYX")
CRITERIA: Final = ("system_code", "product_type", "series_mask", "number_mask")


@lru_cache(maxsize=100_000)
def normalised(text: str) -> str:
    """NFKC, upper case, Cyrillic look-alikes as Latin, no white space and no dashes."""
    upper = unicodedata.normalize("NFKC", text).upper().translate(LOOK_ALIKES)
    return "".join(
        letter for letter in upper if not letter.isspace() and unicodedata.category(letter) != "Pd"
    )


def fits(mask: str, value: str) -> bool:
    """Whether a normalised mask matches the whole of a normalised value."""
    if not mask:
        return not value
    if mask[0] == "*":
        return fits(mask[1:], value) or (bool(value) and fits(mask, value[1:]))
    return bool(value) and mask[0] in ("?", value[0]) and fits(mask[1:], value[1:])


def in_force(entry: dict[str, Any], instant: int) -> bool:
    """Whether a wording or row is in force at an instant: from its start, not at its end."""
    begins, ends = force_of(entry)
    return begins <= instant < ends


def force_of(entry: dict[str, Any]) -> tuple[int, int]:
    """From when until when a wording or row is in force."""
    end = entry.get("in_force_to")
    return parse_instant(entry["in_force_from"]), NEVER if end is None else parse_instant(end)


def selector_of_row(row: dict[str, Any]) -> tuple[str | None, ...]:
    """The normalised criteria of a row; None where one is not given."""
    return (
        row.get("system_code"),
        row.get("product_type"),
        normalised_mask(row.get("series_mask")),
        normalised_mask(row.get("number_mask")),
    )


def normalised_mask(mask: str | None) -> str | None:
    """A mask normalised, or None where none is given."""
    return None if mask is None else normalised(mask)


def matches(row: dict[str, Any], product: dict[str, str]) -> bool:
    """Whether every criterion that the row gives matches the product."""
    system_code, product_type, series_mask, number_mask = selector_of_row(row)
    return (
        (system_code is None or system_code == product["system_code"])
        and (product_type is None or product_type == product["product_type"])
        and (series_mask is None or fits(series_mask, normalised(product["series"])))
        and (number_mask is None or fits(number_mask, normalised(product["number"])))
    )


def row_for(
    matrix: list[dict[str, Any]], product: dict[str, str], instant: int
) -> dict[str, Any] | None:
    """The most specific row in force that matches the product, by rule 1."""
    candidates = [row for row in matrix if in_force(row, instant) and matches(row, product)]
    # Python's sort keeps the order of equals, so we sort by the weakest criterion first.
    candidates.sort(key=lambda row: str(row["id"]))
    candidates.sort(key=lambda row: force_of(row)[0], reverse=True)
    candidates.sort(key=lambda row: row.get("system_code") is not None, reverse=True)
    candidates.sort(key=lambda row: row.get("product_type") is not None, reverse=True)
    candidates.sort(key=literal_characters, reverse=True)
    candidates.sort(key=has_mask, reverse=True)
    return candidates[0] if candidates else None


def has_mask(row: dict[str, Any]) -> bool:
    """Whether the row has a contract mask: of series, of number, or both."""
    return row.get("series_mask") is not None or row.get("number_mask") is not None


def literal_characters(row: dict[str, Any]) -> int:
    """How many characters of the row's normalised masks stand for themselves."""
    masks = (row.get("series_mask"), row.get("number_mask"))
    return sum(
        letter not in "*?" for mask in masks if mask is not None for letter in normalised(mask)
    )


def same_product(one: dict[str, str], other: dict[str, str]) -> bool:
    """Whether two products are one: same system code, normalised series and number."""
    return all(
        (
            one["system_code"] == other["system_code"],
            normalised(one["series"]) == normalised(other["series"]),
            normalised(one["number"]) == normalised(other["number"]),
        )
    )
