"""Fixtures of integration tests: the real stores, and a whole system that answers gRPC."""

from collections.abc import Iterator

import pytest
import redis
from sqlalchemy import Engine

from store.cache import Cache, open_client
from store.database import open_engine
from store.projector import Projector
from store.redis_client import RedisClient
from tests.integration.ledger_builders import Ledger, opened_ledger
from tests.integration.narrowing_builders import rich_document
from tests.redis_cluster import Cluster, redis_cluster
from tests.running import RunningMaywe, running_maywe
from tests.servers import raw_client


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Connections to a migrated database without rows."""
    opened = open_engine(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let erasures not wait for those who watch changes."""
    monkeypatch.setattr("service.erasing.WATCHED_SECONDS", 0.0)


@pytest.fixture
def no_postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A PostgreSQL that is not there."""
    nowhere = tmp_path_factory.mktemp("nowhere")
    opened = open_engine(f"postgresql+psycopg://maywe@/maywe?host={nowhere}")
    yield opened
    opened.dispose()


@pytest.fixture
def no_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cache]:
    """A Redis that is not there."""
    with open_client(f"unix://{tmp_path_factory.mktemp('nowhere')}/redis.sock") as opened:
        yield Cache(opened, "maywe")


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    """A ledger with one publication."""
    with opened_ledger(database_url) as opened:
        yield opened


@pytest.fixture
def rich_catalog(ledger: Ledger) -> None:
    """Publish a catalog in which every kind of event can take something away."""
    ledger.publish(rich_document())


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[RedisClient]:
    """The connections beneath the cache."""
    with open_client(redis_url) as opened:
        yield opened


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """A client that is not ours, for what the cache itself would never do."""
    with raw_client(redis_url) as opened:
        yield opened


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster to share; who kills or pauses servers starts one of his own."""
    with redis_cluster() as running:
        yield running


@pytest.fixture
def cache(redis_client: RedisClient, redis_namespace: str) -> Cache:
    """A cache without a key."""
    return Cache(redis_client, redis_namespace)


@pytest.fixture
def projector(ledger: Ledger, cache: Cache) -> Projector:
    """A projector that begins with an empty Redis."""
    return Projector(ledger.engine, cache)


@pytest.fixture
def maywe(database_url: str, redis_url: str, redis_namespace: str) -> Iterator[RunningMaywe]:
    """A system of all roles in this process, on stores of this test alone."""
    with running_maywe(database_url, redis_url, redis_namespace) as running:
        yield running
