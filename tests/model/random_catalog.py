"""Generated catalogs, and corrections of them.

What lives here: whole valid catalogs from a palette, and later publications that are
legal after an earlier one. What must not: faulty catalogs (faulty_catalog.py), steps.
"""

import copy
from collections.abc import Callable
from typing import Any, Final

from tests.model.choices import Choices, chance, pick, some
from tests.model.document import EFFECTS, Document, effects_of
from tests.model.instants import NEVER
from tests.model.matching import force_of, selector_of_row
from tests.model.palette import (
    CHANNELS,
    CONSENT_TYPES,
    DATASETS,
    DURATIONS,
    EARLY,
    PARTNERS,
    PURPOSES,
    TERMS,
    ZONES,
    Palette,
    selector,
)

ROWS_MAX: Final = 5
WORDINGS_OF_A_TYPE_MAX: Final = 3
CORRECTIONS_MAX: Final = 3

# Many of them match the same contract with equally many characters that stand for themselves.
SERIES_MASKS: Final = (
    *("KR*", "КР*", "kr??", "*01", "? - ?01", "K*1"),
    *("kr - 01", "K?*", "*1", "Ｋr?", "X?", "ху*", "*", "**", "?*"),
)
NUMBER_MASKS: Final = ("7*", "*1", "?1", "7 - ?", "71", "0?*", "№*", "no?", "*", "**")
VALUES: Final = (
    {"code": "granted", "name": "yes", "effect": "grants"},
    {"code": "refused", "name": "no", "effect": "refuses"},
    {"code": "not_asked", "name": "not asked", "effect": "notes"},
    {"code": "by_phone", "name": "yes, by phone", "effect": "grants"},
)


def catalog(choices: Choices, stock: Palette) -> Document:
    """A valid catalog."""
    document: Document = {
        "zone": stock.zone,
        "purposes": _named(PURPOSES),
        "channels": _named(CHANNELS),
        "partners": [_partner(choices, stock, code) for code in PARTNERS],
        "datasets": _named(DATASETS),
        "consent_types": [_consent_type(choices, code) for code in CONSENT_TYPES],
        "wordings": [],
        "matrix": _matrix(choices, stock),
        "acquisition_rules": _rules(choices),
    }
    for code in CONSENT_TYPES:
        document["wordings"].extend(_wordings(choices, stock, code))
    return document


def corrected(choices: Choices, stock: Palette, document: Document) -> Document:
    """A later publication, legal after this one whatever was recorded meanwhile."""
    changed = copy.deepcopy(document)
    for _ in range(1 + choices.below(CORRECTIONS_MAX)):
        pick(choices, CORRECTIONS)(choices, stock, changed)
    return changed


def _correct_matrix(choices: Choices, stock: Palette, document: Document) -> None:
    document["matrix"] = _matrix(choices, stock)


def _correct_term(choices: Choices, _: Palette, document: Document) -> None:
    pick(choices, document["wordings"])["term"] = pick(choices, TERMS)


def _correct_dates(choices: Choices, stock: Palette, document: Document) -> None:
    _redate(choices, stock, document, pick(choices, document["wordings"])["consent_type"])


def _correct_scopes(choices: Choices, _: Palette, document: Document) -> None:
    pick(choices, document["wordings"])["grants"] = _grants(choices)


def _correct_rules(choices: Choices, _: Palette, document: Document) -> None:
    document["acquisition_rules"] = _rules(choices)


def _correct_suspensions(choices: Choices, stock: Palette, document: Document) -> None:
    document["partners"] = [_partner(choices, stock, code) for code in PARTNERS]


def _correct_terms(choices: Choices, _: Palette, document: Document) -> None:
    pick(choices, document["consent_types"])["terms"] = pick(choices, ("union", "latest"))


def _correct_effects(choices: Choices, _: Palette, document: Document) -> None:
    """Values stay, for events may use them; what they do may change."""
    consent_type = pick(choices, document["consent_types"])
    consent_type["values"] = [
        {
            "code": code,
            "name": code,
            "effect": pick(choices, EFFECTS) if chance(choices, 30) else effect,
        }
        for code, effect in effects_of(document, consent_type["code"]).items()
    ]


def _correct_zone(choices: Choices, _: Palette, document: Document) -> None:
    document["zone"] = pick(choices, ZONES)


def _retire(choices: Choices, _: Palette, document: Document) -> None:
    name = pick(choices, ("purposes", "channels", "datasets", "consent_types"))
    pick(choices, document[name])["retired"] = True


def _add_code(_: Choices, __: Palette, document: Document) -> None:
    if all(entry["code"] != "messenger" for entry in document["channels"]):
        document["channels"].append({"code": "messenger", "name": "messenger"})


def _add_wording(choices: Choices, stock: Palette, document: Document) -> None:
    code = pick(choices, document["wordings"])["consent_type"]
    version = 1 + max(one["version"] for one in document["wordings"])
    document["wordings"].append(_wording(choices, code, version, EARLY, None))
    _redate(choices, stock, document, code)


def _correct_nothing(_: Choices, __: Palette, ___: Document) -> None:
    """The same catalog again."""


CORRECTIONS: Final[tuple[Callable[[Choices, Palette, Document], None], ...]] = (
    *(_correct_matrix, _correct_term, _correct_dates, _correct_scopes) * 4,
    *(_correct_rules, _correct_suspensions, _correct_terms, _correct_effects) * 3,
    *(_correct_zone, _add_wording) * 2,
    *(_retire, _add_code, _correct_nothing),
)
"""Those that change more stand in it more often."""


def _named(codes: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{"code": code, "name": code} for code in codes]


def _partner(choices: Choices, stock: Palette, code: str) -> dict[str, Any]:
    partner: dict[str, Any] = {"code": code, "name": code}
    if chance(choices, 30):
        begins, ends = _interval(choices, stock)
        partner["suspended_from"] = begins
        if ends is not None or chance(choices, 50):
            partner["suspended_to"] = ends
    return partner


def _consent_type(choices: Choices, code: str) -> dict[str, Any]:
    consent_type: dict[str, Any] = {"code": code, "name": code}
    if chance(choices, 70):
        consent_type["terms"] = "latest" if chance(choices, 70) else "union"
    if chance(choices, 60):
        consent_type["values"] = copy.deepcopy(list(VALUES))
    return consent_type


def _interval(choices: Choices, stock: Palette) -> tuple[str, str | None]:
    """From one of the scarce instants to another, or without end."""
    begins = choices.below(len(stock.instants))
    later = stock.instants[begins + 1 :]
    ends = pick(choices, later) if later and chance(choices, 50) else None
    return stock.instants[begins], ends


def _intervals(choices: Choices, stock: Palette, count: int) -> list[tuple[str, str | None]]:
    """Disjoint intervals in turn, mostly without a gap, up to so many."""
    points = some(choices, stock.instants, count)
    points = sorted(points, key=stock.instants.index)
    if chance(choices, 75):
        points[0] = EARLY
    found: list[tuple[str, str | None]] = []
    for number, begins in enumerate(points):
        ends = points[number + 1] if number + 1 < len(points) else None
        first = stock.instants.index(begins) + 1 if begins in stock.instants else 0
        last = stock.instants.index(ends) if ends is not None else len(stock.instants)
        if first < last and chance(choices, 20):
            ends = stock.instants[first + choices.below(last - first)]
        found.append((begins, ends))
    return found


def _wordings(choices: Choices, stock: Palette, code: str) -> list[dict[str, Any]]:
    intervals = _intervals(choices, stock, WORDINGS_OF_A_TYPE_MAX)
    wordings = [
        _wording(choices, code, number + 1, begins, ends)
        for number, (begins, ends) in enumerate(intervals)
    ]
    if chance(choices, 20):
        wordings.reverse()
    return wordings


def _wording(
    choices: Choices, code: str, version: int, begins: str, ends: str | None
) -> dict[str, Any]:
    return {
        "consent_type": code,
        "version": version,
        "text": f"Text {version} of {code}.",
        "in_force_from": begins,
        "in_force_to": ends,
        "term": pick(choices, TERMS),
        "grants": _grants(choices),
    }


def _redate(choices: Choices, stock: Palette, document: Document, code: str) -> None:
    """New days in force for the wordings of a type; what finds no place is put far away."""
    wordings = [one for one in document["wordings"] if one["consent_type"] == code]
    intervals = _intervals(choices, stock, len(wordings))
    for number, wording in enumerate(wordings):
        if number < len(intervals):
            begins, ends = intervals[number]
        else:
            begins, ends = f"{1950 + number}-01-01T00:00:00Z", f"{1951 + number}-01-01T00:00:00Z"
        wording["in_force_from"], wording["in_force_to"] = begins, ends


def _grants(choices: Choices) -> list[dict[str, Any]]:
    return [_grant(choices) for _ in range(1 + choices.below(2))]


def _grant(choices: Choices) -> dict[str, Any]:
    grant: dict[str, Any] = {"purpose": pick(choices, PURPOSES)}
    shape = pick(choices, ("contact", "contact", "share", "share", "process"))
    if shape == "contact":
        grant["channels"] = some(choices, CHANNELS, 2)
    if shape == "share":
        grant["partners"] = some(choices, PARTNERS, 2)
        grant["datasets"] = some(choices, DATASETS, 2)
    return grant


def _matrix(choices: Choices, stock: Palette) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for number in range(1 + choices.below(ROWS_MAX)):
        row_id = f"{pick(choices, ('ряд', 'row', 'Row', '1'))}-{number}"
        if rows and chance(choices, 55):
            row = _twin(choices, pick(choices, rows)) | {"id": row_id}
        else:
            row = _row(choices, stock, row_id)
        if not any(_clash(row, other) for other in rows):
            rows.append(row)
    return rows


def _row(choices: Choices, stock: Palette, row_id: str) -> dict[str, Any]:
    row: dict[str, Any] = {"id": row_id}
    for name, offered, percent in (
        ("system_code", ("ABS", "CARDS"), 30),
        ("product_type", ("loan", "card"), 45),
        ("series_mask", SERIES_MASKS, 25),
        ("number_mask", NUMBER_MASKS, 20),
    ):
        if chance(choices, percent):
            row[name] = pick(choices, offered)
    if len(row) == 1:
        row["product_type"] = pick(choices, ("loan", "card"))
    begins, ends = _interval(choices, stock)
    row["in_force_from"] = EARLY if chance(choices, 70) else begins
    row["in_force_to"] = ends if chance(choices, 40) else None
    row["consent_types"] = some(choices, CONSENT_TYPES, 3)
    return row


def _twin(choices: Choices, row: dict[str, Any]) -> dict[str, Any]:
    """Another row that differs in a mask, so that the two compete for the same products."""
    twin = row | {"consent_types": some(choices, CONSENT_TYPES, 2)}
    name, masks = pick(choices, (("number_mask", NUMBER_MASKS), ("series_mask", SERIES_MASKS)))
    twin[name] = pick(choices, masks)
    if chance(choices, 30):
        twin["in_force_from"] = "2010-06-01T00:00:00Z"
        twin["in_force_to"] = None
    return twin


def _clash(one: dict[str, Any], other: dict[str, Any]) -> bool:
    (begins, ends), (other_begins, other_ends) = force_of(one), force_of(other)
    return selector_of_row(one) == selector_of_row(other) and max(begins, other_begins) < min(
        ends, other_ends, NEVER
    )


def _rules(choices: Choices) -> list[dict[str, Any]]:
    return [
        {
            "partner": pick(choices, PARTNERS),
            "selector": selector(choices, for_revocation=False, event_ids=[]),
            "term": pick(choices, ("indefinite", *DURATIONS)),
        }
        for _ in range(choices.below(4))
    ]
