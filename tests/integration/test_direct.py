"""Projecting one's own commits without reading them back: the same as the projector would do."""

from collections.abc import Mapping
from typing import Final

import pytest
from sqlalchemy import Connection

from decision.events import Consent, NewEvent, Revocation
from decision.reasons import Reason
from decision.selectors import EVERYTHING
from store.cache import Batch, Cache
from store.database import run_transaction
from store.direct import DirectProjector
from store.projector import Projector
from tests.integration.ledger_builders import LONG_AGO, Ledger, cached_reason, ids_of_shard
from tests.servers import remove_keys

pytestmark = pytest.mark.integration

SHARD: Final = 5
ANNA, BORIS = ids_of_shard(SHARD, 2)
ELSEWHERE: Final = ids_of_shard(9, 1)[0]


def consent(customer_id: str) -> NewEvent:
    """A consent to calls, the same for the same customer."""
    return NewEvent(f"consent of {customer_id}", customer_id, Consent(LONG_AGO, "calls", "granted"))


def revocation(customer_id: str) -> NewEvent:
    """A revocation of everything that was obtained by then."""
    return NewEvent(f"revocation of {customer_id}", customer_id, Revocation(LONG_AGO, EVERYTHING))


def recorded(ledger: Ledger, *events: NewEvent) -> Mapping[int, Batch]:
    """Record events in one transaction and give what the cache lacks then."""

    def work(connection: Connection) -> Mapping[int, Batch]:
        run = ledger.recorder.begin_run(connection)
        run.record(events)
        return run.batches

    return run_transaction(ledger.engine, work)


@pytest.fixture
def left() -> list[int]:
    """The shards that were left to the projector."""
    return []


@pytest.fixture
def direct(ledger: Ledger, cache: Cache, left: list[int]) -> DirectProjector:
    """A direct projector on a cache that the projector has begun."""
    Projector(ledger.engine, cache).project_pending()
    return DirectProjector(cache, left.extend)


def test_what_was_committed_is_shown_and_nothing_is_left_for_the_projector(
    ledger: Ledger, cache: Cache, direct: DirectProjector, left: list[int]
) -> None:
    """Several customers of several shards, one of them with two events, then more of them."""
    direct.project(recorded(ledger, consent(ANNA), consent(BORIS), revocation(ANNA)))
    direct.project(recorded(ledger, consent(ELSEWHERE)))
    direct.project(recorded(ledger, revocation(BORIS)))
    assert cached_reason(ledger, cache, ANNA) is Reason.CONSENT_REVOKED
    assert cached_reason(ledger, cache, BORIS) is Reason.CONSENT_REVOKED
    assert cached_reason(ledger, cache, ELSEWHERE) is Reason.ALLOWED
    assert left == []
    assert Projector(ledger.engine, cache).project_pending() == 0


def test_what_does_not_follow_is_left_to_the_projector(
    ledger: Ledger, cache: Cache, direct: DirectProjector, left: list[int]
) -> None:
    """A batch that comes before an earlier one, or once more, changes nothing."""
    earlier = recorded(ledger, consent(ANNA))
    later = recorded(ledger, revocation(ANNA))
    direct.project(later)
    assert left == [SHARD]
    direct.project(earlier)
    assert cached_reason(ledger, cache, ANNA) is Reason.ALLOWED
    direct.project(later)
    direct.project(earlier)
    assert cached_reason(ledger, cache, ANNA) is Reason.CONSENT_REVOKED
    assert left == [SHARD, SHARD]
    assert Projector(ledger.engine, cache).project_pending() == 0


def test_a_batch_of_an_earlier_life_of_the_cache_is_refused(
    ledger: Ledger,
    cache: Cache,
    direct: DirectProjector,
    left: list[int],
    redis_namespace: str,
    redis_url: str,
) -> None:
    """Redis was emptied between the commit and the projection: nothing of before is put in."""
    batches = recorded(ledger, consent(ANNA))
    remove_keys(redis_url, f"{redis_namespace}:")
    Projector(ledger.engine, cache).project_pending()
    direct.project(batches)
    assert left == [SHARD]
    assert cache.read([ANNA])[0].record is None


def test_both_ids_of_a_merged_customer_are_shown(
    ledger: Ledger, cache: Cache, direct: DirectProjector, left: list[int]
) -> None:
    """An event of one of them is in the batches of both shards."""
    direct.project(recorded(ledger, consent(ANNA), consent(ELSEWHERE)))
    ledger.merge(ELSEWHERE, ANNA)
    Projector(ledger.engine, cache).project_pending()
    direct.project(recorded(ledger, revocation(ELSEWHERE)))
    assert cached_reason(ledger, cache, ANNA) is Reason.CONSENT_REVOKED
    assert cached_reason(ledger, cache, ELSEWHERE) is Reason.CONSENT_REVOKED
    assert left == []
