"""The cache on a real Redis and a real cluster: what each write accepts, refuses, leaves alone."""

import pytest
import redis

from decision.errors import UnavailableError
from decision.timeline import NOBODY
from store import record
from store.cache import Batch, Cache, WarmingPage
from store.code_numbers import CodeNumbers
from store.meta import CacheLife, Meta
from store.record import Header
from store.redis_client import RedisClient
from store.sharding import shard_of
from tests.integration.ledger_builders import ids_of_shard
from tests.redis_cluster import Cluster
from tests.servers import ServerUrls, remove_keys

pytestmark = pytest.mark.integration


@pytest.fixture(params=["one server", "a cluster"])
def redis_url(request: pytest.FixtureRequest, server_urls: ServerUrls) -> str:
    """Every test here on both, between which no test may see a difference."""
    if request.param == "one server":
        return server_urls.redis
    found: Cluster = request.getfixturevalue("cluster")
    return found.url


SHARD = 5
FIRST, SECOND, *_ = ids_of_shard(SHARD, 2)
LIFE = CacheLife(1, 1)
SESSION = 7


def a_record(version: int = 1, publication: int = 1) -> bytes:
    """A record as PostgreSQL keeps it."""
    return record.encode(
        NOBODY, CodeNumbers({}), version=version, publication=publication, made_at=0
    )


def a_meta(
    life: CacheLife = LIFE,
    applied_seq: int = 0,
    publication: int = 0,
    newest_publication: int = 0,
    *,
    is_complete: bool = False,
) -> Meta:
    """A meta of which a test names only what matters to it."""
    return Meta(life, applied_seq, publication, is_complete, newest_publication)


def a_batch(
    records: dict[str, bytes],
    first_seq: int = 1,
    life: CacheLife = LIFE,
    publication: int = 0,
    newest_publication: int = 0,
) -> Batch:
    """A batch with a row for each record."""
    last_seq = first_seq + len(records) - 1
    return Batch(life, first_seq, last_seq, publication, newest_publication, records)


def a_header(epoch: int, incarnation: int, version: int, publication: int) -> Header:
    """What one of these records says of itself; nobody is known by it."""
    return Header(
        is_known=False,
        epoch=epoch,
        incarnation=incarnation,
        version=version,
        publication=publication,
    )


def cached_header(cache: Cache, customer_id: str = FIRST) -> Header | None:
    """What the record of a customer says of itself."""
    return cache.read([customer_id])[0].header


def test_an_empty_redis_holds_nothing(cache: Cache) -> None:
    """Neither meta nor record is there before anything is written."""
    [entry] = cache.read([FIRST])
    assert entry.meta is None
    assert entry.record is None
    assert not entry.has_key
    assert set(cache.read_metas().values()) == {None}


def test_a_batch_is_read_back(cache: Cache) -> None:
    """After a batch its records are there, stamped, and the meta says how far the shard is."""
    cache.begin_incarnation(SHARD, a_meta())
    batch = a_batch({FIRST: a_record(4), SECOND: a_record(7)}, publication=2, newest_publication=3)
    outcome = cache.project(SHARD, batch)
    expected = a_meta(applied_seq=2, publication=2, newest_publication=3)
    assert outcome == (True, expected)
    first, second = cache.read([FIRST, SECOND])
    assert first.meta == second.meta == expected
    assert first.record == record.stamp(a_record(4), *LIFE)
    assert second.header == a_header(1, 1, 7, 1)


def test_customers_of_many_shards_are_read_in_the_order_asked(cache: Cache) -> None:
    """Records come back in the order of the ids, whatever their shards, also asked twice."""
    ids = [found for number in (9, 5, 63, 0) for found in ids_of_shard(number, 2)]
    for version, customer_id in enumerate(ids, start=1):
        number = (9, 5, 63, 0)[(version - 1) // 2]
        cache.begin_incarnation(number, a_meta())
        cache.fill(number, LIFE, {customer_id: a_record(version)})
    asked = [*reversed(ids), ids[0]]
    versions = [entry.header.version for entry in cache.read(asked) if entry.header]
    assert versions == [8, 7, 6, 5, 4, 3, 2, 1, 1]


def test_no_ids_are_no_question(cache: Cache) -> None:
    """Reading nothing gives nothing."""
    assert cache.read([]) == []


def test_a_batch_without_meta_is_refused(cache: Cache) -> None:
    """A Redis that lost its meta takes no records until a new life begins."""
    assert cache.project(SHARD, a_batch({FIRST: a_record()})) == (False, None)
    assert cached_header(cache) is None


@pytest.mark.parametrize("first_seq", [1, 3])
def test_a_batch_that_repeats_or_leaves_a_gap_is_refused(cache: Cache, first_seq: int) -> None:
    """Only the row after the last applied one may come next; the answer says how far it is."""
    meta = a_meta(applied_seq=1)
    cache.begin_incarnation(SHARD, meta)
    assert cache.project(SHARD, a_batch({FIRST: a_record()}, first_seq)) == (False, meta)
    assert cached_header(cache) is None


@pytest.mark.parametrize("life", [CacheLife(1, 1), CacheLife(1, 3), CacheLife(2, 2)])
def test_a_batch_of_another_life_is_refused(cache: Cache, life: CacheLife) -> None:
    """Neither an earlier nor a later life than the meta's may write."""
    meta = a_meta(CacheLife(1, 2))
    cache.begin_incarnation(SHARD, meta)
    assert cache.project(SHARD, a_batch({FIRST: a_record()}, life=life)) == (False, meta)


def test_a_batch_without_rows_tells_of_publications(cache: Cache) -> None:
    """A roll-out that changed nothing moves the publication and no seq."""
    cache.begin_incarnation(SHARD, a_meta(applied_seq=4, publication=1, newest_publication=1))
    outcome = cache.project(SHARD, Batch(LIFE, 5, 4, 2, 3, {}))
    assert outcome == (True, a_meta(applied_seq=4, publication=2, newest_publication=3))


def test_publications_never_go_back(cache: Cache) -> None:
    """A projector that has seen less does not take back what another one told."""
    cache.begin_incarnation(SHARD, a_meta(publication=5, newest_publication=6))
    outcome = cache.project(SHARD, a_batch({FIRST: a_record()}, publication=4))
    assert outcome.meta == a_meta(applied_seq=1, publication=5, newest_publication=6)


def test_a_batch_does_not_replace_a_newer_record(cache: Cache) -> None:
    """A record filled in with a later version than the row's stays; the row counts as applied."""
    cache.begin_incarnation(SHARD, a_meta())
    cache.fill(SHARD, LIFE, {FIRST: a_record(9)})
    outcome = cache.project(SHARD, a_batch({FIRST: a_record(8)}))
    assert outcome == (True, a_meta(applied_seq=1))
    assert cached_header(cache) == a_header(1, 1, 9, 1)


@pytest.mark.parametrize(
    ("filled", "kept"),
    [((3, 1), (4, 1)), ((4, 1), (4, 1)), ((4, 2), (4, 2)), ((5, 1), (5, 1)), ((3, 2), (4, 1))],
)
def test_a_fill_goes_upwards_only(
    cache: Cache, filled: tuple[int, int], kept: tuple[int, int]
) -> None:
    """Of two records the higher version stays, and of one version the later publication."""
    cache.begin_incarnation(SHARD, a_meta())
    cache.project(SHARD, a_batch({FIRST: a_record(4, publication=1)}))
    assert cache.fill(SHARD, LIFE, {FIRST: a_record(*filled)}).is_accepted
    assert cached_header(cache) == a_header(1, 1, *kept)


def test_a_fill_under_another_life_is_refused(cache: Cache) -> None:
    """What was read before the cache was begun anew may lack what was applied and lost since."""
    cache.begin_incarnation(SHARD, a_meta(CacheLife(1, 1)))
    later = a_meta(CacheLife(1, 2), applied_seq=3)
    cache.begin_incarnation(SHARD, later)
    assert cache.fill(SHARD, CacheLife(1, 1), {FIRST: a_record()}) == (False, later)
    assert not cache.read([FIRST])[0].has_key


def test_a_fill_without_meta_is_refused(cache: Cache) -> None:
    """An emptied Redis takes no record whose life it cannot check."""
    assert cache.fill(SHARD, LIFE, {FIRST: a_record()}) == (False, None)


@pytest.mark.parametrize("life", [CacheLife(1, 2), CacheLife(1, 1), CacheLife(0, 9)])
def test_an_earlier_or_equal_life_does_not_begin(cache: Cache, life: CacheLife) -> None:
    """A projector that drew its life earlier comes too late."""
    present = a_meta(CacheLife(1, 2), applied_seq=8)
    cache.begin_incarnation(SHARD, present)
    assert cache.begin_incarnation(SHARD, a_meta(life)) == (False, present)


def test_a_later_life_makes_earlier_records_absent(cache: Cache) -> None:
    """Records of an earlier life are misses, and completeness has to be earned again."""
    cache.begin_incarnation(SHARD, a_meta(is_complete=True))
    cache.project(SHARD, a_batch({FIRST: a_record(9)}))
    later = a_meta(CacheLife(2, 1), applied_seq=1)
    assert cache.begin_incarnation(SHARD, later) == (True, later)
    [entry] = cache.read([FIRST])
    assert (entry.meta, entry.has_key, entry.record) == (later, True, None)


def test_a_record_of_a_later_life_replaces_a_higher_version(cache: Cache) -> None:
    """Versions count within a life only: a restored ledger may have gone back."""
    cache.begin_incarnation(SHARD, a_meta())
    cache.fill(SHARD, LIFE, {FIRST: a_record(9)})
    cache.begin_incarnation(SHARD, a_meta(CacheLife(1, 2)))
    cache.fill(SHARD, CacheLife(1, 2), {FIRST: a_record(3)})
    assert cached_header(cache) == a_header(1, 2, 3, 1)


def test_a_shard_is_complete_from_when_it_was_marked(cache: Cache) -> None:
    """Completeness lasts over batches and is refused for another life."""
    cache.begin_incarnation(SHARD, a_meta())
    cache.fill(SHARD, LIFE, {SECOND: a_record()}, WarmingPage(SESSION, 0))
    assert not cache.mark_complete(SHARD, CacheLife(1, 2), SESSION, 1).is_accepted
    assert cache.mark_complete(SHARD, LIFE, SESSION, 1) == (True, a_meta(is_complete=True))
    outcome = cache.project(SHARD, a_batch({FIRST: a_record()}))
    assert outcome.meta == a_meta(applied_seq=1, is_complete=True)


def test_a_warm_up_of_which_redis_lost_a_page_does_not_complete_the_shard(
    cache: Cache, client: redis.Redis, redis_url: str, redis_namespace: str
) -> None:
    """A Redis set back to an older snapshot of the same life has lost what was put in since."""
    cache.begin_incarnation(SHARD, a_meta())
    cache.fill(SHARD, LIFE, {FIRST: a_record()}, WarmingPage(SESSION, 0))
    keys = list(client.scan_iter(match=f"{redis_namespace}*"))
    snapshot = {key: client.get(key) for key in keys}
    cache.fill(SHARD, LIFE, {SECOND: a_record()}, WarmingPage(SESSION, 1))
    remove_keys(redis_url, redis_namespace)
    client.mset({key: value for key, value in snapshot.items() if isinstance(value, bytes)})
    assert not cache.mark_complete(SHARD, LIFE, SESSION, 2).is_accepted
    assert not cache.fill(SHARD, LIFE, {}, WarmingPage(SESSION, 2)).is_accepted


def test_damaged_bytes_are_absent_and_replaced(
    cache: Cache, client: redis.Redis, redis_namespace: str
) -> None:
    """What is no record is a miss, and the next fill puts a record in its place."""
    cache.begin_incarnation(SHARD, a_meta())
    client.set(f"{redis_namespace}:{{s{SHARD}}}:c:{FIRST}", b"\x07 no record of ours, however long")
    [entry] = cache.read([FIRST])
    assert (entry.has_key, entry.record) == (True, None)
    cache.fill(SHARD, LIFE, {FIRST: a_record(1)})
    assert cached_header(cache) == a_header(1, 1, 1, 1)


def test_a_damaged_meta_is_as_good_as_lost(
    cache: Cache, client: redis.Redis, redis_namespace: str
) -> None:
    """A meta that cannot be read makes its records absent and lets any life begin."""
    cache.begin_incarnation(SHARD, a_meta(CacheLife(1, 5)))
    cache.fill(SHARD, CacheLife(1, 5), {FIRST: a_record()})
    client.set(f"{redis_namespace}:{{s{SHARD}}}:meta", b"nonsense")
    [entry] = cache.read([FIRST])
    assert (entry.meta, entry.record) == (None, None)
    assert cache.begin_incarnation(SHARD, a_meta()).is_accepted


def test_large_numbers_survive_the_scripts(cache: Cache) -> None:
    """Positions far beyond 32 bits are exact after Lua has handled them."""
    seq = 2**50 + 1
    cache.begin_incarnation(SHARD, a_meta(applied_seq=seq))
    cache.project(SHARD, a_batch({FIRST: a_record(2**50 + 3)}, first_seq=seq + 1))
    [entry] = cache.read([FIRST])
    assert entry.meta == a_meta(applied_seq=seq + 1)
    assert entry.header == a_header(1, 1, 2**50 + 3, 1)


def test_scripts_are_loaded_again_after_redis_forgot_them(
    cache: Cache, client: redis.Redis
) -> None:
    """A restarted Redis knows no script, which nobody notices."""
    cache.begin_incarnation(SHARD, a_meta())
    client.script_flush()
    assert cache.project(SHARD, a_batch({FIRST: a_record()})).is_accepted


def test_any_customer_id_is_a_key(cache: Cache) -> None:
    """Braces, spaces, colons and letters of any alphabet stay in the slot of their shard."""
    ids = ["{x}", "a:{s1}:c:b", "клиент 7", "*", "}:c:", "😀" * 32]
    for customer_id in ids:
        number = shard_of(customer_id)
        cache.begin_incarnation(number, a_meta())
        cache.fill(number, LIFE, {customer_id: a_record()})
    assert all(entry.record is not None for entry in cache.read(ids))
    assert sorted(cache.scan_customer_ids()) == sorted(ids)


def test_namespaces_do_not_see_each_other(
    cache: Cache, redis_client: RedisClient, redis_namespace: str
) -> None:
    """Two installations may share a Redis."""
    other = Cache(redis_client, redis_namespace + "other")
    cache.begin_incarnation(SHARD, a_meta())
    cache.fill(SHARD, LIFE, {FIRST: a_record()})
    assert other.read([FIRST])[0].meta is None
    assert list(other.scan_customer_ids()) == []


@pytest.mark.parametrize("namespace", ["", "a{b}", "a*", "a b", "é"])
def test_a_namespace_with_other_characters_is_refused(
    redis_client: RedisClient, namespace: str
) -> None:
    """A namespace that would change a key's slot or match other keys is an error at once."""
    with pytest.raises(ValueError, match="cannot begin keys"):
        Cache(redis_client, namespace)


def test_a_redis_that_is_not_there_is_unavailable(no_redis: Cache) -> None:
    """Every way of asking says so in our own words, the first with the driver's error as cause."""
    with pytest.raises(UnavailableError, match="Redis does not answer") as raised:
        no_redis.read([FIRST])
    assert isinstance(raised.value.__cause__, redis.RedisError)
    assert no_redis.is_lost
    for ask in (
        lambda: no_redis.read([FIRST]),
        lambda: no_redis.read([FIRST, SECOND]),
        no_redis.read_metas,
        lambda: no_redis.fill(SHARD, LIFE, {FIRST: a_record()}),
        lambda: list(no_redis.scan_customer_ids()),
        no_redis.evicting_servers,
    ):
        with pytest.raises(UnavailableError, match="Redis does not answer"):
            ask()
