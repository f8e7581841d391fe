"""Effectuation: when a narrowing is effective, and when nobody may say so."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial

import pytest
from sqlalchemy import Engine

from service import effectuation
from service.control.client import ControlClient, Process
from service.control.server import ControlServer
from service.effectuation import Effectuator
from store import lease_watch
from store.floors import Narrowing
from store.guard import GuardKeeper
from store.publications import Catalogs
from tests.integration.lease_builders import (
    LENGTH_SECONDS,
    OVER_SECONDS,
    WAIT_SECONDS_MAX,
    Clock,
    begin_epoch,
    counted_lease_reads,
    epoch_of,
    held_lease_table,
    narrowing,
    processes_of,
    release,
    renew,
    settled_epoch_of,
    threads,
)
from tests.waiting import until

pytestmark = pytest.mark.integration

NOT_LONG_SECONDS = 0.3
"""A wait that is meant to end in vain."""


class Writer:
    """A writer's effectuator, with a clock in the test's hand, and calls under way."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.clock = Clock()
        self.effectuator = Effectuator(engine, LENGTH_SECONDS, self.clock)

    def make_effective(self, *customer_ids: str, seconds: float = WAIT_SECONDS_MAX) -> bool:
        """Make effective that something was taken away from customers."""
        told = narrowing(self.engine, *(customer_ids or ("olga",)))
        return self.effectuator.make_effective(told, seconds)

    def is_effective_now(self) -> bool:
        """Whether no waiting for anybody is needed."""
        return self.make_effective(seconds=0)


class Processes:
    """Decision processes that answer, each with a lease."""

    def __init__(self, engine: Engine, stack: ExitStack) -> None:
        self._engine = engine
        self._stack = stack

    def start(self, process_id: str, *, lease_of: str = "", address: str = "127.0.0.1:0") -> "Told":
        """Start a process; its address may stand in the lease of another one."""
        keeper = GuardKeeper()
        server = ControlServer(keeper, Catalogs(self._engine), process_id, address)
        self._stack.enter_context(server)
        renew(self._engine, lease_of or process_id, server.address)
        return Told(keeper, server.address)


class Told:
    """What a process was told, and where."""

    def __init__(self, keeper: GuardKeeper, address: str) -> None:
        self.address = address
        self._keeper = keeper

    @property
    def customers(self) -> set[str]:
        """Of whom the process knows that something was taken away."""
        return set(self._keeper.current().customers)


@pytest.fixture
def writer(engine: Engine) -> Iterator[Writer]:
    """A writer that has seen nothing yet."""
    opened = Writer(engine)
    yield opened
    opened.effectuator.close()


@pytest.fixture
def processes(engine: Engine) -> Iterator[Processes]:
    """Decision processes to start."""
    with ExitStack() as stack:
        yield Processes(engine, stack)


def wait_until_it_waits(future: Future[bool], reads: list[str]) -> None:
    """Wait until a call has read the leases, and see that it does not end."""
    until(lambda: bool(reads))
    with pytest.raises(TimeoutError):
        future.result(NOT_LONG_SECONDS)


def test_a_narrowing_is_effective_when_every_process_has_answered(
    writer: Writer, processes: Processes
) -> None:
    """And every one of them heeds it by then."""
    told = [processes.start(process_id) for process_id in "abc"]
    assert writer.make_effective("olga", "anna")
    assert [one.customers for one in told] == [{"olga", "anna"}] * 3


def test_what_is_done_meanwhile_holds_up_nobody_who_is_told(
    writer: Writer, processes: Processes
) -> None:
    """The processes heed the narrowing while it is being done, once."""
    told = [processes.start(process_id) for process_id in "ab"]
    done: list[bool] = []

    def do() -> None:
        until(lambda: all(one.customers for one in told))
        done.append(True)

    found = writer.effectuator.make_effective(
        narrowing(writer.engine, "olga"), WAIT_SECONDS_MAX, meanwhile=do
    )
    assert found
    assert done == [True]


def test_answers_that_came_meanwhile_count_though_no_time_is_left(
    writer: Writer, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was done meanwhile took all of it; nobody has to be waited for any more."""
    for process_id in "ab":
        processes.start(process_id)
    answers = threading.Semaphore(0)
    tell = ControlClient.tell

    def noticing(
        client: ControlClient, process: Process, told: Narrowing, heard: Callable[[bool], None]
    ) -> None:
        def hear(is_told: bool) -> None:  # noqa: FBT001 - as it is called
            heard(is_told)
            answers.release()

        tell(client, process, told, hear)

    monkeypatch.setattr(ControlClient, "tell", noticing)

    def do() -> None:
        assert all(answers.acquire(timeout=WAIT_SECONDS_MAX) for _ in "ab")

    assert writer.effectuator.make_effective(narrowing(writer.engine, "olga"), 0, meanwhile=do)


def test_what_is_to_be_done_meanwhile_is_done_also_when_nobody_can_be_told(
    engine: Engine, writer: Writer
) -> None:
    """Once, whether or not the write is effective."""
    done: list[str] = []
    old = narrowing(engine, "olga")
    begin_epoch(engine)
    assert not writer.effectuator.make_effective(
        old, NOT_LONG_SECONDS, meanwhile=lambda: done.append("of an older epoch")
    )
    renew(engine, "dead")
    assert not writer.effectuator.make_effective(
        narrowing(engine, "olga"), 0, meanwhile=lambda: done.append("without time")
    )
    assert done == ["of an older epoch", "without time"]


def test_without_any_process_a_narrowing_is_effective_at_once(writer: Writer) -> None:
    """Nobody may answer from the cache."""
    assert writer.is_effective_now()


def test_a_process_that_does_not_answer_is_waited_for_until_its_lease_is_over(
    engine: Engine, writer: Writer, processes: Processes
) -> None:
    """And no shorter; the others are told."""
    told = processes.start("a")
    renew(engine, "dead")
    assert not writer.make_effective(seconds=NOT_LONG_SECONDS)
    assert told.customers == {"olga"}
    writer.clock.advance(OVER_SECONDS - 0.01)
    assert not writer.make_effective(seconds=NOT_LONG_SECONDS)
    writer.clock.advance(0.01)
    assert writer.make_effective()


def test_renewing_meanwhile_does_not_make_a_process_harmless(
    engine: Engine, writer: Writer
) -> None:
    """It has committed a renewal, but perhaps not read its floors: it goes on under the old one."""
    renew(engine, "p")
    with threads(1) as pool, counted_lease_reads(engine) as reads:
        waiting = pool.submit(writer.make_effective)
        until(lambda: bool(reads))
        renew(engine, "p")
        wait_until_it_waits(waiting, reads)
        writer.clock.advance(OVER_SECONDS)
        # From then on it answers under a renewal that was committed after the narrowing, if at all.
        assert waiting.result(WAIT_SECONDS_MAX)


def test_a_renewal_from_before_the_read_counts_from_when_it_was_seen(
    engine: Engine, writer: Writer
) -> None:
    """It may be from before the narrowing: that the one before it is over says nothing."""
    renew(engine, "p")
    writer.effectuator.watch()
    renew(engine, "p")
    writer.clock.advance(OVER_SECONDS)
    assert not writer.make_effective(seconds=NOT_LONG_SECONDS)
    writer.clock.advance(OVER_SECONDS)
    assert writer.make_effective()


def test_who_appears_after_the_read_is_not_waited_for(engine: Engine, writer: Writer) -> None:
    """Its floors were read after the narrowing was committed."""
    renew(engine, "dead")
    with threads(1) as pool, counted_lease_reads(engine) as reads:
        waiting = pool.submit(writer.make_effective)
        until(lambda: bool(reads))
        wait_until_it_waits(waiting, reads)
        renew(engine, "late", length_seconds=60)
        writer.clock.advance(OVER_SECONDS)
        assert waiting.result(WAIT_SECONDS_MAX)
    assert "late" in processes_of(engine)


def test_another_process_at_the_address_does_not_answer_for_it(
    writer: Writer, processes: Processes
) -> None:
    """The address was taken over: the one that had it may still be going."""
    other = processes.start("other", lease_of="before")
    assert not writer.make_effective(seconds=NOT_LONG_SECONDS)
    assert not other.customers
    writer.clock.advance(OVER_SECONDS)
    assert writer.make_effective()


def test_a_process_that_ends_in_order_is_not_waited_for(engine: Engine, writer: Writer) -> None:
    """It took its lease away after it had stopped to answer checks."""
    renew(engine, "p")
    with threads(1) as pool, counted_lease_reads(engine) as reads:
        waiting = pool.submit(writer.make_effective)
        wait_until_it_waits(waiting, reads)
        release(engine, "p")
        assert waiting.result(WAIT_SECONDS_MAX)


def test_a_process_out_of_reach_for_a_while_is_told_then(
    engine: Engine, writer: Writer, processes: Processes
) -> None:
    """Without waiting for its lease to end."""
    gone = ControlServer(GuardKeeper(), Catalogs(engine), "p", "127.0.0.1:0")
    with gone:
        renew(engine, "p", gone.address)
    with threads(1) as pool, counted_lease_reads(engine) as reads:
        waiting = pool.submit(writer.make_effective)
        wait_until_it_waits(waiting, reads)
        told = processes.start("p", address=gone.address)
        assert waiting.result(WAIT_SECONDS_MAX)
    assert told.customers == {"olga"}


def test_a_watch_knows_early_that_a_process_is_dead(engine: Engine, writer: Writer) -> None:
    """A narrowing that comes later does not wait, and the row goes."""
    renew(engine, "dead")
    writer.effectuator.watch()
    writer.clock.advance(OVER_SECONDS)
    assert writer.is_effective_now()
    writer.effectuator.watch()
    assert not processes_of(engine)


def test_an_epoch_has_to_settle_first(engine: Engine, writer: Writer, processes: Processes) -> None:
    """There may be leases that this PostgreSQL has lost; who watches notes when they are over."""
    told = processes.start("a")
    begin_epoch(engine)
    assert not writer.make_effective(seconds=NOT_LONG_SECONDS)
    assert told.customers == {"olga"}
    writer.clock.advance(OVER_SECONDS)
    assert writer.make_effective()
    writer.effectuator.watch()
    assert settled_epoch_of(engine) == epoch_of(engine)


def test_what_was_written_in_an_older_epoch_is_never_called_effective(
    engine: Engine, writer: Writer
) -> None:
    """The ledger of the new one may not have it: whoever sends it again finds out."""
    old = narrowing(engine, "olga")
    begin_epoch(engine)
    writer.effectuator.watch()
    writer.clock.advance(OVER_SECONDS)
    writer.effectuator.watch()
    assert writer.is_effective_now()
    assert not writer.effectuator.make_effective(old, WAIT_SECONDS_MAX)


def test_a_publication_is_told_too(engine: Engine, writer: Writer) -> None:
    """It takes away from whomever it concerns."""
    keeper = GuardKeeper()
    server = ControlServer(keeper, Catalogs(engine), "p", "127.0.0.1:0")
    with server:
        renew(engine, "p", server.address)
        told = narrowing(engine, publication=3)
        assert writer.effectuator.make_effective(told, WAIT_SECONDS_MAX)
    assert keeper.current().publication == 3


def test_a_thousand_narrowings_at_once_share_reads_and_calls(
    writer: Writer, engine: Engine, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And every one of them is told before it is effective."""
    monkeypatch.setattr(lease_watch, "READ_SECONDS_MAX", WAIT_SECONDS_MAX)
    writer = Writer(engine)
    told = processes.start("a")
    epoch = epoch_of(engine)
    customer_ids = [f"c{number}" for number in range(1000)]
    work: list[Callable[[], bool]] = [
        partial(
            writer.effectuator.make_effective,
            Narrowing(epoch, narrowing(engine, customer_id).customers),
            WAIT_SECONDS_MAX,
            has_own_thread=True,
        )
        for customer_id in customer_ids
    ]
    with threads(len(work)) as pool, counted_lease_reads(engine) as reads:
        with held_lease_table(engine):
            waiting = [pool.submit(one) for one in work]
            until(lambda: all(future.running() for future in waiting))
        assert all(future.result(WAIT_SECONDS_MAX) for future in waiting)
    assert told.customers == set(customer_ids)
    assert len(reads) <= 100
    writer.effectuator.close()


def test_few_may_wait_long_in_threads_of_others(
    engine: Engine, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest are answered soon, so that writes which need not wait find a thread."""
    monkeypatch.setattr(effectuation, "LONG_WAITS_MAX", 1)
    writer = Writer(engine)
    renew(engine, "dead")
    with threads(2) as pool, counted_lease_reads(engine) as reads:
        waiting = pool.submit(writer.make_effective)
        wait_until_it_waits(waiting, reads)
        own = pool.submit(
            writer.effectuator.make_effective,
            narrowing(engine, "anna"),
            WAIT_SECONDS_MAX,
            has_own_thread=True,
        )
        # It would wait for as long as the one that has the place.
        assert not writer.make_effective()
        assert not waiting.done()
        assert not own.done()
        writer.clock.advance(OVER_SECONDS)
        assert waiting.result(WAIT_SECONDS_MAX)
        assert own.result(WAIT_SECONDS_MAX)
    # The place is free again.
    assert writer.make_effective()
    writer.effectuator.close()


def test_without_postgresql_nothing_is_effective(no_postgresql: Engine) -> None:
    """Nor does anything fail: the write itself is committed."""
    effectuator = Effectuator(no_postgresql, LENGTH_SECONDS)
    effectuator.watch()
    assert not effectuator.make_effective(Narrowing(1), NOT_LONG_SECONDS)
    assert not effectuator.outlive_leases(NOT_LONG_SECONDS)
    effectuator.close()


def test_a_whole_lease_makes_everything_before_effective(
    engine: Engine, writer: Writer, processes: Processes
) -> None:
    """Whoever renewed since then has read the floors, though nobody was told."""
    told = processes.start("p")
    with threads(1) as pool, counted_lease_reads(engine) as reads:
        waiting = pool.submit(writer.effectuator.outlive_leases, WAIT_SECONDS_MAX)
        wait_until_it_waits(waiting, reads)
        renew(engine, "p", told.address)
        writer.clock.advance(OVER_SECONDS)
        assert waiting.result(WAIT_SECONDS_MAX)
    assert not told.customers
