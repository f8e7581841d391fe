"""Audiences: each id in its place, and streams that hold neither memory nor work they need not."""

import threading
import time
from collections.abc import Iterator

import grpc
import pytest
from maywe.v1 import common_pb2, decision_pb2, event_pb2

from service.conversion.timestamps import timestamp
from service.servicers.decision import CHUNKS_AHEAD_MAX
from store.clocks import wall_clock
from tests.integration.service_builders import (
    at,
    catalog,
    consent,
    failure_of,
    new_id,
    revocation,
)
from tests.running import RunningMaywe

pytestmark = pytest.mark.integration

Request = decision_pb2.FilterAudienceRequest

SECOND = 1_000_000
SETTLED_POLLS = 20
POLL_SECONDS = 0.05
BOUND_SECONDS = 60.0
"""Against hanging; nothing is said about how fast anything is."""

CHUNKS_MAX = 20_000
LARGE_CHUNK = [f"{number}" for number in range(10_000)]


def question(**fields: object) -> Request:
    """Whether we may advertise by phone."""
    contact = common_pb2.ContactQuestion(purpose="advertising", channel="phone")
    asked = decision_pb2.AudienceQuestion(contact=contact)
    for name, value in fields.items():
        getattr(asked, name).CopyFrom(value)
    return Request(question=asked)


def chunk(*customer_ids: str) -> Request:
    """A chunk of an audience."""
    return Request(chunk=decision_pb2.AudienceChunk(customer_ids=customer_ids))


def reasons(maywe: RunningMaywe, *requests: Request) -> list[list[str]]:
    """The reasons given to each chunk, and that the counts at the end are theirs."""
    *answers, end = maywe.client.decision.FilterAudience(iter(requests))
    found = [
        [common_pb2.Reason.Name(reason).removeprefix("REASON_") for reason in one.verdicts.reasons]
        for one in answers
    ]
    told = {
        common_pb2.Reason.Name(one.reason).removeprefix("REASON_"): one.customer_count
        for one in end.end.counts
    }
    every = [reason for one in found for reason in one]
    assert told == {reason: every.count(reason) for reason in every}
    assert end.end.customer_count == len(every)
    return found


def test_each_id_is_answered_in_its_place(maywe: RunningMaywe) -> None:
    """Known and unknown ones, one that stands twice, and two ids of one person."""
    maywe.publish(catalog(wordings=[lasting(catalog()["wordings"][0])]))
    maywe.client.writer.RecordConsent(consent("ann"))
    maywe.client.writer.RecordConsent(consent("boris"))
    maywe.client.writer.Revoke(revocation("boris"))
    maywe.client.writer.MergeCustomers(
        event_pb2.MergeCustomersRequest(
            event_id=new_id(), from_customer_id="anna", into_customer_id="ann"
        )
    )
    maywe.wait_until_projected()
    asked = ["nobody", "ann", "boris", "ann", "anna", "somebody", "boris"]
    unknown, allowed, revoked = "UNKNOWN_CUSTOMER", "ALLOWED", "CONSENT_REVOKED"
    expected = [unknown, allowed, revoked, allowed, allowed, unknown, revoked]
    assert reasons(maywe, question(), chunk(*asked), chunk("ann")) == [expected, [allowed]]


def lasting(wording: dict[str, object]) -> dict[str, object]:
    """A wording without an end."""
    return wording | {"term": "indefinite"}


def test_a_permission_that_ends_meanwhile_is_judged_when_its_chunk_is(
    maywe: RunningMaywe,
) -> None:
    """Two chunks of one stream, with the end of the term between them."""
    maywe.publish(catalog())
    ends_at = wall_clock() + 3 * SECOND
    request = consent("ann")
    request.expires_at.CopyFrom(timestamp(ends_at))
    maywe.client.writer.RecordConsent(request)
    maywe.wait_until_projected()
    may_send = threading.Event()

    def requests() -> Iterator[Request]:
        yield question()
        yield chunk("ann")
        may_send.wait(BOUND_SECONDS)
        yield chunk("ann")

    answers = maywe.client.decision.FilterAudience(requests())
    first = next(answers).verdicts
    assert list(first.verdicts) == [common_pb2.VERDICT_ALLOW]
    while wall_clock() <= ends_at:
        time.sleep(POLL_SECONDS)
    may_send.set()
    second = next(answers).verdicts
    assert list(second.reasons) == [common_pb2.REASON_CONSENT_EXPIRED]
    assert second.decided_at.ToMicroseconds() >= ends_at


def test_an_instant_to_come_is_asked_for_all(maywe: RunningMaywe) -> None:
    """The same instant for every chunk, and the suspension of then."""
    maywe.publish(catalog())
    maywe.client.writer.RecordConsent(consent("ann", obtained_at="2024-05-01T00:00:00Z"))
    maywe.wait_until_projected()
    later = question(at=at("2100-01-01T00:00:00Z"))
    assert reasons(maywe, later, chunk("ann")) == [["CONSENT_EXPIRED"]]


def test_a_faulty_id_ends_the_stream_and_answers_before_it_stand(maywe: RunningMaywe) -> None:
    """It is named by its place in its chunk."""
    maywe.publish(catalog())
    requests = [question(), chunk("ann"), chunk("boris", "b\x00ris")]
    answers = maywe.client.decision.FilterAudience(iter(requests))
    assert len(next(answers).verdicts.reasons) == 1
    failed = failure_of(lambda: answers)
    assert failed.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failed.fields == ["chunk.customer_ids[1]"]


class UnreadStream:
    """A client that sends chunk after chunk and reads no answer unless told to."""

    def __init__(self, maywe: RunningMaywe) -> None:
        """Begin to send."""
        self.sent_count = 0
        self.answers = maywe.client.decision.FilterAudience(self._requests())

    def _requests(self) -> Iterator[Request]:
        yield question()
        message = chunk(*LARGE_CHUNK)
        for number in range(CHUNKS_MAX):
            self.sent_count = number
            yield message

    def settle(self) -> int:
        """Wait until no more is taken from the client, and tell how much was."""
        deadline = time.monotonic() + BOUND_SECONDS
        polls_alike = 0
        before = self.sent_count
        while polls_alike < SETTLED_POLLS and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            polls_alike = polls_alike + 1 if self.sent_count == before else 0
            before = self.sent_count
        return before


def readers_ahead() -> list[threading.Thread]:
    """The threads that prepare chunks of streams, of servers in this process."""
    return [one for one in threading.enumerate() if one.name == "maywe reading ahead"]


def test_who_does_not_read_is_not_read_from(maywe: RunningMaywe) -> None:
    """The server takes no more chunks than it has answers taken for, and goes on where it was."""
    maywe.publish(catalog())
    stream = UnreadStream(maywe)
    held_at = stream.settle()
    assert held_at < CHUNKS_MAX - 1
    for _ in range(held_at + 1):
        assert len(next(stream.answers).verdicts.reasons) == len(LARGE_CHUNK)
    assert stream.settle() > held_at
    stream.answers.cancel()


def test_a_cancelled_stream_stops_the_work(maywe: RunningMaywe) -> None:
    """Nothing more is taken from the client, and the thread that read ahead is gone."""
    maywe.publish(catalog())
    stream = UnreadStream(maywe)
    next(stream.answers)
    assert len(readers_ahead()) == CHUNKS_AHEAD_MAX
    stream.answers.cancel()
    deadline = time.monotonic() + BOUND_SECONDS
    while readers_ahead() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    assert readers_ahead() == []
    assert stream.settle() < CHUNKS_MAX - 1
