"""Lists of everybody to whom something is allowed, and of the events that wait, by chunks."""

from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from maywe.v1 import common_pb2, decision_pb2, event_pb2

from decision.events import Consent, Purchase, Revocation
from decision.instants import FOREVER, Instant, format_instant
from decision.products import Product
from decision.scopes import Scope, share
from decision.selectors import Selector
from service.servicers.listing import list_allowed as list_for_client
from store.clocks import wall_clock
from store.knowledge import draw_now
from store.listing import list_allowed
from store.unmatched import list_unmatched
from tests.integration.ledger_builders import (
    LONG_AGO,
    PHONE,
    SMS,
    Ledger,
    document,
)
from tests.integration.service_builders import revocation
from tests.running import RunningMaywe

pytestmark = pytest.mark.integration

HOUR: int = 3600 * 1_000_000
CONTACTS = share("advertising", "acme", "contacts")
SCORING = share("advertising", "acme", "scoring")


def chunks(
    ledger: Ledger,
    scopes: Sequence[Scope] = (PHONE,),
    at: Instant | None = None,
    size: int = 2,
) -> list[list[str]]:
    """The customers of each chunk of a list."""
    found: list[list[str]] = []
    after = 0
    while True:
        chunk = list_allowed(ledger.engine, ledger.catalogs, scopes, at, after, size)
        found.append(list(chunk.customer_ids))
        if chunk.is_last:
            return found
        after = chunk.next_after


def listed(
    ledger: Ledger, scopes: Sequence[Scope] = (PHONE,), at: Instant | None = None
) -> list[str]:
    """Everybody in a list, in its order."""
    return [customer_id for chunk in chunks(ledger, scopes, at) for customer_id in chunk]


def test_everybody_allowed_is_listed_once_in_chunks(ledger: Ledger) -> None:
    """No chunk is larger than asked, nobody is left out and nobody comes twice."""
    ids = [f"customer-{index}" for index in range(5)]
    for customer_id in ids:
        ledger.consent(customer_id)
    ledger.revoke("customer-3")
    found = chunks(ledger, size=2)
    assert max(map(len, found)) == 2
    assert sorted(one for chunk in found for one in chunk) == [
        one for one in ids if one != "customer-3"
    ]


def test_nobody_is_listed_of_an_empty_ledger(ledger: Ledger) -> None:
    """A list of nobody has one chunk, the last."""
    assert chunks(ledger) == [[]]


def test_a_list_is_of_the_instant_asked_about(ledger: Ledger) -> None:
    """Whoever's consent ends or begins later is listed for the instants at which it holds."""
    now = wall_clock()
    ledger.record("ann", Consent(LONG_AGO, "calls", "granted", expires_at=now + HOUR))
    ledger.record("bob", Consent(now + HOUR, "calls", "granted"))
    assert listed(ledger) == ["ann"]
    assert listed(ledger, at=now + HOUR - 1) == ["ann"]
    assert listed(ledger, at=now + HOUR) == ["bob"]


def test_an_instant_that_has_passed_means_now(ledger: Ledger) -> None:
    """What held in the past is not listed."""
    ledger.consent("ann")
    ledger.revoke("ann")
    assert listed(ledger, at=LONG_AGO) == []


def test_a_merged_person_is_listed_under_the_id_merged_into(ledger: Ledger) -> None:
    """A person of several ids is listed once."""
    ledger.consent("ann")
    ledger.consent("bob")
    ledger.merge("ann", "bob")
    assert listed(ledger) == ["bob"]
    ledger.split("ann")
    assert sorted(listed(ledger)) == ["ann", "bob"]


def test_a_list_goes_on_while_customers_change(ledger: Ledger) -> None:
    """What is recorded between two chunks counts for the chunks that follow."""
    for customer_id in ("ann", "bob", "cid", "dan"):
        ledger.consent(customer_id)
    first = list_allowed(ledger.engine, ledger.catalogs, [PHONE], None, 0, 2)
    assert list(first.customer_ids) == ["ann", "bob"]
    ledger.revoke("cid")
    ledger.merge("dan", "bob")
    ledger.consent("eve")
    following = list_allowed(ledger.engine, ledger.catalogs, [PHONE], None, first.next_after, 2)
    assert list(following.customer_ids) == ["eve"]


def sharing(**partner: str) -> dict[str, Any]:
    """A catalog in which `both` shares two data sets with a partner and `one` only contacts."""
    content = document()
    content["partners"] = [{"code": "acme", "name": "Acme"} | partner]
    content["datasets"] = [{"code": code, "name": code} for code in ("contacts", "scoring")]
    for code, datasets in (("both", ["contacts", "scoring"]), ("one", ["contacts"])):
        content["consent_types"].append({"code": code, "name": code})
        content["wordings"].append(
            {
                "consent_type": code,
                "version": 1,
                "text": "You may share.",
                "in_force_from": "2010-01-01T00:00:00Z",
                "term": "indefinite",
                "grants": [{"purpose": "advertising", "partners": ["acme"], "datasets": datasets}],
            }
        )
    return content


def share_with(ledger: Ledger, customer_id: str, consent_type: str) -> None:
    """Let a customer consent to sharing."""
    ledger.record(customer_id, Consent(LONG_AGO, consent_type, "granted"))


def test_several_data_sets_have_to_be_allowed_together(ledger: Ledger) -> None:
    """Only who allows every data set is listed, whichever is named first."""
    ledger.publish(sharing())
    share_with(ledger, "ann", "both")
    share_with(ledger, "bob", "one")
    share_with(ledger, "cid", "both")
    ledger.record("cid", Revocation(wall_clock(), Selector(dataset="scoring")))
    assert listed(ledger, [CONTACTS]) == ["ann", "bob", "cid"]
    assert listed(ledger, [CONTACTS, SCORING]) == ["ann"]
    assert listed(ledger, [SCORING, CONTACTS]) == ["ann"]


def test_nobody_is_listed_for_a_suspended_partner(ledger: Ledger) -> None:
    """From the beginning of a suspension the list is empty, before it is not."""
    start = wall_clock() + HOUR
    ledger.publish(sharing(suspended_from=format_instant(start)))
    share_with(ledger, "ann", "one")
    assert listed(ledger, [CONTACTS]) == ["ann"]
    assert listed(ledger, [CONTACTS], at=start) == []


def test_a_publication_counts_before_it_is_rolled_out(ledger: Ledger) -> None:
    """States of an older catalog are judged afresh: who gains is listed, who loses is not."""
    for customer_id in ("ann", "bob", "cid"):
        ledger.consent(customer_id)
    ledger.revoke("bob")
    ledger.publish(document(channels=("sms", "email")), rolled_out=False)
    ledger.consent("dan")
    email = PHONE._replace(channel="email")
    before = [listed(ledger, [scope]) for scope in (PHONE, SMS, email)]
    assert before == [[], ["ann", "cid", "dan"], ["ann", "cid", "dan"]]
    ledger.roll_out()
    assert [listed(ledger, [scope]) for scope in (PHONE, SMS, email)] == before


def purchase(ledger: Ledger, customer_id: str, product_type: str) -> str:
    """Let a customer buy something, and give the id of the event."""
    bought = Purchase(LONG_AGO, Product("ABS", product_type))
    return ledger.record(customer_id, bought).event.event_id


def waiting(ledger: Ledger, customer_id: str | None = None, size: int = 2) -> list[str]:
    """The events that wait for a publication, page by page."""
    until = draw_now(ledger.engine)
    found: list[str] = []
    after: Instant | None = -FOREVER
    while after is not None:
        page = list_unmatched(ledger.engine, ledger.catalogs, customer_id, after, until, size)
        assert len(page.events) <= size
        found += [one.recorded.event.event_id for one in page.events]
        after = page.next_after
    return found


def with_rows(*product_types: str) -> dict[str, Any]:
    """A catalog whose matrix has a row for each of these product types."""
    return document() | {
        "matrix": [
            {
                "id": product_type,
                "product_type": product_type,
                "in_force_from": "2010-01-01T00:00:00Z",
                "consent_types": ["calls"],
            }
            for product_type in product_types
        ]
    }


@pytest.mark.parametrize("rolled_out", [True, False])
def test_unmatched_purchases_follow_the_newest_catalog(ledger: Ledger, *, rolled_out: bool) -> None:
    """In the order recorded, also while the roll-out is under way; a match takes one off."""
    ledger.publish(with_rows("loan"))
    cards = [purchase(ledger, f"customer-{index}", "card") for index in range(3)]
    loans = [purchase(ledger, f"customer-{index}", "loan") for index in range(3)]
    assert waiting(ledger) == cards
    ledger.publish(with_rows("card"), rolled_out=rolled_out)
    later = purchase(ledger, "customer-1", "loan")
    assert waiting(ledger) == [*loans, later]
    assert waiting(ledger, "customer-1") == [loans[1], later]
    assert waiting(ledger, "nobody") == []


def contact_request(**fields: Any) -> decision_pb2.ListAllowedRequest:
    """A request to list whom we may phone."""
    question = common_pb2.ContactQuestion(purpose="advertising", channel="phone")
    return decision_pb2.ListAllowedRequest(**({"contact": question} | fields))


def record_consents(maywe: RunningMaywe, *customer_ids: str) -> None:
    """Publish a catalog and let customers consent to calls."""
    maywe.publish(document())
    for customer_id in customer_ids:
        maywe.client.writer.RecordConsent(
            event_pb2.RecordConsentRequest(
                event_id=f"consent of {customer_id}",
                customer_id=customer_id,
                obtained_at={"seconds": 1_600_000_000},
                consent_type="calls",
                value="granted",
            )
        )


def test_a_stream_ends_with_a_count_and_goes_on_from_a_cursor(maywe: RunningMaywe) -> None:
    """The end says how many were sent; another call goes on after any chunk."""
    record_consents(maywe, "ann", "bob", "cid")
    stream = list(maywe.client.decision.ListAllowed(contact_request(chunk_size=2)))
    ids = [one for message in stream for one in message.chunk.customer_ids]
    assert sorted(ids) == ["ann", "bob", "cid"]
    assert stream[-1].end.customer_count == 3
    rest = list(maywe.client.decision.ListAllowed(contact_request(cursor=stream[0].chunk.cursor)))
    assert [one for message in rest for one in message.chunk.customer_ids] == ids[2:]
    assert rest[-1].end.customer_count == 1


def test_who_was_revoked_before_a_chunk_was_sent_is_not_in_it(maywe: RunningMaywe) -> None:
    """However long ago the chunk before it was sent."""
    record_consents(maywe, "ann", "bob", "cid")
    stream = list_for_client(maywe.application, contact_request(chunk_size=1))
    assert list(next(stream).chunk.customer_ids) == ["ann"]
    for customer_id in ("cid", "bob"):
        answer = maywe.client.writer.Revoke(revocation(customer_id))
        assert answer.acknowledgement.durability == common_pb2.DURABILITY_EFFECTIVE
    assert [one for message in stream for one in message.chunk.customer_ids] == []


def test_a_cursor_of_another_question_is_refused(maywe: RunningMaywe) -> None:
    """A cursor belongs to its question, and has to be one."""
    record_consents(maywe, "ann")
    (chunk, _) = maywe.client.decision.ListAllowed(contact_request())
    by_sms = common_pb2.ContactQuestion(purpose="advertising", channel="sms")
    for request in (
        contact_request(contact=by_sms, cursor=chunk.chunk.cursor),
        contact_request(cursor="x"),
    ):
        assert refusal(maywe, request) == (grpc.StatusCode.INVALID_ARGUMENT, "cursor")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"chunk_size": 10_001}, "chunk_size"),
        ({"chunk_size": -1}, "chunk_size"),
        ({"token": "x"}, "token"),
        ({"at": {"seconds": 1_600_000_000}}, "at"),
        ({"contact": common_pb2.ContactQuestion(purpose="advertising")}, "channel"),
    ],
)
def test_a_faulty_request_is_refused(
    maywe: RunningMaywe, fields: dict[str, Any], field: str
) -> None:
    """The faulty field is named."""
    maywe.publish(document())
    request = contact_request(**fields)
    assert refusal(maywe, request) == (grpc.StatusCode.INVALID_ARGUMENT, field)


def test_a_stream_ends_when_the_caller_goes(maywe: RunningMaywe) -> None:
    """A cancelled list leaves no work behind: the next one is served."""
    record_consents(maywe, "ann", "bob", "cid")
    stream = maywe.client.decision.ListAllowed(contact_request(chunk_size=1))
    next(stream)
    stream.cancel()
    assert len(list(maywe.client.decision.ListAllowed(contact_request(chunk_size=1)))) > 1


def refusal(
    maywe: RunningMaywe, request: decision_pb2.ListAllowedRequest
) -> tuple[grpc.StatusCode, str]:
    """The status and the first field of a refused list."""
    with pytest.raises(grpc.RpcError) as refused:
        list(maywe.client.decision.ListAllowed(request))
    return refused.value.code(), (refused.value.details() or "").partition(":")[0]
