"""The naive model against the case files, and against sentences where the cases are silent."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.model.case_runner import CASES_NOW, case_files, disagreements, load_case
from tests.model.document import Document, faults_in_itself
from tests.model.instants import NEVER, add_duration, format_instant, parse_instant
from tests.model.matching import fits, normalised
from tests.model.naive import NaiveSystem, Refused
from tests.model.random_probes import random_scenario
from tests.property.strategies import publications, scenarios

SEEDS = range(40)
JANUARY = "2024-01-01T00:00:00Z"
FEBRUARY = "2024-02-01T00:00:00Z"
MARCH = "2024-03-01T00:00:00Z"
PRODUCT = {"system_code": "ABS", "product_type": "loan", "series": "KR", "number": "1"}


@pytest.mark.parametrize("path", case_files(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_case_passes_through_the_model(path: Path) -> None:
    """Every step and every probe of a case file has the outcome that the file expects."""
    assert disagreements(load_case(path)) == []


@pytest.mark.parametrize(
    ("begins", "term", "zone", "ends"),
    [
        ("2025-02-09T07:30:00Z", "P1M", "America/New_York", "2025-03-09T07:30:00Z"),
        ("2025-10-02T05:30:00Z", "P1M", "America/New_York", "2025-11-02T05:30:00Z"),
        ("2011-11-30T22:00:00Z", "P1M", "Pacific/Apia", "2011-12-30T22:00:00Z"),
        ("2024-01-31T10:00:00Z", "P1M1D", "UTC", "2024-03-01T10:00:00Z"),
        ("2024-02-29T12:00:00.000001Z", "P1Y1W", "UTC", "2025-03-07T12:00:00.000001Z"),
    ],
)
def test_term_ends(begins: str, term: str, zone: str, ends: str) -> None:
    """A term is added in the zone: months, clamped, then weeks and days, then the gap."""
    assert format_instant(add_duration(parse_instant(begins), term, zone)) == ends


def test_term_past_the_calendar_never_ends() -> None:
    """A term that leads beyond the year 9999 has no end that could be told."""
    assert add_duration(parse_instant(JANUARY), "P9999Y", "UTC") == NEVER


def test_masks() -> None:
    """Masks match whole values, after both were normalised alike."""
    assert normalised(" кр\u201101 №7") == "KP01NO7"
    assert fits(normalised("кр - *"), normalised("KP01"))
    assert not fits("KR", "KR0")
    assert fits("*", "")
    assert not fits("?", "")


def test_refusal_is_stronger_than_what_it_supersedes() -> None:
    """A refusal of a latest type ends what came before as refused, not as superseded."""
    system = _system(terms="latest")
    _consent(system, "e1", JANUARY)
    _consent(system, "e2", FEBRUARY, value="refused")
    assert _reason(system, MARCH) == "CONSENT_REFUSED"


def test_superseded_by_an_empty_grant() -> None:
    """A grant of a latest type ends with a later one, though that one was revoked at once."""
    system = _system(terms="latest")
    _consent(system, "e1", JANUARY)
    _consent(system, "e2", FEBRUARY)
    _revoke(system, "e3", FEBRUARY, event_id="e2")
    assert _reason(system, "2024-01-31T23:59:59.999999Z") == "ALLOWED"
    assert _reason(system, FEBRUARY) == "CONSENT_REVOKED"
    _void(system, "e4", "e3")
    assert _ask(system, FEBRUARY)["basis_event"] == "e2"


def test_same_instant_supersedes_nothing() -> None:
    """Two grants of a latest type at one instant both stand; the smaller id is the basis."""
    system = _system(terms="latest")
    _consent(system, "\U0001f600", JANUARY)
    _consent(system, "\uff45", JANUARY)
    assert _ask(system, MARCH)["basis_event"] == "\uff45"


def test_explicit_end_outlives_the_product() -> None:
    """An explicit end replaces the term, until_product_closed too: the closing ends nothing."""
    system = _system(term="until_product_closed")
    _consent(system, "e1", JANUARY, product=PRODUCT, expires_at=MARCH)
    _close(system, "e2", FEBRUARY)
    assert _ask(system, FEBRUARY)["not_after"] == MARCH
    assert _reason(system, MARCH) == "CONSENT_EXPIRED"


def test_closing_at_the_instant_of_the_grant() -> None:
    """A closing when the grant was obtained leaves it empty; an earlier one does not touch it."""
    system = _system(term="until_product_closed")
    _consent(system, "e1", FEBRUARY, product=PRODUCT)
    _close(system, "e2", JANUARY)
    assert _ask(system, MARCH)["not_after"] is None
    _close(system, "e3", FEBRUARY)
    assert _reason(system, MARCH) == "PRODUCT_CLOSED"
    assert _reason(system, JANUARY) == "NO_CONSENT"


def test_lifting_by_another_id() -> None:
    """A lifting recorded under another id counts while both are one person, and only then."""
    system = _system()
    _consent(system, "e1", JANUARY)
    selector = {"all": True}
    _apply(system, "restrict", "e2", selector=selector, kind="complaint", **{"from": JANUARY})
    _apply(system, "lift", "e3", customer="olga", restriction_event_id="e2", lifted_at=FEBRUARY)
    assert _reason(system, MARCH) == "RESTRICTED"
    system.apply({"op": "merge", "event_id": "e4", "from": "olga", "into": "ivan"})
    assert _reason(system, MARCH) == "ALLOWED"
    assert _reason(system, JANUARY) == "RESTRICTED"
    system.apply({"op": "split", "event_id": "e5", "from": "olga"})
    assert _reason(system, MARCH) == "RESTRICTED"


def test_customer_is_unknown_after_its_only_event_was_voided() -> None:
    """A voided event names nobody; a merge goes on naming both after a split."""
    system = _system()
    _consent(system, "e1", JANUARY)
    _void(system, "e2", "e1")
    assert _reason(system, MARCH) == "UNKNOWN_CUSTOMER"
    system.apply({"op": "merge", "event_id": "e3", "from": "olga", "into": "ivan"})
    system.apply({"op": "split", "event_id": "e4", "from": "olga"})
    assert _reason(system, MARCH) == "NO_CONSENT"


def test_split_leaves_what_was_merged_in() -> None:
    """A split of A undoes A's own merge; what was merged into A stays with A."""
    system = _system()
    for event_id, one, other in (("e1", "anna", "olga"), ("e2", "olga", "ivan")):
        system.apply({"op": "merge", "event_id": event_id, "from": one, "into": other})
    system.apply({"op": "split", "event_id": "e3", "from": "olga"})
    assert system.ids_of("anna") == {"anna", "olga"}
    assert system.ids_of("ivan") == {"ivan"}


def test_not_after_runs_through_touching_grants() -> None:
    """Grants that touch are one union; the next restriction that lasts cuts it."""
    system = _system()
    _consent(system, "e1", JANUARY, expires_at=FEBRUARY)
    _consent(system, "e2", FEBRUARY, expires_at=MARCH)
    assert _ask(system, JANUARY)["not_after"] == MARCH
    middle = "2024-02-10T00:00:00Z"
    _apply(system, "restrict", "e3", selector={"all": True}, kind="complaint", **{"from": middle})
    assert _ask(system, JANUARY)["not_after"] == middle
    _apply(system, "lift", "e4", restriction_event_id="e3", lifted_at=middle)
    assert _ask(system, JANUARY)["not_after"] == MARCH


def test_publication_faults_of_both_kinds() -> None:
    """A document both faulty in itself and at odds with the published is INVALID_ARGUMENT."""
    system = _system()
    changed = _document()
    changed["wordings"][0]["text"] = "Another."
    assert _refusal(system, changed) == "FAILED_PRECONDITION"
    changed["zone"] = "Mars/Olympus"
    assert _refusal(system, changed) == "INVALID_ARGUMENT"


def test_code_of_a_voided_event_stays() -> None:
    """A code that only a voided event uses cannot go; one that nothing uses can."""
    system = _system()
    document = _document()
    document["channels"].append({"code": "fax", "name": "fax"})
    system.publish(document)
    system.publish(_document())
    system.publish(document)
    _apply(system, "revoke", "e1", selector={"channel": "fax"}, revoked_at=JANUARY)
    _void(system, "e2", "e1")
    assert _refusal(system, _document()) == "FAILED_PRECONDITION"


@pytest.mark.parametrize("seed", SEEDS)
def test_seeded_scenario_is_the_same_every_time(seed: int) -> None:
    """A seed gives the same scenario again, and every probe of it has an answer."""
    scenario = random_scenario(seed)
    assert scenario == random_scenario(seed)
    system = NaiveSystem()
    for step in scenario["steps"]:
        if step.get("repeat"):
            assert not system.apply(step)
        else:
            with suppress(Refused):
                system.apply(step)
    for probe in scenario["probes"]:
        assert system.ask(probe, CASES_NOW)["verdict"] in ("ALLOW", "DENY")


@settings(max_examples=20, suppress_health_check=list(HealthCheck), deadline=None)
@given(documents=publications())
def test_generated_publications_are_legal(documents: list[Document]) -> None:
    """Every generated catalog is free of faults, and each correction may follow the one before."""
    system = NaiveSystem()
    for document in documents:
        assert faults_in_itself(document) == []
        system.publish(document)


@settings(max_examples=20, suppress_health_check=list(HealthCheck), deadline=None)
@given(scenario=scenarios())
def test_not_after_is_where_the_answer_changes(scenario: dict[str, Any]) -> None:
    """One microsecond before not_after the answer is still ALLOW, and at it no longer."""
    system = NaiveSystem()
    for step in scenario["steps"]:
        with suppress(Refused):
            system.apply(step)
    for probe in scenario["probes"]:
        answer = _answer_or_none(system, probe)
        if answer is not None and answer.get("not_after") is not None:
            ends = parse_instant(answer["not_after"])
            name = "at" if probe["via"] == "check" else "valid_at"
            before = system.ask(probe | {name: format_instant(ends - 1)}, CASES_NOW)
            after = system.ask(probe | {name: format_instant(ends)}, CASES_NOW)
            assert (before["verdict"], after["verdict"]) == ("ALLOW", "DENY")


def _document(terms: str = "union", term: str = "indefinite") -> Document:
    return {
        "zone": "UTC",
        "purposes": [{"code": "advertising", "name": "advertising"}],
        "channels": [{"code": "sms", "name": "sms"}],
        "consent_types": [{"code": "ads", "name": "ads", "terms": terms}],
        "wordings": [
            {
                "consent_type": "ads",
                "version": 1,
                "text": "Yes.",
                "in_force_from": "2015-01-01T00:00:00Z",
                "in_force_to": None,
                "term": term,
                "grants": [{"purpose": "advertising", "channels": ["sms"]}],
            }
        ],
        "matrix": [],
    }


def _system(terms: str = "union", term: str = "indefinite") -> NaiveSystem:
    system = NaiveSystem()
    system.publish(_document(terms, term))
    return system


def _apply(system: NaiveSystem, operation: str, event_id: str, **fields: Any) -> None:
    system.apply({"op": operation, "event_id": event_id, "customer": "ivan"} | fields)


def _consent(system: NaiveSystem, event_id: str, at: str, **fields: Any) -> None:
    given_fields = {"consent_type": "ads", "value": "granted", "obtained_at": at} | fields
    _apply(system, "consent", event_id, **given_fields)


def _revoke(system: NaiveSystem, event_id_of_step: str, at: str, **selector: Any) -> None:
    _apply(system, "revoke", event_id_of_step, selector=selector, revoked_at=at)


def _close(system: NaiveSystem, event_id: str, at: str) -> None:
    _apply(system, "close_product", event_id, product=PRODUCT, closed_at=at)


def _void(system: NaiveSystem, event_id: str, target: str) -> None:
    system.apply({"op": "void", "event_id": event_id, "voided_event_id": target, "cause": "error"})


def _ask(system: NaiveSystem, at: str) -> dict[str, Any]:
    probe = {
        "customer": "ivan",
        "ask": "contact",
        "purpose": "advertising",
        "channel": "sms",
        "via": "explain",
        "valid_at": at,
    }
    return system.ask(probe, CASES_NOW)


def _reason(system: NaiveSystem, at: str) -> Any:
    return _ask(system, at)["reason"]


def _refusal(system: NaiveSystem, document: Document) -> str:
    with pytest.raises(Refused) as refusal:
        system.publish(document)
    return refusal.value.status


def _answer_or_none(system: NaiveSystem, probe: dict[str, Any]) -> dict[str, Any] | None:
    try:
        return system.ask(probe, CASES_NOW)
    except Refused:
        return None
