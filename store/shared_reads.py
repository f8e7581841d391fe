"""Reads of PostgreSQL after misses, shared by the checks that wait for them.

What lives here: who shares which read, how many there are at once, and how long anybody waits. A
read that was already sent is never joined, for a check that starts now must see what was committed
before now (`design.md`, "No stale ALLOW", step 7); a later check of a customer whose read is under
way waits for its end and shares the next one with whoever came meanwhile. What is read is the
caller's affair.

Threads of our own run the reads: PostgreSQL may stop in the middle of one, and a check that ran it
itself could then not even fail.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, Generic, NoReturn, TypeVar

from decision.errors import OverloadedError, UnavailableError, of_ones_own

_logger = logging.getLogger(__name__)

IDS_PER_READ_MAX: Final = 1000

READS_IN_FLIGHT_MAX: Final = 4
"""Reads that PostgreSQL has at once from one process."""

IDS_WAITING_MAX: Final = 4000
"""Customer ids that wait to be sent; beyond them calls are shed instead of queued."""

WAIT_SECONDS_MAX: Final = 2.0
"""How long an id waits to be sent before its call is shed."""

CHECK_READ_SECONDS_MAX: Final = 2.5
"""How long a check waits for a read that was sent."""

IDLE_SECONDS_MAX: Final = 10.0
"""How long a thread without work stays, ready for the next miss."""

_Found = TypeVar("_Found")


@dataclass(slots=True)
class SharedReadCounts:
    """What was done so far, and what waits now.

    `calls_shed` got OverloadedError: too much waited already, or they waited too long to be sent.
    `calls_given_up` got UnavailableError: what was sent took too long.
    """

    reads_sent: int = 0
    ids_read: int = 0
    calls_shed: int = 0
    calls_given_up: int = 0
    ids_waiting: int = 0


@dataclass(slots=True, eq=False)
class _Call(Generic[_Found]):
    """A call for at most IDS_PER_READ_MAX ids; `outstanding` are those not answered yet."""

    began_at: float
    outstanding: "dict[str, _Ticket[_Found]]" = field(default_factory=dict)
    found: dict[str, _Found] = field(default_factory=dict)
    error: BaseException | None = None
    is_over: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True, eq=False)
class _Ticket(Generic[_Found]):
    """One id that waits to be read or is being read, for all the calls that share it."""

    calls: list[_Call[_Found]] = field(default_factory=list)
    sent_at: float | None = None


@dataclass(slots=True, eq=False)
class _Read(Generic[_Found]):
    """One read that was sent."""

    tickets: Mapping[str, _Ticket[_Found]]
    sent_at: float


class SharedReads(Generic[_Found]):
    """Coalesces reads by id. Safe to be used by several threads.

    Reads run in daemon threads, which start when there is work and end when there has been none for
    IDLE_SECONDS_MAX: so there is nothing to close, and a read that hangs keeps no process from
    ending.
    """

    def __init__(
        self,
        load: Callable[[Collection[str]], _Found],
        *,
        in_flight_max: int = READS_IN_FLIGHT_MAX,
        waiting_max: int = IDS_WAITING_MAX,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
        read_seconds_max: float = CHECK_READ_SECONDS_MAX,
    ) -> None:
        """Share calls of `load`, which MUST read what is committed when it is called.

        `in_flight_max`: calls of `load` at once. Two at once never have an id in common.
        `waiting_max`: ids that wait to be sent, each counted once however many calls share it. A
        call that would bring more is shed, unless nothing waits: none is shed for its own size. Of
        a call of more than IDS_PER_READ_MAX ids so many wait at a time, and each such piece is
        admitted, and waits, by itself.
        `wait_seconds_max`: how long an id waits to be sent.
        `read_seconds_max`: how long a call waits for a read that was sent. The read keeps its place
        until `load` returns, which SHOULD be about then.
        """
        self._load = load
        self._in_flight_max = in_flight_max
        self._waiting_max = waiting_max
        self._wait_seconds_max = wait_seconds_max
        self._read_seconds_max = read_seconds_max
        self._lock = threading.Lock()
        self._has_work = threading.Condition(self._lock)
        # What waits: ready for the next read, in the order of coming; or held back by a read under
        # way that has the same id.
        self._ready: dict[str, _Ticket[_Found]] = {}
        self._held: dict[str, _Ticket[_Found]] = {}
        self._reads: list[_Read[_Found]] = []
        self._ids_in_flight: set[str] = set()
        self._threads = 0
        self._idle_threads = 0
        self._counts = SharedReadCounts()

    def read(self, ids: Collection[str]) -> Mapping[str, _Found]:
        """Read ids and give for each the answer of a read that began after this call did.

        Raises OverloadedError when too much waits already or an id was not sent in time, and
        UnavailableError when a read that was sent took too long or failed. An OverloadedError of
        `load` stays one.
        """
        distinct = list(dict.fromkeys(ids))
        found: dict[str, _Found] = {}
        for start in range(0, len(distinct), IDS_PER_READ_MAX):
            found |= self._read_piece(distinct[start : start + IDS_PER_READ_MAX])
        return found

    def counts(self) -> SharedReadCounts:
        """Tell what was done so far and what waits now."""
        with self._lock:
            return replace(self._counts, ids_waiting=len(self._ready) + len(self._held))

    def _read_piece(self, ids: Collection[str]) -> Mapping[str, _Found]:
        call = _Call[_Found](time.monotonic())
        try:
            with self._lock:
                self._refuse_if_in_vain(ids, call.began_at)
                self._refuse_if_full(ids)
                self._enter(call, ids)
            self._wait(call)
        finally:
            with self._lock:
                self._leave(call)
        if call.error is not None:
            raise _for_caller(call.error) from call.error
        return call.found

    # Every method from here to `_wait`, and those that say so, are called with the lock held.

    def _refuse_if_in_vain(self, ids: Collection[str], now: float) -> None:
        """Refuse at once what would wait for a read that PostgreSQL does not answer.

        Waiting would only keep a thread from checks that need no PostgreSQL.
        """
        overdue = [read for read in self._reads if now >= read.sent_at + self._read_seconds_max]
        if len(overdue) >= self._in_flight_max or any(
            customer_id in read.tickets for read in overdue for customer_id in ids
        ):
            self._give_up()

    def _refuse_if_full(self, ids: Collection[str]) -> None:
        waiting = len(self._ready) + len(self._held)
        if not waiting:
            return
        added = sum(
            customer_id not in self._ready and customer_id not in self._held for customer_id in ids
        )
        if added and waiting + added > self._waiting_max:
            self._shed(
                f"{waiting} customer ids wait for PostgreSQL already, and {self._waiting_max} are "
                "the most: try again later"
            )

    def _enter(self, call: _Call[_Found], ids: Iterable[str]) -> None:
        """Share the tickets of ids that wait already, and add the others."""
        for customer_id in ids:
            ticket = self._ready.get(customer_id) or self._held.get(customer_id)
            if ticket is None:
                ticket = _Ticket()
                is_in_flight = customer_id in self._ids_in_flight
                (self._held if is_in_flight else self._ready)[customer_id] = ticket
            ticket.calls.append(call)
            call.outstanding[customer_id] = ticket
        self._wake_a_thread()

    def _leave(self, call: _Call[_Found]) -> None:
        """Give up what is outstanding: nobody reads what nobody waits for."""
        for customer_id, ticket in call.outstanding.items():
            ticket.calls.remove(call)
            if not ticket.calls and ticket.sent_at is None:
                self._ready.pop(customer_id, None)
                self._held.pop(customer_id, None)

    def _shed(self, message: str) -> NoReturn:
        self._counts.calls_shed += 1
        raise OverloadedError(message)

    def _give_up(self) -> NoReturn:
        self._counts.calls_given_up += 1
        message = "PostgreSQL took too long: try again later"
        raise UnavailableError(message)

    def _wake_a_thread(self) -> None:
        """See to it that somebody sends what is ready."""
        if not self._ready:
            return
        if self._idle_threads:
            self._has_work.notify()
        elif self._threads < self._in_flight_max:
            threading.Thread(target=self._run, name="shared-read", daemon=True).start()
            self._threads += 1

    def _wait(self, call: _Call[_Found]) -> None:
        """Wait, without the lock, until everything is read or something of it takes too long."""
        look_at = call.began_at + min(self._wait_seconds_max, self._read_seconds_max)
        while not call.is_over.wait(max(0.0, look_at - time.monotonic())):
            with self._lock:
                if call.is_over.is_set():
                    return
                look_at, was_sent = min(
                    self._limit(call, ticket) for ticket in call.outstanding.values()
                )
                if look_at > time.monotonic():
                    continue
                if was_sent:
                    self._give_up()
                self._shed("PostgreSQL has too much to read for one more: try again later")

    def _limit(self, call: _Call[_Found], ticket: _Ticket[_Found]) -> tuple[float, bool]:
        """Tell until when a call waits for one of its ids, and whether that one was sent."""
        if ticket.sent_at is None:
            return call.began_at + self._wait_seconds_max, False
        return ticket.sent_at + self._read_seconds_max, True

    def _run(self) -> None:
        """Read what is ready, in a thread of its own, until there has been nothing for a while."""
        while (read := self._next_read()) is not None:
            answers: Mapping[str, _Found] = {}
            error: BaseException | None = None
            try:
                answers = dict.fromkeys(read.tickets, self._load(list(read.tickets)))
            except (UnavailableError, OverloadedError) as expected:
                error = expected
            except BaseException as unexpected:
                # Those who wait are told; the thread lives on, or its place would be lost.
                _logger.exception("a read of PostgreSQL failed")
                error = unexpected
            self._finish(read, answers, error)

    def _next_read(self) -> _Read[_Found] | None:
        """Wait for ids to read and take them, whereupon nobody can join; None: nobody came."""
        with self._lock:
            while not self._ready:
                self._idle_threads += 1
                is_woken = self._has_work.wait(IDLE_SECONDS_MAX)
                self._idle_threads -= 1
                if not is_woken and not self._ready:
                    self._threads -= 1
                    return None
            ids = list(islice(self._ready, IDS_PER_READ_MAX))
            read = _Read({one: self._ready.pop(one) for one in ids}, time.monotonic())
            for ticket in read.tickets.values():
                ticket.sent_at = read.sent_at
            self._reads.append(read)
            self._ids_in_flight.update(ids)
            self._counts.reads_sent += 1
            self._counts.ids_read += len(ids)
            self._wake_a_thread()
            return read

    def _finish(
        self, read: _Read[_Found], answers: Mapping[str, _Found], error: BaseException | None
    ) -> None:
        """Answer all who shared a read, and make ready what it held back."""
        with self._lock:
            self._reads.remove(read)
            self._ids_in_flight.difference_update(read.tickets)
            for customer_id, ticket in read.tickets.items():
                for call in ticket.calls:
                    del call.outstanding[customer_id]
                    if error is None:
                        call.found[customer_id] = answers[customer_id]
                    call.error = call.error or error
                    if error is not None or not call.outstanding:
                        call.is_over.set()
                if customer_id in self._held:
                    self._ready[customer_id] = self._held.pop(customer_id)


def _for_caller(error: BaseException) -> OverloadedError | UnavailableError:
    match error:
        case OverloadedError() | UnavailableError():
            return of_ones_own(error)
        case _:
            return UnavailableError("PostgreSQL does not answer: try again later")
