"""Erasures that are interrupted, raced and set back: nobody is half erased, or comes back."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
import redis
from maywe.v1 import common_pb2, event_pb2, writer_pb2
from maywe.v1.writer_pb2_grpc import WriterServiceStub
from sqlalchemy import select

from decision.errors import UnavailableError
from decision.events import Consent, Erasure, NewEvent
from decision.instants import parse_instant
from service import erasing as service_erasing
from service.application import Role
from store import erasing, warming
from store.cache import Cache
from store.erasing import Progress
from store.guard import GuardKeeper
from store.leases import LeaseHolder
from store.meta import CacheLife
from store.projector import Projector
from store.reconciling import Reconciler
from store.schema import erasure, event, event_personal, shard
from store.sharding import shard_of
from store.verifying import verify
from tests.faults import failpoints
from tests.integration.erasing_builders import (
    ANNA,
    ANNA_TOO,
    BORIS,
    CONTRACT,
    PERSONAL,
    erase,
    left_of,
    live_a_life,
    may_sms,
)
from tests.integration.erasing_child import PLACES
from tests.integration.ledger_builders import Ledger, cached_reason
from tests.integration.service_builders import catalog, consent, failure_of, new_id, purchase
from tests.running import RunningMaywe, running_maywe
from tests.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("nobody_watches")]

UNKNOWN = common_pb2.REASON_UNKNOWN_CUSTOMER
COMPLETE = writer_pb2.ERASURE_PROGRESS_COMPLETE
PROCESS_SECONDS_MAX = 60.0


def faults_of(maywe: RunningMaywe) -> list[str]:
    """What `maywe ledger verify` and `maywe cache verify` find."""
    engine, stores = maywe.application.engine, maywe.application.stores
    found = [str(fault) for fault in verify(engine, stores.addresses.postgres_url).faults]
    report = warming.verify(engine, stores.cache)
    return [*found, *report.sample]


@contextmanager
def fragile_writer(
    directory: Path, database_url: str, redis_url: str, namespace: str
) -> Iterator[tuple["subprocess.Popen[str]", WriterServiceStub]]:
    """A writer in a process of its own, with places to die at."""
    command = [
        *(sys.executable, "-m", "tests.integration.erasing_child", str(directory)),
        *("serve", "writer", "--listen=127.0.0.1:0", "--bulk-processes=0"),
        f"--postgres-url={database_url}",
        f"--redis-url={redis_url}",
        f"--redis-namespace={namespace}",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.fullmatch(r"listening on (\S+)\n", process.stdout.readline())
            assert found is not None
            with grpc.insecure_channel(found[1]) as channel:
                yield process, WriterServiceStub(channel)
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_a_writer_killed_on_the_way_leaves_what_can_be_completed(
    tmp_path: Path,
    database_url: str,
    redis_url: str,
    redis_namespace: str,
    client: redis.Redis,
    place: str,
) -> None:
    """Wherever it dies: what was recorded counts, nothing is half removed, and again completes."""
    decisions = frozenset({Role.DECISION})
    with fragile_writer(tmp_path, database_url, redis_url, redis_namespace) as (process, writer):
        with running_maywe(database_url, redis_url, redis_namespace) as maywe:
            live_a_life(maywe)
            maywe.wait_until_projected()
        with running_maywe(database_url, redis_url, redis_namespace, decisions) as asked:
            assert may_sms(asked, ANNA).verdict == common_pb2.VERDICT_ALLOW
            failpoints.arm(tmp_path, place, failpoints.KILL)
            with pytest.raises(grpc.RpcError):
                writer.EraseCustomer(
                    event_pb2.EraseCustomerRequest(
                        event_id="erasure", customer_id=ANNA, with_merged=True
                    ),
                    timeout=PROCESS_SECONDS_MAX,
                )
            assert process.wait(PROCESS_SECONDS_MAX) == -9
            failpoints.disarm(tmp_path, place)
            with asked.application.engine.connect() as connection:
                is_recorded = connection.scalar(select(erasure.c.root)) is not None
            assert is_recorded == (place != "before it is recorded")
            if list(PLACES).index(place) >= list(PLACES).index("once it is effective"):
                assert may_sms(asked, ANNA).reason == UNKNOWN
                assert may_sms(asked, ANNA_TOO).reason == UNKNOWN
            assert may_sms(asked, BORIS).verdict == common_pb2.VERDICT_ALLOW
    with running_maywe(database_url, redis_url, redis_namespace) as maywe:
        again = erase(maywe, event_id="erasure")
        assert again.progress == COMPLETE
        assert again.event_id == "erasure"
        assert left_of(maywe, client, *PERSONAL) == []
        assert may_sms(maywe, ANNA).reason == UNKNOWN
        assert faults_of(maywe) == []


def test_writers_complete_what_was_begun(
    maywe: RunningMaywe, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever began it need not come back."""
    live_a_life(maywe)
    application = maywe.application
    begun = erasing.begin(
        application.engine,
        application.catalogs,
        NewEvent("left", ANNA, Erasure(with_merged=True)),
    )
    assert begun.progress is Progress.UNDER_WAY
    monkeypatch.setattr(service_erasing, "LEFT_SECONDS", 0.0)
    application.eraser.complete_left(threading.Event(), PROCESS_SECONDS_MAX)
    assert left_of(maywe, client, *PERSONAL) == []
    application.eraser.complete_left(threading.Event(), PROCESS_SECONDS_MAX)
    assert erase(maywe, event_id="left").progress == COMPLETE


def test_nothing_is_recorded_of_whoever_is_being_erased(maywe: RunningMaywe) -> None:
    """It is refused for the moment, and others recorded beside it are not; then it is new."""
    live_a_life(maywe)
    application = maywe.application
    begun = erasing.begin(
        application.engine, application.catalogs, NewEvent("e", ANNA, Erasure(with_merged=True))
    )
    with pytest.raises(UnavailableError) as raised:
        application.recorder.record_one(NewEvent("new", ANNA_TOO, _granting()))
    assert raised.value.code.name == "ERASURE_UNDER_WAY"
    refused, recorded = application.recorder.record(
        [NewEvent("n1", ANNA, _granting()), NewEvent("n2", BORIS, _granting())]
    )
    assert not hasattr(refused, "recorded_at")
    assert hasattr(recorded, "recorded_at")
    for request in (
        lambda: maywe.client.writer.SplitCustomer(
            event_pb2.SplitCustomerRequest(event_id=new_id(), customer_id=ANNA_TOO)
        ),
        lambda: maywe.client.writer.MergeCustomers(
            event_pb2.MergeCustomersRequest(
                event_id=new_id(), from_customer_id=BORIS, into_customer_id=ANNA
            )
        ),
    ):
        assert failure_of(request).reason == "ERASURE_UNDER_WAY"
    assert begun.narrowing is not None
    application.effectuator.make_effective(begun.narrowing, PROCESS_SECONDS_MAX)
    assert may_sms(maywe, ANNA).reason == UNKNOWN
    application.projector.announce(begun.positions)
    assert application.projector.wait_until_applied(begun.positions, PROCESS_SECONDS_MAX)
    erasing.complete(application.engine, application.cache, begun.root)
    application.recorder.record_one(NewEvent("n1", ANNA, _granting()))
    maywe.wait_until_projected()
    assert may_sms(maywe, ANNA).verdict == common_pb2.VERDICT_ALLOW
    assert faults_of(maywe) == []


def test_while_redis_is_away_nothing_is_removed(
    database_url: str, redis_namespace: str, tmp_path: Path, redis_url: str, client: redis.Redis
) -> None:
    """It is effective all the same, and completed when Redis is there again."""
    with running_maywe(database_url, redis_url, redis_namespace) as maywe:
        live_a_life(maywe)
        maywe.wait_until_projected()
    with running_maywe(database_url, f"unix://{tmp_path}/redis.sock", redis_namespace) as maywe:
        response = erase(maywe, event_id="e")
        assert response.progress == writer_pb2.ERASURE_PROGRESS_UNDER_WAY
        assert response.acknowledgement.durability == common_pb2.DURABILITY_EFFECTIVE
        assert may_sms(maywe, ANNA).reason == UNKNOWN
        assert left_of(maywe, client, ANNA) == [f"{ANNA} in PostgreSQL", f"{ANNA} in Redis"]
    with running_maywe(database_url, redis_url, redis_namespace) as maywe:
        maywe.wait_until_projected()
        again = erase(maywe, event_id="again")
        assert (again.progress, again.event_id) == (COMPLETE, "e")
        assert again.acknowledgement.repeat
        assert left_of(maywe, client, *PERSONAL) == []


def _granting() -> Consent:
    return Consent(parse_instant("2024-05-01T00:00:00Z"), "marketing", "granted")


@pytest.mark.slow
def test_purchases_that_arrive_at_the_same_time_are_before_or_after(
    maywe: RunningMaywe, client: redis.Redis
) -> None:
    """Each is erased with the rest or of somebody new, none is lost, and nothing is mixed up."""
    maywe.publish(catalog())
    stop = threading.Event()
    answered: list[str] = []
    failed: list[grpc.StatusCode] = []

    def buy() -> None:
        while not stop.is_set():
            request = purchase(ANNA, number=CONTRACT)
            try:
                maywe.client.writer.RecordPurchase(request)
            except grpc.RpcError as error:
                failed.append(error.code())
            else:
                answered.append(request.event_id)

    threads = [threading.Thread(target=buy) for _ in range(4)]
    for thread in threads:
        thread.start()
    with ThreadPoolExecutor(2) as pool:
        progress = [done.progress for done in pool.map(lambda _: erase(maywe), range(12))]
    stop.set()
    for thread in threads:
        thread.join()
    assert COMPLETE in progress
    assert set(failed) <= {grpc.StatusCode.UNAVAILABLE}
    maywe.wait_until_projected()
    assert faults_of(maywe) == []
    with maywe.application.engine.connect() as connection:
        recorded = set(connection.scalars(select(event.c.event_id)))
    assert set(answered) <= recorded
    maywe.client.writer.RecordPurchase(purchase(ANNA, number=CONTRACT))
    assert may_sms(maywe, ANNA).verdict == common_pb2.VERDICT_ALLOW
    assert erase(maywe).progress == COMPLETE
    assert left_of(maywe, client, ANNA, CONTRACT) == []
    with maywe.application.engine.connect() as connection:
        assert connection.execute(select(event_personal)).all() == []
    assert faults_of(maywe) == []


def lives_of(maywe: RunningMaywe) -> list[CacheLife]:
    """Give the lives of the shards in which Redis has Anna's ids."""
    metas = maywe.application.cache.read_metas(sorted({shard_of(ANNA), shard_of(ANNA_TOO)}))
    return [meta.life for meta in metas.values() if meta is not None]


def reconcile(maywe: RunningMaywe) -> None:
    """Go through all customers and all keys once, and find nothing to alarm anybody about."""
    application = maywe.application
    reconciler = Reconciler(
        application.engine,
        application.cache,
        application.catalogs,
        application.projector.announce,
        lambda _: None,
    )
    while reconciler.counts.rounds < 2:
        reconciler.step()
    assert reconciler.counts.differences_found == 0


@pytest.mark.parametrize("by_reconciler", [True, False])
def test_a_redis_that_goes_back_brings_nobody_back(
    maywe: RunningMaywe, client: redis.Redis, *, by_reconciler: bool
) -> None:
    """Not as an ALLOW: the shard begins a new life. The keys go when an id is erased again.

    Or when the reconciler comes by.
    """
    live_a_life(maywe)
    maywe.wait_until_projected()
    keys = list(client.scan_iter("*"))
    snapshot = dict(zip(keys, client.mget(keys), strict=True))
    lives = lives_of(maywe)
    assert erase(maywe).progress == COMPLETE
    for key, value in snapshot.items():
        client.set(key, value)
    for _ in range(20):
        for customer_id in (ANNA, ANNA_TOO):
            assert may_sms(maywe, customer_id).reason == UNKNOWN
    until(lambda: all(new > old for new, old in zip(lives_of(maywe), lives, strict=True)))
    maywe.wait_until_projected()
    assert may_sms(maywe, ANNA).reason == UNKNOWN
    assert left_of(maywe, client, ANNA) == [f"{ANNA} in Redis"]
    if by_reconciler:
        reconcile(maywe)
    else:
        for customer_id in (ANNA, ANNA_TOO):
            assert erase(maywe, customer_id).progress == writer_pb2.ERASURE_PROGRESS_NOTHING_HELD
    assert left_of(maywe, client, *PERSONAL) == []
    maywe.client.writer.RecordConsent(consent(ANNA))
    assert may_sms(maywe, ANNA).verdict == common_pb2.VERDICT_ALLOW


def _erased(ledger: Ledger, cache: Cache) -> None:
    projector = Projector(ledger.engine, cache)
    begun = erasing.begin(ledger.engine, ledger.catalogs, NewEvent("e", ANNA, Erasure()))
    with pytest.raises(erasing.NotAppliedError):
        erasing.complete(ledger.engine, cache, begun.root)
    projector.project_pending()
    removed = erasing.complete(ledger.engine, cache, begun.root)
    assert removed.customer_ids == 1
    assert erasing.complete(ledger.engine, cache, begun.root) == erasing.NOTHING_REMOVED


def test_what_was_read_before_can_not_be_put_in_late(ledger: Ledger, cache: Cache) -> None:
    """A fill that began before the erasure is refused, one that began after it is not."""
    number = shard_of(ANNA)
    Projector(ledger.engine, cache).project_pending()
    ledger.consent(ANNA)
    Projector(ledger.engine, cache).project_pending()
    [entry] = cache.read([ANNA])
    assert entry.meta is not None
    assert entry.record is not None
    _erased(ledger, cache)
    late = cache.fill(
        number, entry.meta.life, {ANNA: entry.record}, seen_seq=entry.meta.applied_seq
    )
    assert not late.is_accepted
    assert not cache.read([ANNA])[0].has_key
    assert late.meta is not None
    life = CacheLife(*late.meta.life)
    assert cache.fill(number, life, {}, seen_seq=late.meta.applied_seq).is_accepted
    ledger.consent(ANNA)
    Projector(ledger.engine, cache).project_pending()
    assert cached_reason(ledger, cache, ANNA).name == "ALLOWED"


def test_a_shard_that_went_back_to_before_an_erasure_does_not_count(
    ledger: Ledger, cache: Cache, client: redis.Redis
) -> None:
    """Also for a server that never saw it further: the floor can name nobody, so all wait."""
    number = shard_of(ANNA)
    Projector(ledger.engine, cache).project_pending()
    ledger.consent(ANNA)
    Projector(ledger.engine, cache).project_pending()
    keys = list(client.scan_iter("*"))
    snapshot = dict(zip(keys, client.mget(keys), strict=True))
    _erased(ledger, cache)
    for key, value in snapshot.items():
        client.set(key, value)
    keeper = GuardKeeper()
    LeaseHolder(ledger.engine, cache, keeper, "one", "127.0.0.1:1", 60.0).renew()
    with ledger.engine.connect() as connection:
        seq = connection.scalar(select(shard.c.seq).where(shard.c.number == number))
    meta = cache.read_metas([number])[number]
    assert meta is not None
    assert meta.applied_seq < keeper.current().bases[number] == seq
    assert not keeper.current().is_shard_reached(number, meta)
    assert Projector(ledger.engine, cache).project_shard(number) == 0
    assert cache.read([ANNA])[0].record is None
