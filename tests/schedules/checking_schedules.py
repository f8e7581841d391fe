"""Schedules for the clauses of the allow rule (`design.md`, "No stale ALLOW", steps 5 and 7)."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Final

from tests.schedules.catalogs import SHARE
from tests.schedules.schedule import Play
from tests.schedules.world import LEASE_SECONDS, OVER_SECONDS, SECONDS_MAX, World

STRANGERS: Final = 3
NOT_QUITE_AHEAD_SECONDS_MAX: Final = 4.9
"""A little less than what still counts as now."""


def narrowed_once_the_lease_is_over(world: World) -> None:
    """Nobody reaches the process, and the writer has waited for its lease to end."""
    anna = world.customer()
    process = world.process(hears=False)
    assert process.check(anna)
    world.writer.watch()
    world.advance(OVER_SECONDS)
    world.revoke(anna)
    process.check(anna)


def narrowed_in_a_restored_ledger(world: World) -> None:
    """Redis shows more rows than the ledger has again, and they are others."""
    anna = world.customer()
    restore = world.back_up()
    world.strangers(STRANGERS)
    restore()
    world.raise_epoch()
    world.settle()
    process = world.process()
    world.revoke(anna)
    process.check(anna)


def redis_goes_back(world: World) -> None:
    """The process has seen the narrowing in Redis, and needs no floor for the customer."""
    anna = world.customer()
    process = world.process()
    saved = world.redis.save()
    world.revoke(anna)
    world.project()
    process.renew()
    assert not process.check(anna)
    world.redis.set_back(saved)
    process.check(anna)


def not_projected_yet(world: World) -> None:
    """The process was told, and Redis shows nothing of it."""
    anna = world.customer()
    process = world.process()
    assert process.check(anna)
    world.revoke(anna)
    process.check(anna)


def narrowed_twice(world: World) -> None:
    """What was given in between is newer than the first narrowing, and Redis shows it."""
    anna = world.customer()
    process = world.process()
    world.revoke(anna)
    world.consent(anna)
    world.project()
    assert process.check(anna)
    world.revoke(anna)
    process.check(anna)


def narrowed_beyond_what_is_kept(world: World) -> None:
    """Too many customers have floors, so the shard has one."""
    world.moments.patch("store.guard:CUSTOMER_FLOORS_MAX", lambda _: 0)
    not_projected_yet(world)


def published_while_cut_off(world: World) -> None:
    """The process learns of the publication with its next lease."""
    anna = world.customer()
    process = world.process(hears=False)
    world.writer.watch()
    world.advance(OVER_SECONDS)
    world.suspend_bank()
    process.renew()
    process.check(anna, SHARE)


def published_and_not_rolled_out(world: World) -> None:
    """The catalog is there, and the record is from before."""
    anna = world.customer()
    process = world.process()
    assert process.check(anna)
    world.forbid_calls()
    process.check(anna)


def revoked_by_a_clock_ahead(world: World) -> None:
    """Redis shows the revocation, which lies in our future by a little."""
    anna = world.customer()
    process = world.process()
    world.revoke(anna, later_seconds=NOT_QUITE_AHEAD_SECONDS_MAX)
    world.project()
    process.check(anna)


def restricted_from_an_instant_on(world: World) -> None:
    """The instant has come, but this machine's clock is behind."""
    anna = world.customer()
    process = world.process()
    world.restrict(anna, later_seconds=LEASE_SECONDS / 3)
    world.project()
    # Its wall clock stands where it is meanwhile.
    world.advance(LEASE_SECONDS / 2)
    process.check(anna)


def a_life_begins_over_old_records(world: World) -> None:
    """Where a meta is lost, the new life's is as far as PostgreSQL, and no record is of it."""
    anna = world.customer()
    world.revoke(anna)
    world.redis.lose_metas()
    world.project()
    world.process().check(anna)


def projected_while_it_is_read(world: World) -> None:
    """The projector comes by just after the record was read."""
    anna = world.customer()
    process = world.process()
    world.revoke(anna)
    world.moments.after("store.redis_client:RedisClient.ask", world.project)
    process.check(anna)


def asked_with_a_token(world: World) -> None:
    """The process has heard of nothing but the token."""
    anna = world.customer()
    process = world.process(hears=False)
    revoked = world.revoke(anna, waits=False)
    process.check(anna, token_of=revoked)


def asked_with_the_token_of_a_publication(world: World) -> None:
    """The process has heard of nothing but the token."""
    anna = world.customer()
    process = world.process(hears=False)
    published = world.suspend_bank(waits=False)
    process.check(anna, SHARE, token_of=published)


def asked_while_a_read_is_under_way(world: World) -> None:
    """PostgreSQL was read for another check just before the narrowing."""
    anna = world.customer(is_projected=False)
    world.redis.empty()
    world.project()
    process = world.process()
    waits = threading.Event()
    later: list[Future[object]] = []

    def narrow_and_ask() -> None:
        world.revoke(anna)
        world.moments.after("store.shared_reads:SharedReads._enter", waits.set)
        later.append(world.spawn(lambda: process.check(anna)))
        assert waits.wait(SECONDS_MAX)

    world.moments.after("store.reader:read_records", narrow_and_ask)
    process.check(anna)
    later[0].result(SECONDS_MAX)


SCHEDULES: Final[Mapping[str, Sequence[Play]]] = {
    "the lease is not looked at": [narrowed_once_the_lease_is_over],
    "the epoch is not compared": [narrowed_in_a_restored_ledger],
    "floors of shards are not heeded": [redis_goes_back],
    "floors of customers are not heeded": [not_projected_yet],
    "an earlier floor stands in the way of a later": [narrowed_twice],
    "floors that are too many are dropped": [narrowed_beyond_what_is_kept],
    "publications are not heeded": [published_and_not_rolled_out],
    "the publication of the guard is not heeded": [published_while_cut_off],
    "records of older catalogs are kept": [published_and_not_rolled_out],
    "now may lie before a narrowing": [revoked_by_a_clock_ahead],
    "now is what the own clock says": [revoked_by_a_clock_ahead, restricted_from_an_instant_on],
    "now is not held by PostgreSQL's clock": [restricted_from_an_instant_on],
    "records of another life count": [a_life_begins_over_old_records],
    "meta and record are read apart": [projected_while_it_is_read],
    "the guard is older than the request": [not_projected_yet],
    "tokens are not heeded": [asked_with_a_token],
    "publications of tokens are not heeded": [asked_with_the_token_of_a_publication],
    "a read under way is joined": [asked_while_a_read_is_under_way],
}
