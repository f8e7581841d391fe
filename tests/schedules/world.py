"""A world: a ledger, a cache, and the processes and writers of one schedule.

What lives here: what a schedule is told in. Nothing goes by itself: leases are renewed, rows are
projected and time passes when the schedule says so, or, for time, when a writer has nothing left to
do but wait.
"""

import itertools
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from sqlalchemy import delete, select

from decision.events import (
    Body,
    Consent,
    Erasure,
    Merge,
    NewEvent,
    Restriction,
    Revocation,
    Source,
    Split,
    Void,
)
from decision.instants import FOREVER, Instant, parse_instant
from decision.selectors import EVERYTHING
from store.cache import Cache, open_client
from store.clocks import wall_clock
from store.database import open_engine, reading
from store.epochs import raise_epoch, read_epoch, settle_epoch
from store.projector import Projector
from store.publications import Catalogs
from store.retention import OutboxPruner
from store.rollout import RolloutWorker
from store.schema import lease, publication
from store.sharding import shard_of
from tests.faults.history import EVERYBODY, Change, Record
from tests.faults.judging import Fault, judge
from tests.schedules.catalogs import CALL_SCOPE, SCOPES, SHARE_SCOPE, document
from tests.schedules.ground import Clock, Ground, Moments, RedisKeys
from tests.schedules.process import Process
from tests.schedules.writer import Write, Writer

LEASE_SECONDS: Final = 60.0
"""Long, so that none ends by itself while a schedule runs."""

OVER_SECONDS: Final = 67.0
"""After so long a lease is over, margin and all."""

SECONDS: Final = 1_000_000
"""Microseconds of a second."""

SECONDS_MAX: Final = 60.0
"""A bound against hanging."""

NUMBER: Final = 7
"""The shard of all customers."""

LONG_AGO: Final = parse_instant("2020-01-01T00:00:00Z")


class World:
    """One world. It is played once."""

    lease_seconds = LEASE_SECONDS

    def __init__(self, ground: Ground, stack: ExitStack) -> None:
        """Begin with a catalog that grants everything, without customers and processes."""
        self._stack = stack
        self.ground = ground
        self.namespace = f"maywe-test-{uuid.uuid4().hex}"
        self.clock, self.writer_clock = Clock(), Clock()
        self.history: list[Record] = []
        self.tokens: dict[str, str] = {}
        self._first_events: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self.moments = Moments(stack)
        for module in ("guard", "leases"):
            self.moments.patch(f"store.{module}:boot_nanoseconds", lambda _: self.clock)
        # However slow this machine is: no wait of the product's ends before what it waits for.
        self.moments.patch("store.shared_reads:SharedReads.__init__", _with_patience)
        self.moments.patch("service.control.client:TRY_SECONDS_MAX", lambda _: SECONDS_MAX)
        self.redis = RedisKeys(ground.redis_url, self.namespace)
        stack.callback(self.redis.empty)
        self.engine = open_engine(ground.database_url)
        stack.callback(self.engine.dispose)
        self.cache = Cache(stack.enter_context(open_client(ground.redis_url)), self.namespace)
        self._threads = stack.enter_context(ThreadPoolExecutor(4))
        self._clear()
        self.when_waiting: Callable[[], object] = lambda: None
        self.let_time_pass_when_waiting()
        self.moments.patch("service.effectuation:_Audience.hear", self._noticing_waits)
        self.writer = self.new_writer()
        self.project_once()

    # Who takes part.

    def process(self, *, hears: bool = True, has_lease: bool = True, address: str = "") -> Process:
        """Start a decision process; one that does not hear is cut off from the writers."""
        process_id = self.new_name("process")
        process = Process(self, self._stack, process_id, hears=hears, address=address)
        if has_lease:
            process.renew()
        return process

    def new_writer(self) -> Writer:
        """Start a writer."""
        return Writer(self, self._stack)

    def spawn(self, work: Callable[[], object]) -> "Future[object]":
        """Do something beside the schedule."""
        return self._threads.submit(work)

    # What customers do.

    def customer(self, expires_at: Instant | None = None, *, is_projected: bool = True) -> str:
        """Let somebody new consent, and give their id."""
        customer_id = self._new_customer_id()
        self.consent(customer_id, expires_at)
        if is_projected:
            self.project()
        return customer_id

    def consent(self, customer_id: str, expires_at: Instant | None = None) -> None:
        """Let a customer consent, anew if they did before."""
        obtained_at = wall_clock() if customer_id in self._first_events else LONG_AGO
        body = Consent(obtained_at, "calls", "granted", expires_at=expires_at)
        opens = (Change(customer_id, "consent", SCOPES),)
        name = self.writer.send(Write(self._event(customer_id, body), opens=opens))
        self._first_events.setdefault(customer_id, name)

    def revoking(self, customer_id: str, *others: str, later_seconds: float = 0.0) -> Write:
        """A revocation of everything, from a clock that is ahead of ours by so much.

        `others` are who is one person with the customer.
        """
        body = Revocation(wall_clock() + round(later_seconds * SECONDS), EVERYTHING)
        closes = tuple(Change(one, "consent", SCOPES) for one in (customer_id, *others))
        return Write(self._event(customer_id, body), closes=closes)

    def revoke(self, customer_id: str, *, waits: bool = True, later_seconds: float = 0.0) -> str:
        """Let a customer revoke everything, and give the name of the write."""
        return self.writer.send(
            self.revoking(customer_id, later_seconds=later_seconds), waits=waits
        )

    def restrict(self, customer_id: str, later_seconds: float) -> None:
        """Restrict everything of a customer from an instant to come."""
        at = self.true_now() + round(later_seconds * SECONDS)
        closes = (Change(customer_id, "restriction", SCOPES, at),)
        body = Restriction(at, FOREVER, "complaint", EVERYTHING)
        self.writer.send(Write(self._event(customer_id, body), closes=closes))

    def consent_for_a_moment(self, customer_id: str) -> None:
        """Let a customer consent to what ends at once, which stands for what they gave before."""
        at = wall_clock()
        body = Consent(at, "calls", "granted", expires_at=at + 1)
        closes = (Change(customer_id, "consent", SCOPES),)
        self.writer.send(Write(self._event(customer_id, body), closes=closes))

    def refuser(self) -> str:
        """Give the id of somebody who wants nothing."""
        customer_id = self._new_customer_id()
        body = Restriction(LONG_AGO, FOREVER, "do_not_contact", EVERYTHING)
        self.writer.send(Write(self._event(customer_id, body)))
        return customer_id

    def somebody(self) -> str:
        """Give the id of somebody whose consent ended long ago."""
        customer_id = self._new_customer_id()
        body = Consent(LONG_AGO, "calls", "granted", expires_at=LONG_AGO + 1)
        self.writer.send(Write(self._event(customer_id, body)))
        return customer_id

    def merge(self, from_id: str, into_id: str, *, closes: bool = False) -> None:
        """Let two customers be one person, whereby the first may lose everything."""
        changes = (Change(from_id, "identity", SCOPES),) if closes else ()
        self.writer.send(Write(self._event(from_id, Merge(from_id, into_id)), closes=changes))

    def split(self, customer_id: str) -> None:
        """Undo a merge, whereby the customer loses everything."""
        closes = (Change(customer_id, "identity", SCOPES),)
        self.writer.send(Write(self._event(customer_id, Split(customer_id)), closes=closes))

    def void(self, customer_id: str) -> None:
        """Void the first event of a customer, whereby they lose everything."""
        body = Void(self._first_events[customer_id], "mistake")
        closes = (Change(customer_id, "void", SCOPES),)
        self.writer.send(Write(self._event(customer_id, body), closes=closes))

    def erase(self, customer_id: str) -> None:
        """Erase a customer."""
        closes = (Change(customer_id, "consent", SCOPES),)
        self.writer.erase(Write(self._event(customer_id, Erasure()), closes=closes))

    def strangers(self, count: int) -> None:
        """Let as many rows come after as there are strangers, and the cache show them."""
        for _ in range(count):
            self.customer(is_projected=False)
        self.project()

    # Catalogs.

    def forbid_calls(self) -> None:
        """Publish a catalog in which nothing grants calls."""
        self.writer.publish(
            document(grants_calls=False), (Change(EVERYBODY, "catalog", (CALL_SCOPE,)),)
        )

    def suspend_bank(self, *, waits: bool = True) -> str:
        """Publish a catalog in which the bank is suspended, and give the name of the write."""
        closes = (Change(EVERYBODY, "catalog", (SHARE_SCOPE,)),)
        return self.writer.publish(document(is_bank_suspended=True), closes, waits=waits)

    def roll_out(self) -> None:
        """Bring every state under the newest publication."""
        catalogs = Catalogs(self.engine)
        RolloutWorker(self.engine, catalogs, lambda _: None).run_pending(threading.Event())

    # Time and the stores.

    def true_now(self) -> Instant:
        """Give now, as it is."""
        return wall_clock() + round(self.clock.ahead_seconds * SECONDS)

    def advance(self, seconds: float) -> None:
        """Let time pass for everybody."""
        self.clock.advance(seconds)
        self.writer_clock.advance(seconds)

    def let_time_pass_when_waiting(self) -> None:
        """Let leases end as soon as a writer has nothing left to do but wait, which is usual."""
        self.when_waiting = lambda: self.advance(OVER_SECONDS)

    def settle(self) -> None:
        """Let writers watch until the epoch is settled."""
        self.writer.watch()
        self.advance(OVER_SECONDS)
        self.writer.watch()

    def project_once(self, rows_per_batch: int = 100) -> None:
        """Let the projector look once."""
        projector = Projector(self.engine, self.cache, rows_per_batch=rows_per_batch)
        projector.project_shard(NUMBER)

    def project(self) -> None:
        """Let the projector bring the cache forward as far as it can."""
        for _ in range(3):
            self.project_once()

    def prune(self) -> None:
        """Remove every row of the outbox that Redis shows."""
        OutboxPruner(self.engine, self.cache, kept_seconds=0.0).run_pending(threading.Event())

    def back_up(self) -> Callable[[], None]:
        """Back PostgreSQL up, and give what restores it."""
        self.engine.dispose()
        self.ground.back_up()

        def restore() -> None:
            self.engine.dispose()
            self.ground.restore()

        return restore

    def raise_epoch(self) -> None:
        """Begin an epoch, as has to be done after a restore."""
        with reading(self.engine) as connection:
            epoch = read_epoch(connection).number
        raise_epoch(self.engine, epoch)

    # What comes of it.

    def stale_allows(self) -> list[str]:
        """Give what the judge of campaigns finds."""
        return [
            violation.text
            for violation in judge(self.history).violations
            if violation.fault is Fault.STALE_ALLOW
        ]

    def new_name(self, kind: str) -> str:
        """Give a name that nobody had."""
        return f"{kind}-{next(self._numbers)}-{self.namespace}"

    def _new_customer_id(self) -> str:
        names = (self.new_name("customer") for _ in itertools.count())
        return next(name for name in names if shard_of(name) == NUMBER)

    def _event(self, customer_id: str, body: Body) -> NewEvent:
        return NewEvent(self.new_name("event"), customer_id, body, Source("test"))

    def _noticing_waits(self, hear: Callable[..., bool]) -> Callable[..., bool]:
        """Let time pass where a writer waits for nothing else."""

        def heard(audience: Any, seconds_max: float) -> bool:
            found = hear(audience, seconds_max)
            if not found and not audience._awaited.keys() - audience._untold:  # noqa: SLF001
                self.when_waiting()
            return found

        return heard

    def _clear(self) -> None:
        """Take away what the world before has left."""
        with self.engine.begin() as connection:
            connection.execute(delete(lease))
            epoch = read_epoch(connection).number
            newest = connection.scalar(
                select(publication.c.content).order_by(publication.c.number.desc()).limit(1)
            )
        settle_epoch(self.engine, epoch)
        if newest != document():
            Writer(self, self._stack).publish(document())
            self.history.clear()
            self.roll_out()


def _with_patience(init: Callable[..., None]) -> Callable[..., None]:
    patience = {"wait_seconds_max": SECONDS_MAX, "read_seconds_max": SECONDS_MAX}
    return lambda reads, load, **named: init(reads, load, **(named | patience))


@contextmanager
def new_world(ground: Ground) -> Iterator[World]:
    """Give a world, and take it away."""
    with ExitStack() as stack:
        yield World(ground, stack)
