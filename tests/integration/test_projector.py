"""The projector on real servers: Redis follows PostgreSQL, whatever comes in between."""

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from sqlalchemy import delete, update

from decision.reasons import Reason
from store.cache import Batch, Cache, Outcome
from store.meta import CacheLife, Meta
from store.projector import Projector
from store.redis_client import RedisClient
from store.schema import installation, outbox, shard
from store.sharding import SHARD_COUNT
from store.warming import verify, warm
from tests.integration.ledger_builders import (
    Ledger,
    cached_reason,
    document,
    ids_of_shard,
)
from tests.servers import remove_keys
from tests.waiting import until

pytestmark = pytest.mark.integration

SHARD = 5
ANNA, BORIS, VERA = ids_of_shard(SHARD, 3)
ELSEWHERE = ids_of_shard(9, 1)[0]
WAIT_SECONDS_MAX = 60.0


@pytest.fixture
def projector(ledger: Ledger, cache: Cache) -> Projector:
    """A projector that begins with an empty Redis; small batches, so that there are several."""
    return Projector(ledger.engine, cache, rows_per_batch=2)


def a_meta(life: CacheLife, applied_seq: int = 0) -> Meta:
    """A meta that Redis might hold from elsewhere."""
    return Meta(life, applied_seq, publication=0, is_complete=True, newest_publication=0)


def meta_of(cache: Cache, number: int = SHARD) -> Meta:
    """The meta of a shard, which is there."""
    found = cache.read_metas([number])[number]
    assert found is not None
    return found


def dumped_keys(redis_url: str, prefix: str) -> dict[bytes, bytes]:
    """What a snapshot would hold of the keys that begin with `prefix`."""
    with redis.Redis.from_url(redis_url) as keys:
        return {key: keys.dump(key) for key in keys.scan_iter(match=f"{prefix}*", count=1000)}


def restore_keys(redis_url: str, dumped: dict[bytes, bytes]) -> None:
    """Put keys back as they were; none of them may be there."""
    with redis.Redis.from_url(redis_url) as keys:
        for key, value in dumped.items():
            keys.restore(key, 0, value)


def test_an_outage_is_logged_ever_less_often(
    ledger: Ledger,
    no_redis: Cache,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every failure is counted, and the 1st, 2nd, 4th, 8th … in a row are logged."""
    monkeypatch.setattr("store.projector.BACKOFF_SECONDS_MAX", 0.0)
    projector, stop = Projector(ledger.engine, no_redis), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(projector.run, stop)
        until(lambda: projector.counts.failures >= 5)
        stop.set()
        running.result()
    told = [record.args for record in caplog.records if record.name == "store.projector"]
    failures = projector.counts.failures
    assert told == [(2**power,) for power in range(failures.bit_length())]


def test_an_empty_ledger_begins_complete(projector: Projector, cache: Cache) -> None:
    """With nobody in the ledger every shard is complete from the start."""
    assert projector.project_pending() == 0
    metas = cache.read_metas().values()
    assert all(meta is not None and meta.is_complete for meta in metas)
    assert projector.counts.incarnations_begun == SHARD_COUNT


def test_a_shard_that_is_being_written_to_holds_up_no_other(
    ledger: Ledger, projector: Projector, cache: Cache
) -> None:
    """The lives of all others begin while a transaction still holds it."""
    with ThreadPoolExecutor(1) as pool, ledger.engine.connect() as writing:
        writing.execute(update(shard).where(shard.c.number == 0).values(seq=0))
        projecting = pool.submit(projector.project_pending)
        until(lambda: None not in cache.read_metas(range(1, SHARD_COUNT)).values())
        assert cache.read_metas([0]) == {0: None}
        writing.rollback()
        projecting.result(WAIT_SECONDS_MAX)
    assert cache.read_metas([0])[0] is not None


def test_what_is_recorded_reaches_redis(ledger: Ledger, projector: Projector, cache: Cache) -> None:
    """A consent, then its revocation, are what the cache answers after a turn each."""
    projector.project_pending()
    ledger.consent(ANNA)
    assert projector.project_pending() == 1
    assert cached_reason(ledger, cache, ANNA) is Reason.ALLOWED
    ledger.revoke(ANNA)
    assert projector.project_pending() == 1
    assert cached_reason(ledger, cache, ANNA) is Reason.CONSENT_REVOKED


def test_one_turn_applies_several_batches_in_order(
    ledger: Ledger, projector: Projector, cache: Cache
) -> None:
    """More rows than a batch takes are applied one batch after the other."""
    projector.project_pending()
    for customer_id in (ANNA, BORIS, ANNA, VERA, ANNA):
        ledger.consent(customer_id)
    assert projector.project_shard(SHARD) == 5
    assert meta_of(cache).applied_seq == 5
    assert verify(ledger.engine, cache).equal == 3


def test_nothing_new_is_nothing_to_do(ledger: Ledger, projector: Projector) -> None:
    """A turn that finds no row applies none and begins nothing."""
    projector.project_pending()
    ledger.consent(ANNA)
    projector.project_pending()
    begun = projector.counts.incarnations_begun
    assert projector.project_pending() == 0
    assert projector.counts.incarnations_begun == begun


def test_merged_customers_answer_alike_in_their_own_shards(
    ledger: Ledger, projector: Projector, cache: Cache
) -> None:
    """A merge and its split reach the records of both ids, whatever their shards."""
    projector.project_pending()
    ledger.consent(ANNA)
    ledger.consent(ELSEWHERE)
    ledger.revoke(ELSEWHERE)
    ledger.merge(ANNA, ELSEWHERE)
    projector.project_pending()
    merged = [cached_reason(ledger, cache, customer_id) for customer_id in (ANNA, ELSEWHERE)]
    assert merged == [Reason.CONSENT_REVOKED] * 2
    ledger.split(ANNA)
    projector.project_pending()
    assert cached_reason(ledger, cache, ANNA) is Reason.ALLOWED
    assert cached_reason(ledger, cache, ELSEWHERE) is Reason.CONSENT_REVOKED


def test_rows_written_before_a_merge_show_the_person_as_it_is_now(
    ledger: Ledger, projector: Projector, cache: Cache
) -> None:
    """A row of an id that was merged since is no reason to begin anew or to say unknown."""
    projector.project_pending()
    begun = projector.counts.incarnations_begun
    ledger.consent(ANNA)
    ledger.merge(ANNA, ELSEWHERE)
    one_row = Projector(ledger.engine, cache, rows_per_batch=1)
    one_row.project_pending()
    assert cached_reason(ledger, cache, ANNA) is Reason.ALLOWED
    assert projector.counts.incarnations_begun == begun
    assert verify(ledger.engine, cache).different == 0


def test_an_emptied_redis_begins_anew_and_incomplete(
    ledger: Ledger, projector: Projector, cache: Cache, redis_url: str, redis_namespace: str
) -> None:
    """After all keys are gone the shard has a later life, in which a missing record is a miss."""
    projector.project_pending()
    ledger.consent(ANNA)
    projector.project_pending()
    before = meta_of(cache)
    remove_keys(redis_url, redis_namespace)
    projector.project_pending()
    after = meta_of(cache)
    assert after.life > before.life
    assert (after.applied_seq, after.is_complete) == (before.applied_seq, False)
    assert cache.read([ANNA])[0].record is None


def test_a_redis_ahead_of_the_ledger_begins_an_epoch(
    projector: Projector, cache: Cache, redis_url: str, redis_namespace: str
) -> None:
    """What Redis shows applied and the ledger has not was lost there: its whole life is over."""
    projector.project_pending()
    life = meta_of(cache).life
    remove_keys(redis_url, redis_namespace)
    cache.begin_incarnation(SHARD, a_meta(life, applied_seq=99))
    for _ in range(2):
        projector.project_pending()
    epochs = {meta.life.epoch for meta in cache.read_metas().values() if meta is not None}
    assert len(epochs) == 1
    assert min(epochs) > life.epoch
    assert meta_of(cache).applied_seq == 0
    assert projector.counts.epochs_begun == 1


def test_a_ledger_set_back_begins_one_epoch_for_all_its_shards(
    ledger: Ledger, projector: Projector, cache: Cache
) -> None:
    """Several shards lack what Redis had of them, and one new life serves them all."""
    projector.project_pending()
    for customer_id in (ANNA, ELSEWHERE):
        ledger.consent(customer_id)
    projector.project_pending()
    before = meta_of(cache).life
    with ledger.engine.begin() as connection:
        connection.execute(update(shard).values(seq=0))
    for _ in range(2):
        projector.project_pending()
    metas = [meta for meta in cache.read_metas().values() if meta is not None]
    [epoch] = {meta.life.epoch for meta in metas}
    assert epoch > before.epoch
    assert len(metas) == SHARD_COUNT
    assert projector.counts.epochs_begun == 1


@pytest.mark.parametrize("life", [CacheLife(1, 70), CacheLife(4, 1)])
def test_a_redis_of_a_later_life_than_the_ledger_is_overtaken(
    projector: Projector, cache: Cache, life: CacheLife
) -> None:
    """A ledger that was restored begins an epoch beyond what Redis has seen."""
    cache.begin_incarnation(SHARD, a_meta(life))
    for _ in range(2):
        projector.project_pending()
    epochs = {meta.life.epoch for meta in cache.read_metas().values() if meta is not None}
    assert len(epochs) == 1
    assert min(epochs) > life.epoch


def test_a_redis_back_at_an_older_snapshot_is_replayed_in_its_life(
    ledger: Ledger, projector: Projector, cache: Cache, redis_url: str, redis_namespace: str
) -> None:
    """A meta that went backward is no new life: what it lacks is applied from there once more."""
    projector.project_pending()
    ledger.consent(ANNA)
    projector.project_pending()
    snapshot = dumped_keys(redis_url, redis_namespace)
    ledger.revoke(ANNA)
    ledger.consent(BORIS)
    projector.project_pending()
    ahead, begun = meta_of(cache), projector.counts.incarnations_begun
    remove_keys(redis_url, redis_namespace)
    restore_keys(redis_url, snapshot)
    assert cached_reason(ledger, cache, ANNA) is Reason.ALLOWED
    assert projector.project_pending() == 2
    assert meta_of(cache) == ahead
    assert projector.counts.incarnations_begun == begun
    assert projector.counts.epochs_begun == 0
    assert cached_reason(ledger, cache, ANNA) is Reason.CONSENT_REVOKED
    assert verify(ledger.engine, cache).different == 0


def test_a_raised_epoch_begins_every_shard_anew(
    ledger: Ledger, projector: Projector, cache: Cache
) -> None:
    """Records of an earlier epoch count no more."""
    projector.project_pending()
    with ledger.engine.begin() as connection:
        connection.execute(update(installation).values(epoch=7))
    projector.project_pending()
    assert {meta.life.epoch for meta in cache.read_metas().values() if meta is not None} == {7}


def test_pruned_rows_begin_anew(ledger: Ledger, projector: Projector, cache: Cache) -> None:
    """Rows needed for replay that are gone mean a later life at the ledger's seq."""
    projector.project_pending()
    before = meta_of(cache)
    for customer_id in (ANNA, BORIS, VERA):
        ledger.consent(customer_id)
    with ledger.engine.begin() as connection:
        connection.execute(delete(outbox).where(outbox.c.shard == SHARD).where(outbox.c.seq == 2))
    projector.project_pending()
    after = meta_of(cache)
    assert after.life > before.life
    assert (after.applied_seq, after.is_complete) == (3, False)


def test_publications_are_told_when_every_record_is_right(
    ledger: Ledger, projector: Projector, cache: Cache
) -> None:
    """A publication is newest from when it is recorded, and right when it is rolled out."""
    ledger.consent(ANNA)
    projector.project_pending()
    number = ledger.publish(document(remark=", new"), rolled_out=False)
    projector.project_pending()
    assert (meta_of(cache).publication, meta_of(cache).newest_publication) == (number - 1, number)
    ledger.roll_out()
    projector.project_pending()
    assert (meta_of(cache).publication, meta_of(cache).newest_publication) == (number, number)


def test_a_rolled_out_publication_is_told_only_with_its_last_row(
    ledger: Ledger, redis_client: RedisClient, redis_namespace: str
) -> None:
    """While rows of the roll-out are still to be applied, the shard is right under the old one."""
    told = []

    class Watched(Cache):
        def project(self, number: int, batch: Batch) -> Outcome:
            told.append((batch.first_seq, batch.publication))
            return super().project(number, batch)

    projector = Projector(ledger.engine, Watched(redis_client, redis_namespace), rows_per_batch=1)
    projector.project_pending()
    for customer_id in (ANNA, BORIS):
        ledger.consent(customer_id)
    projector.project_pending()
    told.clear()
    number = ledger.publish(document(channels=("sms",)))
    projector.project_shard(SHARD)
    assert told == [(3, 0), (4, number)]


def test_two_projectors_side_by_side_do_no_harm(
    ledger: Ledger, cache: Cache, redis_url: str, redis_namespace: str
) -> None:
    """While a writer writes and Redis is emptied, two of them end where one alone would."""
    stop = threading.Event()
    projectors = [Projector(ledger.engine, cache, rows_per_batch=3) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(projector.run, stop) for projector in projectors]
        try:
            for turn in range(20):
                for customer_id in (ANNA, BORIS, ELSEWHERE):
                    recorded = (ledger.consent, ledger.revoke)[turn % 2](customer_id)
                if turn % 7 == 3:
                    remove_keys(redis_url, redis_namespace)
            positions = {SHARD: 40, **recorded.positions}
            assert projectors[0].wait_until_applied(positions, WAIT_SECONDS_MAX)
        finally:
            stop.set()
            for projector in projectors:
                projector.wake.set()
        for done in running:
            done.result(WAIT_SECONDS_MAX)
    assert sum(projector.counts.failures for projector in projectors) == 0
    warm(ledger.engine, cache)
    report = verify(ledger.engine, cache)
    assert (report.equal, report.missing, report.different) == (3, 0, 0)


def test_running_outlives_an_outage(
    ledger: Ledger, redis_client: RedisClient, redis_namespace: str
) -> None:
    """Failures are counted, and projecting goes on when the servers are back."""

    class Flaky(Cache):
        is_down = True
        was_asked = threading.Event()

        def read_metas(self, numbers: Iterable[int] = range(SHARD_COUNT)) -> dict[int, Meta | None]:
            self.was_asked.set()
            if self.is_down:
                message = "a fault of any kind"
                raise RuntimeError(message)
            return super().read_metas(numbers)

    flaky = Flaky(redis_client, redis_namespace)
    projector = Projector(ledger.engine, flaky)
    recorded = ledger.consent(ANNA)
    stop = threading.Event()
    runner = threading.Thread(target=projector.run, args=(stop,))
    runner.start()
    try:
        assert flaky.was_asked.wait(WAIT_SECONDS_MAX)
        flaky.is_down = False
        assert projector.wait_until_applied(recorded.positions, WAIT_SECONDS_MAX)
    finally:
        stop.set()
        projector.wake.set()
        runner.join(WAIT_SECONDS_MAX)
    assert not runner.is_alive()
    assert projector.counts.failures >= 1


def test_waiting_ends_when_nobody_projects(ledger: Ledger, projector: Projector) -> None:
    """A wait that is in vain says so."""
    recorded = ledger.consent(ANNA)
    assert not projector.wait_until_applied(recorded.positions, 0.01)


def test_a_row_of_somebody_erased_since_begins_a_new_life(
    ledger: Ledger, projector: Projector, cache: Cache
) -> None:
    """It was applied before they were erased, so Redis went back and may hold their record."""
    projector.project_pending()
    ledger.consent(ANNA)
    ledger.consent(BORIS)
    before = meta_of(cache).life
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM customer WHERE customer_id = %s", (ANNA,))
    projector.project_shard(SHARD)
    assert meta_of(cache).life > before
    assert meta_of(cache).applied_seq == 2
    assert not cache.read([ANNA])[0].has_key


def test_only_what_was_announced_is_looked_at_in_between(ledger: Ledger, cache: Cache) -> None:
    """A shard that moved is brought forward without the others."""
    projector = Projector(ledger.engine, cache)
    projector.project_pending()
    ledger.consent(ANNA)
    ledger.consent(ELSEWHERE)
    assert projector.project_pending([SHARD]) == 1
    assert projector.project_pending() == 1
