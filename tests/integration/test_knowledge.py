"""What was known at an instant: who was whom, which events counted, and when that is settled."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, Engine, text

from decision.errors import InvalidArgumentError
from decision.events import Purchase, Void
from decision.instants import Instant
from decision.products import Product
from store import knowledge
from store.database import CATALOG_LOCK, draw_recorded_instants, reading
from store.knowledge import Knowledge, draw_now, wait_for_everybody, wait_for_person
from store.sharding import shard_of
from store.subjects import lock_shards
from tests.integration.ledger_builders import (
    LONG_AGO,
    Ledger,
    document,
    ids_of_shard,
)

pytestmark = pytest.mark.integration

(ANN,) = ids_of_shard(7, 1)
(BOB,) = ids_of_shard(3, 1)


def known(ledger: Ledger, customer_id: str, at: Instant) -> Knowledge:
    """What was known of a customer at an instant that is settled."""
    with reading(ledger.engine) as connection:
        return knowledge.load_knowledge(connection, ledger.catalogs, customer_id, at)


def event_ids(found: Knowledge) -> list[str]:
    """The events that counted, in the order recorded."""
    return [event.event_id for event in found.picture.events]


def test_an_event_counts_from_when_it_was_recorded(ledger: Ledger) -> None:
    """Just before its recorded instant an event is not known, at it it is."""
    recorded = ledger.consent(ANN)
    before = known(ledger, ANN, recorded.recorded_at - 1)
    assert not before.picture.folded.is_known
    assert event_ids(known(ledger, ANN, recorded.recorded_at)) == [recorded.event.event_id]


def test_a_void_counts_from_when_it_was_recorded(ledger: Ledger) -> None:
    """What was known before an event was voided has the event."""
    consent = ledger.consent(ANN)
    void = ledger.record("", Void(consent.event.event_id, "by mistake"))
    assert event_ids(known(ledger, ANN, void.recorded_at)) == []
    assert event_ids(known(ledger, ANN, void.recorded_at - 1)) == [consent.event.event_id]


def test_a_merge_counts_from_its_recording_until_its_split(ledger: Ledger) -> None:
    """Between merge and split both ids are one person, under the id merged into."""
    first, second = ledger.consent(ANN), ledger.consent(BOB)
    merge = ledger.merge(ANN, BOB)
    split = ledger.split(ANN)
    both = [first.event.event_id, second.event.event_id]
    for customer_id in (ANN, BOB):
        merged = known(ledger, customer_id, split.recorded_at - 1)
        assert event_ids(merged) == both
        assert merged.customer_ids == tuple(sorted([ANN, BOB]))
        assert merged.canonical_customer_id == BOB
    assert event_ids(known(ledger, ANN, merge.recorded_at - 1)) == both[:1]
    assert event_ids(known(ledger, ANN, split.recorded_at)) == both[:1]
    assert known(ledger, ANN, split.recorded_at).canonical_customer_id == ANN


def test_a_chain_of_merges_makes_one_person(ledger: Ledger) -> None:
    """Merges are followed both ways, and the canonical id is at the end of the chain."""
    ledger.merge("a", "b")
    ledger.merge("c", "b")
    at = ledger.merge("b", "d").recorded_at
    for customer_id in "abcd":
        found = known(ledger, customer_id, at)
        assert found.customer_ids == ("a", "b", "c", "d")
        assert found.canonical_customer_id == "d"


def test_a_merge_names_both_also_after_the_split(ledger: Ledger) -> None:
    """Customers without an event are known once a merge has named them."""
    merge = ledger.merge(ANN, BOB)
    at = ledger.split(ANN).recorded_at
    assert known(ledger, ANN, at).picture.folded.is_known
    assert known(ledger, BOB, at).picture.folded.is_known
    assert not known(ledger, BOB, merge.recorded_at - 1).picture.folded.is_known


def test_the_catalog_is_the_one_published_then(ledger: Ledger) -> None:
    """A publication counts from when it was recorded."""
    before = draw_now(ledger.engine)
    number = ledger.publish(document(remark=" again"))
    assert known(ledger, ANN, before).published.number == number - 1
    assert known(ledger, ANN, draw_now(ledger.engine)).published.number == number


def test_a_customer_whom_nothing_names_is_unknown(ledger: Ledger) -> None:
    """Of an unknown customer there is no id, no event and no grant."""
    found = known(ledger, "nobody", draw_now(ledger.engine))
    assert (found.customer_ids, found.canonical_customer_id) == ((), "")
    assert not found.picture.folded.is_known


def test_now_lies_between_what_was_recorded_and_what_will_be(ledger: Ledger) -> None:
    """Nothing is ever recorded at or before an instant that was taken for now."""
    before = ledger.consent(ANN)
    now = draw_now(ledger.engine)
    after = ledger.record(ANN, Purchase(LONG_AGO, Product("ABS")))
    assert before.recorded_at < now < after.recorded_at


def test_what_will_be_known_can_not_be_asked(ledger: Ledger) -> None:
    """An instant after now is refused, now itself is not."""
    now = draw_now(ledger.engine)
    knowledge.refuse_future(now, now)
    with pytest.raises(InvalidArgumentError, match="known_at"):
        knowledge.refuse_future(now + 1, now)


def test_a_person_waits_for_who_may_still_record_before(ledger: Ledger) -> None:
    """A write that has drawn its instant and is not committed holds the question up."""
    ledger.consent(ANN)
    with ledger.engine.begin() as writer:
        drawn = draw_under_lock(writer, ANN)
        waiting = Waiting(lambda: wait_for_person(ledger.engine, ANN, [drawn]), ledger.engine)
        waiting.until_blocked()
    waiting.until_over()


def test_a_customer_to_be_made_is_waited_for(ledger: Ledger) -> None:
    """Also somebody whom nothing names yet may be about to be recorded."""
    with ledger.engine.begin() as writer:
        drawn = draw_under_lock(writer, ANN)
        waiting = Waiting(lambda: wait_for_person(ledger.engine, ANN, [drawn]), ledger.engine)
        waiting.until_blocked()
    waiting.until_over()


def test_who_was_merged_is_waited_for_as_well(ledger: Ledger) -> None:
    """A write under another id of the same person, in another shard, holds the question up."""
    ledger.merge(ANN, BOB)
    with ledger.engine.begin() as writer:
        drawn = draw_under_lock(writer, BOB)
        waiting = Waiting(lambda: wait_for_person(ledger.engine, ANN, [drawn]), ledger.engine)
        waiting.until_blocked()
    waiting.until_over()


def test_others_are_not_waited_for(ledger: Ledger) -> None:
    """A write to another shard does not hold the question up."""
    ledger.consent(ANN)
    with ledger.engine.begin() as writer:
        drawn = draw_under_lock(writer, BOB)
        wait_for_person(ledger.engine, ANN, [drawn])


def test_a_publication_is_waited_for(ledger: Ledger) -> None:
    """A publication that is being recorded holds every question up."""
    with ledger.engine.begin() as publisher:
        publisher.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": CATALOG_LOCK})
        drawn = draw_recorded_instants(publisher, 1)
        waiting = Waiting(lambda: wait_for_person(ledger.engine, ANN, [drawn]), ledger.engine)
        waiting.until_blocked()
    waiting.until_over()


def test_everybody_is_waited_for(ledger: Ledger) -> None:
    """A list of everybody waits for a write to any shard."""
    with ledger.engine.begin() as writer:
        draw_under_lock(writer, BOB)
        waiting = Waiting(lambda: wait_for_everybody(ledger.engine), ledger.engine)
        waiting.until_blocked()
    waiting.until_over()


def draw_under_lock(writer: Connection, customer_id: str) -> Instant:
    """Draw an instant as a write does, its shard locked."""
    lock_shards(writer, [shard_of(customer_id)])
    return draw_recorded_instants(writer, 1)


class Waiting:
    """A thread that waits for a lock in PostgreSQL, and the proof that it does."""

    def __init__(self, wait: Callable[[], None], engine: Engine) -> None:
        """Begin to wait."""
        self._engine = engine
        self._thread = threading.Thread(target=wait)
        self._thread.start()

    def until_blocked(self) -> None:
        """Wait until PostgreSQL shows a lock of this database that is not granted."""
        while True:
            assert self._thread.is_alive()
            with reading(self._engine) as connection:
                blocked = connection.scalar(
                    text(
                        "SELECT count(*) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
                    )
                )
            if blocked:
                return

    def until_over(self) -> None:
        """Wait until the thread has what it waited for."""
        self._thread.join()
