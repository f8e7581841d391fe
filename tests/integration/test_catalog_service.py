"""CatalogService over gRPC: reading, checking, previewing and publishing."""

import json
import time
from typing import Any

import grpc
import pytest
from maywe.v1 import catalog_pb2, common_pb2, decision_pb2

from service.conversion.timestamps import timestamp
from store.clocks import wall_clock
from tests.integration.service_builders import (
    catalog,
    consent,
    failure_of,
    purchase,
    scopes_of,
)
from tests.running import RunningMaywe

pytestmark = pytest.mark.integration

YAML_DOCUMENT = """\
# Dates stay texts, and no is no truth value.
zone: Europe/Moscow
purposes: [{code: advertising, name: {ru: реклама, no: reklame}}]
channels: [{code: sms}]
consent_types: [{code: marketing}]
wordings:
  - consent_type: marketing
    version: 1
    text: Согласен.
    in_force_from: 2020-01-01
    term: P1Y
    grants: [{purpose: advertising, channels: [sms]}]
"""


def publish_request(
    content: object, publication_id: str = "p1", **others: Any
) -> catalog_pb2.PublishRequest:
    """A publication by a lawyer."""
    text = content if isinstance(content, str) else json.dumps(content)
    fields: dict[str, Any] = {
        "publication_id": publication_id,
        "document": text,
        "publisher": "lawyer",
        **others,
    }
    return catalog_pb2.PublishRequest(**fields)


def test_a_catalog_is_read_as_it_was_published(maywe: RunningMaywe) -> None:
    """The document comes back to the letter, with who published it and how it is written."""
    maywe.publish(YAML_DOCUMENT, "first")
    response = maywe.client.catalog.GetCatalog(catalog_pb2.GetCatalogRequest())
    assert response.document == YAML_DOCUMENT
    assert response.format == catalog_pb2.DOCUMENT_FORMAT_YAML
    assert (response.publication.number, response.publication.publication_id) == (1, "first")
    assert response.publication.publisher == "lawyer"


def test_a_catalog_is_read_as_known_at_an_instant(maywe: RunningMaywe) -> None:
    """Before the second publication the first was known; before the first, none."""
    first = maywe.client.catalog.Publish(publish_request(catalog(), "p1"))
    maywe.client.catalog.Publish(publish_request(catalog(zone="UTC"), "p2"))
    recorded_at = first.acknowledgement.recorded_at
    known = maywe.client.catalog.GetCatalog(catalog_pb2.GetCatalogRequest(known_at=recorded_at))
    assert known.publication.number == 1
    before = timestamp(recorded_at.ToMicroseconds() - 1)
    failed = failure_of(
        lambda: maywe.client.catalog.GetCatalog(catalog_pb2.GetCatalogRequest(known_at=before))
    )
    assert (failed.code, failed.reason) == (grpc.StatusCode.NOT_FOUND, "PUBLICATION_NOT_FOUND")


def test_the_catalog_of_the_future_is_not_told(maywe: RunningMaywe) -> None:
    """What will be known is nobody's to say."""
    maywe.publish(catalog())
    tomorrow = timestamp(wall_clock() + 86_400_000_000)
    failed = failure_of(
        lambda: maywe.client.catalog.GetCatalog(catalog_pb2.GetCatalogRequest(known_at=tomorrow))
    )
    assert (failed.code, failed.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["known_at"])


def test_publications_are_listed_newest_first_in_pages(maywe: RunningMaywe) -> None:
    """Pages follow one another without gap or repetition."""
    for number in range(1, 6):
        maywe.client.catalog.Publish(publish_request(catalog(), f"p{number}"))
    request = catalog_pb2.ListPublicationsRequest(page_size=2)
    pages = []
    while True:
        response = maywe.client.catalog.ListPublications(request)
        pages.append([publication.number for publication in response.publications])
        if not response.next_page_token:
            break
        request.page_token = response.next_page_token
    assert pages == [[5, 4], [3, 2], [1]]


@pytest.mark.parametrize(
    "request_message",
    [
        catalog_pb2.ListPublicationsRequest(page_size=-1),
        catalog_pb2.ListPublicationsRequest(page_size=1001),
        catalog_pb2.ListPublicationsRequest(page_token="made up"),  # noqa: S106 - a page, no password
    ],
)
def test_a_faulty_page_is_refused(
    maywe: RunningMaywe, request_message: catalog_pb2.ListPublicationsRequest
) -> None:
    """Sizes beyond the limit and tokens that are none of ours are invalid."""
    failed = failure_of(lambda: maywe.client.catalog.ListPublications(request_message))
    assert failed.code is grpc.StatusCode.INVALID_ARGUMENT


def test_validation_lists_every_fault_of_both_kinds(maywe: RunningMaywe) -> None:
    """Each fault has its path, and what it would do to a publication."""
    maywe.publish(catalog())
    faulty = catalog(zone="Mars/Olympus")
    faulty["wordings"][0]["text"] = "Something else."
    response = maywe.client.catalog.ValidateCatalog(
        catalog_pb2.ValidateCatalogRequest(document=json.dumps(faulty))
    )
    assert {(fault.path, fault.kind) for fault in response.faults} == {
        ("zone", catalog_pb2.FAULT_KIND_INVALID),
        ("wordings[0].text", catalog_pb2.FAULT_KIND_CONFLICT),
    }
    assert response.base_number == 1
    assert all(fault.problem and fault.remedy for fault in response.faults)


def test_validation_of_a_sound_document_finds_nothing(maywe: RunningMaywe) -> None:
    """And says that nothing is published yet."""
    response = maywe.client.catalog.ValidateCatalog(
        catalog_pb2.ValidateCatalogRequest(document=YAML_DOCUMENT)
    )
    assert not response.faults
    assert response.base_number == 0


def test_text_that_is_no_document_is_one_fault_with_its_place(maywe: RunningMaywe) -> None:
    """Validation shows it as a fault of the whole; publishing is refused with it."""
    request = catalog_pb2.ValidateCatalogRequest(document="zone: [1, 2")
    (fault,) = maywe.client.catalog.ValidateCatalog(request).faults
    assert fault.path == ""
    assert fault.problem.startswith("line 2, column 1: ")
    failed = failure_of(lambda: maywe.client.catalog.Publish(publish_request("zone: [1, 2")))
    assert (failed.code, failed.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "CATALOG_INVALID")


def test_a_faulty_document_is_refused_as_a_whole(maywe: RunningMaywe) -> None:
    """The status says which kind of fault is the worst; nothing is published."""
    maywe.publish(catalog(), "p1")
    changed = catalog()
    changed["wordings"][0]["text"] = "Something else."
    conflict = failure_of(lambda: maywe.client.catalog.Publish(publish_request(changed, "p2")))
    assert conflict.code is grpc.StatusCode.FAILED_PRECONDITION
    assert conflict.reason == "CATALOG_CONFLICT"
    assert conflict.metadata == {"field": "document", "fault_count": "1"}
    changed["zone"] = "Mars/Olympus"
    invalid = failure_of(lambda: maywe.client.catalog.Publish(publish_request(changed, "p2")))
    assert (invalid.code, invalid.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "CATALOG_INVALID")
    assert invalid.fields == ["zone", "wordings[0].text"]
    newest = maywe.client.catalog.GetCatalog(catalog_pb2.GetCatalogRequest())
    assert newest.publication.number == 1


def test_a_document_with_hundreds_of_faults_still_gives_an_answer(maywe: RunningMaywe) -> None:
    """Details are cut to what a trailer carries; the count says how many there were."""
    document = {"zone": "UTC", "purposes": [{"code": "Ж" * 500}] * 300}
    failed = failure_of(lambda: maywe.client.catalog.Publish(publish_request(document)))
    assert failed.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failed.metadata["fault_count"] == "300"
    assert 0 < len(failed.fields) < 300


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"publication_id": ""}, "publication_id"),
        ({"publisher": "x" * 129}, "publisher"),
        ({"comment": "x" * 1001}, "comment"),
        ({"expected_number": -1}, "expected_number"),
        ({"document": ""}, "document"),
        ({"document": "# " + "x" * 3 * 1024 * 1024}, "document"),
        ({"format": 77}, "format"),
    ],
)
def test_a_faulty_publication_names_the_field(
    maywe: RunningMaywe, change: dict[str, Any], field: str
) -> None:
    """Ids, texts, sizes and formats are checked before anything is recorded."""
    failed = failure_of(lambda: maywe.client.catalog.Publish(publish_request(catalog(), **change)))
    assert (failed.code, failed.fields) == (grpc.StatusCode.INVALID_ARGUMENT, [field])


def test_a_publication_sent_again_changes_nothing(maywe: RunningMaywe) -> None:
    """The same id with the same document is a repeat; with another it is taken."""
    first = maywe.client.catalog.Publish(publish_request(catalog(), "p1"))
    second = maywe.client.catalog.Publish(publish_request(catalog(), "p1"))
    assert (second.number, second.acknowledgement.repeat) == (first.number, True)
    failed = failure_of(
        lambda: maywe.client.catalog.Publish(publish_request(catalog(zone="UTC"), "p1"))
    )
    assert (failed.code, failed.reason) == (
        grpc.StatusCode.ALREADY_EXISTS,
        "PUBLICATION_ID_TAKEN",
    )


def test_a_publication_that_expected_another_newest_one_is_aborted(maywe: RunningMaywe) -> None:
    """0 expects none; the newest number is told."""
    maywe.client.catalog.Publish(publish_request(catalog(), "p1", expected_number=0))
    failed = failure_of(
        lambda: maywe.client.catalog.Publish(publish_request(catalog(), "p2", expected_number=0))
    )
    assert (failed.code, failed.reason) == (grpc.StatusCode.ABORTED, "PUBLICATION_OUTDATED")
    assert failed.metadata["newest_number"] == "1"
    maywe.client.catalog.Publish(publish_request(catalog(), "p2", expected_number=1))


def test_a_roll_out_ends_effective_with_its_counts(maywe: RunningMaywe) -> None:
    """Every person was looked at, and those who gained or lost are counted."""
    maywe.publish(catalog(), "p1")
    for number in range(3):
        maywe.client.writer.RecordPurchase(purchase(f"customer-{number}"))
    maywe.client.writer.RecordPurchase(purchase("unmatched", product_type="deposit"))
    number = maywe.publish(catalog(matrix=[]), "p2")
    rollout = maywe.client.catalog.GetPublication(
        catalog_pb2.GetPublicationRequest(number=number)
    ).rollout
    assert rollout.state == catalog_pb2.ROLLOUT_STATE_EFFECTIVE
    assert rollout.HasField("effective_at")
    assert rollout.pieces_done_count == rollout.pieces_count
    assert (rollout.customers_done_count, rollout.customers_count) == (4, 4)
    assert rollout.customers_changed_count == 3


def test_a_check_with_the_token_of_a_publication_follows_it(maywe: RunningMaywe) -> None:
    """Whether or not its roll-out has come by."""
    maywe.publish(catalog(), "p1")
    maywe.client.writer.RecordConsent(consent())
    corrected = catalog()
    corrected["wordings"][0]["grants"] = [{"purpose": "advertising", "channels": ["email"]}]
    published = maywe.client.catalog.Publish(publish_request(corrected, "p2"))
    answer = maywe.client.decision.MayContact(
        decision_pb2.MayContactRequest(
            customer_id="ivan",
            channel="email",
            purpose="advertising",
            token=published.acknowledgement.token,
        )
    )
    assert len(published.acknowledgement.token) <= 256
    assert (answer.verdict, answer.catalog_publication) == (common_pb2.VERDICT_ALLOW, 2)


def test_an_unknown_publication_is_not_found(maywe: RunningMaywe) -> None:
    """And a number that none can have is invalid."""
    unknown = failure_of(
        lambda: maywe.client.catalog.GetPublication(catalog_pb2.GetPublicationRequest(number=7))
    )
    assert (unknown.code, unknown.metadata["number"]) == (grpc.StatusCode.NOT_FOUND, "7")
    invalid = failure_of(
        lambda: maywe.client.catalog.GetPublication(catalog_pb2.GetPublicationRequest())
    )
    assert (invalid.code, invalid.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["number"])


def test_a_preview_counts_who_would_gain_and_lose_and_changes_nothing(
    maywe: RunningMaywe,
) -> None:
    """By scope and partner, with the customers to look at first who would lose."""
    maywe.publish(catalog(), "p1")
    bought_at = time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(time.time() - 100 * 86_400))
    maywe.client.writer.RecordPurchase(purchase("anna", purchased_at=bought_at))
    maywe.client.writer.RecordPurchase(
        purchase("boris", product_type="deposit", purchased_at=bought_at)
    )
    changed = catalog()
    changed["matrix"][0] |= {"product_type": "deposit"}
    preview = maywe.client.catalog.PreviewPublication(
        catalog_pb2.PreviewPublicationRequest(document=json.dumps(changed))
    )
    assert (preview.customer_count, preview.base_number) == (2, 1)
    assert (preview.gaining_count, preview.losing_count, preview.changed_count) == (1, 1, 2)
    assert [sample.customer_id for sample in preview.samples] == ["anna", "boris"]
    assert {
        scopes_of([effect.scope])[0]: (effect.gaining_count, effect.losing_count)
        for effect in preview.scopes
    } == dict.fromkeys(
        ("advertising/phone", "advertising/sms", "advertising/acme/contacts", "service"), (1, 1)
    )
    assert [(one.partner, one.changed_count) for one in preview.partners] == [("acme", 2)]
    assert (preview.unmatched_count_before, preview.unmatched_count_after) == (1, 1)
    newest = maywe.client.catalog.GetCatalog(catalog_pb2.GetCatalogRequest())
    assert newest.publication.number == 1


def test_a_preview_of_too_many_samples_is_refused(maywe: RunningMaywe) -> None:
    """The limit is named."""
    request = catalog_pb2.PreviewPublicationRequest(document=YAML_DOCUMENT, sample_size=101)
    failed = failure_of(lambda: maywe.client.catalog.PreviewPublication(request))
    assert (failed.code, failed.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["sample_size"])
    assert "100" in failed.message
