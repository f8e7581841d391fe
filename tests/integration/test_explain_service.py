"""Explain through gRPC: answers as of any instant with any knowledge, and what proves them."""

from typing import Any, Final

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from maywe.v1 import common_pb2, decision_pb2, event_pb2, evidence_pb2, writer_pb2

from decision.instants import Instant, format_instant, parse_instant
from service.conversion.timestamps import timestamp
from store.clocks import wall_clock
from tests.running import RunningMaywe

pytestmark = pytest.mark.integration

BOUGHT_AT: Final = parse_instant("2024-02-01T10:00:00Z")
REVOKED_AT: Final = parse_instant("2025-02-01T10:00:00Z")
HOUR: Final = 3600 * 1_000_000

SMS: Final = common_pb2.ContactQuestion(purpose="advertising", channel="sms")
SHARE: Final = common_pb2.ShareQuestion(
    purpose="advertising", partner="acme", datasets=["contacts", "scoring"]
)


def document(*, matched: bool = True, **others: Any) -> dict[str, Any]:
    """A catalog by which a loan, when `matched`, brings consent to SMS for five years."""
    row = {
        "id": "loans",
        "product_type": "loan",
        "series_mask": "К*",
        "in_force_from": "2015-01-01T00:00:00Z",
        "consent_types": ["ads"],
    }
    return {
        "zone": "Europe/Moscow",
        "purposes": [{"code": "advertising", "name": "advertising"}],
        "channels": [{"code": code, "name": code} for code in ("sms", "phone")],
        "partners": [{"code": "acme", "name": "Acme"}],
        "datasets": [{"code": code, "name": code} for code in ("contacts", "scoring")],
        "consent_types": [{"code": code, "name": code} for code in ("ads", "sharing")],
        "wordings": [
            wording("ads", [{"purpose": "advertising", "channels": ["sms"]}]),
            wording(
                "sharing",
                [{"purpose": "advertising", "partners": ["acme"], "datasets": ["contacts"]}],
            ),
        ],
        "matrix": [row] if matched else [],
        "acquisition_rules": [],
    } | others


def wording(consent_type: str, grants: list[dict[str, Any]]) -> dict[str, Any]:
    """A wording in two languages with a term of five years."""
    return {
        "consent_type": consent_type,
        "version": 1,
        "text": {"ru": "Согласен.", "en": "I agree."},
        "in_force_from": "2015-01-01T00:00:00Z",
        "term": "P5Y",
        "grants": grants,
    }


def buy(
    maywe: RunningMaywe, event_id: str = "e1", customer_id: str = "ivan"
) -> writer_pb2.RecordPurchaseResponse:
    """Record the purchase of a loan."""
    return maywe.client.writer.RecordPurchase(
        event_pb2.RecordPurchaseRequest(
            event_id=event_id,
            customer_id=customer_id,
            purchased_at=timestamp(BOUGHT_AT),
            product=common_pb2.Product(system_code="ABS", product_type="loan", series="К-1"),
            source=common_pb2.Source(process="branch", document="A-17"),
        )
    )


def revoke(
    maywe: RunningMaywe, event_id: str = "e2", customer_id: str = "ivan"
) -> writer_pb2.RevokeResponse:
    """Record that everything was revoked."""
    return maywe.client.writer.Revoke(
        event_pb2.RevokeRequest(
            event_id=event_id,
            customer_id=customer_id,
            revoked_at=timestamp(REVOKED_AT),
            selector=common_pb2.Selector(all=True),
        )
    )


def explain(
    maywe: RunningMaywe,
    valid_at: Instant | None = None,
    known_at: Timestamp | None = None,
    **fields: Any,
) -> decision_pb2.ExplainResponse:
    """Explain whether Ivan might be written to by SMS, if nothing else is asked."""
    return maywe.client.decision.Explain(
        decision_pb2.ExplainRequest(
            **(
                {
                    "customer_id": "ivan",
                    "contact": None if "share" in fields or "process" in fields else SMS,
                    "valid_at": None if valid_at is None else timestamp(valid_at),
                    "known_at": known_at,
                }
                | fields
            )
        )
    )


def reason(answer: evidence_pb2.Answer) -> str:
    """The name of an answer's reason."""
    return common_pb2.Reason.Name(answer.reason)


def test_an_unknown_customer_is_a_deny_without_evidence(maywe: RunningMaywe) -> None:
    """The id asked about is shown, and nothing else is there to show."""
    maywe.publish(document())
    response = explain(maywe)
    assert reason(response.answer) == "REASON_UNKNOWN_CUSTOMER"
    assert list(response.customer_ids) == ["ivan"]
    assert not response.grants
    assert not response.events
    assert not response.HasField("answer_known_then")


def test_an_allow_is_proved_by_grant_wording_row_and_publication(maywe: RunningMaywe) -> None:
    """Everything that leads from the purchase to the answer is shown."""
    maywe.publish(document(), "first")
    recorded_at = buy(maywe).acknowledgement.recorded_at
    maywe.publish(document(channels=[{"code": code} for code in ("sms", "phone", "email")]))
    response = explain(maywe)
    assert response.answer.basis.event_id == "e1"
    assert response.answer.not_after == timestamp(parse_instant("2029-02-01T10:00:00Z"))
    (grant,) = response.grants
    assert (grant.matrix_row_id, grant.wording_version, grant.value) == ("loans", 1, "")
    assert (grant.source.document, grant.recorded_at) == ("A-17", recorded_at)
    assert grant.expires_at == response.answer.not_after
    (wording_shown,) = response.wordings
    assert {(text.language, text.text) for text in wording_shown.texts} == {
        ("ru", "Согласен."),
        ("en", "I agree."),
    }
    assert (wording_shown.first_published_number, wording_shown.publication_number) == (1, 2)
    (row,) = response.matrix_rows
    assert (row.id, row.series_mask, list(row.consent_types)) == ("loans", "К*", ["ads"])
    assert [(one.number, one.publisher) for one in response.publications] == [
        (1, "lawyer"),
        (2, "lawyer"),
    ]
    assert response.zone == "Europe/Moscow"
    assert [one.event.purchase.event_id for one in response.events] == ["e1"]


def test_absent_instants_are_now(maywe: RunningMaywe) -> None:
    """Without instants the answer is of now with all that is known, and nothing differs."""
    maywe.publish(document())
    acknowledged = buy(maywe).acknowledgement
    response = explain(maywe)
    assert response.valid_at == response.known_at
    assert response.known_at.ToMicroseconds() > acknowledged.recorded_at.ToMicroseconds()
    assert not response.HasField("answer_known_then")
    assert not response.HasField("answer_known_now")
    assert not response.grants[0].brought_by_late_event


def test_a_late_event_shows_what_was_known_then(maywe: RunningMaywe) -> None:
    """For an instant before the purchase was recorded, what the system would have said differs."""
    maywe.publish(document())
    buy(maywe)
    response = explain(maywe, BOUGHT_AT + HOUR)
    assert reason(response.answer) == "REASON_ALLOWED"
    assert reason(response.answer_known_then) == "REASON_UNKNOWN_CUSTOMER"
    assert not response.HasField("answer_known_now")
    (grant,) = response.grants
    assert grant.brought_by_late_event
    assert not grant.brought_by_later_publication


def test_what_was_known_shows_what_is_known_now(maywe: RunningMaywe) -> None:
    """As known before a revocation was recorded the answer is ALLOW; it is not known so now."""
    maywe.publish(document())
    known_at = buy(maywe).acknowledgement.recorded_at
    revoke(maywe)
    response = explain(maywe, REVOKED_AT + HOUR, known_at)
    assert reason(response.answer) == "REASON_ALLOWED"
    assert reason(response.answer_known_now) == "REASON_CONSENT_REVOKED"
    assert response.known_at == known_at
    assert [one.ended_by_event_id for one in response.grants[0].scopes] == [""]


def test_a_correction_of_the_matrix_shows_who_brought_the_grant(maywe: RunningMaywe) -> None:
    """A grant that a later publication brought is marked, and the publication named."""
    maywe.publish(document(matched=False))
    buy(maywe)
    before = explain(maywe).known_at
    maywe.publish(document(), "correction")
    response = explain(maywe, before.ToMicroseconds())
    assert reason(response.answer_known_then) == "REASON_NO_CONSENT"
    (grant,) = response.grants
    assert grant.brought_by_later_publication
    assert not grant.brought_by_late_event
    assert response.publications[-1].publication_id == "correction"
    assert reason(explain(maywe, None, before).answer) == "REASON_NO_CONSENT"


def test_an_ended_grant_shows_what_ended_it(maywe: RunningMaywe) -> None:
    """The revocation is named at the scope, and its event is there; the term is shown as well."""
    maywe.publish(document())
    buy(maywe)
    revoke(maywe)
    response = explain(maywe)
    assert reason(response.answer) == "REASON_CONSENT_REVOKED"
    (scope,) = response.grants[0].scopes
    assert (scope.ended_by_event_id, scope.ends_at) == ("e2", timestamp(REVOKED_AT))
    assert response.grants[0].expires_at == timestamp(parse_instant("2029-02-01T10:00:00Z"))
    assert [one.event.WhichOneof("event") for one in response.events] == ["purchase", "revocation"]


def test_a_void_event_is_shown_with_its_void(maywe: RunningMaywe) -> None:
    """A void revocation ends nothing; it, and the event that voided it, are shown."""
    maywe.publish(document())
    buy(maywe)
    revoke(maywe)
    void = maywe.client.writer.VoidEvent(
        event_pb2.VoidEventRequest(event_id="e3", voided_event_id="e2", cause="another customer")
    )
    response = explain(maywe)
    assert reason(response.answer) == "REASON_ALLOWED"
    assert [one.voided_by_event_id for one in response.events] == ["", "e3", ""]
    assert response.events[1].voided_at == void.acknowledgement.recorded_at
    assert response.events[2].event.voiding.cause == "another customer"


def test_a_merged_person_is_one(maywe: RunningMaywe) -> None:
    """Consents under another id of the person count, and the merge is among the events."""
    maywe.publish(document())
    buy(maywe, customer_id="ivan-2")
    maywe.client.writer.MergeCustomers(
        event_pb2.MergeCustomersRequest(
            event_id="m1", from_customer_id="ivan-2", into_customer_id="ivan"
        )
    )
    response = explain(maywe)
    assert reason(response.answer) == "REASON_ALLOWED"
    assert list(response.customer_ids) == ["ivan", "ivan-2"]
    assert response.grants[0].customer_id == "ivan-2"
    assert [one.event.WhichOneof("event") for one in response.events] == ["purchase", "merge"]


def test_restrictions_are_shown_in_force_or_not(maywe: RunningMaywe) -> None:
    """A lifted restriction is shown with the end that was meant and the one that came."""
    maywe.publish(document())
    buy(maywe)
    maywe.client.writer.Restrict(
        event_pb2.RestrictRequest(
            event_id="r1",
            customer_id="ivan",
            kind="complaint",
            selector=common_pb2.Selector(channel="sms"),
            effective_from=timestamp(BOUGHT_AT),
        )
    )
    maywe.client.writer.LiftRestriction(
        event_pb2.LiftRestrictionRequest(
            event_id="l1",
            customer_id="ivan",
            restriction_event_id="r1",
            lifted_at=timestamp(REVOKED_AT),
        )
    )
    response = explain(maywe)
    assert reason(response.answer) == "REASON_ALLOWED"
    (restriction,) = response.restrictions
    assert restriction.kind == "complaint"
    assert not restriction.HasField("effective_until")
    assert restriction.ends_at == timestamp(REVOKED_AT)
    assert restriction.lifted_by_event_id == "l1"
    assert reason(explain(maywe, BOUGHT_AT).answer) == "REASON_RESTRICTED"


def test_a_restriction_by_acquisition_names_the_partner(maywe: RunningMaywe) -> None:
    """What follows from an acquisition shows through whom the customer came."""
    rules = [{"partner": "acme", "selector": {"channel": "sms"}, "term": "P1Y"}]
    maywe.publish(document(acquisition_rules=rules))
    buy(maywe)
    maywe.client.writer.RecordAcquisition(
        event_pb2.RecordAcquisitionRequest(
            event_id="a1", customer_id="ivan", partner="acme", acquired_at=timestamp(BOUGHT_AT)
        )
    )
    (restriction,) = explain(maywe).restrictions
    assert (restriction.kind, restriction.acquired_through_partner) == ("", "acme")
    assert restriction.effective_until == timestamp(parse_instant("2025-02-01T10:00:00Z"))


def test_a_share_is_answered_for_each_data_set(maywe: RunningMaywe) -> None:
    """Several data sets are allowed only together; each has its own answer."""
    maywe.publish(document())
    maywe.client.writer.RecordConsent(
        event_pb2.RecordConsentRequest(
            event_id="c1",
            customer_id="ivan",
            obtained_at=timestamp(BOUGHT_AT),
            consent_type="sharing",
            value="granted",
        )
    )
    response = explain(maywe, share=SHARE)
    assert reason(response.answer) == "REASON_NO_CONSENT"
    assert list(response.answer.allowed_datasets) == ["contacts"]
    assert [common_pb2.Verdict.Name(one.verdict) for one in response.answer.datasets] == [
        "VERDICT_ALLOW",
        "VERDICT_DENY",
    ]
    assert response.grants[0].value == "granted"
    assert not response.HasField("suspension")


def test_a_suspension_is_shown(maywe: RunningMaywe) -> None:
    """The suspension of the partner asked about is shown, in force or not."""
    start = wall_clock() + HOUR
    maywe.publish(document(partners=[{"code": "acme", "suspended_from": format_instant(start)}]))
    response = explain(maywe, share=SHARE)
    assert response.suspension.suspended_from == timestamp(start)
    assert response.suspension.publication_number == 1


def test_a_future_instant_is_answered_without_what_was_known_then(maywe: RunningMaywe) -> None:
    """What will be known then nobody can say."""
    maywe.publish(document())
    buy(maywe)
    response = explain(maywe, parse_instant("2029-02-01T10:00:00Z"))
    assert reason(response.answer) == "REASON_CONSENT_EXPIRED"
    assert not response.HasField("answer_known_then")


def test_before_the_first_publication_no_catalog_is_known(maywe: RunningMaywe) -> None:
    """As known before any publication a purchase gave nothing, and no zone was known."""
    known_at = buy(maywe).acknowledgement.recorded_at
    maywe.publish(document())
    response = explain(maywe, None, known_at)
    assert reason(response.answer) == "REASON_NO_CONSENT"
    assert (response.zone, list(response.publications)) == ("", [])


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"customer_id": ""}, "customer_id"),
        ({"customer_id": "x" * 129}, "customer_id"),
        ({"contact": common_pb2.ContactQuestion(purpose="x", channel="sms")}, "purpose"),
        ({"process": common_pb2.ProcessQuestion(purpose="x")}, "purpose"),
        (
            {"share": common_pb2.ShareQuestion(purpose="advertising", partner="acme")},
            "datasets",
        ),
        ({"contact": None}, "question"),
        ({"valid_at": -10_000_000_000_000_000}, "valid_at"),
        ({"known_at": Timestamp(seconds=32_503_680_000)}, "known_at"),
    ],
)
def test_a_faulty_question_is_refused(
    maywe: RunningMaywe, fields: dict[str, Any], field: str
) -> None:
    """The faulty field is named, an instant of knowledge in the future among them."""
    maywe.publish(document())
    with pytest.raises(grpc.RpcError) as refused:
        explain(maywe, **fields)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert (refused.value.details() or "").startswith(f"{field}:")
