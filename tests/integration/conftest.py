"""Fixtures of integration tests: the real stores, and a whole system that answers gRPC."""

from collections.abc import Iterator

import pytest
import redis

from store.cache import Cache, open_client
from tests.integration.ledger_builders import Ledger, opened_ledger
from tests.running import RunningMaywe, running_maywe


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    """A ledger with one publication."""
    with opened_ledger(database_url) as opened:
        yield opened


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """The connections beneath the cache, for what the cache itself would never do."""
    with open_client(redis_url) as opened:
        yield opened


@pytest.fixture
def cache(client: redis.Redis, redis_namespace: str) -> Cache:
    """A cache without a key."""
    return Cache(client, redis_namespace)


@pytest.fixture
def maywe(database_url: str, redis_url: str, redis_namespace: str) -> Iterator[RunningMaywe]:
    """A system of all roles in this process, on stores of this test alone."""
    with running_maywe(database_url, redis_url, redis_namespace) as running:
        yield running
