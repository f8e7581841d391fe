"""Schedules for the clauses of renewal (`design.md`, "No stale ALLOW", steps 3, 4 and 8)."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Final

from tests.schedules.checking_schedules import (
    NOT_QUITE_AHEAD_SECONDS_MAX,
    STRANGERS,
    narrowed_once_the_lease_is_over,
)
from tests.schedules.schedule import Play
from tests.schedules.world import LEASE_SECONDS, OVER_SECONDS, SECONDS_MAX, World


def narrowed_during_the_first_renewal(world: World) -> None:
    """The floors are read, and not taken yet."""
    anna = world.customer()
    process = world.process(has_lease=False)
    world.moments.after("store.leases:_read_floors", lambda: world.revoke(anna))
    process.renew()
    process.check(anna)


def narrowed_during_a_later_renewal(world: World) -> None:
    """The floors are read, and not taken yet; the process has a lease all the while."""
    anna = world.customer()
    process = world.process()
    world.moments.after("store.leases:_read_floors", lambda: world.revoke(anna))
    process.renew()
    process.check(anna)


def answered_late_by_postgresql(world: World) -> None:
    """The lease is committed at once, and the process hears of it much later."""
    anna = world.customer()
    process = world.process(hears=False, has_lease=False)

    def hear_late() -> None:
        world.writer.watch()
        world.advance(LEASE_SECONDS * 0.9)

    world.moments.before("store.guard:GuardKeeper.begin_reading", hear_late)
    process.renew()
    world.advance(OVER_SECONDS - LEASE_SECONDS * 0.9)
    world.revoke(anna)
    process.check(anna)


def stopped_before_the_floors(world: World) -> None:
    """A second lease is committed while the writer waits for the end of the first."""
    anna = world.customer()
    process = world.process(hears=False)
    world.writer.watch()
    is_committed, goes_on = threading.Event(), threading.Event()

    def stop() -> None:
        is_committed.set()
        assert goes_on.wait(SECONDS_MAX)

    renewing: list[Future[object]] = []

    def renew_and_stop() -> None:
        if not renewing:
            world.advance(LEASE_SECONDS * 0.9)
            world.moments.before("store.guard:GuardKeeper.begin_reading", stop)
            renewing.append(world.spawn(process.renew))
            assert is_committed.wait(SECONDS_MAX)
        world.advance(OVER_SECONDS - LEASE_SECONDS * 0.9)

    world.when_waiting = renew_and_stop
    world.revoke(anna)
    process.check(anna)
    goes_on.set()
    renewing[0].result(SECONDS_MAX)


def told_from_a_later_epoch(world: World) -> None:
    """A ledger was restored that knows the process, whose lease is of the epoch before."""
    anna = world.customer()
    process = world.process()
    restore = world.back_up()
    world.strangers(STRANGERS)
    restore()
    world.raise_epoch()
    world.revoke(anna)
    process.check(anna)


def redis_comes_back_old(world: World) -> None:
    """Redis was empty while the process took its lease."""
    anna = world.customer()
    saved = world.redis.save()
    world.revoke(anna)
    world.redis.empty()
    process = world.process()
    world.redis.set_back(saved)
    process.check(anna)


def redis_is_seen_to_go_back(world: World) -> None:
    """The process renews its lease after Redis came back with an older snapshot."""
    anna = world.customer()
    saved = world.redis.save()
    process = world.process()
    world.revoke(anna)
    world.project()
    process.renew()
    world.redis.set_back(saved)
    process.renew()
    process.check(anna)


def set_back_to_before_an_erasure(world: World) -> None:
    """The process takes its first lease when nobody can name any more who was erased."""
    anna = world.customer()
    saved = world.redis.save()
    world.erase(anna)
    world.redis.set_back(saved)
    world.process().check(anna)


def pruned_before_the_process_looked(world: World) -> None:
    """Redis showed the revocation and went back, while the process saw nothing of either."""
    anna = world.customer()
    saved = world.redis.save()
    process = world.process(hears=False)
    world.writer.watch()
    world.advance(OVER_SECONDS)
    world.revoke(anna)
    world.project()
    world.prune()
    world.redis.set_back(saved)
    process.renew()
    process.check(anna)


def narrowed_between_two_leases(world: World) -> None:
    """The process learns of it with its next lease, and in no other way."""
    anna = world.customer()
    process = world.process(hears=False)
    world.writer.watch()
    world.advance(OVER_SECONDS)
    world.revoke(anna)
    process.renew()
    process.check(anna)


def many_narrowed_before_the_lease(world: World) -> None:
    """There are more floors to read than a guard keeps."""
    world.moments.patch("store.leases:CUSTOMER_FLOORS_MAX", lambda _: 1)
    customers = [world.customer(), world.customer()]
    for customer_id in customers:
        world.revoke(customer_id)
    process = world.process()
    for customer_id in customers:
        process.check(customer_id)


def revoked_by_a_clock_ahead_before_the_lease(world: World) -> None:
    """Redis shows the revocation, which lies in our future by a little."""
    anna = world.customer()
    world.revoke(anna, later_seconds=NOT_QUITE_AHEAD_SECONDS_MAX)
    world.project()
    world.process().check(anna)


def renewed_in_a_restored_ledger(world: World) -> None:
    """Nobody raised the epoch, but the process has seen more than the ledger has."""
    anna = world.customer()
    restore = world.back_up()
    world.strangers(STRANGERS)
    process = world.process()
    restore()
    process.renew()
    world.revoke(anna)
    process.check(anna)


def asked_after_the_lease_was_released(world: World) -> None:
    """No writer waits for the process any more."""
    anna = world.customer()
    process = world.process()
    process.release()
    world.revoke(anna)
    process.check(anna)


SCHEDULES: Final[Mapping[str, Sequence[Play]]] = {
    "floors are read before the lease is committed": [narrowed_during_the_first_renewal],
    "a lease counts before its floors are read": [stopped_before_the_floors],
    "a lease counts from its commit": [answered_late_by_postgresql],
    "a lease is held too long": [narrowed_once_the_lease_is_over],
    "what is told during a renewal is forgotten": [
        narrowed_during_the_first_renewal,
        narrowed_during_a_later_renewal,
    ],
    "a shard that was never seen may be anywhere": [redis_comes_back_old],
    "what is pruned raises no base": [pruned_before_the_process_looked],
    "who is erased raises no base": [set_back_to_before_an_erasure],
    "floors are not read at a renewal": [narrowed_between_two_leases],
    "not all floors are read at a renewal": [many_narrowed_before_the_lease],
    "a renewal does not tell what counts as now": [revoked_by_a_clock_ahead_before_the_lease],
    "a holder takes a ledger that is behind": [renewed_in_a_restored_ledger],
    "a lease is given up in PostgreSQL only": [asked_after_the_lease_was_released],
}

SPARE: Final[Mapping[str, tuple[str, Play]]] = {
    "word of a later epoch does not end the lease": (
        "an epoch is taken for settled",
        told_from_a_later_epoch,
    ),
    "the base follows Redis back": ("floors are not read at a renewal", redis_is_seen_to_go_back),
}
