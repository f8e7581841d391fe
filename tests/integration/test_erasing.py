"""Erasing a customer over gRPC: nothing personal is left anywhere, and the proof is."""

import threading
from collections.abc import Iterator

import grpc
import pytest
import redis
from maywe.v1 import common_pb2, consent_pb2, event_pb2, writer_pb2
from sqlalchemy import select, update

from service import erasing as service_erasing
from store.schema import erasure
from store.verifying import verify
from tests.integration.chain_verifier import faults, load
from tests.integration.erasing_builders import (
    ANNA,
    ANNA_TOO,
    BORIS,
    CONTRACT,
    PERSONAL,
    erase,
    left_of,
    live_a_life,
    may_sms,
)
from tests.integration.service_builders import (
    catalog,
    consent,
    failure_of,
    new_id,
    revocation,
)
from tests.running import RunningMaywe

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("nobody_watches")]


def test_nothing_personal_is_left_anywhere(maywe: RunningMaywe, client: redis.Redis) -> None:
    """Not an id, a contract, a document, a clerk or a cause, in any column, key or value."""
    live_a_life(maywe)
    may_sms(maywe, ANNA)
    maywe.wait_until_projected()
    assert len(left_of(maywe, client, *PERSONAL)) >= len(PERSONAL)
    response = erase(maywe)
    assert response.progress == writer_pb2.ERASURE_PROGRESS_COMPLETE
    assert response.acknowledgement.durability == common_pb2.DURABILITY_EFFECTIVE
    assert response.customer_id_count == 2
    assert response.naming_event_id_count == 0
    assert left_of(maywe, client, *PERSONAL) == []
    assert left_of(maywe, client, BORIS) == [f"{BORIS} in PostgreSQL", f"{BORIS} in Redis"]


def test_the_proof_is_left(maywe: RunningMaywe) -> None:
    """Every event is still there, chained as before, with its commitment and what happened when."""
    live_a_life(maywe)
    before = load(maywe.application.engine)["event"]
    erase(maywe)
    stored = load(maywe.application.engine)
    assert faults(stored) == []
    after = [row for row in stored["event"] if row["kind"] != "erasure"]
    assert after == before
    assert len(stored["event"]) == len(before) + 1


def test_an_erasure_whose_completion_is_taken_back_is_found(maywe: RunningMaywe) -> None:
    """When data was destroyed is part of the proof (152-FZ, article 21)."""
    live_a_life(maywe)
    event_id = erase(maywe).event_id
    engine, url = maywe.application.engine, maywe.application.stores.addresses.postgres_url
    assert verify(engine, url).faults == []
    with engine.begin() as connection:
        connection.execute(update(erasure).values(completed_at=None))
    assert [fault.event_id for fault in verify(engine, url).faults] == [event_id]


def test_whoever_is_erased_is_answered_as_unknown(maywe: RunningMaywe) -> None:
    """By checks of every way, with the token of the erasure too; so are cards and explanations."""
    live_a_life(maywe)
    assert may_sms(maywe, ANNA).verdict == common_pb2.VERDICT_ALLOW
    token = erase(maywe).acknowledgement.token
    for customer_id in (ANNA, ANNA_TOO, "never-there"):
        for given in ("", token):
            answer = may_sms(maywe, customer_id, given)
            assert answer.reason == common_pb2.REASON_UNKNOWN_CUSTOMER
            assert answer.state_version == 0
        card = maywe.client.consent.GetConsentCard(
            consent_pb2.GetConsentCardRequest(customer_id=customer_id)
        )
        assert not card.consents
        listed = maywe.client.consent.ListEvents(
            consent_pb2.ListEventsRequest(customer_id=customer_id)
        )
        assert not listed.events
    assert may_sms(maywe, BORIS).verdict == common_pb2.VERDICT_ALLOW


def test_events_still_count_for_statistics(maywe: RunningMaywe) -> None:
    """They are listed among everybody's with kinds and instants, and name nobody."""
    live_a_life(maywe)
    erase(maywe)
    listed = maywe.client.consent.ListEvents(consent_pb2.ListEventsRequest()).events
    kinds = [recorded.event.WhichOneof("event") for recorded in listed]
    assert kinds.count("purchase") == 2
    assert kinds[-1] == "erasure"
    shown = "".join(str(recorded) for recorded in listed)
    assert not any(personal in shown for personal in (ANNA, CONTRACT))


def test_an_erasure_is_repeated_safely(maywe: RunningMaywe) -> None:
    """By the same event id and by another; the second finds nothing to remove."""
    live_a_life(maywe)
    first = erase(maywe, event_id="erasure-1")
    assert first.event_id == "erasure-1"
    again = erase(maywe, event_id="erasure-1")
    assert again.progress == writer_pb2.ERASURE_PROGRESS_COMPLETE
    assert not again.HasField("acknowledgement")
    other = erase(maywe, event_id="erasure-2")
    assert other.progress == writer_pb2.ERASURE_PROGRESS_NOTHING_HELD
    assert erase(maywe, "never-there").progress == writer_pb2.ERASURE_PROGRESS_NOTHING_HELD
    with maywe.application.engine.connect() as connection:
        assert len(connection.execute(select(erasure)).all()) == 1


def test_the_id_may_come_again_as_somebody_new(maywe: RunningMaywe) -> None:
    """They start with nothing, and what they consent to counts, in Redis too."""
    live_a_life(maywe)
    erase(maywe)
    maywe.client.writer.RecordConsent(consent(ANNA, value="asked_later"))
    assert may_sms(maywe, ANNA).reason == common_pb2.REASON_NO_CONSENT
    given = maywe.client.writer.RecordConsent(consent(ANNA))
    maywe.wait_until_projected()
    assert may_sms(maywe, ANNA).verdict == common_pb2.VERDICT_ALLOW
    assert may_sms(maywe, ANNA, given.acknowledgement.token).verdict == common_pb2.VERDICT_ALLOW
    assert may_sms(maywe, ANNA_TOO).reason == common_pb2.REASON_UNKNOWN_CUSTOMER
    [entry] = maywe.application.cache.read([ANNA])
    assert entry.header is not None
    assert entry.header.is_known
    # And may go again.
    assert erase(maywe).progress == writer_pb2.ERASURE_PROGRESS_COMPLETE
    assert may_sms(maywe, ANNA).reason == common_pb2.REASON_UNKNOWN_CUSTOMER


def test_an_erased_event_sent_again_is_refused(maywe: RunningMaywe) -> None:
    """Nobody can tell whether it is the same, and as a repeat it would count for nobody."""
    maywe.publish(catalog())
    sent = revocation(ANNA)
    maywe.client.writer.Revoke(sent)
    erase(maywe, event_id="gone")
    failed = failure_of(lambda: maywe.client.writer.Revoke(sent))
    assert (failed.code, failed.reason) == (grpc.StatusCode.ALREADY_EXISTS, "EVENT_ERASED")
    # Also the erasure, once the id is somebody else's: they are not erased.
    maywe.client.writer.RecordConsent(consent(ANNA))
    failed = failure_of(lambda: erase(maywe, event_id="gone"))
    assert failed.reason == "EVENT_ID_TAKEN"
    voiding = event_pb2.VoidEventRequest(
        event_id=new_id(), voided_event_id=sent.event_id, cause="mistake"
    )
    failed = failure_of(lambda: maywe.client.writer.VoidEvent(voiding))
    assert (failed.code, failed.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "CUSTOMER_ERASED",
    )


def test_who_watches_hears_that_permissions_end(
    maywe: RunningMaywe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before there is no id any more to tell them by."""
    monkeypatch.setattr(service_erasing, "WATCHED_SECONDS", 2.0)
    live_a_life(maywe)
    watching = maywe.client.consent.WatchChanges(consent_pb2.WatchChangesRequest(), timeout=60)
    heard: set[str] = set()

    def listen() -> None:
        for response in watching:
            heard.update(change.customer_id for change in response.changes)
            if heard >= {ANNA, ANNA_TOO}:
                return

    # The first message says from where on it is watched.
    next(watching)
    listener = threading.Thread(target=listen)
    listener.start()
    response = erase(maywe)
    assert response.progress == writer_pb2.ERASURE_PROGRESS_COMPLETE
    listener.join(60)
    watching.cancel()
    assert heard == {ANNA, ANNA_TOO}


def test_half_a_person_is_not_erased(maywe: RunningMaywe) -> None:
    """Who has several ids goes whole or, after a split, by themselves."""
    live_a_life(maywe)
    failed = failure_of(lambda: erase(maywe, with_merged=False))
    assert (failed.code, failed.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SEVERAL_IDS")
    assert failed.metadata["other_count"] == "1"
    assert may_sms(maywe, ANNA).verdict == common_pb2.VERDICT_ALLOW
    maywe.client.writer.SplitCustomer(
        event_pb2.SplitCustomerRequest(event_id=new_id(), customer_id=ANNA_TOO)
    )
    assert erase(maywe, with_merged=False).progress == writer_pb2.ERASURE_PROGRESS_COMPLETE
    assert may_sms(maywe, ANNA).reason == common_pb2.REASON_UNKNOWN_CUSTOMER
    assert may_sms(maywe, ANNA_TOO).verdict == common_pb2.VERDICT_ALLOW


def test_an_import_can_not_erase(maywe: RunningMaywe) -> None:
    """An erasure in a file of events is rejected, and does nothing."""
    maywe.publish(catalog())
    maywe.client.writer.RecordConsent(consent(ANNA))
    item = writer_pb2.ImportItem(
        position=1,
        event=event_pb2.Event(
            erasure=event_pb2.EraseCustomerRequest(event_id=new_id(), customer_id=ANNA)
        ),
    )

    def requests() -> Iterator[writer_pb2.ImportEventsRequest]:
        yield writer_pb2.ImportEventsRequest(start=writer_pb2.ImportStart(import_id="file"))
        yield writer_pb2.ImportEventsRequest(chunk=writer_pb2.ImportChunk(items=[item]))

    responses = list(maywe.client.writer.ImportEvents(requests()))
    assert [rejected.field for rejected in responses[1].progress.rejected] == ["erasure"]
    assert may_sms(maywe, ANNA).verdict == common_pb2.VERDICT_ALLOW


def test_event_ids_that_name_the_customer_are_counted(maywe: RunningMaywe) -> None:
    """They can not be changed, so whoever asked for the erasure has to know."""
    maywe.publish(catalog())
    maywe.client.writer.RecordConsent(consent(ANNA, event_id=f"consent-of-{ANNA}"))
    assert erase(maywe).naming_event_id_count == 1
