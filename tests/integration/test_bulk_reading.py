"""The allow rule for audiences and batches: what keeps a single check from the cache keeps them.

Anna may be called by what the cache holds, and has revoked by what PostgreSQL knows: so the reason
tells who answered.
"""

import pytest
import redis
from maywe.v1 import common_pb2

from decision.events import Consent
from decision.questions import ContactQuestion
from decision.reasons import Reason
from service.audiences import AudienceDecider
from service.batches import BatchDecider
from service.checking import Check, Checker
from service.conversion.batches import batch_response
from store.bulk_reading import BulkReader
from store.cache import Cache, open_client
from store.clocks import wall_clock
from store.floors import CustomerFloor, Narrowing
from store.guard import GuardKeeper
from store.projector import Projector
from store.publications import Catalogs
from store.reader import PermissionReader
from store.redis_client import CHECK_REPLY_SECONDS_MAX
from store.redis_layout import shard_tag
from store.sharding import shard_of
from store.token import Token
from tests.integration.ledger_builders import LONG_AGO, PHONE, Ledger, document, leased, renew
from tests.redis_cluster import redis_servers

pytestmark = pytest.mark.integration

ANNA = "anna"
OTHERS = ("boris", "nobody", "clara")
BY_PHONE = ContactQuestion("advertising", "phone")
NAMESPACE = "maywe"
MUCH_BYTES = 32 * 1024 * 1024
MINUTE = 60 * 1_000_000
CACHED, LEDGERS = Reason.ALLOWED, Reason.CONSENT_REVOKED


@pytest.fixture(autouse=True)
def projector(ledger: Ledger, cache: Cache) -> Projector:
    """A projector into a complete cache in which Anna has not revoked yet."""
    projector = Projector(ledger.engine, cache)
    projector.project_pending()
    for customer_id in (ANNA, "boris", "clara"):
        ledger.consent(customer_id)
    projector.project_pending()
    ledger.revoke(ANNA)
    return projector


def reasons(
    ledger: Ledger, cache: Cache, keeper: GuardKeeper, token: Token | None = None
) -> list[Reason]:
    """What an audience answers for Anna, and after it a batch, of a process of its own."""
    catalogs = Catalogs(ledger.engine)
    catalogs.refresh()
    reader = PermissionReader(ledger.engine, cache, catalogs, keeper)
    bulk = BulkReader(cache, catalogs, keeper)
    asked = [OTHERS[0], ANNA, *OTHERS[1:], ANNA]
    decider = AudienceDecider(bulk, reader, Check("", BY_PHONE, token=token))
    audience = [Reason(int(one)) for one in decider.finish(decider.begin(asked)).reasons]
    checks = [Check(customer_id, BY_PHONE, token=token) for customer_id in asked]
    decided = BatchDecider(bulk, Checker(reader, catalogs)).decide_each(checks)
    batch = [
        Reason[common_pb2.Reason.Name(one.contact.reason).removeprefix("REASON_")]
        for one in batch_response(decided).results
    ]
    for found in (audience, batch):
        assert found[1] is found[-1], "one who stands twice"
        assert found[0] is found[3] is Reason.ALLOWED
        assert found[2] is Reason.UNKNOWN_CUSTOMER
    return [audience[1], batch[1]]


def test_with_a_lease_the_cache_answers(ledger: Ledger, cache: Cache) -> None:
    """Nobody told of the revocation yet."""
    assert reasons(ledger, cache, leased()) == [CACHED, CACHED]


def test_plain_records_are_judged_together(ledger: Ledger, cache: Cache) -> None:
    """And not one by one, which would be right as well, and slow."""
    catalogs = Catalogs(ledger.engine)
    catalogs.refresh()
    bulk = BulkReader(cache, catalogs, leased())
    found = bulk.finish(bulk.begin([ANNA, *OTHERS], None))
    assert (bulk.answerable(found, [PHONE]) | found.is_nobodys).all()


def test_without_a_lease_postgresql_answers(ledger: Ledger, cache: Cache) -> None:
    """Somebody may have narrowed who could not tell us."""
    assert reasons(ledger, cache, leased(seconds=-1)) == [LEDGERS, LEDGERS]


def test_who_was_narrowed_is_read_from_postgresql(ledger: Ledger, cache: Cache) -> None:
    """Nobody else is: the floor is the customer's. Reading Anna fills the cache again."""
    keeper = leased()
    keeper.raise_floors(Narrowing(1, [CustomerFloor(ANNA, seq=10**6, version=2)]))
    assert reasons(ledger, cache, keeper) == [LEDGERS, LEDGERS]


def test_a_floor_that_the_record_reaches_does_not_stand_against_it(
    ledger: Ledger, cache: Cache
) -> None:
    """It shows the version that was asked for."""
    keeper = leased()
    keeper.raise_floors(Narrowing(1, [CustomerFloor(ANNA, seq=10**6, version=1)]))
    assert reasons(ledger, cache, keeper) == [CACHED, CACHED]


def test_a_shard_that_went_back_is_read_from_postgresql(ledger: Ledger, cache: Cache) -> None:
    """It is below where this process has seen it."""
    keeper = leased()
    many = [CustomerFloor(f"floor-{number}", 10**6, 1) for number in range(10_001)]
    keeper.raise_floors(Narrowing(1, [*many, CustomerFloor(ANNA, 10**6, 1)]))
    assert reasons(ledger, cache, keeper) == [LEDGERS, LEDGERS]


def test_a_token_is_heeded(ledger: Ledger, cache: Cache) -> None:
    """The answer shows at least the write that was answered with it."""
    token = Token(1, {shard_of(ANNA): 10**6})
    assert reasons(ledger, cache, leased(), token) == [LEDGERS, LEDGERS]


def test_a_cache_of_another_epoch_does_not_count(ledger: Ledger, cache: Cache) -> None:
    """It belongs to another life of the ledger than the lease."""
    keeper = leased()
    keeper.raise_floors(Narrowing(2))
    assert reasons(ledger, cache, keeper) == [LEDGERS, LEDGERS]


@pytest.mark.parametrize("damage", ["life", "cut", "format", "wide"])
def test_a_record_of_no_use_is_read_from_postgresql(
    ledger: Ledger, cache: Cache, redis_url: str, redis_namespace: str, damage: str
) -> None:
    """Of an earlier life, cut off, or of a format that nobody knows."""
    key = f"{redis_namespace}:{shard_tag(shard_of(ANNA))}:c:{ANNA}"
    with redis.Redis.from_url(redis_url) as client:
        found = client.get(key)
        assert isinstance(found, bytes)
        changed = bytearray(found)
        match damage:
            case "life":
                changed[8] ^= 1
            case "cut":
                del changed[-4:]
            case "format":
                changed[0] = 99
            case "wide":
                changed[0] = 4
        client.set(key, bytes(changed))
    assert reasons(ledger, cache, leased()) == [LEDGERS, LEDGERS]


def test_a_publication_that_does_not_concern_the_question_leaves_the_cache(
    ledger: Ledger, cache: Cache
) -> None:
    """It counts at once, and nobody need be read anew for it."""
    ledger.publish(document(remark=" of all kinds"), rolled_out=False)
    assert reasons(ledger, cache, leased(publication=2)) == [CACHED, CACHED]


def test_a_publication_that_concerns_the_question_is_heeded(ledger: Ledger, cache: Cache) -> None:
    """Calls are not granted any more, which no record shows yet."""
    ledger.publish(document(channels=("sms",)), rolled_out=False)
    keeper = leased(publication=2)
    catalogs = Catalogs(ledger.engine)
    catalogs.refresh()
    reader = PermissionReader(ledger.engine, cache, catalogs, keeper)
    decider = AudienceDecider(BulkReader(cache, catalogs, keeper), reader, Check("", BY_PHONE))
    found = decider.finish(decider.begin(["boris", "nobody"])).reasons.tolist()
    assert found == [Reason.NO_CONSENT, Reason.UNKNOWN_CUSTOMER]


def test_a_lease_that_ended_while_nobody_took_answers_is_renewed(
    ledger: Ledger, cache: Cache
) -> None:
    """A chunk that waited is asked for anew, and not of PostgreSQL."""
    keeper = leased(seconds=-1)
    catalogs = Catalogs(ledger.engine)
    catalogs.refresh()
    reader = PermissionReader(ledger.engine, cache, catalogs, keeper)
    decider = AudienceDecider(BulkReader(cache, catalogs, keeper), reader, Check("", BY_PHONE))
    chunk = decider.begin([ANNA])
    renew(keeper)
    assert decider.finish(chunk).reasons.tolist() == [CACHED]


def test_a_connection_that_is_closed_while_a_chunk_waits_does_not_lose_redis(
    ledger: Ledger,
) -> None:
    """A client takes its time, and Redis closes connections of who does not read."""
    with (
        redis_servers(1) as [server],
        open_client(server.url) as filling_client,
        open_client(server.url, CHECK_REPLY_SECONDS_MAX) as client,
    ):
        Projector(ledger.engine, Cache(filling_client, NAMESPACE)).project_pending()
        cache, keeper, catalogs = Cache(client, NAMESPACE), leased(), Catalogs(ledger.engine)
        # More than the kernel takes in for somebody who does not read.
        key = f"{NAMESPACE}:{shard_tag(shard_of(OTHERS[0]))}:c:{OTHERS[0]}"
        server.execute("SET", key, "x" * MUCH_BYTES)
        reader = PermissionReader(ledger.engine, cache, catalogs, keeper)
        decider = AudienceDecider(BulkReader(cache, catalogs, keeper), reader, Check("", BY_PHONE))
        chunk = decider.begin([OTHERS[0]])
        server.execute("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert decider.finish(chunk).reasons.tolist() == [Reason.ALLOWED]
        assert not cache.is_lost


def test_every_allow_of_a_chunk_holds_at_the_instant_that_is_told(
    ledger: Ledger, cache: Cache, projector: Projector
) -> None:
    """Anna is read later than the others, and by then the consent of one of them has ended."""
    ended_at = wall_clock() - 10 * MINUTE
    ledger.record("dmitri", Consent(LONG_AGO, "calls", "granted", expires_at=ended_at))
    projector.project_pending()
    catalogs = Catalogs(ledger.engine)
    catalogs.refresh()
    keeper = leased(clock=ended_at - 10 * MINUTE)
    reader = PermissionReader(ledger.engine, cache, catalogs, keeper)
    decider = AudienceDecider(BulkReader(cache, catalogs, keeper), reader, Check("", BY_PHONE))
    earlier = decider.finish(decider.begin(["dmitri", "boris"]))
    assert earlier.decided_at < ended_at
    assert earlier.reasons.tolist() == [Reason.ALLOWED, Reason.ALLOWED]
    keeper.raise_floors(Narrowing(1, [CustomerFloor(ANNA, seq=10**6, version=3)]))
    decided = decider.finish(decider.begin(["dmitri", ANNA, "boris"]))
    assert decided.decided_at > ended_at
    assert decided.reasons.tolist() == [Reason.CONSENT_EXPIRED, LEDGERS, Reason.ALLOWED]
