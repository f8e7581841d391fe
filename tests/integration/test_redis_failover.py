"""A Redis that is set back: restarted from an older snapshot, or a replica promoted while behind.

Its metas go backward within their life. The projector brings it forward from there, whatever
writers and delayed fills do meanwhile.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from decision.reasons import Reason
from store.cache import Cache, open_client
from store.meta import Meta
from store.projector import Projector
from store.reader import PermissionReader
from store.warming import verify
from tests.integration.ledger_builders import (
    Ledger,
    cached_reason,
    ids_of_shard,
    leased,
    reason_for,
)
from tests.redis_cluster import TestServer, redis_servers
from tests.waiting import until

pytestmark = pytest.mark.integration

SHARD = 5
ANNA, BORIS, VERA, GALINA = ids_of_shard(SHARD, 4)
ELSEWHERE = ids_of_shard(9, 1)[0]
EVERYBODY = (ANNA, BORIS, VERA, GALINA, ELSEWHERE)
REPLICATED_MILLISECONDS_MAX = 60_000


class Redis:
    """A Redis that can be set back to how it was."""

    def __init__(self, server: TestServer, replica: TestServer | None) -> None:
        self._server = server
        self._replica = replica
        self._clients = ExitStack()

    def cache(self) -> Cache:
        """Open the cache where it is now."""
        return Cache(self._clients.enter_context(open_client(self._server.url)), "maywe")

    def note(self) -> None:
        """Note how it is: save a snapshot, or let the replica have no more than this."""
        if self._replica is None:
            self._server.execute("SAVE")
        else:
            self._server.execute("WAIT", 1, REPLICATED_MILLISECONDS_MAX)
            self._replica.execute("REPLICAOF", "NO", "ONE")

    def set_back(self) -> Cache:
        """End it at once and go on with what was noted."""
        self._server.kill()
        if self._replica is None:
            self._server.start()
        else:
            self._server = self._replica
        return self.cache()

    def close(self) -> None:
        """Close what was opened."""
        self._clients.close()


@pytest.fixture(params=["snapshot", "replica"])
def redis_set_back(request: pytest.FixtureRequest) -> Iterator[Redis]:
    """A Redis, and how it is going to be set back."""
    with redis_servers(2 if request.param == "replica" else 1) as [server, *others]:
        for replica in others:
            replica.execute("REPLICAOF", "127.0.0.1", server.port)
            until(lambda replica=replica: "connected" in replica.execute("ROLE"))  # type: ignore[misc]
        running = Redis(server, others[0] if others else None)
        yield running
        running.close()


def meta_of(cache: Cache) -> Meta:
    """The meta of the shard, which is there."""
    found = cache.read_metas([SHARD])[SHARD]
    assert found is not None
    return found


def test_a_redis_that_was_set_back_is_brought_forward_within_its_life(
    ledger: Ledger, redis_set_back: Redis
) -> None:
    """With a writer and fills in between, some of them delayed, every record is right at last."""
    cache = redis_set_back.cache()
    projector = Projector(ledger.engine, cache, rows_per_batch=2)
    # So that no shard of theirs is complete, and who is not cached is filled in.
    ledger.consent(VERA)
    ledger.consent(ELSEWHERE)
    projector.project_pending()
    for customer_id in (ANNA, BORIS, ELSEWHERE):
        ledger.consent(customer_id)
    projector.project_pending()
    redis_set_back.note()
    noted, record_of_anna = meta_of(cache), cache.read([ANNA])[0].record
    assert record_of_anna is not None
    ledger.revoke(ANNA)
    ledger.merge(BORIS, ELSEWHERE)
    ledger.consent(GALINA)
    projector.project_pending()
    assert meta_of(cache).applied_seq > noted.applied_seq

    cache = redis_set_back.set_back()
    assert meta_of(cache) == noted
    assert cached_reason(ledger, cache, ANNA) is Reason.ALLOWED
    ledger.revoke(BORIS)
    reader = PermissionReader(ledger.engine, cache, ledger.catalogs, leased())
    for found in reader.read([VERA, GALINA]):
        assert (found.is_from_cache, reason_for(found)) == (False, Reason.ALLOWED)
    assert cache.fill(SHARD, noted.life, {ANNA: record_of_anna}).is_accepted
    projector = Projector(ledger.engine, cache, rows_per_batch=2)
    while projector.project_pending():
        pass
    assert cache.fill(SHARD, noted.life, {ANNA: record_of_anna}).is_accepted

    assert meta_of(cache).life == noted.life
    assert projector.counts.incarnations_begun == projector.counts.epochs_begun == 0
    reasons = {customer_id: cached_reason(ledger, cache, customer_id) for customer_id in EVERYBODY}
    assert reasons == {
        ANNA: Reason.CONSENT_REVOKED,
        BORIS: Reason.CONSENT_REVOKED,
        VERA: Reason.ALLOWED,
        GALINA: Reason.ALLOWED,
        ELSEWHERE: Reason.CONSENT_REVOKED,
    }
    report = verify(ledger.engine, cache)
    assert (report.equal, report.missing, report.different) == (len(EVERYBODY), 0, 0)


def test_a_redis_that_was_set_back_to_nothing_begins_anew(
    ledger: Ledger, redis_set_back: Redis
) -> None:
    """What was saved or replicated before the first record holds no life at all."""
    redis_set_back.note()
    cache = redis_set_back.cache()
    projector = Projector(ledger.engine, cache)
    ledger.consent(ANNA)
    projector.project_pending()
    before = meta_of(cache)
    cache = redis_set_back.set_back()
    assert cache.read_metas([SHARD]) == {SHARD: None}
    Projector(ledger.engine, cache).project_pending()
    assert meta_of(cache).life > before.life
    assert verify(ledger.engine, cache).different == 0
