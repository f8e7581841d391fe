"""Warming by itself after Redis lost what it had."""

import threading

import pytest
from sqlalchemy import text

from store.cache import Cache
from store.projector import Projector
from store.rewarming import REWARMING_LOCK, Rewarmer
from tests.integration.ledger_builders import Ledger
from tests.servers import remove_keys

pytestmark = pytest.mark.integration

CUSTOMERS = ["anna", "boris", "clara"]


def is_complete(cache: Cache) -> bool:
    """Whether every shard holds all its customers."""
    return all(meta is not None and meta.is_complete for meta in cache.read_metas().values())


@pytest.fixture
def emptied(ledger: Ledger, cache: Cache, redis_url: str, redis_namespace: str) -> None:
    """A Redis that was emptied, and whose shards have begun a new life."""
    projector = Projector(ledger.engine, cache)
    projector.project_pending()
    for customer_id in CUSTOMERS:
        ledger.consent(customer_id)
    projector.project_pending()
    remove_keys(redis_url, redis_namespace)
    projector.project_pending()
    assert not is_complete(cache)


@pytest.mark.usefixtures("emptied")
def test_what_redis_lost_is_put_in_again(ledger: Ledger, cache: Cache) -> None:
    """Every customer has a record again, and every shard says so."""
    Rewarmer(ledger.engine, cache).run_pending(threading.Event())
    assert is_complete(cache)
    assert all(entry.record is not None for entry in cache.read(CUSTOMERS))


@pytest.mark.usefixtures("emptied")
def test_only_one_process_warms_at_a_time(ledger: Ledger, cache: Cache) -> None:
    """Another one leaves it alone, and does it when the first has ended without finishing."""
    rewarmer = Rewarmer(ledger.engine, cache)
    with ledger.engine.connect() as other:
        other.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": REWARMING_LOCK})
        rewarmer.run_pending(threading.Event())
        assert not is_complete(cache)
        other.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": REWARMING_LOCK})
    rewarmer.run_pending(threading.Event())
    assert is_complete(cache)


@pytest.mark.usefixtures("emptied")
def test_warming_ends_when_it_is_told_to(ledger: Ledger, cache: Cache) -> None:
    """A process that shuts down does not finish the whole cache first."""
    stop = threading.Event()
    stop.set()
    Rewarmer(ledger.engine, cache).run_pending(stop)
    assert not is_complete(cache)
