"""WriterService over gRPC: what its calls answer, and what they refuse."""

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from maywe.v1 import common_pb2, decision_pb2, event_pb2, writer_pb2

from store.token import decode_token
from tests.integration.service_builders import (
    BOUGHT_AT,
    at,
    catalog,
    consent,
    failure_of,
    new_id,
    purchase,
    revocation,
    scopes_of,
)
from tests.running import RunningMaywe

pytestmark = pytest.mark.integration


def may_sms(maywe: RunningMaywe, customer_id: str = "ivan", token: str = "") -> common_pb2.Reason:
    """The reason with which a check for advertising by SMS is answered."""
    request = decision_pb2.MayContactRequest(
        customer_id=customer_id, channel="sms", purpose="advertising", token=token
    )
    return maywe.client.decision.MayContact(request).reason


def test_a_purchase_answers_the_row_and_the_consents_it_gave(maywe: RunningMaywe) -> None:
    """The consents come in the order of the row, each with its term."""
    maywe.publish(catalog())
    response = maywe.client.writer.RecordPurchase(purchase())
    assert response.matrix_row_id == "loans"
    assert [given.consent_type for given in response.consents] == ["processing", "marketing"]
    processing, marketing = response.consents
    assert processing.until_product_closed
    assert not processing.HasField("expires_at")
    assert not marketing.until_product_closed
    assert marketing.expires_at == at("2029-05-01T00:00:00Z")
    assert marketing.wording_version == 1
    assert response.unmatched_cause == common_pb2.UNMATCHED_CAUSE_UNSPECIFIED


def test_a_purchase_that_no_row_matches_says_so(maywe: RunningMaywe) -> None:
    """It is recorded, and stands in the list of unmatched purchases."""
    maywe.publish(catalog())
    response = maywe.client.writer.RecordPurchase(purchase(product_type="deposit"))
    assert response.unmatched_cause == common_pb2.UNMATCHED_CAUSE_NO_MATRIX_ROW
    assert not response.matrix_row_id
    assert not response.consents


def test_a_purchase_before_every_wording_names_the_types_without_one(maywe: RunningMaywe) -> None:
    """The row matched; the types that lack a wording are told."""
    maywe.publish(catalog())
    response = maywe.client.writer.RecordPurchase(purchase(purchased_at="2015-01-01T00:00:00Z"))
    assert response.matrix_row_id == "loans"
    assert response.unmatched_cause == common_pb2.UNMATCHED_CAUSE_NO_WORDING_IN_FORCE
    assert list(response.consent_types_without_wording) == ["processing", "marketing"]


def test_a_purchase_may_be_recorded_before_the_first_publication(maywe: RunningMaywe) -> None:
    """No row can match it yet."""
    response = maywe.client.writer.RecordPurchase(purchase())
    assert response.unmatched_cause == common_pb2.UNMATCHED_CAUSE_NO_MATRIX_ROW


@pytest.mark.parametrize(
    ("value", "effect", "gives"),
    [
        ("granted", writer_pb2.VALUE_EFFECT_GRANTS, True),
        ("refused", writer_pb2.VALUE_EFFECT_REFUSES, False),
        ("asked_later", writer_pb2.VALUE_EFFECT_NOTES, False),
    ],
)
def test_a_consent_answers_what_its_value_does(
    maywe: RunningMaywe, value: str, effect: writer_pb2.ValueEffect, *, gives: bool
) -> None:
    """Only a value that grants gives a consent."""
    maywe.publish(catalog())
    response = maywe.client.writer.RecordConsent(consent(value=value))
    assert response.effect == effect
    assert response.HasField("consent") is gives


def test_an_explicit_end_replaces_the_term(maywe: RunningMaywe) -> None:
    """The consent given ends when the event says."""
    maywe.publish(catalog())
    request = consent()
    request.expires_at.CopyFrom(at("2025-01-01T00:00:00Z"))
    response = maywe.client.writer.RecordConsent(request)
    assert response.consent.expires_at == at("2025-01-01T00:00:00Z")


def test_a_revocation_answers_what_ended_and_what_survives(maywe: RunningMaywe) -> None:
    """Each scope once, with until when it would have held and what the others rest on."""
    maywe.publish(catalog())
    maywe.client.writer.RecordPurchase(purchase(event_id="bought"))
    response = maywe.client.writer.Revoke(revocation(channel="sms"))
    assert scopes_of(ended.scope for ended in response.ended) == ["advertising/sms"]
    assert response.ended[0].would_have_held_until == at("2029-05-01T00:00:00Z")
    assert scopes_of(answer.scope for answer in response.surviving) == [
        "advertising/phone",
        "service",
        "advertising/acme/contacts",
    ]
    assert {answer.basis.event_id for answer in response.surviving} == {"bought"}
    assert may_sms(maywe, token=response.acknowledgement.token) == (
        common_pb2.REASON_CONSENT_REVOKED
    )


def test_a_revocation_sent_again_answers_the_same(maywe: RunningMaywe) -> None:
    """A caller who did not get the answer gets it by repeating, marked as a repeat."""
    maywe.publish(catalog())
    maywe.client.writer.RecordPurchase(purchase())
    first = maywe.client.writer.Revoke(revocation(event_id="revoked", channel="sms"))
    second = maywe.client.writer.Revoke(revocation(event_id="revoked", channel="sms"))
    assert not first.acknowledgement.repeat
    assert second.acknowledgement.repeat
    assert second.acknowledgement.recorded_at == first.acknowledgement.recorded_at
    assert (second.ended, second.surviving) == (first.ended, first.surviving)


def test_every_call_is_acknowledged_as_effective_in_the_order_recorded(maywe: RunningMaywe) -> None:
    """What is acknowledged first was recorded first; every answer carries a token."""
    maywe.publish(catalog())
    writer = maywe.client.writer
    product = common_pb2.Product(system_code="ABS", product_type="loan", number="001")
    acknowledgements = [
        answer.acknowledgement
        for answer in (
            writer.RecordPurchase(purchase("olga", event_id="bought")),
            writer.CloseProduct(
                event_pb2.CloseProductRequest(
                    event_id=new_id(), customer_id="olga", closed_at=at(BOUGHT_AT), product=product
                )
            ),
            writer.Restrict(
                event_pb2.RestrictRequest(
                    event_id="restricted",
                    customer_id="olga",
                    kind="complaint",
                    selector=common_pb2.Selector(kind=common_pb2.SCOPE_KIND_CONTACT),
                    effective_from=at(BOUGHT_AT),
                )
            ),
            writer.LiftRestriction(
                event_pb2.LiftRestrictionRequest(
                    event_id=new_id(),
                    customer_id="olga",
                    restriction_event_id="restricted",
                    lifted_at=at("2024-06-01T00:00:00Z"),
                )
            ),
            writer.RecordAcquisition(
                event_pb2.RecordAcquisitionRequest(
                    event_id=new_id(), customer_id="olga", partner="acme", acquired_at=at(BOUGHT_AT)
                )
            ),
            writer.VoidEvent(
                event_pb2.VoidEventRequest(
                    event_id=new_id(), voided_event_id="bought", cause="typed twice"
                )
            ),
            writer.MergeCustomers(
                event_pb2.MergeCustomersRequest(
                    event_id=new_id(), from_customer_id="olga-2", into_customer_id="olga"
                )
            ),
            writer.SplitCustomer(
                event_pb2.SplitCustomerRequest(event_id=new_id(), customer_id="olga-2")
            ),
        )
    ]
    instants = [acknowledged.recorded_at.ToMicroseconds() for acknowledged in acknowledgements]
    assert instants == sorted(set(instants))
    for acknowledged in acknowledgements:
        assert acknowledged.durability == common_pb2.DURABILITY_EFFECTIVE
        assert decode_token(acknowledged.token).positions


def test_a_check_right_after_a_write_sees_it(maywe: RunningMaywe) -> None:
    """In quiet conditions the answer to a write waits until the cache shows it."""
    maywe.publish(catalog())
    maywe.client.writer.RecordPurchase(purchase())
    assert may_sms(maywe) == common_pb2.REASON_ALLOWED


def test_a_faulty_request_names_every_faulty_field(maywe: RunningMaywe) -> None:
    """What the message says wrongly and what the catalog does not know come together."""
    maywe.publish(catalog())
    request = event_pb2.RevokeRequest(
        customer_id="x" * 129,
        selector=common_pb2.Selector(channel="", purpose="telepathy"),
        source=common_pb2.Source(process="a\nb"),
    )
    failed = failure_of(lambda: maywe.client.writer.Revoke(request))
    assert failed.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failed.reason == "FIELD_INVALID"
    assert set(failed.fields) == {
        "event_id",
        "customer_id",
        "revoked_at",
        "selector.channel",
        "selector.purpose",
        "source.process",
    }
    assert failed.metadata["fault_count"] == "6"


@pytest.mark.parametrize(
    "instant",
    [
        Timestamp(seconds=-2_208_988_801),
        Timestamp(seconds=253_402_300_800),
        Timestamp(seconds=0, nanos=-1),
        Timestamp(seconds=0, nanos=1_000_000_000),
        Timestamp(seconds=2**63 - 1),
    ],
)
def test_an_instant_out_of_range_is_refused(maywe: RunningMaywe, instant: Timestamp) -> None:
    """Instants lie in the years 1900 to 9999, with 0 to 999999999 nanos."""
    maywe.publish(catalog())
    request = purchase()
    request.purchased_at.CopyFrom(instant)
    failed = failure_of(lambda: maywe.client.writer.RecordPurchase(request))
    assert (failed.code, failed.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["purchased_at"])


def test_what_is_finer_than_a_microsecond_is_dropped(maywe: RunningMaywe) -> None:
    """So an event sent again with other nanoseconds is the same event."""
    maywe.publish(catalog())
    request = purchase()
    maywe.client.writer.RecordPurchase(request)
    request.purchased_at.nanos = 999
    assert maywe.client.writer.RecordPurchase(request).acknowledgement.repeat


def test_a_taken_event_id_is_refused_and_nothing_changes(maywe: RunningMaywe) -> None:
    """Other content under a known id is ALREADY_EXISTS."""
    maywe.publish(catalog())
    maywe.client.writer.RecordPurchase(purchase(event_id="bought"))
    failed = failure_of(
        lambda: maywe.client.writer.RecordPurchase(purchase(event_id="bought", number="002"))
    )
    assert failed.code is grpc.StatusCode.ALREADY_EXISTS
    assert failed.reason == "EVENT_ID_TAKEN"
    assert failed.metadata == {"field": "event_id", "event_id": "bought"}


def test_what_the_ledger_does_not_allow_says_why(maywe: RunningMaywe) -> None:
    """Each refusal has the status, the reason and the metadata that the contract shows."""
    maywe.publish(catalog())
    writer = maywe.client.writer
    writer.RecordPurchase(purchase(event_id="bought"))

    def merge(from_id: str, into_id: str) -> object:
        return writer.MergeCustomers(
            event_pb2.MergeCustomersRequest(
                event_id=new_id(), from_customer_id=from_id, into_customer_id=into_id
            )
        )

    def void(event_id: str) -> object:
        return writer.VoidEvent(
            event_pb2.VoidEventRequest(event_id=new_id(), voided_event_id=event_id, cause="x")
        )

    merge("olga-2", "olga")
    void("bought")
    writer.VoidEvent(
        event_pb2.VoidEventRequest(
            event_id="void", voided_event_id=_recorded_purchase(maywe), cause="x"
        )
    )
    found = {
        name: failure_of(call)
        for name, call in {
            "void unknown": lambda: void("nothing"),
            "void again": lambda: void("bought"),
            "void a void": lambda: void("void"),
            "merge again": lambda: merge("olga-2", "anna"),
            "merge in a circle": lambda: merge("olga", "olga-2"),
            "merge into itself": lambda: merge("olga", "olga"),
            "split unmerged": lambda: writer.SplitCustomer(
                event_pb2.SplitCustomerRequest(event_id=new_id(), customer_id="anna")
            ),
        }.items()
    }
    assert {name: (failed.code.name, failed.reason) for name, failed in found.items()} == {
        "void unknown": ("NOT_FOUND", "EVENT_NOT_FOUND"),
        "void again": ("FAILED_PRECONDITION", "ALREADY_VOID"),
        "void a void": ("FAILED_PRECONDITION", "NOT_VOIDABLE"),
        "merge again": ("FAILED_PRECONDITION", "ALREADY_MERGED"),
        "merge in a circle": ("FAILED_PRECONDITION", "MERGE_CIRCLE"),
        "merge into itself": ("INVALID_ARGUMENT", "FIELD_INVALID"),
        "split unmerged": ("FAILED_PRECONDITION", "NOT_MERGED"),
    }
    assert found["merge again"].metadata["into_customer_id"] == "olga"
    assert found["void a void"].metadata == {"field": "voided_event_id", "kind": "void"}


def _recorded_purchase(maywe: RunningMaywe) -> str:
    request = purchase("anna")
    maywe.client.writer.RecordPurchase(request)
    return request.event_id


def test_the_answer_to_a_void_purchase_sent_again_gives_nothing(maywe: RunningMaywe) -> None:
    """It is accepted again and stays void: it counts as if it had never been."""
    maywe.publish(catalog())
    maywe.client.writer.RecordPurchase(purchase(event_id="bought"))
    maywe.client.writer.VoidEvent(
        event_pb2.VoidEventRequest(event_id=new_id(), voided_event_id="bought", cause="mistake")
    )
    response = maywe.client.writer.RecordPurchase(purchase(event_id="bought"))
    assert response.acknowledgement.repeat
    assert not response.consents
    assert may_sms(maywe) == common_pb2.REASON_UNKNOWN_CUSTOMER
