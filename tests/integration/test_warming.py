"""Warming and verifying the cache on real servers, also while others are at work."""

from collections.abc import Mapping

import pytest
import redis

from decision.reasons import Reason
from store.cache import NO_WARMING, Cache, Outcome, WarmingPage
from store.meta import CacheLife, Meta
from store.projector import Projector
from store.redis_client import RedisClient
from store.warming import Progress, verify, warm
from tests.integration.ledger_builders import (
    Ledger,
    cached_reason,
    ids_of_shard,
)
from tests.servers import remove_keys

pytestmark = pytest.mark.integration

SHARD = 5
ANNA, BORIS, VERA = ids_of_shard(SHARD, 3)
ELSEWHERE = ids_of_shard(9, 1)[0]
WAIT_SECONDS_MAX = 60.0


@pytest.fixture
def projector(ledger: Ledger, cache: Cache) -> Projector:
    """A projector that begins with an empty Redis; small batches, so that there are several."""
    return Projector(ledger.engine, cache, rows_per_batch=2)


def meta_of(cache: Cache, number: int = SHARD) -> Meta:
    """The meta of a shard, which is there."""
    found = cache.read_metas([number])[number]
    assert found is not None
    return found


def test_warming_puts_everybody_in_and_completes(ledger: Ledger, cache: Cache) -> None:
    """After a warm-up every customer is cached and a missing record means nobody."""
    for customer_id in (ANNA, BORIS, ELSEWHERE):
        ledger.consent(customer_id)
    ledger.merge(VERA, ANNA)
    progress: list[Progress] = []
    report = warm(ledger.engine, cache, on_progress=progress.append)
    assert (report.customers, report.incomplete_shards) == (4, [])
    assert progress[-1] == Progress(4, 4)
    assert all(meta is not None and meta.is_complete for meta in cache.read_metas().values())
    for customer_id in (ANNA, BORIS, VERA, ELSEWHERE):
        assert cached_reason(ledger, cache, customer_id) is Reason.ALLOWED
    assert cached_reason(ledger, cache, "nobody") is Reason.UNKNOWN_CUSTOMER


def test_one_shard_can_be_warmed_alone(ledger: Ledger, cache: Cache) -> None:
    """The others stay as they are."""
    ledger.consent(ANNA)
    ledger.consent(ELSEWHERE)
    assert warm(ledger.engine, cache, [SHARD]).customers == 1
    assert meta_of(cache).is_complete
    assert cache.read_metas([9]) == {9: None}


def test_warming_does_not_replace_newer_records(
    ledger: Ledger,
    projector: Projector,
    cache: Cache,
    redis_client: RedisClient,
    redis_namespace: str,
) -> None:
    """A record that a projector wrote while pages were read stays."""
    ledger.consent(ANNA)
    projector.project_pending()

    class Slow(Cache):
        def fill(
            self,
            number: int,
            life: CacheLife,
            records: Mapping[str, bytes],
            page: WarmingPage = NO_WARMING,
            seen_seq: int = 0,
        ) -> Outcome:
            if ANNA in records:
                ledger.revoke(ANNA)
                projector.project_pending()
            return super().fill(number, life, records, page, seen_seq)

    assert warm(ledger.engine, Slow(redis_client, redis_namespace), [SHARD]).incomplete_shards == []
    assert cached_reason(ledger, cache, ANNA) is Reason.CONSENT_REVOKED


def test_warming_begins_again_when_the_cache_was_emptied_meanwhile(
    ledger: Ledger,
    projector: Projector,
    cache: Cache,
    redis_client: RedisClient,
    redis_url: str,
    redis_namespace: str,
) -> None:
    """Completeness is never claimed for a life in which not everybody was put in."""
    ledger.consent(ANNA)
    emptied: list[CacheLife] = []

    class Emptied(Cache):
        def mark_complete(self, number: int, life: CacheLife, session: int, pages: int) -> Outcome:
            if not emptied:
                emptied.append(life)
                remove_keys(redis_url, redis_namespace)
                projector.project_pending()
            return super().mark_complete(number, life, session, pages)

    report = warm(ledger.engine, Emptied(redis_client, redis_namespace), [SHARD])
    assert (report.customers, report.incomplete_shards) == (1, [])
    assert meta_of(cache).life > emptied[0]
    assert cached_reason(ledger, cache, ANNA) is Reason.ALLOWED


def test_verifying_finds_what_differs(
    ledger: Ledger, cache: Cache, client: redis.Redis, redis_namespace: str
) -> None:
    """A record with other content, a lost one and one of nobody are each counted and named."""
    for customer_id in (ANNA, BORIS, VERA):
        ledger.consent(customer_id)
    warm(ledger.engine, cache)
    assert verify(ledger.engine, cache).equal == 3
    prefix = f"{redis_namespace}:{{s{SHARD}}}:c:"
    stranger = ids_of_shard(SHARD, 4)[3]
    record_of_anna = client.get(prefix + ANNA)
    assert isinstance(record_of_anna, bytes)
    client.set(prefix + stranger, record_of_anna)
    client.set(prefix + ANNA, record_of_anna[:-1] + bytes([record_of_anna[-1] ^ 1]))
    client.delete(prefix + BORIS)
    report = verify(ledger.engine, cache)
    assert (report.checked, report.equal, report.missing, report.different) == (4, 1, 0, 3)
    assert sorted(report.sample) == sorted([ANNA, BORIS, stranger])


def test_verifying_brings_lagging_shards_forward(ledger: Ledger, cache: Cache) -> None:
    """What is merely not applied yet is no difference."""
    ledger.consent(ANNA)
    warm(ledger.engine, cache)
    ledger.revoke(ANNA)
    report = verify(ledger.engine, cache)
    assert (report.equal, report.different) == (1, 0)
