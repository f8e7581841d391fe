"""Batches on real stores: every answer has all that the answer to a single check has."""

from itertools import product
from typing import Any

import pytest
from google.protobuf.message import Message
from maywe.v1 import decision_pb2

from decision.errors import FieldFault, InvalidArgumentError, MayweError
from decision.events import Consent, ProductClosing, Purchase, Restriction, Revocation
from decision.instants import FOREVER, parse_instant
from decision.products import Product
from decision.questions import ContactQuestion, ShareQuestion
from decision.selectors import Selector
from service.asked import CheckQuestion
from service.batches import BatchDecider
from service.checking import Check, Checker
from service.conversion.batches import batch_response
from service.conversion.decisions import contact_response, share_response
from store.bulk_reading import BulkReader
from store.cache import Cache
from store.projector import Projector
from store.reader import PermissionReader
from tests.integration.ledger_builders import LONG_AGO, Ledger, document, leased

pytestmark = pytest.mark.integration

BY_PHONE = ContactQuestion("advertising", "phone")
QUESTIONS: tuple[CheckQuestion, ...] = (
    BY_PHONE,
    ContactQuestion("advertising", "email"),
    ShareQuestion("advertising", "acme", ("contacts",)),
    ShareQuestion("advertising", "acme", ("scoring", "contacts")),
    ShareQuestion("advertising", "ltd", ("contacts", "scoring")),
)
SOON = parse_instant("2090-01-01T00:00:00Z")
LATER = parse_instant("2095-03-04T05:06:07.000089Z")
PRODUCTS = (
    Product("core", "loan", "КР-1", "0000000394"),
    Product("core", "loan", "", "НОМЕР " * 16),
    Product("core", "loan", "4512", "12-С"),
    Product("no code of a row", "loan", "x" * 128, "y" * 127),
    Product("", "", "ПУСТО", ""),
)


def rich_document() -> dict[str, Any]:
    """A catalog with products, partners, one of them suspended for a while, and retired codes."""
    content = document(channels=("phone", "sms", "email"))
    content["channels"][1]["retired"] = True
    content["partners"] = [
        {"code": "acme", "name": "acme"},
        {
            "code": "ltd",
            "name": "ltd",
            "suspended_from": "2092-01-01T00:00:00Z",
            "suspended_to": "2094-01-01T00:00:00Z",
        },
    ]
    content["datasets"] = [{"code": code, "name": code} for code in ("contacts", "scoring")]
    content["consent_types"] += [{"code": code, "name": code} for code in ("данные", "scores")]
    content["wordings"] += [
        {
            "consent_type": "данные",
            "version": 300,
            "text": "You may share.",
            "in_force_from": "1950-01-01T00:00:00Z",
            "term": "P150Y",
            "grants": [
                {"purpose": "advertising", "partners": ["acme"], "datasets": ["contacts"]},
                {"purpose": "advertising", "partners": ["ltd"], "datasets": ["contacts"]},
            ],
        },
        {
            "consent_type": "scores",
            "version": 1,
            "text": "You may share scores.",
            "in_force_from": "1950-01-01T00:00:00Z",
            "term": "P140Y",
            "grants": [{"purpose": "advertising", "partners": ["ltd"], "datasets": ["scoring"]}],
        },
    ]
    content["matrix"] = [
        {
            "id": "loans",
            "product_type": "loan",
            "system_code": "core",
            "consent_types": ["calls", "данные", "scores"],
            "in_force_from": "1950-01-01T00:00:00Z",
        },
        {
            "id": "others",
            "product_type": "loan",
            "consent_types": ["данные"],
            "in_force_from": "1950-01-01T00:00:00Z",
        },
        {
            "id": "without codes",
            "series_mask": "ПУСТО*",
            "consent_types": ["calls", "scores"],
            "in_force_from": "1950-01-01T00:00:00Z",
        },
    ]
    return content


@pytest.fixture
def customer_ids(ledger: Ledger, cache: Cache) -> list[str]:
    """Customers of many kinds, all of them in a complete cache."""
    projector = Projector(ledger.engine, cache)
    projector.project_pending()
    ledger.publish(rich_document())
    ids = []
    for number, sold in enumerate(PRODUCTS):
        customer_id = f"покупатель {number}"
        ids.append(customer_id)
        # One before 1970, which few ways of writing an instant think of.
        at = LONG_AGO + number if number else parse_instant("1969-12-31T23:59:58.5Z")
        ledger.record(customer_id, Purchase(at, sold))
    ledger.record(ids[1], ProductClosing(LONG_AGO + 10, PRODUCTS[1]))
    ledger.record(ids[2], Revocation(SOON, Selector(channel="phone")))
    restricted = Restriction(LATER, FOREVER, "complaint", Selector(purpose="advertising"))
    ledger.record("restricted", Consent(LONG_AGO, "calls", "granted"))
    ledger.record("restricted", restricted)
    ledger.record("ends", Consent(LONG_AGO, "calls", "granted", expires_at=LATER))
    ledger.record("ends", Consent(LONG_AGO + 1, "calls", "granted", expires_at=SOON))
    projector.project_pending()
    return [*ids, "restricted", "ends", "nobody"]


@pytest.fixture
def checker(ledger: Ledger, cache: Cache) -> Checker:
    """Who answers single checks, with a lease."""
    return Checker(
        PermissionReader(ledger.engine, cache, ledger.catalogs, leased()), ledger.catalogs
    )


@pytest.fixture
def batches(ledger: Ledger, cache: Cache, checker: Checker) -> BatchDecider:
    """Who decides batches, with a lease."""
    return BatchDecider(BulkReader(cache, ledger.catalogs, leased()), checker)


def single(checker: Checker, check: Check) -> decision_pb2.BatchCheckResult:
    """The answer to a check alone, as the result of a batch."""
    decision = checker.decide(check)
    if isinstance(check.question, ShareQuestion):
        share = share_response(decision, check.question.datasets)
        return decision_pb2.BatchCheckResult(share=share)
    return decision_pb2.BatchCheckResult(contact=contact_response(decision))


def without_id(result: decision_pb2.BatchCheckResult) -> Message:
    """A result but for the id that no other has."""
    answer: Message = getattr(result, result.WhichOneof("result") or "error")
    answer.ClearField("decision_id")
    return answer


def test_a_batch_is_answered_as_its_checks_alone(
    batches: BatchDecider, checker: Checker, customer_ids: list[str]
) -> None:
    """In every field: products, bases, ends, channels, data sets, whatever is absent."""
    instants = (SOON, parse_instant("2093-01-01T00:00:00Z"), LATER - 1, LATER)
    checks = [
        Check(customer_id, question, at)
        for at, customer_id, question in product(instants, customer_ids, QUESTIONS)
    ]
    decided = batches.decide_each(checks)
    assert not decided.singly, "all of them can be judged together"
    results = batch_response(decided).results
    for check, result in zip(checks, results, strict=True):
        assert without_id(result) == without_id(single(checker, check)), check


def test_no_two_answers_of_batches_have_one_id(
    batches: BatchDecider, customer_ids: list[str]
) -> None:
    """Nor one of more than the 64 letters that are promised."""
    checks = [Check(customer_id, BY_PHONE) for customer_id in customer_ids] * 40
    found = [
        result.contact.decision_id
        for _ in range(2)
        for result in batch_response(batches.decide_each(checks)).results
    ]
    assert len(set(found)) == len(found)
    assert all(one.isascii() and 0 < len(one) <= 64 for one in found)


def test_what_is_faulty_has_its_error_in_its_place(
    batches: BatchDecider, customer_ids: list[str]
) -> None:
    """The checks beside it are answered, whatever their ids look like."""
    unreadable = InvalidArgumentError(FieldFault("question", "ask contact or share"))
    checks: list[Check | MayweError] = [
        Check(customer_ids[0], BY_PHONE),
        unreadable,
        Check("control\x07", BY_PHONE),
        Check(customer_ids[0], ContactQuestion("advertising", "no channel")),
        Check("soft\xadhyphen", BY_PHONE),
        Check(customer_ids[0], BY_PHONE, at=LONG_AGO),
        Check(customer_ids[0], ShareQuestion("advertising", "acme", ("contacts",))),
    ]
    results = batch_response(batches.decide_each(checks)).results
    assert [result.WhichOneof("result") for result in results] == [
        "contact",
        "error",
        "error",
        "error",
        "contact",
        "error",
        "share",
    ]
