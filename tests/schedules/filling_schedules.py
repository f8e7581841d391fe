"""Schedules for the clauses of filling and projecting (`design.md`, "No stale ALLOW", 2 and 8)."""

from collections.abc import Mapping, Sequence
from typing import Final

from tests.sabotage.filling import ROWS_TOO_MANY
from tests.schedules.catalogs import document
from tests.schedules.checking_schedules import STRANGERS
from tests.schedules.schedule import Play
from tests.schedules.world import World


def _customer_without_record(world: World) -> str:
    """Give a customer whom the cache lacks, so that a check reads PostgreSQL and fills."""
    customer_id = world.customer()
    world.redis.empty()
    world.project()
    return customer_id


def filled_after_redis_was_emptied(world: World) -> None:
    """What was read before the narrowing comes to a cache that begins anew after it."""
    anna = _customer_without_record(world)
    process = world.process()

    def begin_anew() -> None:
        world.revoke(anna)
        world.project()
        world.redis.empty()
        world.project()
        process.renew()

    world.moments.before("store.cache:Cache.fill", begin_anew)
    process.check(anna)
    process.check(anna)


def filled_after_it_was_projected(world: World) -> None:
    """What was read before the narrowing comes after what the projector brought."""
    anna = _customer_without_record(world)
    process = world.process()

    def project() -> None:
        world.revoke(anna)
        world.project()
        process.renew()

    world.moments.before("store.cache:Cache.fill", project)
    process.check(anna)
    process.check(anna)


def filled_after_an_erasure(world: World) -> None:
    """What was read before the erasure comes when the key is gone."""
    anna = _customer_without_record(world)
    process = world.process()
    world.moments.before("store.cache:Cache.fill", lambda: world.erase(anna))
    process.check(anna)
    process.check(anna)


def set_back_to_before_an_erasure(world: World) -> None:
    """Nobody can name any more whose record came back with Redis, so it has to go with all."""
    anna = world.customer()
    saved = world.redis.save()
    world.erase(anna)
    world.redis.set_back(saved)
    world.project()
    world.process().check(anna)


def projected_on_what_went_back(world: World) -> None:
    """Redis goes back between the projector's look at it and its batch."""
    anna = world.customer()
    saved = world.redis.save()
    world.revoke(anna)
    world.project()
    world.customer(is_projected=False)
    world.moments.before("store.cache:Cache.project", lambda: world.redis.set_back(saved))
    world.project_once()
    world.process().check(anna)


def projected_across_a_restore(world: World) -> None:
    """A row of the ledger that is gone has the number of the narrowing in the one that is back."""
    anna = world.customer()
    process = world.process()
    restore = world.back_up()
    world.customer(is_projected=False)

    def restore_and_narrow() -> None:
        restore()
        world.raise_epoch()
        world.settle()
        world.project_once()
        process.renew()
        assert process.check(anna)
        world.revoke(anna)

    world.moments.before("store.cache:Cache.project", restore_and_narrow)
    world.project_once()
    process.check(anna)


def a_meta_is_lost(world: World) -> None:
    """The narrowing was not projected yet, and the life that begins is past it."""
    anna = world.customer()
    world.revoke(anna)
    world.redis.lose_metas()
    world.project_once()
    world.process().check(anna)


def narrowed_after_a_life_began(world: World) -> None:
    """The record was filled in the new life, and the narrowing is not projected yet."""
    anna = world.customer(is_projected=False)
    # So that a first life which began ahead of the ledger is not any more, as would be noticed.
    for _ in range(ROWS_TOO_MANY - 1):
        world.customer(is_projected=False)
    process = world.process()
    world.redis.empty()
    world.project_once()
    assert process.check(anna)
    world.revoke(anna)
    process.check(anna)


def asked_within_a_roll_out(world: World) -> None:
    """Another customer's row of the roll-out is applied, and ours is not."""
    world.customer()
    anna = world.customer()
    process = world.process()
    world.forbid_calls()
    world.roll_out()
    world.moments.after("store.cache:Cache.project", lambda: process.check(anna))
    world.project_once(rows_per_batch=1)


def projected_from_a_restored_ledger(world: World) -> None:
    """Nobody raised the epoch, and no process has seen what Redis held."""
    anna = world.customer()
    restore = world.back_up()
    world.strangers(STRANGERS)
    saved = world.redis.save()
    world.redis.empty()
    restore()
    process = world.process()
    world.redis.set_back(saved)
    world.project()
    world.revoke(anna)
    process.check(anna)


def published_anew_after_a_restore(world: World) -> None:
    """A publication was lost with the restore, and another one has its number now."""
    anna = world.customer()
    restore = world.back_up()
    process = world.process()
    world.writer.publish(document(remark=" by phone"))
    restore()
    world.raise_epoch()
    world.settle()
    process.renew()
    world.project()
    assert process.check(anna)
    world.forbid_calls()
    process.check(anna)


SCHEDULES: Final[Mapping[str, Sequence[Play]]] = {
    "fills of another life are accepted": [filled_after_redis_was_emptied],
    "records go downwards too": [filled_after_it_was_projected],
    "fills from before an erasure are accepted": [filled_after_an_erasure],
    "rows of who is erased are passed over": [set_back_to_before_an_erasure],
    "rows before a batch may be missing": [projected_on_what_went_back],
    "batches of another life are accepted": [projected_across_a_restore],
    "a lost meta begins the same life again": [a_meta_is_lost],
    "a life begins ahead of the ledger": [narrowed_after_a_life_began],
    "a shard counts as rolled out before its rows": [asked_within_a_roll_out],
    "a projector takes a ledger that is behind": [projected_from_a_restored_ledger],
    "publications of a lost epoch are kept": [published_anew_after_a_restore],
}
