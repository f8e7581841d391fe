"""The watch over leases: when one is over, who removes it, and when an epoch settles."""

import pytest
from sqlalchemy import Engine

from store import lease_watch
from store.clocks import NANOSECONDS_PER_SECOND
from store.lease_watch import LeaseReading, LeaseWatch
from tests.integration.lease_builders import (
    LENGTH_SECONDS,
    OVER_SECONDS,
    WAIT_SECONDS_MAX,
    Clock,
    begin_epoch,
    counted_lease_reads,
    epoch_of,
    held_lease_table,
    processes_of,
    release,
    renew,
    settled_epoch_of,
    threads,
)
from tests.waiting import until

pytestmark = pytest.mark.integration


@pytest.fixture
def clock() -> Clock:
    """The writer's clock."""
    return Clock()


@pytest.fixture
def watch(engine: Engine, clock: Clock) -> LeaseWatch:
    """A writer's watch that has seen nothing yet."""
    return LeaseWatch(engine, LENGTH_SECONDS, clock)


def over_in_seconds(found: LeaseReading, clock: Clock) -> dict[str, float]:
    """In how many seconds from now the lease of each process is over."""
    return {
        lease.process_id: (lease.over_at_nanoseconds - clock()) / NANOSECONDS_PER_SECOND
        for lease in found.leases
    }


def test_a_lease_is_over_its_length_and_a_margin_after_it_was_first_seen(
    engine: Engine, watch: LeaseWatch, clock: Clock
) -> None:
    """Each by its own length, however often it is looked at; a short one has the least margin."""
    renew(engine, "long", length_seconds=10)
    renew(engine, "short", length_seconds=0.5)
    assert over_in_seconds(watch.read(), clock) == {"long": 11, "short": 0.6}
    clock.advance(4)
    assert over_in_seconds(watch.read(), clock) == {"long": 7, "short": -3.4}


def test_a_renewal_counts_from_when_it_is_seen(
    engine: Engine, watch: LeaseWatch, clock: Clock
) -> None:
    """However much of the lease before was over."""
    renew(engine, "p")
    watch.read()
    clock.advance(1)
    renew(engine, "p")
    assert over_in_seconds(watch.read(), clock) == {"p": OVER_SECONDS}


def test_first_sight_counts_from_when_the_read_came_back(engine: Engine) -> None:
    """Not from when it was sent: the renewal may have been committed while it was on its way."""
    instants = iter([100, 150])
    watch = LeaseWatch(engine, LENGTH_SECONDS, lambda: next(instants))
    renew(engine, "p")
    found = watch.read()
    assert found.sent_at_nanoseconds == 100
    assert found.leases[0].over_at_nanoseconds == 150 + OVER_SECONDS * NANOSECONDS_PER_SECOND


def test_a_counter_that_begins_anew_is_another_renewal(
    engine: Engine, watch: LeaseWatch, clock: Clock
) -> None:
    """The row was removed, and its process came back with the counter that was seen long ago."""
    renew(engine, "p")
    watch.read()
    clock.advance(10)
    release(engine, "p")
    renew(engine, "p")
    assert over_in_seconds(watch.read(), clock) == {"p": OVER_SECONDS}


def test_what_is_over_is_removed(engine: Engine, watch: LeaseWatch, clock: Clock) -> None:
    """By a read that was sent after its end; the others stay."""
    renew(engine, "dead")
    watch.read()
    clock.advance(OVER_SECONDS)
    renew(engine, "alive")
    watch.remove_over(watch.read())
    assert processes_of(engine) == ["alive"]


def test_what_is_not_over_is_not_removed(engine: Engine, watch: LeaseWatch, clock: Clock) -> None:
    """Neither a moment before its end, nor by a read that was sent before it."""
    renew(engine, "p")
    watch.read()
    clock.advance(OVER_SECONDS - 0.001)
    found = watch.read()
    watch.remove_over(found)
    clock.advance(1)
    watch.remove_over(found)
    assert processes_of(engine) == ["p"]


def test_what_was_renewed_after_the_read_is_not_removed(
    engine: Engine, watch: LeaseWatch, clock: Clock
) -> None:
    """The removal goes by the renewal that was seen."""
    renew(engine, "p")
    watch.read()
    clock.advance(OVER_SECONDS)
    found = watch.read()
    renew(engine, "p")
    watch.remove_over(found)
    assert processes_of(engine) == ["p"]


def test_what_came_back_after_the_read_is_not_removed(
    engine: Engine, watch: LeaseWatch, clock: Clock
) -> None:
    """Though its counter is the one that was seen."""
    renew(engine, "p")
    watch.read()
    clock.advance(OVER_SECONDS)
    found = watch.read()
    release(engine, "p")
    renew(engine, "p")
    watch.remove_over(found)
    assert processes_of(engine) == ["p"]


def test_an_epoch_settles_when_the_longest_lease_since_is_over(
    engine: Engine, watch: LeaseWatch, clock: Clock
) -> None:
    """The longest that was ever seen, its row may be gone; counted from when the epoch was seen."""
    renew(engine, "long", length_seconds=10)
    assert watch.read().is_settled
    release(engine, "long")
    epoch = begin_epoch(engine)
    watch.read()
    clock.advance(10.9)
    watch.settle(watch.read())
    assert settled_epoch_of(engine) < epoch
    clock.advance(0.1)
    found = watch.read()
    assert not found.is_settled
    watch.settle(found)
    assert settled_epoch_of(engine) == epoch
    assert watch.read().is_settled


def test_another_epoch_is_waited_for_anew(engine: Engine, watch: LeaseWatch, clock: Clock) -> None:
    """And what was found of the one before settles nothing."""
    begin_epoch(engine)
    watch.read()
    clock.advance(OVER_SECONDS)
    found = watch.read()
    epoch = begin_epoch(engine)
    watch.settle(found)
    watch.settle(watch.read())
    assert settled_epoch_of(engine) < epoch
    clock.advance(OVER_SECONDS)
    watch.settle(watch.read())
    assert settled_epoch_of(engine) == epoch


def test_a_process_that_starts_in_an_unsettled_epoch_waits_itself(
    engine: Engine, clock: Clock
) -> None:
    """What others have seen is not its own sight."""
    begin_epoch(engine)
    clock.advance(100)
    found = LeaseWatch(engine, LENGTH_SECONDS, clock).read()
    waits = (found.settled_at_nanoseconds - clock()) / NANOSECONDS_PER_SECOND
    assert (found.epoch, waits) == (epoch_of(engine), OVER_SECONDS)


def test_reads_that_wait_are_one(
    engine: Engine, watch: LeaseWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is under way, and whoever comes meanwhile shares the next."""
    monkeypatch.setattr(lease_watch, "READ_SECONDS_MAX", WAIT_SECONDS_MAX)
    watch = LeaseWatch(engine, LENGTH_SECONDS)
    with threads(50) as pool, counted_lease_reads(engine) as reads:
        with held_lease_table(engine):
            first = pool.submit(watch.read)
            until(lambda: len(reads) == 1)
            others = [pool.submit(watch.read) for _ in range(49)]
            until(lambda: all(other.running() for other in others))
        found = {id(other.result(WAIT_SECONDS_MAX)) for other in others}
        assert id(first.result(WAIT_SECONDS_MAX)) not in found
        # A thread that runs may not have asked yet, and then shares a later one.
        assert len(reads) == 1 + len(found) <= 10
