"""What is wrong with a catalog document, for the naive model.

What lives here: the faults of a document in itself, and those of one at odds with what is
published (semantics.md, Publication). What must not: events; naive.py knows which codes
the recorded events use.
"""

from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Any, Final

from tests.model.instants import (
    INDEFINITE,
    NEVER,
    UNTIL_PRODUCT_CLOSED,
    is_duration,
    is_zone,
    parse_instant,
)
from tests.model.matching import CRITERIA, force_of, normalised, selector_of_row
from tests.model.scopes import faults_of_selector, named_fields

Document = dict[str, Any]

CODE_LISTS: Final = {
    "purpose": "purposes",
    "channel": "channels",
    "partner": "partners",
    "dataset": "datasets",
    "consent_type": "consent_types",
}
EFFECTS: Final = ("grants", "refuses", "notes")
TERMS: Final = ("union", "latest")
GRANT_SHAPES: Final = (
    {"purpose"},
    {"purpose", "channels"},
    {"purpose", "partners", "datasets"},
)
DEFAULT_VALUES: Final = {"granted": "grants", "refused": "refuses"}


def entries(document: Document, name: str) -> list[dict[str, Any]]:
    """A list of the document, empty where it is absent."""
    found = document.get(name)
    return [] if found is None else [entry for entry in found if isinstance(entry, dict)]


def codes(document: Document | None, kind: str) -> set[str]:
    """The codes of a kind, retired ones included; none without a catalog."""
    if document is None:
        return set()
    return {str(entry.get("code")) for entry in entries(document, CODE_LISTS[kind])}


def consent_type_of(document: Document | None, code: str) -> dict[str, Any] | None:
    """The entry of a consent type."""
    for entry in entries(document, "consent_types") if document else []:
        if entry.get("code") == code:
            return entry
    return None


def effects_of(document: Document | None, code: str) -> dict[str, str]:
    """The values of a consent type, each with its effect."""
    entry = consent_type_of(document, code)
    if entry is None:
        return {}
    if entry.get("values") is None:
        return dict(DEFAULT_VALUES)
    return {str(value.get("code")): str(value.get("effect")) for value in entry["values"]}


def faults_in_itself(document: Document) -> list[str]:
    """Every fault that the document has whatever was published or recorded."""
    misshapen = list(_faults_of_shape(document))
    if misshapen:
        return misshapen
    checks = (
        _faults_of_zone,
        _faults_of_codes,
        _faults_of_partners,
        _faults_of_consent_types,
        _faults_of_wordings,
        _faults_of_matrix,
        _faults_of_acquisition_rules,
    )
    return [fault for check in checks for fault in check(document)]


def faults_against_published(document: Document, published: list[Document]) -> list[str]:
    """Every fault that comes of what was published before: texts and the codes they use."""
    faults: list[str] = []
    texts = _texts(document)
    for former in published:
        for key, text in _texts(former).items():
            if key not in texts:
                faults.append(f"the published wording {key} is gone")
            elif texts[key] != text:
                faults.append(f"the text of the published wording {key} has changed")
        for wording in entries(former, "wordings"):
            faults.extend(
                f"the {kind} {code} is gone and a published wording uses it"
                for kind, code in sorted(_codes_used_by(wording))
                if code not in codes(document, kind)
            )
    return faults


def _texts(document: Document) -> dict[tuple[str, int], str]:
    return {
        (wording["consent_type"], wording["version"]): wording["text"]
        for wording in entries(document, "wordings")
        if {"consent_type", "version", "text"} <= wording.keys()
    }


def _codes_used_by(wording: dict[str, Any]) -> set[tuple[str, str]]:
    used = {("consent_type", str(wording.get("consent_type")))}
    for grant in entries(wording, "grants"):
        used.add(("purpose", str(grant.get("purpose"))))
        for kind, name in (
            ("channel", "channels"),
            ("partner", "partners"),
            ("dataset", "datasets"),
        ):
            used.update((kind, str(code)) for code in grant.get(name) or [])
    return used


def _faults_of_shape(document: Document) -> Iterator[str]:
    for name in (*CODE_LISTS.values(), "wordings", "matrix", "acquisition_rules"):
        found = document.get(name)
        if found is not None and not _is_list_of(found, dict):
            yield f"{name} is no list of objects"
    for wording in entries(document, "wordings"):
        if not _is_list_of(wording.get("grants"), dict):
            yield "the grants of a wording are no list of objects"
    for row in entries(document, "matrix"):
        if not _is_list_of(row.get("consent_types"), str):
            yield "the consent types of a row are no list of codes"


def _is_list_of(found: object, kind: type) -> bool:
    return isinstance(found, list) and all(isinstance(one, kind) for one in found)


def _faults_of_zone(document: Document) -> Iterator[str]:
    if not is_zone(document.get("zone")):
        yield f"no such zone: {document.get('zone')!r}"


def _faults_of_codes(document: Document) -> Iterator[str]:
    for name in CODE_LISTS.values():
        found = [entry.get("code") for entry in entries(document, name)]
        yield from (f"{name}: not a code: {code!r}" for code in found if not _is_name(code))
        yield from _repeated(found, f"{name}: the code")


def _faults_of_partners(document: Document) -> Iterator[str]:
    for partner in entries(document, "partners"):
        begin, end = partner.get("suspended_from"), partner.get("suspended_to")
        if begin is None and end is not None:
            yield "a suspension ends that does not begin"
        elif begin is not None:
            yield from _faults_of_interval(begin, end, "the suspension")


def _faults_of_consent_types(document: Document) -> Iterator[str]:
    for entry in entries(document, "consent_types"):
        if entry.get("terms") not in (None, *TERMS):
            yield f"not how terms combine: {entry.get('terms')!r}"
        if entry.get("values") is not None:
            values = entries(entry, "values")
            found = [value.get("code") for value in values]
            yield from (f"not a value: {code!r}" for code in found if not _is_name(code))
            yield from _repeated(found, "the value")
            for value in values:
                if value.get("effect") not in EFFECTS:
                    yield f"not an effect: {value.get('effect')!r}"


def _faults_of_wordings(document: Document) -> Iterator[str]:
    wordings = entries(document, "wordings")
    keys = [(wording.get("consent_type"), wording.get("version")) for wording in wordings]
    yield from _repeated(keys, "the wording")
    for wording in wordings:
        yield from _unknown(document, "consent_type", [wording.get("consent_type")])
        version = wording.get("version")
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            yield f"not a version: {version!r}"
        if not isinstance(wording.get("text"), str):
            yield "a wording has no text"
        term = wording.get("term")
        if term not in (INDEFINITE, UNTIL_PRODUCT_CLOSED) and not is_duration(term):
            yield f"not a term: {term!r}"
        yield from _faults_of_force(wording, f"wording {wording.get('version')}")
        for grant in entries(wording, "grants"):
            yield from _faults_of_grant(document, grant)
    for one, other in combinations(wordings, 2):
        if one.get("consent_type") == other.get("consent_type") and _together(one, other):
            yield f"two wordings of {one.get('consent_type')} are in force together"


def _faults_of_grant(document: Document, grant: dict[str, Any]) -> Iterator[str]:
    shape = {name for name, value in grant.items() if value is not None}
    if shape not in GRANT_SHAPES:
        yield f"not the shape of a grant: {sorted(shape)}"
    yield from _unknown(document, "purpose", [grant.get("purpose")])
    for kind, name in (("channel", "channels"), ("partner", "partners"), ("dataset", "datasets")):
        if name in shape:
            if not grant[name]:
                yield f"{name} is empty"
            yield from _unknown(document, kind, grant[name])


def _faults_of_matrix(document: Document) -> Iterator[str]:
    rows = entries(document, "matrix")
    yield from _repeated([row.get("id") for row in rows], "the row id")
    for row in rows:
        if not _is_name(row.get("id")):
            yield f"not a row id: {row.get('id')!r}"
        given = [name for name in CRITERIA if row.get(name) is not None]
        if not given:
            yield f"row {row.get('id')!r} has no criterion"
        for name in given:
            if not _is_name(row[name]):
                yield f"{name} is empty"
            elif name.endswith("mask") and not normalised(row[name]):
                yield f"{name} is empty after normalisation"
        yield from _unknown(document, "consent_type", row.get("consent_types") or [])
        yield from _faults_of_force(row, f"row {row.get('id')!r}")
    for one, other in combinations(rows, 2):
        if _together(one, other) and selector_of_row(one) == selector_of_row(other):
            yield f"rows {one.get('id')!r} and {other.get('id')!r} select the same"


def _faults_of_acquisition_rules(document: Document) -> Iterator[str]:
    for rule in entries(document, "acquisition_rules"):
        yield from _unknown(document, "partner", [rule.get("partner")])
        selector = rule.get("selector")
        yield from faults_of_selector(selector, for_revocation=False)
        if isinstance(selector, dict):
            for name, code in named_fields(selector).items():
                if name in CODE_LISTS:
                    yield from _unknown(document, name, [code])
        if rule.get("term") != INDEFINITE and not is_duration(rule.get("term")):
            yield f"not the term of a restriction: {rule.get('term')!r}"


def _faults_of_force(entry: dict[str, Any], what: str) -> Iterator[str]:
    yield from _faults_of_interval(entry.get("in_force_from"), entry.get("in_force_to"), what)


def _faults_of_interval(begin: object, end: object, what: str) -> Iterator[str]:
    try:
        begins = parse_instant(str(begin))
        ends = NEVER if end is None else parse_instant(str(end))
    except ValueError as fault:
        yield f"{what}: {fault}"
        return
    if ends <= begins:
        yield f"{what}: the end is not after the beginning"


def _together(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two entries are ever in force at the same instant; not where one has no dates."""
    try:
        (one_begins, one_ends), (other_begins, other_ends) = force_of(one), force_of(other)
    except (KeyError, TypeError, ValueError):
        return False
    return max(one_begins, other_begins) < min(one_ends, other_ends)


def _unknown(document: Document, kind: str, used: Iterable[object]) -> Iterator[str]:
    known = codes(document, kind)
    yield from (f"no such {kind}: {code!r}" for code in used if code not in known)


def _repeated(found: list[Any], what: str) -> Iterator[str]:
    yield from (
        f"{what} {one!r} stands twice"
        for one in sorted(set(map(str, found)))
        if list(map(str, found)).count(one) > 1
    )


def _is_name(text: object) -> bool:
    return isinstance(text, str) and text != ""
