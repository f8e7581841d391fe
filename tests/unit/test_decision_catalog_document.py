"""Catalog documents: what is read, and every fault with its path (`semantics.md`, Publication)."""

from collections.abc import Callable
from typing import Any

import pytest

from decision.catalog import Effect, Interval
from decision.catalog_document import inspect_catalog, read_catalog
from decision.errors import PublicationRefusedError
from decision.instants import FOREVER, parse_instant
from decision.scopes import contact, process, share
from decision.terms import UNTIL_PRODUCT_CLOSED
from tests.unit.decision_builders import catalog, codes, document, row, wording

Document = dict[str, Any]
RULE = {"partner": "acme", "selector": {"channel": "sms"}, "term": "P1Y"}


def paths(content: object) -> list[str]:
    """The paths of a document's faults."""
    return [fault.path for fault in inspect_catalog(content)[1]]


def fields(**given: Any) -> Callable[[], Document]:
    """A document with these fields."""
    return lambda: document(**given)


def wordings(*listed: Document) -> Callable[[], Document]:
    """A document with these wordings."""
    return fields(wordings=list(listed))


def granting(*grants: object) -> Callable[[], Document]:
    """A document with a wording that grants this."""
    return wordings(wording(grants=list(grants)))


def rows(*listed: Document) -> Callable[[], Document]:
    """A document with these matrix rows."""
    return fields(matrix=list(listed))


def values(*listed: object) -> Callable[[], Document]:
    """A document with a consent type that lists these values."""
    return fields(consent_types=[{"code": "ads", "values": list(listed)}])


def partner(**given: Any) -> Callable[[], Document]:
    """A document with one partner."""
    return fields(partners=[{"code": "acme"} | given])


def rule(**given: Any) -> Callable[[], Document]:
    """A document with an acquisition rule."""
    return fields(acquisition_rules=[RULE | given])


FAULTY: dict[str, tuple[Callable[[], Document], list[str]]] = {
    "zone unknown": (fields(zone="Mars/Olympus"), ["zone"]),
    "zone missing": (fields(zone=None), ["zone"]),
    "zone no text": (fields(zone=3), ["zone"]),
    "zone of this machine": (fields(zone="localtime"), ["zone"]),
    "zone with leap seconds": (fields(zone="right/UTC"), ["zone"]),
    "zone a path": (fields(zone="../UTC"), ["zone"]),
    "list no list": (
        fields(channels={"sms": "SMS"}),
        ["channels", "wordings[0].grants[0].channels[0]"],
    ),
    "entry no mapping": (fields(datasets=["scoring"]), ["datasets[0]"]),
    "code missing": (fields(datasets=[{"name": "x"}]), ["datasets[0].code"]),
    "code empty": (fields(datasets=[{"code": ""}]), ["datasets[0].code"]),
    "code a number": (fields(datasets=[{"code": 7}]), ["datasets[0].code"]),
    "code too long": (fields(datasets=[{"code": "x" * 129}]), ["datasets[0].code"]),
    "code with a control character": (fields(datasets=[{"code": "a\x07"}]), ["datasets[0].code"]),
    "code with half a surrogate": (fields(datasets=[{"code": "a\ud800"}]), ["datasets[0].code"]),
    "purpose twice": (
        fields(purposes=codes("advertising", "storage", "storage")),
        ["purposes[2].code"],
    ),
    "channel twice": (fields(channels=codes("sms", "phone", "sms")), ["channels[2].code"]),
    "partner twice": (fields(partners=codes("acme", "acme")), ["partners[1].code"]),
    "dataset twice": (fields(datasets=codes("scoring", "scoring")), ["datasets[1].code"]),
    "consent type twice": (fields(consent_types=codes("ads", "ads")), ["consent_types[1].code"]),
    "retired no truth value": (
        fields(datasets=[{"code": "x", "retired": "yes"}]),
        ["datasets[0].retired"],
    ),
    "name no text": (fields(datasets=[{"code": "x", "name": 5}]), ["datasets[0].name"]),
    "name of a language no text": (
        fields(datasets=[{"code": "x", "name": {"ru": 5}}]),
        ["datasets[0].name.ru"],
    ),
    "unknown field of the document": (fields(wordngs=[]), ["wordngs"]),
    "unknown field of an entry": (
        fields(datasets=[{"code": "x", "retird": 1}]),
        ["datasets[0].retird"],
    ),
    "suspension ends as it begins": (
        partner(suspended_from="2024-01-01T00:00:00Z", suspended_to="2024-01-01T00:00:00Z"),
        ["partners[0].suspended_to"],
    ),
    "suspension without a beginning": (
        partner(suspended_to="2024-01-01T00:00:00Z"),
        ["partners[0].suspended_to"],
    ),
    "suspension no instant": (partner(suspended_from="soon"), ["partners[0].suspended_from"]),
    "terms neither union nor latest": (
        fields(consent_types=[{"code": "ads", "terms": "newest"}]),
        ["consent_types[0].terms"],
    ),
    "value twice": (
        values({"code": "yes", "effect": "grants"}, {"code": "yes", "effect": "notes"}),
        ["consent_types[0].values[1].code"],
    ),
    "value without effect": (values({"code": "yes"}), ["consent_types[0].values[0].effect"]),
    "value with an unknown effect": (
        values({"code": "yes", "effect": "allows"}),
        ["consent_types[0].values[0].effect"],
    ),
    "values empty": (values(), ["consent_types[0].values"]),
    "wording of an unknown type": (
        wordings(wording(consent_type="mail")),
        ["wordings[0].consent_type"],
    ),
    "version zero": (wordings(wording(0)), ["wordings[0].version"]),
    "version a text": (wordings(wording("1")), ["wordings[0].version"]),
    "version a truth value": (wordings(wording(version=True)), ["wordings[0].version"]),
    "version twice": (
        wordings(
            wording(in_force_to="2010-01-01T00:00:00Z"),
            wording(in_force_from="2010-01-01T00:00:00Z"),
        ),
        ["wordings[1].version"],
    ),
    "text missing": (wordings(wording(text=None)), ["wordings[0].text"]),
    "text empty": (wordings(wording(text="")), ["wordings[0].text"]),
    "term unknown": (wordings(wording(term="forever")), ["wordings[0].term"]),
    "term of nothing": (wordings(wording(term="P0D")), ["wordings[0].term"]),
    "term missing": (wordings(wording(term=None)), ["wordings[0].term"]),
    "wording without a beginning": (
        wordings(wording(in_force_from=None)),
        ["wordings[0].in_force_from"],
    ),
    "wording ends before it begins": (
        wordings(wording(in_force_to="1999-01-01T00:00:00Z")),
        ["wordings[0].in_force_to"],
    ),
    "wording ends outside the calendar": (
        wordings(wording(in_force_to="1899-01-01T00:00:00Z")),
        ["wordings[0].in_force_to"],
    ),
    "wordings of one type overlap": (
        wordings(
            wording(1, in_force_to="2010-01-01T00:00:00Z"),
            wording(2, in_force_from="2009-12-31T23:59:59.999999Z"),
        ),
        ["wordings[1].in_force_from"],
    ),
    "a wording overlaps two": (
        wordings(
            wording(1),
            wording(2, in_force_from="2005-01-01T00:00:00Z", in_force_to="2006-01-01T00:00:00Z"),
            wording(3, in_force_from="2007-01-01T00:00:00Z"),
        ),
        ["wordings[1].in_force_from", "wordings[2].in_force_from"],
    ),
    "grants missing": (wordings(wording(grants=None)), ["wordings[0].grants"]),
    "granted purpose unknown": (granting({"purpose": "mail"}), ["wordings[0].grants[0].purpose"]),
    "granted channel unknown": (
        granting({"purpose": "advertising", "channels": ["sms", "fax"]}),
        ["wordings[0].grants[0].channels[1]"],
    ),
    "granted channel twice": (
        granting({"purpose": "advertising", "channels": ["sms", "sms"]}),
        ["wordings[0].grants[0].channels[1]"],
    ),
    "granted channels empty": (
        granting({"purpose": "advertising", "channels": []}),
        ["wordings[0].grants[0].channels"],
    ),
    "granted partner without data sets": (
        granting({"purpose": "advertising", "partners": ["acme"]}),
        ["wordings[0].grants[0].datasets"],
    ),
    "granted data sets without a partner": (
        granting({"purpose": "advertising", "datasets": ["scoring"]}),
        ["wordings[0].grants[0].partners"],
    ),
    "channels beside partners": (
        granting(
            {
                "purpose": "advertising",
                "channels": ["sms"],
                "partners": ["acme"],
                "datasets": ["scoring"],
            }
        ),
        ["wordings[0].grants[0].channels"],
    ),
    "row without an id": (rows(row(None, system_code="ABS")), ["matrix[0].id"]),
    "row id twice": (
        rows(row("row", system_code="ABS"), row("row", system_code="CARDS")),
        ["matrix[1].id"],
    ),
    "row without a criterion": (rows(row()), ["matrix[0].id"]),
    "criterion empty": (rows(row(system_code="")), ["matrix[0].system_code"]),
    "mask empty after normalisation": (
        rows(row(series_mask=" \u2014 -")),
        ["matrix[0].series_mask"],
    ),
    "mask too long": (rows(row(series_mask="A" * 200)), ["matrix[0].series_mask"]),
    "row with an unknown type": (
        rows(row(system_code="ABS", consent_types=["ads", "mail"])),
        ["matrix[0].consent_types[1]"],
    ),
    "row ends as it begins": (
        rows(row(system_code="ABS", in_force_to="2000-01-01T00:00:00Z")),
        ["matrix[0].in_force_to"],
    ),
    "rows select the same": (
        rows(row("one", series_mask="кр *"), row("two", series_mask="KP*")),
        ["matrix[1].in_force_from"],
    ),
    "rule of an unknown partner": (rule(partner="nobody"), ["acquisition_rules[0].partner"]),
    "rule until a product is closed": (
        rule(term="until_product_closed"),
        ["acquisition_rules[0].term"],
    ),
    "rule with an empty selector": (rule(selector={}), ["acquisition_rules[0].selector"]),
    "rule without a selector": (rule(selector=None), ["acquisition_rules[0].selector"]),
    "rule with all and more": (
        rule(selector={"all": True, "channel": "sms"}),
        ["acquisition_rules[0].selector"],
    ),
    "rule that can match nothing": (
        rule(selector={"channel": "sms", "partner": "acme"}),
        ["acquisition_rules[0].selector"],
    ),
    "rule about a consent type": (
        rule(selector={"consent_type": "ads"}),
        ["acquisition_rules[0].selector", "acquisition_rules[0].selector.consent_type"],
    ),
    "rule about an unknown channel": (
        rule(selector={"channel": "fax"}),
        ["acquisition_rules[0].selector.channel"],
    ),
    "rule about an unknown kind": (
        rule(selector={"kind": "letter"}),
        ["acquisition_rules[0].selector.kind"],
    ),
}


@pytest.mark.parametrize("name", FAULTY)
def test_fault(name: str) -> None:
    """The fault is found, with the path at which the document has to be corrected."""
    make, expected = FAULTY[name]
    assert sorted(paths(make())) == sorted(expected)


def test_faultless_document() -> None:
    """The document that the faulty ones are made of has no fault."""
    assert paths(document(matrix=[row(system_code="ABS")], acquisition_rules=[RULE])) == []


@pytest.mark.parametrize("content", [None, [], "zone: UTC", 5])
def test_what_is_no_document(content: object) -> None:
    """Anything but a mapping is one fault of the document as a whole."""
    assert paths(content) == [""]


def test_every_fault_is_listed_at_once() -> None:
    """A document with many faults is refused once, with all of them."""
    content = document(
        zone="Mars/Olympus",
        datasets=codes("scoring", "scoring"),
        wordings=[wording(term="forever", grants=[{"purpose": "mail"}])],
        matrix=[row()],
        acquisition_rules=[RULE | {"partner": "nobody"}],
    )
    expected = {
        "zone",
        "datasets[1].code",
        "wordings[0].term",
        "wordings[0].grants[0].purpose",
        "matrix[0].id",
        "acquisition_rules[0].partner",
    }
    assert set(paths(content)) == expected
    with pytest.raises(PublicationRefusedError) as refusal:
        read_catalog(content)
    assert {fault.path for fault in refusal.value.faults} == expected
    assert refusal.value.is_invalid
    assert all(fault.problem and fault.remedy for fault in refusal.value.faults)


def test_intervals_that_touch_do_not_overlap() -> None:
    """One wording, or row, may begin at the very instant at which another ends."""
    half = "2010-01-01T00:00:00Z"
    content = document(
        wordings=[wording(1, in_force_to=half), wording(2, in_force_from=half)],
        matrix=[
            row("one", system_code="ABS", in_force_to=half),
            row("two", system_code="ABS", in_force_from=half),
        ],
    )
    assert paths(content) == []


def test_rows_that_differ_in_one_criterion_may_stand_together() -> None:
    """A criterion that is given differs from one that is not, even if it matches everything."""
    same = {"system_code": "ABS", "product_type": "loan"}
    assert paths(document(matrix=[row("one", **same), row("two", **same, series_mask="*")])) == []


def test_dates_begin_in_the_company_zone() -> None:
    """A date without a time is the start of that day in the document's own zone."""
    read = catalog(zone="Europe/Moscow", wordings=[wording(in_force_from="2020-01-01")])
    assert read.wordings[0].in_force == Interval(parse_instant("2019-12-31T21:00:00Z"), FOREVER)


def test_wording_is_read() -> None:
    """Each entry of the grants gives its own kind of scope, and a scope counts once."""
    read = catalog(
        wordings=[
            wording(
                text={"ru": "Да.", "en": "Yes."},
                term="until_product_closed",
                grants=[
                    {"purpose": "advertising", "channels": ["sms", "phone"]},
                    {"purpose": "advertising", "channels": ["sms"]},
                    {"purpose": "advertising", "partners": ["acme"], "datasets": ["scoring"]},
                    {"purpose": "storage"},
                ],
            )
        ]
    ).wordings[0]
    assert read.text == (("en", "Yes."), ("ru", "Да."))
    assert read.term is UNTIL_PRODUCT_CLOSED
    assert read.scopes == (
        contact("advertising", "sms"),
        contact("advertising", "phone"),
        share("advertising", "acme", "scoring"),
        process("storage"),
    )


def test_values_of_a_type_that_lists_none() -> None:
    """Without a list `granted` grants and `refused` refuses; with one only what it lists counts."""
    effects = {code: value.effect for code, value in catalog().consent_types["ads"].values.items()}
    assert effects == {"granted": Effect.GRANTS, "refused": Effect.REFUSES}
    listed = catalog(
        consent_types=[{"code": "ads", "values": [{"code": "asked", "effect": "notes"}]}]
    )
    assert set(listed.consent_types["ads"].values) == {"asked"}


def test_retired_code_keeps_its_meaning() -> None:
    """A retired code is read as any other, and marked."""
    channels = [{"code": "sms", "retired": True}, *codes("phone")]
    read = catalog(channels=channels)
    assert read.channels["sms"].retired
    assert not read.channels["phone"].retired
    assert read.wordings[0].scopes == (contact("advertising", "sms"),)


def test_lists_may_be_absent() -> None:
    """A list that is absent or null is empty."""
    assert paths({"zone": "UTC"}) == []
    assert paths({"zone": "UTC", "matrix": None}) == []
