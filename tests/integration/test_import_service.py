"""ImportEvents over gRPC: settled chunk by chunk, resumable, counted to the last event."""

from collections.abc import Iterable, Iterator, Sequence
from queue import Queue

import grpc
import pytest
from google.rpc import code_pb2
from maywe.v1 import common_pb2, decision_pb2, errors_pb2, event_pb2, writer_pb2

from tests.integration.service_builders import (
    catalog,
    consent,
    failure,
    failure_of,
    purchase,
    revocation,
)
from tests.running import RunningMaywe

pytestmark = pytest.mark.integration

Events = Iterable[tuple[int, event_pb2.Event]]


def start(import_id: str = "history") -> writer_pb2.ImportEventsRequest:
    """The first message."""
    return writer_pb2.ImportEventsRequest(start=writer_pb2.ImportStart(import_id=import_id))


def chunk(events: Events) -> writer_pb2.ImportEventsRequest:
    """A message with events at their positions."""
    return writer_pb2.ImportEventsRequest(
        chunk=writer_pb2.ImportChunk(
            items=[
                writer_pb2.ImportItem(position=position, event=event) for position, event in events
            ]
        )
    )


def bought(customer_id: str, event_id: str = "", number: str = "001") -> event_pb2.Event:
    """A purchase as an event of an import."""
    return event_pb2.Event(purchase=purchase(customer_id, event_id=event_id, number=number))


def run_import(
    maywe: RunningMaywe, *messages: writer_pb2.ImportEventsRequest
) -> list[writer_pb2.ImportEventsResponse]:
    """Send messages and give all answers."""
    return list(maywe.client.writer.ImportEvents(iter(messages)))


def counts(message: writer_pb2.ImportCounts) -> tuple[int, int, int]:
    """Accepted, repeated, rejected."""
    return (message.accepted_count, message.repeated_count, message.rejected_count)


def may_sms(maywe: RunningMaywe, customer_id: str) -> common_pb2.Reason:
    """The reason with which a check for advertising by SMS is answered."""
    request = decision_pb2.MayContactRequest(
        customer_id=customer_id, channel="sms", purpose="advertising"
    )
    return maywe.client.decision.MayContact(request).reason


def test_an_import_answers_resume_progress_and_summary(maywe: RunningMaywe) -> None:
    """Every chunk is answered in the order sent, and the summary comes last."""
    maywe.publish(catalog())
    resume, first, second, summary = run_import(
        maywe,
        start(),
        chunk((position, bought(f"c{position}")) for position in range(1, 101)),
        chunk([(105, bought("c105")), (200, bought("c200"))]),
    )
    assert resume.resume.next_position == 1
    assert (first.progress.through_position, counts(first.progress.counts)) == (100, (100, 0, 0))
    assert first.progress.durability == common_pb2.DURABILITY_EFFECTIVE
    assert (second.progress.through_position, counts(second.progress.counts)) == (200, (2, 0, 0))
    assert (summary.summary.through_position, counts(summary.summary.counts)) == (200, (102, 0, 0))
    assert summary.summary.durability == common_pb2.DURABILITY_EFFECTIVE


def test_every_import_is_given_the_key_of_its_installation(maywe: RunningMaywe) -> None:
    """32 bytes, the same whichever import it is and when it goes on."""
    keys = {run_import(maywe, start(import_id))[0].resume.event_id_key for import_id in "aba"}
    assert [len(key) for key in keys] == [32]


def test_an_import_of_nothing_is_settled_through_nothing(maywe: RunningMaywe) -> None:
    """Its summary says 0."""
    _, summary = run_import(maywe, start())
    assert summary.summary.through_position == 0
    assert counts(summary.summary.counts) == (0, 0, 0)


def test_a_faulty_event_is_rejected_by_itself(maywe: RunningMaywe) -> None:
    """With its position, the status of its own call, the reason and the field."""
    maywe.publish(catalog())
    maywe.client.writer.RecordPurchase(purchase("olga", event_id="taken"))
    faulty_consent = consent()
    faulty_consent.consent_type = "telepathy"
    revoked = revocation(channel="")
    void = event_pb2.VoidEventRequest(event_id="v", voided_event_id="nothing", cause="x")
    _, progress, _ = run_import(
        maywe,
        start(),
        chunk(
            [
                (1, bought("ivan")),
                (2, event_pb2.Event(consent=faulty_consent)),
                (3, bought("olga", event_id="taken", number="other")),
                (4, event_pb2.Event()),
                (5, event_pb2.Event(revocation=revoked)),
                (6, event_pb2.Event(voiding=void)),
                (7, bought("anna")),
            ]
        ),
    )
    assert counts(progress.progress.counts) == (2, 0, 5)
    assert [
        (rejection.position, rejection.code, rejection.reason, rejection.field)
        for rejection in progress.progress.rejected
    ] == [
        (2, code_pb2.INVALID_ARGUMENT, errors_pb2.ERROR_REASON_FIELD_INVALID, "consent_type"),
        (3, code_pb2.ALREADY_EXISTS, errors_pb2.ERROR_REASON_EVENT_ID_TAKEN, "event_id"),
        (4, code_pb2.INVALID_ARGUMENT, errors_pb2.ERROR_REASON_FIELD_INVALID, "event"),
        (5, code_pb2.INVALID_ARGUMENT, errors_pb2.ERROR_REASON_FIELD_INVALID, "selector.channel"),
        (6, code_pb2.NOT_FOUND, errors_pb2.ERROR_REASON_EVENT_NOT_FOUND, "voided_event_id"),
    ]
    assert all(rejection.message for rejection in progress.progress.rejected)
    maywe.wait_until_projected()
    assert may_sms(maywe, "anna") == common_pb2.REASON_ALLOWED


def test_an_id_that_can_not_be_kept_is_rejected_by_itself(maywe: RunningMaywe) -> None:
    """PostgreSQL has no text with a NUL; what else is in the chunk is recorded."""
    maywe.publish(catalog())
    events = [bought("ivan", event_id="a\0b"), bought("ol\0ga"), bought("anna")]
    _, progress, _ = run_import(maywe, start(), chunk(enumerate(events, start=1)))
    assert counts(progress.progress.counts) == (1, 0, 2)
    assert [
        (rejection.position, rejection.code, rejection.field)
        for rejection in progress.progress.rejected
    ] == [
        (1, code_pb2.INVALID_ARGUMENT, "event_id"),
        (2, code_pb2.INVALID_ARGUMENT, "customer_id"),
    ]
    maywe.wait_until_projected()
    assert may_sms(maywe, "anna") == common_pb2.REASON_ALLOWED


def test_an_import_goes_on_where_it_stopped(maywe: RunningMaywe) -> None:
    """The second stream is told where, with the counts so far; the totals count each event once."""
    maywe.publish(catalog())
    events = [(position, bought(f"c{position}", f"e{position}")) for position in range(1, 11)]
    run_import(maywe, start(), chunk(events[:4]))
    resume, progress, summary = run_import(maywe, start(), chunk(events[4:]))
    assert resume.resume.next_position == 5
    assert counts(resume.resume.counts) == (4, 0, 0)
    assert counts(progress.progress.counts) == (6, 0, 0)
    assert counts(summary.summary.counts) == (10, 0, 0)


def test_positions_sent_again_are_counted_as_repeated_and_not_looked_at(
    maywe: RunningMaywe,
) -> None:
    """In the chunk's counts, which add up to its items, and not in the totals a second time."""
    maywe.publish(catalog())
    run_import(maywe, start(), chunk([(1, bought("a", "e1")), (2, bought("b", "e2"))]))
    _, progress, summary = run_import(
        maywe, start(), chunk([(1, event_pb2.Event()), (2, bought("b", "e2")), (3, bought("c"))])
    )
    assert counts(progress.progress.counts) == (1, 2, 0)
    assert counts(summary.summary.counts) == (3, 0, 0)


def test_events_recorded_before_a_crash_are_repeated_and_never_doubled(
    maywe: RunningMaywe,
) -> None:
    """Recorded, but their progress not written: the next stream meets them again."""
    maywe.publish(catalog())
    maywe.client.writer.RecordPurchase(purchase("a", event_id="e1"))
    _, progress, _ = run_import(
        maywe, start(), chunk([(1, bought("a", "e1")), (2, bought("b", "e2"))])
    )
    assert counts(progress.progress.counts) == (1, 1, 0)


def test_the_first_of_two_events_with_one_id_has_it(maywe: RunningMaywe) -> None:
    """Whatever shards their customers are on: the order of the import decides."""
    maywe.publish(catalog())
    events = [(1, bought("x"))]
    for number in range(20):
        events.append((2 * number + 2, bought(f"first-{number}", f"e{number}")))
        events.append((2 * number + 3, bought(f"second-{number}", f"e{number}")))
    _, progress, _ = run_import(maywe, start(), chunk(events))
    assert [rejection.position for rejection in progress.progress.rejected] == list(range(3, 43, 2))


def test_merges_and_voids_keep_their_place_among_the_events(maywe: RunningMaywe) -> None:
    """A void after its event finds it, and what follows a merge is recorded after it."""
    maywe.publish(catalog())
    merge = event_pb2.MergeCustomersRequest(
        event_id="m", from_customer_id="olga-2", into_customer_id="olga"
    )
    void = event_pb2.VoidEventRequest(event_id="v", voided_event_id="e1", cause="twice")
    split = event_pb2.SplitCustomerRequest(event_id="s", customer_id="olga-2")
    _, progress, _ = run_import(
        maywe,
        start(),
        chunk(
            [
                (1, bought("olga-2", "e1")),
                (2, event_pb2.Event(merge=merge)),
                (3, event_pb2.Event(voiding=void)),
                (4, bought("olga-2", "e2")),
                (5, event_pb2.Event(split=split)),
            ]
        ),
    )
    assert counts(progress.progress.counts) == (5, 0, 0)
    maywe.wait_until_projected()
    assert may_sms(maywe, "olga") == common_pb2.REASON_NO_CONSENT
    assert may_sms(maywe, "olga-2") == common_pb2.REASON_ALLOWED


@pytest.mark.parametrize(
    ("messages", "expected", "received"),
    [
        ([], "start", "the end"),
        ([chunk([(1, bought("a"))])], "start", "chunk"),
        ([writer_pb2.ImportEventsRequest()], "start", "an empty message"),
        ([start(), start()], "chunk", "start"),
    ],
)
def test_a_message_out_of_order_ends_the_stream(
    maywe: RunningMaywe,
    messages: Sequence[writer_pb2.ImportEventsRequest],
    expected: str,
    received: str,
) -> None:
    """What was expected and what came is told."""
    failed = failure_of(lambda: maywe.client.writer.ImportEvents(iter(messages)))
    assert (failed.code, failed.reason) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "STREAM_OUT_OF_ORDER",
    )
    assert failed.metadata == {"expected": expected, "received": received}


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([start("")], "start.import_id"),
        ([start("x" * 129)], "start.import_id"),
        ([start(), chunk([])], "chunk.items"),
        ([start(), chunk((n, event_pb2.Event()) for n in range(1, 5002))], "chunk.items"),
        ([start(), chunk([(0, bought("a"))])], "chunk.items[0].position"),
        ([start(), chunk([(2, bought("a")), (2, bought("b"))])], "chunk.items[1].position"),
        (
            [start(), chunk([(5, bought("a"))]), chunk([(5, bought("b"))])],
            "chunk.items[0].position",
        ),
    ],
)
def test_a_faulty_message_names_the_field(
    maywe: RunningMaywe, messages: Sequence[writer_pb2.ImportEventsRequest], field: str
) -> None:
    """Ids, sizes of chunks and positions that do not rise."""
    failed = failure_of(lambda: maywe.client.writer.ImportEvents(iter(messages)))
    assert (failed.code, failed.fields) == (grpc.StatusCode.INVALID_ARGUMENT, [field])


def test_only_one_stream_works_on_an_import(maywe: RunningMaywe) -> None:
    """Another is aborted while the first is open, and may go on when it has ended."""
    messages: Queue[writer_pb2.ImportEventsRequest | None] = Queue()

    def sent() -> Iterator[writer_pb2.ImportEventsRequest]:
        while (message := messages.get()) is not None:
            yield message

    first = maywe.client.writer.ImportEvents(sent())
    messages.put(start())
    assert next(first).WhichOneof("part") == "resume"
    failed = failure_of(lambda: maywe.client.writer.ImportEvents(iter([start()])))
    assert (failed.code, failed.reason) == (grpc.StatusCode.ABORTED, "IMPORT_IN_PROGRESS")
    assert failed.metadata == {"import_id": "history"}
    assert len(run_import(maywe, start("another"))) == 2
    messages.put(None)
    assert next(first).WhichOneof("part") == "summary"
    assert next(first, None) is None
    assert len(run_import(maywe, start())) == 2


def test_a_stream_that_is_cancelled_gives_the_import_free(maywe: RunningMaywe) -> None:
    """So that the next one does not wait for anybody."""
    messages: Queue[writer_pb2.ImportEventsRequest] = Queue()
    messages.put(start())
    first = maywe.client.writer.ImportEvents(iter(messages.get, None))
    next(first)
    first.cancel()
    while (answered := _try_import(maywe)) == "IMPORT_IN_PROGRESS":
        # The server notices the cancellation a moment later.
        pass
    assert answered == "summary"


def _try_import(maywe: RunningMaywe) -> str:
    """Open and end a stream; give its last message, or why it was refused."""
    try:
        return run_import(maywe, start())[-1].WhichOneof("part") or ""
    except grpc.RpcError as error:
        return failure(error).reason
