"""A Redis Cluster: found, followed when shards move, and used in part while a part is lost.

What single reads and writes do on it is shown by test_cache, which runs on a cluster as well.
"""

from collections.abc import Iterator

import pytest
import redis
from maywe.v1 import common_pb2, decision_pb2
from redis.crc import key_slot

from decision.errors import UnavailableError
from decision.reasons import Reason
from store.cache import NOTHING_CACHED, Cache, open_client
from store.meta import CacheLife, Meta, decode_meta
from store.projector import Projector
from store.redis_client import CHECK_REPLY_SECONDS_MAX, ShardUnavailableError
from store.sharding import SHARD_COUNT
from store.warming import verify, warm
from tests.integration.ledger_builders import Ledger, cached_reason, ids_of_shard
from tests.integration.service_builders import catalog, consent, revocation
from tests.redis_cluster import Cluster, TestServer, redis_cluster
from tests.running import running_maywe
from tests.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.slow]

LIFE = CacheLife(1, 1)
EMPTY = Meta(LIFE, 0, 0, is_complete=True, newest_publication=0)
SHARDS = range(SHARD_COUNT)
ALLOW = common_pb2.VERDICT_ALLOW
KEYS_MAX = 1000
REPLICATED_MILLISECONDS_MAX = 60_000
CUSTOMERS = [next(iter(ids_of_shard(number, 1))) for number in SHARDS]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster of this module alone, of which the first master has a replica."""
    with redis_cluster(replicas=1) as running:
        yield running


@pytest.fixture
def redis_url(cluster: Cluster) -> str:
    """For the fixtures that use a Redis."""
    return cluster.url


@pytest.fixture
def impatient(redis_url: str, redis_namespace: str) -> Iterator[Cache]:
    """The cache as checks use it."""
    with open_client(redis_url, CHECK_REPLY_SECONDS_MAX) as opened:
        yield Cache(opened, redis_namespace)


def shards_of(server: TestServer) -> list[int]:
    """The shards that a master has."""
    ranges = [
        (first, last)
        for first, last, master, *_ in server.execute("CLUSTER", "SLOTS")
        if master[1] == server.port
    ]
    return [
        number
        for number in SHARDS
        if any(first <= key_slot(f"s{number}".encode()) <= last for first, last in ranges)
    ]


def are_all_there(cache: Cache) -> bool:
    """Tell whether every shard can be asked for."""
    return not any(cache.is_shard_lost(number) for number in SHARDS)


def test_customers_are_projected_warmed_and_verified(ledger: Ledger, cache: Cache) -> None:
    """As on one server, with shards on all of the cluster's."""
    projector = Projector(ledger.engine, cache)
    projector.project_pending()
    for customer_id in CUSTOMERS[::4]:
        ledger.consent(customer_id)
    ledger.revoke(CUSTOMERS[0])
    projector.project_pending()
    assert cached_reason(ledger, cache, CUSTOMERS[0]) is Reason.CONSENT_REVOKED
    assert cached_reason(ledger, cache, CUSTOMERS[4]) is Reason.ALLOWED
    assert warm(ledger.engine, cache).incomplete_shards == []
    report = verify(ledger.engine, cache)
    assert (report.equal, report.missing, report.different) == (SHARD_COUNT // 4, 0, 0)
    assert sorted(cache.scan_customer_ids()) == sorted(CUSTOMERS[::4])
    assert cache.evicting_servers() == {}


def test_a_whole_system_answers_from_a_cluster(
    database_url: str, redis_url: str, redis_namespace: str
) -> None:
    """Purchases and revocations reach the cache, and checks come out of it."""
    with running_maywe(database_url, redis_url, redis_namespace.rstrip(":")) as maywe:
        maywe.publish(catalog())
        for customer_id in CUSTOMERS[:8]:
            maywe.client.writer.RecordConsent(consent(customer_id))
        maywe.client.writer.Revoke(revocation(CUSTOMERS[0]))
        maywe.wait_until_projected()
        verdicts = [
            maywe.client.decision.MayContact(
                decision_pb2.MayContactRequest(
                    customer_id=customer_id, channel="phone", purpose="advertising"
                )
            ).verdict
            for customer_id in CUSTOMERS[:8]
        ]
        report = verify(maywe.application.engine, maywe.application.cache)
    assert verdicts == [common_pb2.VERDICT_DENY, *[ALLOW] * 7]
    assert (report.equal, report.different) == (8, 0)


def test_batches_and_audiences_come_from_all_of_a_cluster(
    database_url: str, redis_url: str, redis_namespace: str
) -> None:
    """Customers of every shard, and so of every server, each in its place."""
    with running_maywe(database_url, redis_url, redis_namespace.rstrip(":")) as maywe:
        maywe.publish(catalog(wordings=[catalog()["wordings"][0] | {"term": "indefinite"}]))
        for customer_id in CUSTOMERS[::3]:
            maywe.client.writer.RecordConsent(consent(customer_id))
        maywe.wait_until_projected()
        asked = common_pb2.ContactQuestion(channel="phone", purpose="advertising")
        answers = maywe.client.decision.FilterAudience(
            iter(
                [
                    decision_pb2.FilterAudienceRequest(question={"contact": asked}),
                    decision_pb2.FilterAudienceRequest(chunk={"customer_ids": CUSTOMERS}),
                ]
            )
        )
        verdicts = [verdict == ALLOW for verdict in next(answers).verdicts.verdicts]
        batch = maywe.client.decision.BatchCheck(
            decision_pb2.BatchCheckRequest(
                checks=[
                    {
                        "contact": {
                            "customer_id": customer_id,
                            "channel": "phone",
                            "purpose": "advertising",
                        }
                    }
                    for customer_id in CUSTOMERS
                ]
            )
        )
    expected = [number % 3 == 0 for number in SHARDS]
    assert verdicts == expected
    assert [result.contact.verdict == ALLOW for result in batch.results] == expected


def test_the_other_shards_are_read_while_a_master_hangs(
    ledger: Ledger, impatient: Cache, cluster: Cluster
) -> None:
    """Reads leave out what it has, projecting goes on, and it is found when it goes on."""
    Projector(ledger.engine, impatient).project_pending()
    hanging = cluster.masters[2]
    lost = shards_of(hanging)
    assert 0 < len(lost) < SHARD_COUNT
    there = next(number for number in SHARDS if number not in lost)
    hanging.pause()
    try:
        read = dict(zip(SHARDS, impatient.read(CUSTOMERS), strict=True))
        assert [number for number in SHARDS if read[number] == NOTHING_CACHED] == lost
        assert not impatient.is_lost
        assert [number for number in SHARDS if impatient.is_shard_lost(number)] == lost
        assert impatient.read_metas().keys() == set(SHARDS) - set(lost)
        with pytest.raises(ShardUnavailableError) as raised:
            impatient.read([CUSTOMERS[lost[0]]])
        assert raised.value.__cause__ is None
        for number in (there, lost[0]):
            ledger.consent(CUSTOMERS[number])
        assert Projector(ledger.engine, impatient).project_pending() == 1
        assert cached_reason(ledger, impatient, CUSTOMERS[there]) is Reason.ALLOWED
    finally:
        hanging.resume()
    until(lambda: are_all_there(impatient))
    assert Projector(ledger.engine, impatient).project_pending() == 1
    cluster.wait_until_agreed()


def meta_in_replica(replica: TestServer, key: str) -> Meta | None:
    """What a replica holds, which it says to whom old answers will do."""
    with redis.Redis(port=replica.port, single_connection_client=True) as client:
        client.execute_command("READONLY")
        return decode_meta(client.execute_command("GET", key))


def begin_move(giver: TestServer, taker: TestServer, number: int) -> int:
    """Begin to move a shard from a master to another, and give its slot."""
    slot = key_slot(f"s{number}".encode())
    taker.execute("CLUSTER", "SETSLOT", slot, "IMPORTING", giver.execute("CLUSTER", "MYID"))
    giver.execute("CLUSTER", "SETSLOT", slot, "MIGRATING", taker.execute("CLUSTER", "MYID"))
    return slot


def move(cluster: Cluster, giver: TestServer, taker: TestServer, number: int) -> None:
    """Move a shard from a master to another, of which all servers hear."""
    slot = begin_move(giver, taker, number)
    keys = giver.execute("CLUSTER", "GETKEYSINSLOT", slot, KEYS_MAX)
    if keys:
        giver.execute("MIGRATE", "127.0.0.1", taker.port, "", 0, 10_000, "KEYS", *keys)
    taker_id = taker.execute("CLUSTER", "MYID")
    for server in (taker, giver):
        server.execute("CLUSTER", "SETSLOT", slot, "NODE", taker_id)
    cluster.wait_until_heard(taker)


def test_a_shard_that_has_moved_is_followed(impatient: Cache, cluster: Cluster) -> None:
    """The server that had it says where it is now: reads and writes arrive, and nothing is lost."""
    giver, taker = cluster.masters[1:]
    number, other = shards_of(giver)[:2]
    for each in (number, other):
        impatient.begin_incarnation(each, EMPTY)
    move(cluster, giver, taker, number)
    assert impatient.read([CUSTOMERS[number]])[0].meta == EMPTY
    move(cluster, taker, giver, number)
    assert impatient.fill(number, LIFE, {}).is_accepted
    move(cluster, giver, taker, number)
    assert impatient.read_metas([number, other]) == {number: EMPTY, other: EMPTY}
    move(cluster, taker, giver, number)
    assert are_all_there(impatient)


def test_a_shard_on_the_move_is_unavailable_and_others_are_not(
    ledger: Ledger, impatient: Cache, cluster: Cluster
) -> None:
    """While its keys are in two places neither can answer for record and meta together."""
    projector = Projector(ledger.engine, impatient)
    projector.project_pending()
    giver, taker = cluster.masters[1:]
    number, other = shards_of(giver)[:2]
    ledger.consent(CUSTOMERS[number])
    ledger.consent(CUSTOMERS[other])
    slot = begin_move(giver, taker, number)
    try:
        with pytest.raises(ShardUnavailableError, match="moves the shard"):
            impatient.read([CUSTOMERS[number]])
        [moved, stayed] = impatient.read([CUSTOMERS[number], CUSTOMERS[other]])
        assert moved == NOTHING_CACHED
        assert stayed.meta is not None
        with pytest.raises(ShardUnavailableError):
            projector.project_pending()
        assert cached_reason(ledger, impatient, CUSTOMERS[other]) is Reason.ALLOWED
    finally:
        for server in (giver, taker):
            server.execute("CLUSTER", "SETSLOT", slot, "STABLE")
    assert projector.project_pending() == 1
    assert cached_reason(ledger, impatient, CUSTOMERS[number]) is Reason.ALLOWED


def test_a_server_named_as_if_it_were_alone_says_what_is_wrong(cluster: Cluster) -> None:
    """Whose shard it has not."""
    server = cluster.masters[0]
    number = next(number for number in SHARDS if number not in shards_of(server))
    with (
        open_client(server.url) as client,
        pytest.raises(UnavailableError, match=r"redis\+cluster"),
    ):
        Cache(client, "maywe").read([CUSTOMERS[number]])


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A cluster of one test alone, of which the first master has a replica."""
    with redis_cluster(replicas=1) as running:
        yield running


def test_a_dead_master_is_followed_by_its_replica(ledger: Ledger, own_cluster: Cluster) -> None:
    """Once it is promoted, it is read and written, though it knows none of our scripts."""
    with open_client(own_cluster.url, CHECK_REPLY_SECONDS_MAX) as client:
        cache = Cache(client, "maywe")
        Projector(ledger.engine, cache).project_pending()
        number = shards_of(own_cluster.masters[0])[0]
        ledger.consent(CUSTOMERS[number])
        Projector(ledger.engine, cache).project_pending()
        own_cluster.masters[0].execute("WAIT", 1, REPLICATED_MILLISECONDS_MAX)
        own_cluster.masters[0].kill()
        assert cache.read(CUSTOMERS)[number] == NOTHING_CACHED
        until(lambda: are_all_there(cache))
        assert cached_reason(ledger, cache, CUSTOMERS[number]) is Reason.ALLOWED
        ledger.revoke(CUSTOMERS[number])
        assert Projector(ledger.engine, cache).project_pending() == 1
        assert cached_reason(ledger, cache, CUSTOMERS[number]) is Reason.CONSENT_REVOKED


def test_a_replica_promoted_while_behind_allows_nothing_that_was_revoked(
    database_url: str, own_cluster: Cluster
) -> None:
    """What was revoked stays so during the fail-over and after it, until Redis shows it again."""
    master, replica = own_cluster.masters[0], own_cluster.replicas[0]
    number = shards_of(master)[0]
    customer_id = CUSTOMERS[number]
    question = decision_pb2.MayContactRequest(
        customer_id=customer_id, channel="phone", purpose="advertising"
    )
    with running_maywe(database_url, own_cluster.url, "maywe") as maywe:
        maywe.publish(catalog())
        maywe.client.writer.RecordConsent(consent(customer_id))
        maywe.wait_until_projected()
        assert maywe.client.decision.MayContact(question).verdict == ALLOW
        master.execute("WAIT", 1, REPLICATED_MILLISECONDS_MAX)
        replica.pause()
        master.execute("CLIENT", "KILL", "TYPE", "replica")
        revoked = maywe.client.writer.Revoke(revocation(customer_id))
        assert revoked.acknowledgement.durability == common_pb2.DURABILITY_EFFECTIVE
        maywe.wait_until_projected()
        cache = maywe.application.stores.check_cache
        shown = cache.read_metas([number])[number]
        master.kill()
        replica.resume()
        held = meta_in_replica(replica, f"maywe:{{s{number}}}:meta")
        assert shown is not None
        assert held is not None
        assert (held.life, held.applied_seq) < (shown.life, shown.applied_seq)

        def is_denied_as_the_cluster_is_whole() -> bool:
            answer = maywe.client.decision.MayContact(question)
            assert answer.verdict == common_pb2.VERDICT_DENY
            return are_all_there(cache)

        until(is_denied_as_the_cluster_is_whole)
        maywe.wait_until_projected()
        assert is_denied_as_the_cluster_is_whole()
        # The projector's own client asks nothing while nothing is recorded, and so learns of the
        # fail-over only from its next question.
        projected = maywe.application.cache
        until(lambda: len(projected.read_metas()) == SHARD_COUNT)
        report = verify(maywe.application.engine, projected)
    assert (report.equal, report.different) == (1, 0)


def test_a_client_opened_before_its_cluster_finds_it(own_cluster: Cluster) -> None:
    """Nothing can be asked for until the servers that the URL names are there."""
    for server in own_cluster.servers:
        server.kill()
    with open_client(own_cluster.url) as client:
        cache = Cache(client, "maywe")
        assert cache.is_lost
        with pytest.raises(UnavailableError):
            cache.read(CUSTOMERS)
        for server in own_cluster.servers:
            server.start()
        own_cluster.wait_until_agreed()
        until(lambda: are_all_there(cache))
        assert cache.read_metas() == dict.fromkeys(SHARDS)
