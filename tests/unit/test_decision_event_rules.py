"""Rules that events and questions keep by themselves and towards the catalog."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decision.catalog import EMPTY_CATALOG
from decision.document_reader import FREE_TEXT_LENGTH_MAX
from decision.errors import InvalidArgumentError
from decision.event_rules import (
    CONTRACT_LENGTH_MAX,
    check_event,
    check_identifier,
    check_instant,
    check_scope,
    faults_of_event,
    is_plain,
)
from decision.events import (
    Acquisition,
    Body,
    Consent,
    Lifting,
    Merge,
    NewEvent,
    ProductClosing,
    Purchase,
    Restriction,
    Revocation,
    Source,
    Split,
    Void,
)
from decision.instants import EARLIEST, FOREVER, LATEST
from decision.products import Product
from decision.scopes import Scope, ScopeKind, contact, process, share
from decision.selectors import EVERYTHING, Selector
from tests.unit.decision_builders import FEBRUARY, JANUARY, LOAN, catalog

CATALOG = catalog(
    consent_types=[
        {
            "code": "ads",
            "values": [
                {"code": "granted", "effect": "grants"},
                {"code": "refused", "effect": "refuses"},
                {"code": "asked", "effect": "notes"},
            ],
        },
    ]
)


def faulty_fields(body: Body, under: Any = CATALOG, **envelope: Any) -> list[str]:
    """The fields at fault, in the order in which the error lists them."""
    parts = {"event_id": "e1", "customer_id": "ivan", "body": body} | envelope
    try:
        check_event(NewEvent(**parts), under)
    except InvalidArgumentError as error:
        return [fault.field for fault in error.faults]
    return []


def consent(**fields: Any) -> Consent:
    """A consent without fault."""
    given: dict[str, Any] = {"obtained_at": JANUARY, "consent_type": "ads", "value": "granted"}
    return Consent(**given | fields)


def revocation(**named: Any) -> Revocation:
    """A revocation with this selector."""
    return Revocation(JANUARY, Selector(**named))


FAULTLESS: list[Body] = [
    Purchase(JANUARY, LOAN),
    Purchase(EARLIEST, Product(system_code="x")),
    ProductClosing(LATEST, Product(number="1")),
    consent(),
    consent(value="asked"),
    consent(wording_version=1, expires_at=JANUARY + 1, product=LOAN),
    Revocation(JANUARY, EVERYTHING),
    revocation(event_id="not recorded yet", consent_type="ads", channel="sms"),
    Restriction(JANUARY, FOREVER, "complaint", EVERYTHING),
    Restriction(JANUARY, JANUARY + 1, "x" * 128, Selector(partner="acme")),
    Lifting(JANUARY, "not recorded yet"),
    Acquisition(JANUARY, "acme"),
    Void("e0", "mistake"),
    Merge("olga", "ivan"),
    Split("olga"),
]


@pytest.mark.parametrize("body", FAULTLESS, ids=lambda body: type(body).__name__)
def test_faultless_events(body: Body) -> None:
    """Events at the edges of what is allowed are accepted."""
    assert faulty_fields(body) == []


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (Purchase(EARLIEST - 1, LOAN), ["purchased_at"]),
        (Purchase(LATEST + 1, LOAN), ["purchased_at"]),
        (Purchase(JANUARY, Product()), ["product"]),
        (Purchase(JANUARY, Product(series="x" * 129)), ["product.series"]),
        (ProductClosing(EARLIEST - 1, Product()), ["closed_at", "product"]),
        (ProductClosing(JANUARY, Product(number="1\n")), ["product.number"]),
        (consent(consent_type=""), ["consent_type"]),
        (consent(consent_type="mail", value="whatever"), ["consent_type"]),
        (consent(value="perhaps"), ["value"]),
        (consent(value=""), ["value"]),
        (consent(wording_version=2), ["wording_version"]),
        (consent(wording_version=0), ["wording_version"]),
        (consent(expires_at=JANUARY), ["expires_at"]),
        (consent(expires_at=LATEST + 1), ["expires_at"]),
        (consent(value="refused", expires_at=FEBRUARY), ["expires_at"]),
        (consent(value="asked", expires_at=FEBRUARY), ["expires_at"]),
        (consent(product=Product()), ["product"]),
        (Revocation(JANUARY, Selector()), ["selector"]),
        (revocation(channel="fax"), ["selector.channel"]),
        (revocation(purpose="mail", partner="nobody"), ["selector.purpose", "selector.partner"]),
        (revocation(dataset="x"), ["selector.dataset"]),
        (revocation(consent_type="mail"), ["selector.consent_type"]),
        (revocation(event_id="e\x00"), ["selector.event_id"]),
        (revocation(channel="sms", partner="acme"), ["selector"]),
        (Restriction(JANUARY, JANUARY, "complaint", EVERYTHING), ["effective_until"]),
        (Restriction(JANUARY, FEBRUARY, "", EVERYTHING), ["kind"]),
        (Restriction(JANUARY, FOREVER, "complaint", Selector()), ["selector"]),
        (Restriction(JANUARY, FOREVER, "complaint", Selector(event_id="e1")), ["selector"]),
        (Restriction(JANUARY, LATEST + 1, "complaint", EVERYTHING), ["effective_until"]),
        (Lifting(JANUARY, ""), ["restriction_event_id"]),
        (Acquisition(JANUARY, "nobody"), ["partner"]),
        (Void("", "mistake"), ["voided_event_id"]),
        (Void("e0", " "), ["cause"]),
        (Void("e0", "x" * (FREE_TEXT_LENGTH_MAX + 1)), ["cause"]),
        (Merge("ivan", "ivan"), ["into_customer_id"]),
        (Merge("", "ivan"), ["from_customer_id"]),
        (Split("x" * 129), ["customer_id"]),
    ],
)
def test_faulty_events(body: Body, fields: list[str]) -> None:
    """The error names every faulty field."""
    assert faulty_fields(body) == fields


def test_every_fault_is_listed_at_once() -> None:
    """Faults of the envelope and of the body come in one error."""
    body = consent(obtained_at=EARLIEST - 1, value="perhaps", wording_version=7)
    assert faulty_fields(
        body, event_id="", customer_id="a\x07", source=Source(document="\x1b")
    ) == [
        "event_id",
        "customer_id",
        "source.document",
        "obtained_at",
        "value",
        "wording_version",
    ]


def test_purchases_need_no_catalog() -> None:
    """Before the first publication purchases, and what names no code, may be recorded."""
    for body in (Purchase(JANUARY, LOAN), Revocation(JANUARY, EVERYTHING), Merge("olga", "ivan")):
        assert faulty_fields(body, EMPTY_CATALOG) == []
    assert faulty_fields(consent(), EMPTY_CATALOG) == ["consent_type"]


def test_events_of_no_customer_need_no_customer_id() -> None:
    """Voids, merges and splits name whom they are about in the body, if at all."""
    for body in (Void("e0", "mistake"), Merge("olga", "ivan"), Split("olga")):
        assert faulty_fields(body, customer_id="") == []
    assert faulty_fields(Purchase(JANUARY, LOAN), customer_id="") == ["customer_id"]


def test_retired_codes_are_known() -> None:
    """A retired code is no longer offered; events may still name it."""
    retired = catalog(channels=[{"code": "sms", "retired": True}])
    assert faulty_fields(revocation(channel="sms"), retired) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        ("x" * 129, "129 characters, 128 are the most"),
        ("a\x00", "control character (U+0000) at position 2"),
        ("\x7f", "control character (U+007F)"),
        ("\ud800", "surrogate"),
    ],
)
def test_what_is_no_identifier(text: str, problem: str) -> None:
    """Empty, over-long and unprintable ids are told apart."""
    with pytest.raises(InvalidArgumentError) as refusal:
        check_identifier("customer_id", text)
    assert refusal.value.faults[0].field == "customer_id"
    assert problem in refusal.value.faults[0].problem


@pytest.mark.parametrize("text", ["a", "x" * 128, "Анна Ильинична", " ", "\U0001f600" * 128])
def test_what_is_an_identifier(text: str) -> None:
    """Any 1 to 128 characters that can be printed, counted as characters and not as bytes."""
    check_identifier("customer_id", text)


def test_contract_length() -> None:
    """A series may have as many characters as stated and no more."""
    assert faulty_fields(Purchase(JANUARY, Product(series="x" * CONTRACT_LENGTH_MAX))) == []


def test_instants_of_questions() -> None:
    """A question asks about the years that facts may name."""
    check_instant("at", EARLIEST)
    check_instant("at", LATEST)
    for at in (EARLIEST - 1, LATEST + 1, FOREVER):
        with pytest.raises(InvalidArgumentError):
            check_instant("at", at)


@pytest.mark.parametrize(
    ("scope", "fields"),
    [
        (contact("advertising", "sms"), []),
        (process("storage"), []),
        (share("advertising", "acme", "scoring"), []),
        (contact("mail", "fax"), ["purpose", "channel"]),
        (contact("advertising", ""), ["channel"]),
        (process("mail"), ["purpose"]),
        (share("advertising", "nobody", "x"), ["partner", "datasets"]),
        (Scope(ScopeKind.SHARE, "advertising"), ["partner", "datasets"]),
    ],
)
def test_asked_scopes(scope: Scope, fields: list[str]) -> None:
    """A question names codes of the catalog; the error says which it does not."""
    found: list[str] = []
    try:
        check_scope(scope, CATALOG)
    except InvalidArgumentError as error:
        found = [fault.field for fault in error.faults]
    assert found == fields


TEXTS = st.text(st.sampled_from("aя \u0000\u0085\u2028\ud800"), max_size=3) | st.sampled_from(
    ["x" * 128, "x" * 129]
)


@given(
    st.tuples(TEXTS, TEXTS),
    st.builds(Source, TEXTS, TEXTS, TEXTS, TEXTS),
    st.builds(Product, TEXTS, TEXTS, TEXTS, TEXTS),
    st.sampled_from([EARLIEST - 1, EARLIEST, JANUARY, LATEST, LATEST + 1]),
    st.sampled_from([Purchase, ProductClosing]),
)
def test_of_what_is_plain_nothing_is_wrong(
    ids: tuple[str, str],
    source: Source,
    product: Product,
    at: int,
    kind: type[Purchase | ProductClosing],
) -> None:
    """What is seen to be right at one look has no fault."""
    event = NewEvent(*ids, kind(at, product), source)

    assert not (is_plain(event) and faults_of_event(event, CATALOG))


def test_an_ordinary_purchase_is_plain() -> None:
    """Most events take no more than one look."""
    event = NewEvent("e1", "ivan", Purchase(JANUARY, LOAN), Source("branch"))

    assert is_plain(event)
