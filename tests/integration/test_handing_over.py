"""What a projector is handed over: batches of transactions, put into Redis without being read."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import delete

from decision.events import Consent, NewEvent
from decision.reasons import Reason
from store.cache import Cache
from store.projector import Projector
from store.recording import Recorder
from store.schema import outbox
from store.sharding import SHARD_COUNT
from tests.integration.ledger_builders import LONG_AGO, Ledger, cached_reason, ids_of_shard

pytestmark = pytest.mark.integration

ANNA, BORIS = ids_of_shard(5, 2)
WAIT_SECONDS_MAX = 60.0


def consent_event(customer_id: str) -> NewEvent:
    """A consent to calls."""
    return NewEvent(f"consent of {customer_id}", customer_id, Consent(LONG_AGO, "calls", "granted"))


@contextmanager
def running(projector: Projector) -> Iterator[None]:
    """Let a projector run in a thread of its own."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(projector.run, stop)
        try:
            yield
        finally:
            stop.set()
            projector.wake.set()
            done.result(WAIT_SECONDS_MAX)


def test_what_is_handed_over_is_not_read_back(
    ledger: Ledger, projector: Projector, cache: Cache
) -> None:
    """Once it is announced Redis shows it, though the outbox has no row of it to read."""
    projector.project_pending()
    recorder = Recorder(ledger.engine, ledger.catalogs, lambda _: None, projector.hand_over)
    recorded = recorder.record_one(consent_event(ANNA))
    with ledger.engine.begin() as connection:
        connection.execute(delete(outbox))
    projector.announce(recorded.positions)
    with running(projector):
        assert projector.wait_until_applied(recorded.positions, WAIT_SECONDS_MAX)
    assert cached_reason(ledger, cache, ANNA) is Reason.ALLOWED
    assert projector.counts.incarnations_begun == SHARD_COUNT


def test_what_does_not_follow_is_read(ledger: Ledger, projector: Projector, cache: Cache) -> None:
    """Something is before it that was recorded elsewhere and is not applied yet."""
    projector.project_pending()
    ledger.consent(BORIS)
    recorder = Recorder(ledger.engine, ledger.catalogs, lambda _: None, projector.hand_over)
    recorded = recorder.record_one(consent_event(ANNA))
    projector.announce(recorded.positions)
    with running(projector):
        assert projector.wait_until_applied(recorded.positions, WAIT_SECONDS_MAX)
    assert cached_reason(ledger, cache, ANNA) is Reason.ALLOWED
    assert cached_reason(ledger, cache, BORIS) is Reason.ALLOWED


def test_what_is_handed_over_and_never_announced_is_found(
    ledger: Ledger, projector: Projector, cache: Cache
) -> None:
    """Whoever had to announce it may have failed before."""
    projector.project_pending()
    recorder = Recorder(ledger.engine, ledger.catalogs, lambda _: None, projector.hand_over)
    recorded = recorder.record_one(consent_event(ANNA))
    with running(projector):
        assert projector.wait_until_applied(recorded.positions, WAIT_SECONDS_MAX)
    assert cached_reason(ledger, cache, ANNA) is Reason.ALLOWED
