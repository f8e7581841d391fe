"""Schedules for the clauses of acknowledgement (`design.md`, "No stale ALLOW", steps 6 and 8)."""

from collections.abc import Mapping, Sequence
from typing import Final

from store.clocks import wall_clock
from tests.schedules.checking_schedules import (
    not_projected_yet,
    published_and_not_rolled_out,
    revoked_by_a_clock_ahead,
)
from tests.schedules.schedule import Play
from tests.schedules.world import LEASE_SECONDS, OVER_SECONDS, SECONDS, World

HOUR_SECONDS: Final = 3600
DAY_SECONDS: Final = 24 * HOUR_SECONDS


def begun_since_the_last_look(world: World) -> None:
    """The writer knew of no process a moment ago."""
    anna = world.customer()
    world.writer.watch()
    process = world.process()
    world.revoke(anna)
    process.check(anna)


def two_processes(world: World) -> None:
    """Both answer from the cache."""
    anna = world.customer()
    processes = [world.process(), world.process()]
    world.revoke(anna)
    for process in processes:
        process.check(anna)


def cut_off_from_the_writers(world: World) -> None:
    """The process has a lease, and nobody reaches it."""
    anna = world.customer()
    process = world.process(hears=False)
    world.revoke(anna)
    process.check(anna)


def another_at_the_address(world: World) -> None:
    """A process listens where the writer believes another one, which is cut off."""
    anna = world.customer()
    process = world.process(address=world.process().address)
    world.revoke(anna)
    process.check(anna)


def renewed_since_it_was_seen(world: World) -> None:
    """The lease that the writer saw is over, and the process has a later one."""
    anna = world.customer()
    process = world.process(hears=False)
    world.writer.watch()
    world.advance(LEASE_SECONDS * 0.9)
    process.renew()
    world.advance(OVER_SECONDS - LEASE_SECONDS * 0.9)
    world.revoke(anna)
    process.check(anna)


def clocks_that_differ(world: World) -> None:
    """The writer's clock runs a little faster than the process's."""
    anna = world.customer()
    process = world.process(hears=False)
    world.writer.watch()
    world.writer_clock.advance(LEASE_SECONDS * 1.05)
    world.clock.advance(LEASE_SECONDS * 0.95)
    world.revoke(anna)
    process.check(anna)


def tidied_up_by_another_writer(world: World) -> None:
    """Another writer looks at the leases just before."""
    anna = world.customer()
    process = world.process(hears=False)
    world.new_writer().watch()
    world.revoke(anna)
    process.check(anna)


def renewed_while_it_is_tidied_up(world: World) -> None:
    """The process was stopped for long, and goes on just when its row is to go."""
    anna = world.customer()
    process = world.process(hears=False)
    other = world.new_writer()
    other.watch()
    world.advance(OVER_SECONDS)
    world.moments.before("store.lease_watch:LeaseWatch.remove_over", process.renew)
    other.watch()
    world.revoke(anna)
    process.check(anna)


def killed_after_the_commit(world: World) -> None:
    """The client sends the event again, to another writer."""
    anna = world.customer()
    process = world.process()
    revocation = world.revoking(anna)
    world.writer.commit(revocation)
    world.new_writer().send(revocation)
    process.check(anna)


def revoked_again_after_a_kill(world: World) -> None:
    """The client sends it as another event, which finds nothing left to take away."""
    anna = world.customer()
    process = world.process()
    world.writer.commit(world.revoking(anna))
    world.new_writer().send(world.revoking(anna))
    process.check(anna)


def killed_after_the_commit_for_two_ids(world: World) -> None:
    """The event is sent again, and concerns another id of the person as well."""
    anna, bella = world.customer(), world.customer()
    world.merge(bella, anna)
    world.project()
    process = world.process()
    assert process.check(bella)
    revocation = world.revoking(anna, bella)
    world.writer.commit(revocation)
    world.new_writer().send(revocation)
    process.check(bella)


def leases_are_lost_with_a_restore(world: World) -> None:
    """The process took its lease after the backup, and nobody knows of it any more."""
    anna = world.customer()
    restore = world.back_up()
    process = world.process()
    restore()
    world.raise_epoch()
    world.revoke(anna)
    process.check(anna)


def lost_before_it_was_acknowledged(world: World) -> None:
    """PostgreSQL is restored between the commit and its acknowledgement."""
    anna = world.customer()
    restore = world.back_up()
    revocation = world.revoking(anna)
    recorded = world.writer.commit(revocation)
    restore()
    world.raise_epoch()
    world.settle()
    world.writer.acknowledge(revocation, recorded)
    world.process().check(anna)


def lost_while_it_is_acknowledged(world: World) -> None:
    """PostgreSQL is restored while the writer waits for a process that does not answer."""
    anna = world.customer()
    restore = world.back_up()
    process = world.process(hears=False)

    def restore_once() -> None:
        world.let_time_pass_when_waiting()
        restore()
        world.raise_epoch()

    world.when_waiting = restore_once
    world.revoke(anna)
    process.check(anna)


def superseded_before_an_end_to_come(world: World) -> None:
    """The consent would end in an hour; the writer's clock believes that hour long gone."""
    ends_at = wall_clock() + HOUR_SECONDS * SECONDS
    anna = world.customer(ends_at)
    process = world.process()
    world.moments.patch(
        "store.clocks:wall_clock", lambda clock: lambda: clock() + 2 * DAY_SECONDS * SECONDS
    )
    world.consent_for_a_moment(anna)
    process.check(anna)


def merged_into_who_refuses(world: World) -> None:
    """Whoever is merged has the other's restrictions."""
    anna, carl = world.customer(), world.refuser()
    process = world.process()
    assert process.check(anna)
    world.merge(anna, carl, closes=True)
    process.check(anna)


def split_from_who_consents(world: World) -> None:
    """Whoever is split off has only what is their own."""
    anna, dora = world.customer(), world.somebody()
    world.merge(dora, anna)
    world.project()
    process = world.process()
    assert process.check(dora)
    world.split(dora)
    process.check(dora)


def voided(world: World) -> None:
    """The consent counts as if it had never been."""
    anna = world.customer()
    process = world.process()
    world.void(anna)
    process.check(anna)


SCHEDULES: Final[Mapping[str, Sequence[Play]]] = {
    "nobody is told": [not_projected_yet, published_and_not_rolled_out],
    "leases are read before the commit": [begun_since_the_last_look],
    "one process is left out": [two_processes],
    "who does not answer counts as told": [cut_off_from_the_writers],
    "another process may answer": [another_at_the_address],
    "a process answers and does not heed": [not_projected_yet],
    "leases are taken to be over at once": [cut_off_from_the_writers],
    "a renewal counts from when its process was seen": [renewed_since_it_was_seen],
    "a lease is over without a margin": [clocks_that_differ],
    "leases that are not over are removed": [tidied_up_by_another_writer],
    "a lease is removed whatever its renewal": [renewed_while_it_is_tidied_up],
    "a repeat is not told anew": [killed_after_the_commit],
    "who takes nothing away tells nobody": [revoked_again_after_a_kill],
    "a repeat is told of one customer id only": [killed_after_the_commit_for_two_ids],
    "an epoch is taken for settled": [leases_are_lost_with_a_restore],
    "a later look at leases may be of another epoch": [lost_while_it_is_acknowledged],
    "a write of an earlier epoch may be effective": [lost_before_it_was_acknowledged],
    "losses are judged by the writer's clock": [superseded_before_an_end_to_come],
    "what is lost in a moment is told as the future": [revoked_by_a_clock_ahead],
    "who changes identity takes nothing away": [
        merged_into_who_refuses,
        split_from_who_consents,
        voided,
    ],
    "publications take nothing away": [published_and_not_rolled_out],
}
