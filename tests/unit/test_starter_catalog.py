"""The starter catalog and its late correction: structure only, the rules are the publication's."""

from collections import Counter
from datetime import date
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from decision.instants import parse_instant
from decision.terms import parse_term
from service.demo.catalog_correction import corrected_catalog
from service.starter import STARTER_CATALOG_PATH

LISTS = ("purposes", "channels", "partners", "datasets", "consent_types")


@pytest.fixture
def document() -> dict[str, Any]:
    """Give the catalog document."""
    loaded: dict[str, Any] = yaml.safe_load(STARTER_CATALOG_PATH.read_text(encoding="utf-8"))
    return loaded


def codes(document: dict[str, Any], name: str) -> set[str]:
    """Give the codes of one list."""
    return {entry["code"] for entry in document[name]}


def test_codes_are_unique_and_named_in_both_languages(document: dict[str, Any]) -> None:
    """Every entry of every list has a code of its own and a Russian and an English name."""
    for name in LISTS:
        assert max(Counter(entry["code"] for entry in document[name]).values()) == 1
        for entry in document[name]:
            assert set(entry["name"]) == {"ru", "en"}
            assert set(entry.get("description", entry["name"])) == {"ru", "en"}
    for wording in document["wordings"]:
        assert set(wording["text"]) == {"ru", "en"}


def test_nothing_names_an_unknown_code(document: dict[str, Any]) -> None:
    """Wordings, matrix and acquisition rules use codes of the lists only."""
    for wording in document["wordings"]:
        assert wording["consent_type"] in codes(document, "consent_types")
        for grant in wording["grants"]:
            assert grant["purpose"] in codes(document, "purposes")
            for name in ("channels", "partners", "datasets"):
                assert set(grant.get(name, [])) <= codes(document, name)
    for row in document["matrix"]:
        assert set(row["consent_types"]) <= codes(document, "consent_types")
    for rule in document["acquisition_rules"]:
        assert rule["partner"] in codes(document, "partners")


def test_wordings_of_a_type_follow_each_other(document: dict[str, Any]) -> None:
    """Versions of a type are numbered in order and do not overlap; every type has a wording."""
    for code in codes(document, "consent_types"):
        wordings = [wording for wording in document["wordings"] if wording["consent_type"] == code]
        assert [wording["version"] for wording in wordings] == list(range(1, len(wordings) + 1))
        for earlier, later in pairwise(wordings):
            assert earlier["in_force_to"] == later["in_force_from"]


def test_every_sort_of_term_and_every_selector_is_there(document: dict[str, Any]) -> None:
    """Years, months, weeks, days and both words occur, and all three ways to name a product."""
    terms = {entry["term"] for entry in document["wordings"] + document["acquisition_rules"]}
    for term in terms:
        parse_term(term)
    assert {term[-1] for term in terms if term.startswith("P")} == set("YMWD")
    assert {"indefinite", "until_product_closed"} <= terms
    criteria = {key for row in document["matrix"] for key in row}
    assert {"system_code", "product_type", "series_mask", "number_mask"} <= criteria


def test_the_correction_changes_credit_cards_since_last_month(document: dict[str, Any]) -> None:
    """The old row ends where the new one begins, in the company zone; the given document stays."""
    before = yaml.safe_dump(document)
    corrected = corrected_catalog(document, parse_instant("2026-03-31T21:30:00Z"))
    rows = {row["id"]: row for row in corrected["matrix"]}
    # It is already the first of April in Moscow.
    assert ZoneInfo(document["zone"]).key == "Europe/Moscow"
    since = date(2026, 3, 1).isoformat()
    assert rows["credit-cards"]["in_force_to"] == since
    assert rows["credit-cards-corrected"] == {
        "id": "credit-cards-corrected",
        "system_code": "CARDS",
        "product_type": "credit_card",
        "in_force_from": since,
        "in_force_to": None,
        "consent_types": ["personal_data", "credit_bureau_contract", "third_party_transfer"],
    }
    assert yaml.safe_dump(document) == before


def test_a_catalog_without_credit_cards_can_not_be_corrected(document: dict[str, Any]) -> None:
    """The function says what it misses."""
    with pytest.raises(ValueError, match="credit-cards"):
        corrected_catalog(document | {"matrix": []}, 0)
