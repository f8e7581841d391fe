"""Generated publications that are, or may be, refused.

What lives here: one deliberate fault of each kind put into a valid catalog. What must
not: valid corrections (random_catalog.py).
"""

import copy
from collections.abc import Callable
from typing import Final

from tests.model.choices import Choices, pick
from tests.model.document import Document
from tests.model.matching import CRITERIA

PARTS: Final = ("purposes", "channels", "partners", "datasets", "consent_types")
BAD_TERMS: Final = ("P", "PT1H", "5Y", "P1D1M", "forever", "-P1Y")


def faulty(choices: Choices, document: Document) -> Document:
    """The catalog with one fault; some faults are none where nothing was recorded yet."""
    changed = copy.deepcopy(document)
    pick(choices, FAULTS)(choices, changed)
    return changed


def _bad_zone(_: Choices, document: Document) -> None:
    document["zone"] = "Mars/Olympus"


def _text_changed(choices: Choices, document: Document) -> None:
    pick(choices, document["wordings"])["text"] += " More."


def _text_changed_and_bad_zone(choices: Choices, document: Document) -> None:
    _bad_zone(choices, document)
    _text_changed(choices, document)


def _wording_gone(choices: Choices, document: Document) -> None:
    document["wordings"].remove(pick(choices, document["wordings"]))


def _bad_term(choices: Choices, document: Document) -> None:
    pick(choices, document["wordings"])["term"] = pick(choices, BAD_TERMS)


def _empty_interval(choices: Choices, document: Document) -> None:
    entry = pick(choices, document[pick(choices, ("wordings", "matrix"))])
    entry["in_force_to"] = entry["in_force_from"]


def _overlapping_wordings(choices: Choices, document: Document) -> None:
    document["wordings"].append({**pick(choices, document["wordings"]), "version": 99})


def _version_twice(choices: Choices, document: Document) -> None:
    dates = {"in_force_from": "1940-01-01T00:00:00Z", "in_force_to": "1941-01-01T00:00:00Z"}
    document["wordings"].append(pick(choices, document["wordings"]) | dates)


def _unknown_channel(choices: Choices, document: Document) -> None:
    grant = {"purpose": "service", "channels": ["telepathy"]}
    pick(choices, document["wordings"])["grants"].append(grant)


def _unknown_type_in_row(choices: Choices, document: Document) -> None:
    pick(choices, document["matrix"])["consent_types"] = ["no_such_type"]


def _unknown_partner_in_rule(_: Choices, document: Document) -> None:
    rule = {"partner": "nobody", "selector": {"all": True}, "term": "P1Y"}
    document["acquisition_rules"].append(rule)


def _empty_selector_in_rule(_: Choices, document: Document) -> None:
    partner = document["partners"][0]["code"]
    document["acquisition_rules"].append({"partner": partner, "selector": {}, "term": "P1Y"})


def _row_id_twice(choices: Choices, document: Document) -> None:
    document["matrix"].append({**pick(choices, document["matrix"]), "system_code": "OTHER"})


def _rows_select_the_same(choices: Choices, document: Document) -> None:
    document["matrix"].append({**pick(choices, document["matrix"]), "id": "twin"})


def _empty_mask(choices: Choices, document: Document) -> None:
    pick(choices, document["matrix"])["series_mask"] = " - \u2014 "


def _no_criterion(choices: Choices, document: Document) -> None:
    row = pick(choices, document["matrix"])
    for name in CRITERIA:
        row.pop(name, None)


def _code_twice(choices: Choices, document: Document) -> None:
    part = document[pick(choices, PARTS)]
    part.append(part[0])


def _value_gone(choices: Choices, document: Document) -> None:
    """Legal where no event used a value of the type."""
    values = [{"code": "other", "name": "other", "effect": "grants"}]
    pick(choices, document["consent_types"])["values"] = values


def _dataset_gone(choices: Choices, document: Document) -> None:
    """Without the data set, and without what in the document uses it."""
    code = pick(choices, document["datasets"])["code"]
    document["datasets"] = [one for one in document["datasets"] if one["code"] != code]
    for wording in document["wordings"]:
        wording["grants"] = [
            grant for grant in wording["grants"] if code not in grant.get("datasets", [])
        ] or [{"purpose": "service"}]
    document["acquisition_rules"] = []


def _type_gone(choices: Choices, document: Document) -> None:
    """Without the type, its wordings and its place in rows."""
    code = pick(choices, document["consent_types"])["code"]
    document["consent_types"] = [one for one in document["consent_types"] if one["code"] != code]
    document["wordings"] = [one for one in document["wordings"] if one["consent_type"] != code]
    for row in document["matrix"]:
        row["consent_types"] = [one for one in row["consent_types"] if one != code]
    document["matrix"] = [row for row in document["matrix"] if row["consent_types"]]


FAULTS: Final[tuple[Callable[[Choices, Document], None], ...]] = (
    _bad_zone,
    _text_changed,
    _text_changed_and_bad_zone,
    _wording_gone,
    _bad_term,
    _empty_interval,
    _overlapping_wordings,
    _version_twice,
    _unknown_channel,
    _unknown_type_in_row,
    _unknown_partner_in_rule,
    _empty_selector_in_rule,
    _row_id_twice,
    _rows_select_the_same,
    _empty_mask,
    _no_criterion,
    _code_twice,
    _value_gone,
    _dataset_gone,
    _type_gone,
)
