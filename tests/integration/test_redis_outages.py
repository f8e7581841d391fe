"""A Redis that does not answer: it is not asked again until it is found answering."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from decision.errors import UnavailableError
from store.cache import Cache, open_client
from store.meta import CacheLife, Meta
from store.redis_client import CHECK_REPLY_SECONDS_MAX, RedisClient
from tests.integration.ledger_builders import ids_of_shard
from tests.redis_cluster import TestServer, redis_servers
from tests.waiting import until

pytestmark = pytest.mark.integration

SHARD = 5
CUSTOMER, OTHER = ids_of_shard(SHARD, 2)
LIFE = CacheLife(1, 1)
THREADS = 8


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    """A Redis of this module alone, which a test leaves running."""
    with redis_servers(1) as [running]:
        yield running


@pytest.fixture
def redis_client(server: TestServer) -> Iterator[RedisClient]:
    """A client that is as impatient as checks are."""
    server.execute("FLUSHALL")
    with open_client(server.url, CHECK_REPLY_SECONDS_MAX) as opened:
        yield opened


@pytest.fixture
def cache(redis_client: RedisClient) -> Cache:
    """A cache without a key, but for one shard's meta."""
    cache = Cache(redis_client, "maywe")
    cache.begin_incarnation(SHARD, a_meta(LIFE))
    return cache


def a_meta(life: CacheLife) -> Meta:
    """The meta of a shard in which nothing has happened."""
    return Meta(life, 0, 0, is_complete=True, newest_publication=0)


def reads_seen_by(server: TestServer) -> int:
    """How many reads of records a server was sent."""
    with redis.Redis(port=server.port) as client:
        return int(client.info("commandstats").get("cmdstat_mget", {}).get("calls", 0))


def test_a_paused_redis_is_asked_once(cache: Cache, server: TestServer) -> None:
    """The first who waits in vain spares all others the waiting, until it answers again."""
    before = reads_seen_by(server)
    server.pause()
    try:
        with pytest.raises(UnavailableError) as first:
            cache.read([CUSTOMER])
        assert isinstance(first.value.__cause__, redis.TimeoutError)
        assert cache.is_lost
        assert cache.is_shard_lost(SHARD)
        for _ in range(100):
            with pytest.raises(UnavailableError) as later:
                cache.read([CUSTOMER, OTHER])
            assert later.value.__cause__ is None
    finally:
        server.resume()
    until(lambda: not cache.is_lost)
    assert cache.read([CUSTOMER])[0].meta is not None
    assert reads_seen_by(server) - before <= 2


def test_all_threads_learn_that_redis_is_lost(cache: Cache, server: TestServer) -> None:
    """Those who wait at the same time wait once each, and nobody else."""
    before = reads_seen_by(server)

    def read_in_vain(_: int) -> int:
        refused = 0
        for _ in range(20):
            with pytest.raises(UnavailableError):
                cache.read([CUSTOMER])
            refused += 1
        return refused

    server.pause()
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            assert sum(pool.map(read_in_vain, range(THREADS))) == 20 * THREADS
    finally:
        server.resume()
    until(lambda: not cache.is_lost)
    assert reads_seen_by(server) - before <= THREADS


def test_a_restarted_redis_is_found_again(cache: Cache, server: TestServer) -> None:
    """Also by writes, whose scripts it does not know any more."""
    server.kill()
    with pytest.raises(UnavailableError):
        cache.read([CUSTOMER])
    with pytest.raises(UnavailableError):
        cache.fill(SHARD, LIFE, {})
    server.start()
    until(lambda: not cache.is_lost)
    assert cache.read([CUSTOMER])[0].meta is None
    assert not cache.fill(SHARD, LIFE, {}).is_accepted


def test_a_restart_while_nobody_asks_is_not_noticed(cache: Cache, server: TestServer) -> None:
    """Connections that broke while they were idle are replaced at once."""
    cache.read([CUSTOMER])
    server.kill()
    server.start()
    assert cache.read([CUSTOMER])[0].meta is None
    assert not cache.is_lost


def test_a_client_may_be_opened_before_redis_is_there(server: TestServer) -> None:
    """A process starts without Redis and uses it from when it comes."""
    server.kill()
    try:
        with open_client(server.url) as opened:
            cache = Cache(opened, "maywe")
            with pytest.raises(UnavailableError):
                cache.read_metas()
            server.start()
            until(lambda: not cache.is_lost)
            assert set(cache.read_metas().values()) == {None}
    finally:
        server.kill()
        server.start()


def test_a_full_redis_is_still_read(cache: Cache, server: TestServer) -> None:
    """What it refuses to write is told as such, and it does not count as lost."""
    server.execute("CONFIG", "SET", "maxmemory", 1)
    try:
        with pytest.raises(UnavailableError, match="Redis is full"):
            cache.begin_incarnation(SHARD, a_meta(CacheLife(1, 2)))
        assert cache.read([CUSTOMER])[0].meta is not None
    finally:
        server.execute("CONFIG", "SET", "maxmemory", 0)


@pytest.mark.parametrize(
    ("policy", "bytes_max", "is_evicting"),
    [("allkeys-lru", 10**9, True), ("allkeys-lru", 0, False), ("noeviction", 10**9, False)],
)
def test_a_redis_that_drops_records_is_named(
    cache: Cache, server: TestServer, policy: str, bytes_max: int, *, is_evicting: bool
) -> None:
    """With a limit and a policy other than noeviction, and not without."""
    server.execute("CONFIG", "SET", "maxmemory-policy", policy)
    server.execute("CONFIG", "SET", "maxmemory", bytes_max)
    try:
        expected = {f"127.0.0.1:{server.port}": policy} if is_evicting else {}
        assert cache.evicting_servers() == expected
    finally:
        server.execute("CONFIG", "SET", "maxmemory", 0)
        server.execute("CONFIG", "SET", "maxmemory-policy", "noeviction")


def test_a_read_only_redis_is_asked_anew_on_new_connections(
    cache: Cache, server: TestServer
) -> None:
    """A master that became a replica refuses writes, and takes them when it is master again."""
    later = a_meta(CacheLife(1, 2))
    server.execute("REPLICAOF", "127.0.0.1", 1)
    try:
        with pytest.raises(UnavailableError):
            cache.begin_incarnation(SHARD, later)
        assert cache.read([CUSTOMER])[0].meta is not None
    finally:
        server.execute("REPLICAOF", "NO", "ONE")
    assert cache.begin_incarnation(SHARD, later).is_accepted
