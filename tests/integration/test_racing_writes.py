"""The same event sent twice at once, and other writes that meet."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
from sqlalchemy import func, select

from decision.events import Body, Merge, NewEvent, Revocation, Split, Void
from decision.instants import parse_instant
from decision.selectors import EVERYTHING
from store.database import reading
from store.outcomes import Outcome, Recorded
from store.schema import event
from tests.integration.ledger_builders import Ledger

pytestmark = pytest.mark.integration

ROUNDS: Final = 12
"""Each round is one race; nearly every one meets where nothing guards against it."""

SENDERS: Final = 4


def at_once(ledger: Ledger, batches: list[list[NewEvent]]) -> list[list[Outcome]]:
    """Record each batch from a thread of its own, all beginning together."""
    barrier = threading.Barrier(len(batches))

    def send(batch: list[NewEvent]) -> list[Outcome]:
        barrier.wait()
        return ledger.recorder.record(batch)

    with ThreadPoolExecutor(len(batches)) as pool:
        return list(pool.map(send, batches))


def revoke(event_id: str, customer_id: str = "anna") -> NewEvent:
    """A revocation of everything."""
    at = parse_instant("2024-01-01T00:00:00Z")
    return NewEvent(event_id, customer_id, Revocation(at, EVERYTHING))


def identity_events(ledger: Ledger, number: int) -> list[Callable[[], Body]]:
    """A void, a merge and a split of one round, each possible just once."""
    ledger.recorder.record([revoke(f"voided-{number}")])
    return [
        lambda: Void(f"voided-{number}", "by mistake"),
        lambda: Merge(f"from-{number}", f"into-{number}"),
        lambda: Split(f"from-{number}"),
    ]


def test_the_same_event_from_several_senders_is_recorded_once(ledger: Ledger) -> None:
    """One of them recorded it, for the others it is a repeat, and all answer alike."""
    for number in range(ROUNDS):
        sent = revoke(f"event-{number}")
        outcomes = [one for [one] in at_once(ledger, [[sent]] * SENDERS)]
        recorded = [outcome for outcome in outcomes if isinstance(outcome, Recorded)]
        assert len(recorded) == SENDERS, outcomes
        assert [outcome.is_repeated for outcome in recorded].count(False) == 1
        assert len({outcome.recorded_at for outcome in recorded}) == 1


def test_the_same_batch_from_several_senders_is_recorded_once(ledger: Ledger) -> None:
    """In whatever order they send it, also for customers whom nobody knew."""
    for number in range(ROUNDS):
        batch = [revoke(f"event-{number}-{one}", f"new-{number}-{one}") for one in range(20)]
        for outcomes in at_once(ledger, [batch, batch[::-1]]):
            assert all(isinstance(outcome, Recorded) for outcome in outcomes)
    with reading(ledger.engine) as connection:
        assert connection.scalar(select(func.count()).select_from(event)) == ROUNDS * 20


def test_the_same_void_merge_or_split_from_several_senders_is_recorded_once(
    ledger: Ledger,
) -> None:
    """Whoever comes second meets their own event, which is no precondition that fails."""
    for number in range(ROUNDS):
        for kind, body in enumerate(identity_events(ledger, number)):
            sent = NewEvent(f"identity-{number}-{kind}", "", body())
            outcomes = [one for [one] in at_once(ledger, [[sent]] * SENDERS)]
            recorded = [outcome for outcome in outcomes if isinstance(outcome, Recorded)]
            assert len(recorded) == SENDERS, outcomes
            assert [outcome.is_repeated for outcome in recorded].count(False) == 1


def test_one_event_id_with_two_contents_has_one_winner(ledger: Ledger) -> None:
    """The id belongs to whoever was first, though customers and so locks differ."""
    for number in range(ROUNDS):
        sent = [[revoke(f"event-{number}", f"customer-{one}")] for one in range(SENDERS)]
        outcomes = [one for [one] in at_once(ledger, sent)]
        assert sum(isinstance(outcome, Recorded) for outcome in outcomes) == 1
