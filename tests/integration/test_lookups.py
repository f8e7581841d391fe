"""What is counted of look-ups in Redis: hits, and why others were none."""

from typing import Final

import pytest
from sqlalchemy import Engine

from store.cache import Cache
from store.floors import Narrowing
from store.guard import GuardKeeper
from store.lookups import LookupResult, StaleCause
from store.projector import Projector
from store.publications import Catalogs
from store.reader import PermissionReader
from store.sharding import SHARD_COUNT, shard_of
from store.token import Token
from tests.integration.ledger_builders import PHONE, Ledger, document, leased

pytestmark = pytest.mark.integration

ANNA: Final = "anna"
HIT: Final = [(LookupResult.HIT, None)]
STALE: Final = LookupResult.STALE

Counted = list[tuple[LookupResult, StaleCause | None]]


class Lookups:
    """Keeps what came of look-ups."""

    def __init__(self) -> None:
        self.counted: Counted = []

    def count_hits(self, count: int) -> None:
        """Keep customers for whom Redis answered."""
        self.counted += [(LookupResult.HIT, None)] * count

    def count_miss(self, result: LookupResult, cause: StaleCause | None = None) -> None:
        """Keep one for whom it did not."""
        self.counted.append((result, cause))


@pytest.fixture
def projector(ledger: Ledger, cache: Cache) -> Projector:
    """A projector into a complete cache in which Anna may be called."""
    projector = Projector(ledger.engine, cache)
    projector.project_pending()
    ledger.consent(ANNA)
    projector.project_pending()
    return projector


def look(
    engine: Engine,
    cache: Cache,
    keeper: GuardKeeper,
    token: Token | None = None,
    customer_id: str = ANNA,
) -> Counted:
    """What is counted when a process asks about one customer."""
    catalogs = Catalogs(engine)
    catalogs.refresh()
    lookups = Lookups()
    reader = PermissionReader(engine, cache, catalogs, keeper, lookups=lookups)
    reader.read([customer_id], [PHONE], token)
    return lookups.counted


@pytest.mark.usefixtures("projector")
def test_hits_and_misses_are_told_apart(ledger: Ledger, cache: Cache, no_redis: Cache) -> None:
    """An answer is a hit, also that nobody is known; without lease or Redis there is none."""
    assert look(ledger.engine, cache, leased()) == HIT
    assert look(ledger.engine, cache, leased(seconds=-1)) == [(LookupResult.NO_LEASE, None)]
    assert look(ledger.engine, no_redis, leased()) == [(LookupResult.REDIS_UNAVAILABLE, None)]


def test_who_is_not_in_redis_is_absent(ledger: Ledger, cache: Cache) -> None:
    """A shard that was never loaded says of nobody that they are unknown."""
    assert look(ledger.engine, cache, leased()) == [(LookupResult.ABSENT, None)]


def test_who_was_narrowed_is_stale_until_redis_shows_it(
    ledger: Ledger, cache: Cache, projector: Projector
) -> None:
    """As long as the customer's own floor is not reached, and no longer."""
    keeper = leased()
    keeper.raise_floors(ledger.revoke(ANNA).narrowing)
    assert look(ledger.engine, cache, keeper) == [(STALE, StaleCause.CUSTOMER)]
    projector.project_pending()
    assert look(ledger.engine, cache, keeper) == HIT


def test_whoever_wants_to_see_a_write_finds_the_cache_stale(
    ledger: Ledger, cache: Cache, projector: Projector
) -> None:
    """With the token of a write that Redis does not show."""
    recorded = ledger.revoke(ANNA)
    token = Token(recorded.epoch, recorded.positions, 0)
    assert look(ledger.engine, cache, leased(), token) == [(STALE, StaleCause.TOKEN)]
    projector.project_pending()
    assert look(ledger.engine, cache, leased(), token) == HIT


@pytest.mark.usefixtures("projector")
def test_a_publication_that_concerns_a_record_makes_it_stale(ledger: Ledger, cache: Cache) -> None:
    """Until it is rolled out."""
    keeper = leased()
    number = ledger.publish(document(channels=("sms",)), rolled_out=False)
    keeper.raise_floors(Narrowing(1, publication=number))
    assert look(ledger.engine, cache, keeper) == [(STALE, StaleCause.CATALOG)]


@pytest.mark.usefixtures("projector")
def test_a_shard_that_went_back_is_stale(ledger: Ledger, cache: Cache) -> None:
    """It is not where this process has seen it."""
    bases = [0] * SHARD_COUNT
    bases[shard_of(ANNA)] = 99
    assert look(ledger.engine, cache, leased(bases=bases)) == [(STALE, StaleCause.SHARD)]


def test_a_cache_of_another_epoch_is_stale(
    ledger: Ledger, cache: Cache, projector: Projector
) -> None:
    """The floors of the new life are not known yet."""
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE installation SET epoch = 2, settled_epoch = 2")
    for _ in range(2):
        projector.project_pending()
    assert look(ledger.engine, cache, leased()) == [(STALE, StaleCause.EPOCH)]
