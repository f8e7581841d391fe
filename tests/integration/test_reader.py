"""Reading permissions on real servers: when Redis is believed and when PostgreSQL is asked."""

import pytest
import redis
from sqlalchemy import Engine

from decision.errors import UnavailableError
from decision.reasons import Reason
from store.cache import Cache
from store.projector import Projector
from store.publications import Catalogs
from store.reader import PermissionReader, Permissions
from store.token import Token
from store.warming import warm
from tests.integration.ledger_builders import (
    PHONE,
    SMS,
    Ledger,
    document,
    ids_of_shard,
    leased,
    reason_for,
)
from tests.servers import remove_keys

pytestmark = pytest.mark.integration

SHARD = 5
ANNA, BORIS = ids_of_shard(SHARD, 2)
ELSEWHERE = ids_of_shard(9, 1)[0]


@pytest.fixture
def reader(ledger: Ledger, cache: Cache) -> PermissionReader:
    """A reader in a process of its own, as far as catalogs go."""
    catalogs = Catalogs(ledger.engine)
    catalogs.refresh()
    return PermissionReader(ledger.engine, cache, catalogs, leased())


def read_one(reader: PermissionReader, customer_id: str, token: Token | None = None) -> Permissions:
    """The permissions of one customer."""
    [found] = reader.read([customer_id], token=token)
    return found


def summary(found: Permissions) -> tuple[Reason, bool]:
    """The reason for a call now, and whether it came from Redis."""
    return reason_for(found), found.is_from_cache


def test_a_cached_record_needs_no_postgresql(
    ledger: Ledger, projector: Projector, cache: Cache, no_postgresql: Engine
) -> None:
    """Known and unknown customers of a complete shard are answered from Redis alone."""
    projector.project_pending()
    ledger.consent(ANNA)
    projector.project_pending()
    reader = PermissionReader(no_postgresql, cache, ledger.catalogs, leased())
    anna, boris = reader.read([ANNA, BORIS], [PHONE])
    assert summary(anna) == (Reason.ALLOWED, True)
    assert (anna.state_version, anna.publication) == (1, 1)
    assert summary(boris) == (Reason.UNKNOWN_CUSTOMER, True)
    assert boris.state_version == 0


def test_a_miss_is_read_from_postgresql_and_filled(
    ledger: Ledger, projector: Projector, reader: PermissionReader
) -> None:
    """The first check after a miss asks PostgreSQL, the second one finds the record."""
    ledger.consent(ANNA)
    projector.project_pending()
    assert summary(read_one(reader, ANNA)) == (Reason.ALLOWED, False)
    assert summary(read_one(reader, ANNA)) == (Reason.ALLOWED, True)


def test_a_customer_postgresql_does_not_know_is_unknown(
    ledger: Ledger, projector: Projector, reader: PermissionReader
) -> None:
    """In an incomplete shard a missing record is asked for every time, and never put in."""
    ledger.consent(ANNA)
    projector.project_pending()
    for _ in range(2):
        assert summary(read_one(reader, BORIS)) == (Reason.UNKNOWN_CUSTOMER, False)


def test_answers_come_in_the_order_asked(
    ledger: Ledger, projector: Projector, reader: PermissionReader
) -> None:
    """Hits and misses are mixed in their places, and an id may be asked twice."""
    ledger.consent(ANNA)
    projector.project_pending()
    ledger.consent(ELSEWHERE)
    ledger.revoke(ELSEWHERE)
    asked = [BORIS, ELSEWHERE, ANNA, BORIS, ANNA]
    assert [reason_for(found) for found in reader.read(asked)] == [
        Reason.UNKNOWN_CUSTOMER,
        Reason.UNKNOWN_CUSTOMER,
        Reason.ALLOWED,
        Reason.UNKNOWN_CUSTOMER,
        Reason.ALLOWED,
    ]
    projector.project_pending()
    assert reason_for(reader.read(asked)[1]) is Reason.CONSENT_REVOKED


def test_a_token_that_redis_has_not_reached_is_read_from_postgresql(
    ledger: Ledger, projector: Projector, reader: PermissionReader
) -> None:
    """Who brings the token of a write sees that write, projected or not."""
    projector.project_pending()
    ledger.consent(ANNA)
    projector.project_pending()
    token = Token(1, ledger.revoke(ANNA).positions)
    assert summary(read_one(reader, ANNA)) == (Reason.ALLOWED, True)
    assert summary(read_one(reader, ANNA, token)) == (Reason.CONSENT_REVOKED, False)
    projector.project_pending()
    assert summary(read_one(reader, ANNA, token)) == (Reason.CONSENT_REVOKED, True)


def test_a_token_counts_for_unknown_customers_too(
    ledger: Ledger, projector: Projector, reader: PermissionReader
) -> None:
    """A complete shard that has not reached the token does not say that nobody is known."""
    projector.project_pending()
    token = Token(1, ledger.consent(ANNA).positions)
    assert summary(read_one(reader, ANNA)) == (Reason.UNKNOWN_CUSTOMER, True)
    assert summary(read_one(reader, ANNA, token)) == (Reason.ALLOWED, False)


def test_a_token_of_another_epoch_is_read_from_postgresql(
    ledger: Ledger, projector: Projector, reader: PermissionReader
) -> None:
    """Positions of different lives of the ledger cannot be compared."""
    projector.project_pending()
    token = Token(2, ledger.consent(ANNA).positions)
    projector.project_pending()
    assert summary(read_one(reader, ANNA, token)) == (Reason.ALLOWED, False)


def test_a_token_of_another_shard_asks_for_nothing(
    ledger: Ledger, projector: Projector, reader: PermissionReader
) -> None:
    """Only the shards that a write concerned have to have reached it."""
    projector.project_pending()
    ledger.consent(ANNA)
    projector.project_pending()
    token = Token(1, ledger.consent(ELSEWHERE).positions)
    assert summary(read_one(reader, ANNA, token)) == (Reason.ALLOWED, True)


def test_records_that_a_publication_left_alone_stay_right(
    ledger: Ledger, projector: Projector, reader: PermissionReader
) -> None:
    """After a roll-out that changed nothing the old record counts under the new catalog."""
    projector.project_pending()
    ledger.consent(ANNA)
    projector.project_pending()
    number = ledger.publish(document(remark=", new"))
    projector.project_pending()
    found = read_one(reader, ANNA)
    assert summary(found) == (Reason.ALLOWED, True)
    assert found.publication == number


def test_a_publication_counts_before_it_is_rolled_out(
    ledger: Ledger, projector: Projector, reader: PermissionReader, cache: Cache
) -> None:
    """A process that learns of it through Redis asks PostgreSQL, and Redis keeps the old record."""
    projector.project_pending()
    ledger.consent(ANNA)
    projector.project_pending()
    number = ledger.publish(document(channels=("sms",)), rolled_out=False)
    projector.project_pending()
    for _ in range(2):
        found = read_one(reader, ANNA)
        assert summary(found) == (Reason.NO_CONSENT, False)
        assert found.publication == number
        assert reason_for(found, SMS) is Reason.ALLOWED
    [entry] = cache.read([ANNA])
    assert entry.header is not None
    assert entry.header.publication == number - 1
    ledger.roll_out()
    projector.project_pending()
    assert summary(read_one(reader, ANNA)) == (Reason.NO_CONSENT, True)


def test_what_postgresql_answers_is_right_under_the_catalog_given_with_it(
    ledger: Ledger, reader: PermissionReader
) -> None:
    """A process that has not heard of a publication learns of it by the read itself."""
    ledger.consent(ANNA)
    number = ledger.publish(document(channels=("sms",)))
    found = read_one(reader, ANNA)
    assert summary(found) == (Reason.NO_CONSENT, False)
    assert found.publication == number


def test_merged_customers_answer_alike(
    ledger: Ledger, projector: Projector, reader: PermissionReader
) -> None:
    """Both ids of a person are read alike from PostgreSQL and from Redis."""
    ledger.consent(ANNA)
    ledger.merge(ANNA, ELSEWHERE)
    projector.project_pending()
    for is_from_cache in (False, True):
        found = reader.read([ANNA, ELSEWHERE])
        assert [summary(one) for one in found] == [(Reason.ALLOWED, is_from_cache)] * 2


def test_the_publication_of_a_merged_customer_waits_for_the_roll_out_everywhere(
    ledger: Ledger, projector: Projector, reader: PermissionReader
) -> None:
    """A record that shows another shard's state is right only when that shard is rolled out too."""
    ledger.consent(ELSEWHERE)
    ledger.merge(ANNA, ELSEWHERE)
    projector.project_pending()
    read_one(reader, ANNA)
    ledger.publish(document(channels=("sms",)), rolled_out=False)
    with ledger.engine.begin() as connection:
        # As if the roll-out had been through with Anna's own shard, where no state is.
        connection.exec_driver_sql(
            "UPDATE shard SET rolled_out_publication = 2 WHERE number = %s", (SHARD,)
        )
    projector.project_pending()
    assert summary(read_one(reader, ANNA)) == (Reason.NO_CONSENT, False)


def test_an_emptied_redis_does_not_make_customers_unknown(
    ledger: Ledger,
    projector: Projector,
    cache: Cache,
    reader: PermissionReader,
    redis_url: str,
    redis_namespace: str,
) -> None:
    """Before and after a new life begins, customers are read from PostgreSQL."""
    ledger.consent(ANNA)
    warm(ledger.engine, cache)
    remove_keys(redis_url, redis_namespace)
    assert summary(read_one(reader, ANNA)) == (Reason.ALLOWED, False)
    projector.project_pending()
    assert summary(read_one(reader, ANNA)) == (Reason.ALLOWED, False)
    assert summary(read_one(reader, ANNA)) == (Reason.ALLOWED, True)


def test_without_redis_postgresql_answers(ledger: Ledger, no_redis: Cache) -> None:
    """A Redis that does not answer costs time and no answer."""
    ledger.consent(ANNA)
    reader = PermissionReader(ledger.engine, no_redis, ledger.catalogs, leased())
    anna, boris = reader.read([ANNA, BORIS])
    assert summary(anna) == (Reason.ALLOWED, False)
    assert summary(boris) == (Reason.UNKNOWN_CUSTOMER, False)


def test_without_both_nothing_is_answered(no_redis: Cache, no_postgresql: Engine) -> None:
    """Not knowing is an error and no denial."""
    reader = PermissionReader(no_postgresql, no_redis, Catalogs(no_postgresql), leased())
    with pytest.raises(UnavailableError):
        reader.read([ANNA])


def test_a_miss_without_postgresql_is_not_answered(
    ledger: Ledger, projector: Projector, cache: Cache, no_postgresql: Engine
) -> None:
    """A record that is missing in an incomplete shard is not taken for an unknown customer."""
    ledger.consent(ANNA)
    projector.project_pending()
    reader = PermissionReader(no_postgresql, cache, ledger.catalogs, leased())
    with pytest.raises(UnavailableError):
        reader.read([ANNA])


def test_a_damaged_record_is_read_from_postgresql(
    ledger: Ledger,
    projector: Projector,
    reader: PermissionReader,
    client: redis.Redis,
    redis_namespace: str,
) -> None:
    """Bytes that cannot be read are a miss, also in a complete shard."""
    projector.project_pending()
    ledger.consent(ANNA)
    projector.project_pending()
    key = f"{redis_namespace}:{{s{SHARD}}}:c:{ANNA}"
    whole = client.get(key)
    assert isinstance(whole, bytes)
    client.set(key, whole[:40])
    assert summary(read_one(reader, ANNA)) == (Reason.ALLOWED, False)
    client.set(key, b"")
    assert summary(read_one(reader, ANNA)) == (Reason.ALLOWED, False)
