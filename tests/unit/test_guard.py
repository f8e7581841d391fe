"""The guard: each clause of the allow rule, and what a renewal and a writer's word do to it."""

import time

import pytest

from store.clocks import NANOSECONDS_PER_SECOND, boot_nanoseconds, wall_clock
from store.floors import CustomerFloor, Narrowing
from store.guard import CUSTOMER_FLOORS_MAX, NO_LEASE, ClockReading, GuardKeeper, Renewal
from store.meta import CacheLife, Meta
from store.record import Header
from store.sharding import SHARD_COUNT, shard_of

HOUR_NANOSECONDS = 3600 * NANOSECONDS_PER_SECOND
HOUR_MICROSECONDS = 3600 * 1_000_000
ANNA = "anna"
NUMBER = shard_of(ANNA)


def meta(applied_seq: int, epoch: int = 1) -> Meta:
    """The meta of a shard that is applied so far."""
    return Meta(CacheLife(epoch, 1), applied_seq, 1, is_complete=True, newest_publication=1)


def header(version: int) -> Header:
    """The header of a record of a version."""
    return Header(is_known=True, epoch=1, incarnation=1, version=version, publication=1)


def clock_reading() -> ClockReading:
    """PostgreSQL's clock as it agrees with ours."""
    now = boot_nanoseconds()
    return ClockReading(wall_clock(), now, now)


def renew(
    keeper: GuardKeeper,
    *,
    began_after: int | None = None,
    epoch: int = 1,
    seconds: float = 3600.0,
    base: int = 0,
    customers: tuple[CustomerFloor, ...] = (),
    publication: int = 1,
) -> None:
    """Renew a keeper's lease, with a reading that began just now unless said otherwise."""
    keeper.renewed(
        Renewal(
            keeper.begin_reading() if began_after is None else began_after,
            epoch,
            boot_nanoseconds() + int(seconds * NANOSECONDS_PER_SECOND),
            (base,) * SHARD_COUNT,
            customers,
            publication,
            0,
            clock_reading(),
        )
    )


def test_without_a_lease_nothing_holds_whatever_the_grace() -> None:
    """Who never had a lease knows no floors."""
    assert not NO_LEASE.is_lease_valid()
    assert not NO_LEASE.is_lease_valid(grace_seconds=1e9)


def test_a_lease_holds_until_its_deadline_and_with_a_grace_beyond() -> None:
    """A deadline that has passed is only reached again by a grace."""
    keeper = GuardKeeper()
    renew(keeper, seconds=3600)
    assert keeper.current().is_lease_valid()
    renew(keeper, seconds=-1)
    assert not keeper.current().is_lease_valid()
    assert keeper.current().is_lease_valid(grace_seconds=3600)
    keeper.give_up()
    assert not keeper.current().is_lease_valid(grace_seconds=3600)


def test_a_cache_of_another_epoch_does_not_count() -> None:
    """Neither of an earlier life of the ledger nor of a later one."""
    keeper = GuardKeeper()
    renew(keeper, epoch=2)
    assert keeper.current().is_of_epoch(meta(1, epoch=2))
    assert not keeper.current().is_of_epoch(meta(1, epoch=1))
    assert not keeper.current().is_of_epoch(meta(1, epoch=3))


def test_a_shard_that_went_back_does_not_count() -> None:
    """The base is how far the shard was seen already."""
    keeper = GuardKeeper()
    renew(keeper, base=7)
    assert keeper.current().is_shard_reached(NUMBER, meta(7))
    assert not keeper.current().is_shard_reached(NUMBER, meta(6))


@pytest.mark.parametrize(
    ("applied_seq", "version", "is_reached"),
    [(8, None, True), (7, 3, True), (7, 4, True), (7, 2, False), (7, None, False)],
)
def test_a_floor_is_reached_by_the_shard_or_by_the_record(
    applied_seq: int, version: int | None, *, is_reached: bool
) -> None:
    """Either shows what was taken away; nothing cached at all shows nothing."""
    keeper = GuardKeeper()
    renew(keeper, customers=(CustomerFloor(ANNA, seq=8, version=3),))
    found = keeper.current().is_customer_reached(
        ANNA, meta(applied_seq), None if version is None else header(version)
    )
    assert found is is_reached


def test_only_who_was_narrowed_has_a_floor() -> None:
    """Everybody else goes on to be answered from the cache."""
    keeper = GuardKeeper()
    renew(keeper)
    keeper.raise_floors(Narrowing(1, [CustomerFloor(ANNA, 8, 3)]))
    assert not keeper.current().is_customer_reached(ANNA, meta(7), header(2))
    assert keeper.current().is_customer_reached("boris", meta(7), header(2))


def test_two_floors_of_a_customer_demand_what_both_demand() -> None:
    """The later narrowing does not let go of the earlier, nor the other way round."""
    keeper = GuardKeeper()
    renew(keeper, customers=(CustomerFloor(ANNA, 8, 3),))
    keeper.raise_floors(Narrowing(1, [CustomerFloor(ANNA, 9, 4)]))
    keeper.raise_floors(Narrowing(1, [CustomerFloor(ANNA, 8, 3)]))
    assert not keeper.current().is_customer_reached(ANNA, meta(8), header(3))


def test_what_is_told_during_a_reading_outlives_that_renewal() -> None:
    """The snapshot may be older than what was told; a later reading has it for sure."""
    keeper = GuardKeeper()
    began_after = keeper.begin_reading()
    keeper.raise_floors(Narrowing(1, [CustomerFloor(ANNA, 8, 3)], publication=5))
    renew(keeper, began_after=began_after, publication=4)
    assert not keeper.current().is_customer_reached(ANNA, meta(7), header(2))
    assert keeper.current().publication == 5
    renew(keeper, publication=5)
    assert keeper.current().is_customer_reached(ANNA, meta(7), header(2))


def test_a_renewal_that_began_to_read_earlier_changes_nothing() -> None:
    """Its floors are older than those that are held."""
    keeper = GuardKeeper()
    began_after = keeper.begin_reading()
    keeper.raise_floors(Narrowing(1, [CustomerFloor(ANNA, 8, 3)]))
    renew(keeper, base=7, customers=(CustomerFloor(ANNA, 8, 3),))
    renew(keeper, began_after=began_after, base=0)
    assert not keeper.current().is_customer_reached(ANNA, meta(7), header(2))
    assert not keeper.current().is_shard_reached(NUMBER, meta(6))


def test_word_of_a_later_epoch_ends_the_lease_until_that_epoch_is_read() -> None:
    """The floors of the later life of the ledger are not known yet."""
    keeper = GuardKeeper()
    renew(keeper, epoch=1)
    began_after = keeper.begin_reading()
    keeper.raise_floors(Narrowing(2, [CustomerFloor(ANNA, 8, 3)]))
    assert not keeper.current().is_lease_valid()
    renew(keeper, began_after=began_after, epoch=1)
    assert not keeper.current().is_lease_valid()
    renew(keeper, epoch=2)
    assert keeper.current().is_lease_valid()


def test_too_many_floors_become_floors_of_their_shards() -> None:
    """Then every customer of such a shard waits for the projector, and no memory grows."""
    keeper = GuardKeeper()
    renew(keeper)
    keeper.raise_floors(
        Narrowing(
            1,
            [CustomerFloor(f"c{index}", seq=index, version=2) for index in range(20)]
            + [CustomerFloor(f"d{index}", 5, 2) for index in range(CUSTOMER_FLOORS_MAX)],
        )
    )
    guard = keeper.current()
    assert not guard.customers
    number = shard_of("c19")
    assert not guard.is_shard_reached(number, meta(18))
    assert guard.is_shard_reached(number, meta(19))


def test_now_is_never_before_a_narrowing() -> None:
    """The clock of who revoked was ahead of ours; the revocation holds nevertheless."""
    keeper = GuardKeeper()
    renew(keeper)
    ahead = wall_clock() + HOUR_MICROSECONDS
    keeper.raise_floors(Narrowing(1, [CustomerFloor(ANNA, 8, 3)], narrowed_at=ahead))
    assert keeper.now() == ahead
    renew(keeper)
    assert keeper.now() == ahead


@pytest.mark.parametrize("hours_wrong", [-24, 24])
def test_a_clock_that_was_set_wrongly_is_overruled_by_postgresql(hours_wrong: int) -> None:
    """What PostgreSQL's clock said at the renewal, plus what has passed since, bounds now."""
    now = boot_nanoseconds()
    reading = ClockReading(wall_clock() + hours_wrong * HOUR_MICROSECONDS, now, now)
    clamped = reading.clamp(wall_clock())
    assert abs(clamped - (wall_clock() + hours_wrong * HOUR_MICROSECONDS)) < HOUR_MICROSECONDS


def test_within_what_postgresql_allows_the_own_clock_counts() -> None:
    """A slow answer leaves room on both sides of what it said."""
    now = boot_nanoseconds()
    reading = ClockReading(wall_clock(), now - HOUR_NANOSECONDS, now + HOUR_NANOSECONDS)
    instant = time.time_ns() // 1000 + HOUR_MICROSECONDS // 2
    assert reading.clamp(instant) == instant
