"""ConsentService through gRPC: the card, lists in pages, and the stream of changes."""

import threading
from collections.abc import Iterator
from typing import Any, Final

import grpc
import pytest
from maywe.v1 import common_pb2, consent_pb2, event_pb2

from decision.instants import Instant, parse_instant
from service.conversion.timestamps import timestamp
from store.retention import OutboxPruner
from tests.integration.ledger_builders import document
from tests.running import RunningMaywe

pytestmark = pytest.mark.integration

EARLY: Final = parse_instant("2024-01-01T00:00:00Z")
MIDDLE: Final = parse_instant("2025-01-01T00:00:00Z")
LATE: Final = parse_instant("2026-01-01T00:00:00Z")
FUTURE: Final = parse_instant("2100-01-01T00:00:00Z")


@pytest.fixture(autouse=True)
def _published(maywe: RunningMaywe) -> None:
    """A catalog in which `calls` grants contact by phone and SMS."""
    maywe.publish(document())


def consent(
    maywe: RunningMaywe,
    event_id: str = "c1",
    customer_id: str = "ann",
    at: Instant = EARLY,
    until: Instant | None = None,
    value: str = "granted",
) -> common_pb2.Acknowledgement:
    """Record an answer to the question for calls."""
    response = maywe.client.writer.RecordConsent(
        event_pb2.RecordConsentRequest(
            event_id=event_id,
            customer_id=customer_id,
            obtained_at=timestamp(at),
            consent_type="calls",
            value=value,
            expires_at=None if until is None else timestamp(until),
            source=common_pb2.Source(process="questionnaire"),
        )
    )
    return response.acknowledgement


def buy(maywe: RunningMaywe, event_id: str, customer_id: str = "ann") -> None:
    """Record a purchase that no matrix row matches."""
    maywe.client.writer.RecordPurchase(
        event_pb2.RecordPurchaseRequest(
            event_id=event_id,
            customer_id=customer_id,
            purchased_at=timestamp(EARLY),
            product=common_pb2.Product(product_type="card"),
        )
    )


def merge(maywe: RunningMaywe, from_id: str, into_id: str) -> None:
    """Let two customers be one person."""
    maywe.client.writer.MergeCustomers(
        event_pb2.MergeCustomersRequest(
            event_id=f"{from_id} into {into_id}", from_customer_id=from_id, into_customer_id=into_id
        )
    )


def card(maywe: RunningMaywe, **fields: Any) -> consent_pb2.GetConsentCardResponse:
    """Ann's card, now if nothing else is said."""
    return maywe.client.consent.GetConsentCard(
        consent_pb2.GetConsentCardRequest(**({"customer_id": "ann"} | fields))
    )


def test_the_card_of_an_unknown_customer_is_empty(maywe: RunningMaywe) -> None:
    """Nobody has no ids, no consents and nothing allowed."""
    empty = card(maywe)
    assert (empty.canonical_customer_id, list(empty.customer_ids)) == ("", [])
    assert (list(empty.consents), list(empty.allowed_scopes)) == ([], [])


def test_the_card_sums_up_several_sources(maywe: RunningMaywe) -> None:
    """Two consents of one type have one common term, under any id of the person."""
    consent(maywe, "c1", "ann", EARLY, LATE)
    consent(maywe, "c2", "bob", MIDDLE, FUTURE)
    merge(maywe, "ann", "bob")
    shown = card(maywe)
    assert shown.canonical_customer_id == "bob"
    assert list(shown.customer_ids) == ["ann", "bob"]
    (line,) = shown.consents
    assert line.status == consent_pb2.CONSENT_STATUS_IN_FORCE
    assert (line.term_from, line.term_until) == (timestamp(EARLY), timestamp(FUTURE))
    assert [(grant.event_id, grant.source.process) for grant in line.grants] == [
        ("c1", "questionnaire"),
        ("c2", "questionnaire"),
    ]
    assert [one.scope.channel for one in shown.allowed_scopes] == ["phone", "sms"]
    assert {one.basis.event_id for one in shown.allowed_scopes} == {"c2"}
    assert (shown.zone, shown.publication.number) == ("Europe/Moscow", 1)


def test_the_card_is_of_any_instant_and_any_knowledge(maywe: RunningMaywe) -> None:
    """The card shows what held at an instant, as far as was known at another."""
    known_at = consent(maywe, "c1", until=LATE).recorded_at
    consent(maywe, "c2", at=MIDDLE, value="refused")
    status = consent_pb2.ConsentStatus
    (line,) = card(maywe, valid_at=timestamp(MIDDLE - 1)).consents
    assert line.status == status.Value("CONSENT_STATUS_IN_FORCE")
    (line,) = card(maywe, valid_at=timestamp(MIDDLE)).consents
    assert line.status == status.Value("CONSENT_STATUS_ENDED")
    assert line.ended_by == common_pb2.REASON_CONSENT_REFUSED
    (line,) = card(maywe, valid_at=timestamp(MIDDLE), known_at=known_at).consents
    assert line.status == status.Value("CONSENT_STATUS_IN_FORCE")


def test_the_card_shows_restrictions_aside_of_consents(maywe: RunningMaywe) -> None:
    """A restriction leaves a consent in force, and its scopes not allowed."""
    consent(maywe)
    maywe.client.writer.Restrict(
        event_pb2.RestrictRequest(
            event_id="r1",
            customer_id="ann",
            kind="complaint",
            selector=common_pb2.Selector(all=True),
            effective_from=timestamp(EARLY),
        )
    )
    shown = card(maywe)
    assert shown.consents[0].status == consent_pb2.CONSENT_STATUS_IN_FORCE
    assert not shown.allowed_scopes
    assert [one.kind for one in shown.restrictions] == ["complaint"]


def event_id_of(recorded: event_pb2.RecordedEvent) -> str:
    """The id of whatever event it is."""
    event_id: str = getattr(recorded.event, recorded.event.WhichOneof("event") or "").event_id
    return event_id


def list_events(maywe: RunningMaywe, **fields: Any) -> list[list[str]]:
    """The ids of the events of each page."""
    pages: list[list[str]] = []
    request = consent_pb2.ListEventsRequest(**fields)
    while True:
        page = maywe.client.consent.ListEvents(request)
        pages.append([event_id_of(one) for one in page.events])
        request.page_token = page.next_page_token
        if not request.page_token:
            return pages


def test_events_are_listed_in_the_order_recorded(maywe: RunningMaywe) -> None:
    """Pages follow each other without gap or overlap, and the last one says so."""
    for event_id in ("c3", "c1", "c2", "c4"):
        consent(maywe, event_id)
    assert list_events(maywe, page_size=2) == [["c3", "c1"], ["c2", "c4"]]
    assert list_events(maywe) == [["c3", "c1", "c2", "c4"]]


def test_the_events_of_a_person_are_those_of_all_its_ids(maywe: RunningMaywe) -> None:
    """Merges and splits that name the person are listed, others' events are not."""
    consent(maywe, "c1", "ann")
    consent(maywe, "c2", "bob")
    consent(maywe, "c3", "cid")
    merge(maywe, "ann", "bob")
    expected = [["c1", "c2", "ann into bob"]]
    assert list_events(maywe, customer_id="ann") == expected
    assert list_events(maywe, customer_id="bob") == expected
    maywe.client.writer.SplitCustomer(
        event_pb2.SplitCustomerRequest(event_id="s1", customer_id="ann")
    )
    assert list_events(maywe, customer_id="bob") == [["c2", "ann into bob", "s1"]]
    assert list_events(maywe, customer_id="bob", page_size=1) == [["c2"], ["ann into bob"], ["s1"]]
    assert list_events(maywe, customer_id="nobody") == [[]]


def test_a_void_event_is_listed_as_void(maywe: RunningMaywe) -> None:
    """Void events stay in the list, with what voided them."""
    consent(maywe)
    maywe.client.writer.VoidEvent(
        event_pb2.VoidEventRequest(event_id="v1", voided_event_id="c1", cause="by mistake")
    )
    events = maywe.client.consent.ListEvents(consent_pb2.ListEventsRequest()).events
    assert [(event_id_of(one), one.voided_by_event_id) for one in events] == [
        ("c1", "v1"),
        ("v1", ""),
    ]


def list_unmatched(
    maywe: RunningMaywe, **fields: Any
) -> consent_pb2.ListUnmatchedPurchasesResponse:
    """A page of the events that wait for a publication."""
    return maywe.client.consent.ListUnmatchedPurchases(
        consent_pb2.ListUnmatchedPurchasesRequest(**fields)
    )


def test_unmatched_purchases_come_in_pages(maywe: RunningMaywe) -> None:
    """Each says why it waits, and void ones are left out."""
    for number in range(3):
        buy(maywe, f"p{number}")
    consent(maywe, "c1", at=parse_instant("2001-01-01T00:00:00Z"))
    maywe.client.writer.VoidEvent(
        event_pb2.VoidEventRequest(event_id="v1", voided_event_id="p1", cause="by mistake")
    )
    first = list_unmatched(maywe, page_size=2)
    assert [one.event.purchase.event_id for one in first.unmatched_purchases] == ["p0", "p2"]
    assert first.unmatched_purchases[0].cause == common_pb2.UNMATCHED_CAUSE_NO_MATRIX_ROW
    second = list_unmatched(maywe, page_size=2, page_token=first.next_page_token)
    (missed,) = second.unmatched_purchases
    assert missed.event.consent.event_id == "c1"
    assert missed.cause == common_pb2.UNMATCHED_CAUSE_NO_WORDING_IN_FORCE
    assert list(missed.consent_types_without_wording) == ["calls"]
    assert not second.next_page_token


@pytest.mark.parametrize(
    ("request_fields", "field"),
    [
        ({"page_size": 1001}, "page_size"),
        ({"page_size": -1}, "page_size"),
        ({"customer_id": ""}, "customer_id"),
        ({"page_token": "x"}, "page_token"),
    ],
)
def test_a_faulty_page_is_refused(
    maywe: RunningMaywe, request_fields: dict[str, Any], field: str
) -> None:
    """The faulty field is named, by both lists."""
    for ask in (list_events, list_unmatched):
        with pytest.raises(grpc.RpcError) as refused:
            ask(maywe, **request_fields)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert (refused.value.details() or "").startswith(f"{field}:")


def test_a_page_token_of_another_question_is_refused(maywe: RunningMaywe) -> None:
    """A token of everybody's events is none of one person's."""
    consent(maywe, "c1")
    consent(maywe, "c2")
    page = maywe.client.consent.ListEvents(consent_pb2.ListEventsRequest(page_size=1))
    with pytest.raises(grpc.RpcError, match="page_token"):
        maywe.client.consent.ListEvents(
            consent_pb2.ListEventsRequest(customer_id="ann", page_token=page.next_page_token)
        )


def watch(maywe: RunningMaywe, **fields: Any) -> Iterator[consent_pb2.WatchChangesResponse]:
    """Watch changes from now on, if nothing else is said."""
    stream: Iterator[consent_pb2.WatchChangesResponse] = maywe.client.consent.WatchChanges(
        consent_pb2.WatchChangesRequest(**fields)
    )
    return stream


def changes(
    stream: Iterator[consent_pb2.WatchChangesResponse], count: int
) -> list[consent_pb2.PermissionChange]:
    """The next changes, as many as were to come."""
    found: list[consent_pb2.PermissionChange] = []
    while len(found) < count:
        found += next(stream).changes
    assert len(found) == count
    return found


def test_a_heartbeat_comes_first(maywe: RunningMaywe) -> None:
    """At once there is a message without changes, with a cursor to go on from."""
    consent(maywe)
    first = next(watch(maywe))
    assert not first.changes
    assert first.cursor


def test_changes_are_told_as_they_are_recorded(maywe: RunningMaywe) -> None:
    """Each permission that an event changes is told with its cause and direction."""
    stream = watch(maywe)
    next(stream)
    acknowledged = consent(maywe)
    by_phone, by_sms = changes(stream, 2)
    assert (by_phone.change.scope.channel, by_sms.change.scope.channel) == ("phone", "sms")
    assert by_phone.change.direction == common_pb2.CHANGE_DIRECTION_WIDENED
    assert by_phone.change.before.reason == common_pb2.REASON_UNKNOWN_CUSTOMER
    assert by_phone.change.after.verdict == common_pb2.VERDICT_ALLOW
    assert (by_phone.cause, by_phone.event_id) == (consent_pb2.CHANGE_CAUSE_EVENT, "c1")
    assert by_phone.recorded_at == acknowledged.recorded_at
    assert by_phone.customer_id == "ann"
    assert by_phone.sequence == by_sms.sequence


def test_a_stream_goes_on_from_a_cursor(maywe: RunningMaywe) -> None:
    """What came after the cursor comes again, what came before it does not."""
    consent(maywe, "c1", "ann")
    stream = watch(maywe, from_oldest=True)
    next(stream)
    message = next(stream)
    assert {one.customer_id for one in message.changes} == {"ann"}
    consent(maywe, "c2", "bob")
    again = watch(maywe, cursor=message.cursor)
    assert {one.customer_id for one in changes(again, 2)} == {"bob"}


def test_a_publication_is_a_cause(maywe: RunningMaywe) -> None:
    """What a roll-out changes names the publication."""
    consent(maywe)
    stream = watch(maywe)
    next(stream)
    number = maywe.publish(document(channels=("phone",)))
    (change,) = changes(stream, 1)
    assert change.cause == consent_pb2.CHANGE_CAUSE_PUBLICATION
    assert (change.publication_number, change.event_id) == (number, "")
    assert change.change.direction == common_pb2.CHANGE_DIRECTION_NARROWED


def test_a_row_without_changes_moves_the_cursor_silently(maywe: RunningMaywe) -> None:
    """An event that changes no permission is not told of."""
    stream = watch(maywe)
    next(stream)
    buy(maywe, "p1")
    consent(maywe, "c1")
    assert {one.event_id for one in changes(stream, 2)} == {"c1"}


def test_a_cursor_whose_changes_were_pruned_is_refused(maywe: RunningMaywe) -> None:
    """Where the next change is gone nothing is passed over in silence."""
    cursor = next(watch(maywe)).cursor
    consent(maywe, "c1")
    consent(maywe, "c2", value="refused")
    with maywe.application.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM outbox WHERE seq = 1")
    stream = watch(maywe, cursor=cursor)
    with pytest.raises(grpc.RpcError) as refused:
        changes(stream, 1)
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    oldest = changes(watch(maywe, from_oldest=True), 2)
    assert {one.event_id for one in oldest} == {"c2"}


def test_whoever_is_past_what_was_pruned_goes_on(maywe: RunningMaywe) -> None:
    """And whoever is not is told; from the oldest means the oldest that is kept."""
    late = next(watch(maywe)).cursor
    consent(maywe, "c1")
    stream = watch(maywe, cursor=late)
    assert {one.event_id for one in changes(stream, 2)} == {"c1"}
    current = next(watch(maywe)).cursor
    maywe.wait_until_projected()
    application = maywe.application
    pruner = OutboxPruner(application.engine, application.cache, kept_seconds=0.0)
    assert pruner.run_pending(threading.Event()) == 1
    consent(maywe, "c2", value="refused")
    for one in (stream, watch(maywe, cursor=current), watch(maywe, from_oldest=True)):
        assert {found.event_id for found in changes(one, 2)} == {"c2"}
    with pytest.raises(grpc.RpcError) as refused:
        changes(watch(maywe, cursor=late), 1)
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"cursor": "x"}, "cursor"), ({"cursor": "x", "from_oldest": True}, "from_oldest")],
)
def test_a_faulty_watch_is_refused(maywe: RunningMaywe, fields: dict[str, Any], field: str) -> None:
    """The faulty field is named."""
    with pytest.raises(grpc.RpcError) as refused:
        next(watch(maywe, **fields))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert (refused.value.details() or "").startswith(f"{field}:")


def test_a_stream_ends_when_the_server_stops(maywe: RunningMaywe) -> None:
    """Whoever watches is sent to another server at once."""
    stream = watch(maywe)
    next(stream)
    maywe.application.stopping.set()
    with pytest.raises(grpc.RpcError) as ended:
        next(stream)
    assert ended.value.code() == grpc.StatusCode.UNAVAILABLE


def test_who_watches_takes_no_thread_of_the_checks(maywe: RunningMaywe) -> None:
    """With many watching, other calls are answered."""
    streams = [watch(maywe) for _ in range(20)]
    for stream in streams:
        next(stream)
    assert card(maywe).zone == "Europe/Moscow"
    is_told = [threading.Thread(target=changes, args=(stream, 2)) for stream in streams]
    for thread in is_told:
        thread.start()
    consent(maywe)
    for thread in is_told:
        thread.join()
