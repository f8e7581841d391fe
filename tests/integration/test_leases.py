"""Leases on real servers: what a renewal brings, and in which order."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, select, update

from decision.events import Revocation
from decision.selectors import EVERYTHING
from store.cache import Cache
from store.clocks import NANOSECONDS_PER_SECOND, boot_nanoseconds, wall_clock
from store.database import reading
from store.floors import NOW_AHEAD_MICROSECONDS_MAX
from store.guard import GuardKeeper
from store.leases import LeaseHolder
from store.projector import Projector
from store.schema import installation, lease, shard
from store.sharding import shard_of
from tests.integration.ledger_builders import Ledger
from tests.servers import remove_keys

pytestmark = pytest.mark.integration

ANNA = "anna"
NUMBER = shard_of(ANNA)
SECONDS = 60.0


class HookedKeeper(GuardKeeper):
    """A keeper that lets something happen between the lease's commit and the floors' reading."""

    def __init__(self) -> None:
        super().__init__()
        self.before_reading: Callable[[], object] = lambda: None

    def begin_reading(self) -> int:
        """Let it happen first."""
        self.before_reading()
        return super().begin_reading()


@pytest.fixture
def keeper() -> HookedKeeper:
    """The keeper of the process under test."""
    return HookedKeeper()


def holder(
    engine: Engine, cache: Cache, keeper: GuardKeeper, process_id: str = "one"
) -> LeaseHolder:
    """A holder of a long lease, so that none ends while a test runs."""
    return LeaseHolder(engine, cache, keeper, process_id, "127.0.0.1:1", SECONDS)


def renewals(engine: Engine, process_id: str = "one") -> int | None:
    """How often a process has renewed its lease, None when it has none."""
    with reading(engine) as connection:
        return connection.scalar(select(lease.c.renewals).where(lease.c.process_id == process_id))


def show_consent(ledger: Ledger, projector: Projector) -> None:
    """Let Anna consent, and the cache show it: the first turn only begins its life."""
    ledger.consent(ANNA)
    projector.project_pending()
    projector.project_pending()


def seq_of(engine: Engine, number: int) -> int:
    """Where a shard stands in PostgreSQL."""
    with reading(engine) as connection:
        found: int = connection.scalars(select(shard.c.seq).where(shard.c.number == number)).one()
        return found


def test_a_renewal_gives_a_lease_and_is_counted(
    ledger: Ledger, cache: Cache, keeper: HookedKeeper
) -> None:
    """Writers see by the count that the process lives."""
    held = holder(ledger.engine, cache, keeper)
    held.renew()
    assert keeper.current().is_lease_valid()
    assert renewals(ledger.engine) == 1
    held.renew()
    assert renewals(ledger.engine) == 2


def test_a_lease_counts_from_before_it_was_sent(
    ledger: Ledger, cache: Cache, keeper: HookedKeeper
) -> None:
    """However long PostgreSQL took: the time is the process's, not the writers'."""
    sent_before = boot_nanoseconds()
    held = holder(ledger.engine, cache, keeper)
    committed_at: list[int] = []
    keeper.before_reading = lambda: committed_at.append(boot_nanoseconds())
    held.renew()
    length = int(SECONDS * NANOSECONDS_PER_SECOND)
    assert sent_before + length <= keeper.current().deadline_nanoseconds
    assert keeper.current().deadline_nanoseconds < committed_at[0] + length


def test_the_lease_is_committed_before_the_floors_are_read(
    ledger: Ledger, cache: Cache, keeper: HookedKeeper, projector: Projector
) -> None:
    """Whoever narrows in between may not see the lease yet: then the floors show it."""
    show_consent(ledger, projector)
    seen: list[int | None] = []

    def narrow() -> None:
        seen.append(renewals(ledger.engine))
        ledger.revoke(ANNA)

    keeper.before_reading = narrow
    holder(ledger.engine, cache, keeper).renew()
    assert seen == [1]
    assert ANNA in keeper.current().customers


def test_what_the_cache_shows_needs_no_floor(
    ledger: Ledger, cache: Cache, keeper: HookedKeeper, projector: Projector
) -> None:
    """Only who was narrowed since is read from PostgreSQL."""
    show_consent(ledger, projector)
    held = holder(ledger.engine, cache, keeper)
    recorded = ledger.revoke(ANNA)
    held.renew()
    floor = keeper.current().customers[ANNA]
    assert floor.seq == recorded.positions[NUMBER]
    projector.project_pending()
    held.renew()
    assert not keeper.current().customers
    assert keeper.current().bases[NUMBER] == recorded.positions[NUMBER]


def test_a_process_that_never_saw_redis_trusts_no_shard_that_lags(
    ledger: Ledger, no_redis: Cache, keeper: HookedKeeper
) -> None:
    """What it does not know of the cache it demands."""
    ledger.consent(ANNA)
    holder(ledger.engine, no_redis, keeper).renew()
    assert keeper.current().is_lease_valid()
    assert keeper.current().bases[NUMBER] == seq_of(ledger.engine, NUMBER)


def test_a_cache_that_was_emptied_stays_behind_the_base(
    ledger: Ledger,
    cache: Cache,
    keeper: HookedKeeper,
    projector: Projector,
    redis_url: str,
    redis_namespace: str,
) -> None:
    """What was seen applied once is demanded from then on."""
    show_consent(ledger, projector)
    held = holder(ledger.engine, cache, keeper)
    held.renew()
    remove_keys(redis_url, redis_namespace)
    ledger.revoke(ANNA)
    held.renew()
    base = keeper.current().bases[NUMBER]
    assert base == seq_of(ledger.engine, NUMBER) - 1
    assert ANNA in keeper.current().customers


def test_a_ledger_behind_the_cache_begins_a_new_epoch(
    ledger: Ledger, cache: Cache, keeper: HookedKeeper, projector: Projector
) -> None:
    """A restore that nobody told of: no lease until the floors of the new life are read."""
    show_consent(ledger, projector)
    held = holder(ledger.engine, cache, keeper)
    held.renew()
    with ledger.engine.begin() as connection:
        connection.execute(
            update(shard).where(shard.c.number == NUMBER).values(seq=shard.c.seq - 1)
        )
    held.renew()
    assert not keeper.current().is_lease_valid()
    held.renew()
    assert keeper.current().is_lease_valid()
    with reading(ledger.engine) as connection:
        assert keeper.current().epoch == connection.scalar(select(installation.c.epoch))
    assert keeper.current().epoch > 1


def test_a_ledger_of_an_older_epoch_begins_a_new_one(
    ledger: Ledger, cache: Cache, keeper: HookedKeeper
) -> None:
    """The backup is older than the last time that the epoch was raised."""
    with ledger.engine.begin() as connection:
        connection.execute(update(installation).values(epoch=7, settled_epoch=7))
    held = holder(ledger.engine, cache, keeper)
    held.renew()
    assert keeper.current().epoch == 7
    with ledger.engine.begin() as connection:
        connection.execute(update(installation).values(epoch=5, settled_epoch=5))
    held.renew()
    assert not keeper.current().is_lease_valid()
    held.renew()
    assert keeper.current().is_lease_valid()
    assert keeper.current().epoch > 7


def test_what_is_lost_in_a_moment_counts_as_lost_for_who_comes_later_too(
    ledger: Ledger, cache: Cache, keeper: HookedKeeper, projector: Projector
) -> None:
    """The clock of who revoked was ahead of ours, and the cache shows the revocation already."""
    ledger.consent(ANNA)
    revoked_at = wall_clock() + NOW_AHEAD_MICROSECONDS_MAX // 2
    ledger.record(ANNA, Revocation(revoked_at, EVERYTHING))
    projector.project_pending()
    projector.project_pending()
    holder(ledger.engine, cache, keeper).renew()
    assert not keeper.current().customers
    assert keeper.now() >= revoked_at


def test_a_revocation_that_is_dated_later_is_in_the_future(
    ledger: Ledger, cache: Cache, keeper: HookedKeeper
) -> None:
    """Somebody may revoke from tomorrow on."""
    ledger.consent(ANNA)
    revoked_at = wall_clock() + 60 * NOW_AHEAD_MICROSECONDS_MAX
    ledger.record(ANNA, Revocation(revoked_at, EVERYTHING))
    holder(ledger.engine, cache, keeper).renew()
    assert keeper.now() < revoked_at


def test_without_postgresql_the_lease_is_not_renewed(
    ledger: Ledger, no_postgresql: Engine, cache: Cache, keeper: HookedKeeper
) -> None:
    """The lease there is goes on until its deadline, and not a moment longer."""
    held = holder(ledger.engine, cache, keeper)
    held.renew()
    before = keeper.current()
    holder(no_postgresql, cache, keeper).renew()
    assert keeper.current() == before


def test_a_released_lease_is_gone_at_once(
    ledger: Ledger, cache: Cache, keeper: HookedKeeper
) -> None:
    """No writer waits for a process that ended in order."""
    held = holder(ledger.engine, cache, keeper)
    held.renew()
    held.release()
    assert not keeper.current().is_lease_valid()
    assert renewals(ledger.engine) is None


def test_writers_and_renewals_do_not_wait_for_each_other(
    ledger: Ledger, cache: Cache, keeper: HookedKeeper
) -> None:
    """A renewal takes no lock that a write needs."""
    ledger.consent(ANNA)
    held = holder(ledger.engine, cache, keeper)

    def write() -> None:
        thread = threading.Thread(target=ledger.revoke, args=[ANNA])
        thread.start()
        thread.join()

    keeper.before_reading = write
    held.renew()
    assert keeper.current().bases[NUMBER] == seq_of(ledger.engine, NUMBER) > 1
