"""Effectuation: from a committed write to the certainty that no check can miss it.

What lives here: telling every process that may answer from the cache, and waiting until each has
answered or its lease is over (`design.md`, "No stale ALLOW", step 6). Why that is enough is said in
`store.lease_watch`. Redis plays no part in it.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Final, Self

from sqlalchemy import Engine

from decision.errors import OverloadedError, UnavailableError
from service.control.client import ControlClient, Process
from service.tls import TlsFiles
from store.clocks import boot_nanoseconds
from store.floors import Narrowing
from store.lease_watch import Lease, LeaseReading, LeaseWatch

LOOK_SECONDS: Final = 0.05
"""How often a wait looks at the clock of leases, which runs on while the machine is suspended and
waits do not; and how soon whoever did not answer is told again."""

SHORT_WAIT_SECONDS: Final = 0.1
LONG_WAITS_MAX: Final = 6
"""Writes that share their threads with others may wait longer than this, so many at once: however
many wait for a process that died, threads are left for other writes (`service.executors`)."""

_logger = logging.getLogger(__name__)


def _nothing() -> None:
    """Do nothing, as whoever has nothing to do meanwhile."""


class Effectuator:
    """Makes writes effective. Safe to be used by several threads.

    `watch` MUST be called about as often as leases are renewed, and `close` at the end.
    """

    def __init__(
        self,
        engine: Engine,
        lease_seconds: float,
        clock: Callable[[], int] = boot_nanoseconds,
        control_files: TlsFiles | None = None,
    ) -> None:
        """Watch the leases at the ledger's primary; ours would be `lease_seconds` long.

        `engine` SHOULD have connections of its own, so that a lease is not read behind writes that
        wait for each other; two are enough.
        """
        self._clock = clock
        self._watch = LeaseWatch(engine, lease_seconds, clock)
        self._control = ControlClient(control_files)
        self._long_waits = threading.Semaphore(LONG_WAITS_MAX)
        self._is_blind = False

    def make_effective(
        self,
        narrowing: Narrowing,
        seconds_max: float,
        *,
        has_own_thread: bool = False,
        meanwhile: Callable[[], None] = _nothing,
    ) -> bool:
        """Tell every decision process of a committed narrowing; True once no check can miss it.

        False when that is not sure within `seconds_max`, or within SHORT_WAIT_SECONDS where too
        many wait longer already, unless the caller `has_own_thread`, which nobody else waits for.
        `meanwhile` is what the caller has to do anyway: it is done once everybody is being told,
        while their answers are on the way, and also if nobody could be told.

        MUST be called after the commit.
        """
        with _Patience(seconds_max, None if has_own_thread else self._long_waits) as patience:
            found = self._read(patience)
            if found is None or found.epoch != narrowing.epoch:
                # In another life of the ledger nobody has looked whether the write is still there.
                # Whoever sends it again finds out, and is acknowledged anew.
                meanwhile()
                return False
            audience = _Audience(found, self._clock, self._control, narrowing)
            audience.tell()
            with patience.spared():
                meanwhile()
            return self._wait(audience, patience)

    def outlive_leases(self, seconds_max: float) -> bool:
        """Wait until everything that is committed by now is effective, without telling anybody.

        That is so as soon as every lease of now is over: whoever renewed since then has read the
        floors. It takes a whole lease, so it is for callers with a thread of their own.
        """
        with _Patience(seconds_max, None) as patience:
            found = self._read(patience)
            return found is not None and self._wait(
                _Audience(found, self._clock, self._control, None), patience
            )

    def watch(self) -> None:
        """Look at the leases, so that one that is over is known early, and tidy up after them.

        A PostgreSQL that does not answer is said once.
        """
        try:
            found = self._watch.read()
            self._control.keep_only({_process(lease) for lease in found.leases})
            self._watch.remove_over(found)
            self._watch.settle(found)
        except (UnavailableError, OverloadedError):
            if not self._is_blind:
                _logger.warning("leases can not be watched: PostgreSQL does not answer")
            self._is_blind = True
        else:
            self._is_blind = False

    def close(self) -> None:
        """Close the connections to decision processes."""
        self._control.close()

    def _read(self, patience: "_Patience") -> LeaseReading | None:
        """Read the leases, again while PostgreSQL does not answer; None when that lasts."""
        while True:
            try:
                return self._watch.read()
            except (UnavailableError, OverloadedError):
                if patience.seconds_left() <= 0:
                    return None
                time.sleep(LOOK_SECONDS)

    def _wait(self, audience: "_Audience", patience: "_Patience") -> bool:
        # Of those who have answered already nobody is waited for, however little time is left.
        audience.hear_all()
        while not audience.is_reached():
            seconds = min(patience.seconds_left(), LOOK_SECONDS)
            if seconds <= 0:
                return False
            if not audience.hear(seconds) and audience.has_failed:
                # Perhaps it has ended in order, or its lease was found over by another writer.
                with suppress(UnavailableError, OverloadedError):
                    later = self._watch.read()
                    if not audience.is_of_epoch(later):
                        # The ledger may have lost leases too, and what is not effective yet.
                        return False
                    audience.keep_only({lease.process_id for lease in later.leases})
                audience.tell()
        return True


class _Patience:
    """How long one caller may wait. A long wait needs one of the `places`, where there are any."""

    def __init__(self, seconds_max: float, places: threading.Semaphore | None) -> None:
        self._seconds_max = seconds_max
        self._places = places
        self._has_place = False
        self._began_at = time.monotonic()
        self._spared_seconds = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._has_place and self._places is not None:
            self._places.release()

    @contextmanager
    def spared(self) -> Iterator[None]:
        """Do something useful, which is not waiting, though time passes for the caller."""
        began_at = time.monotonic()
        try:
            yield
        finally:
            self._spared_seconds += time.monotonic() - began_at

    def seconds_left(self) -> float:
        """Give how much longer to wait; 0 or less: no longer."""
        passed = time.monotonic() - self._began_at
        waited = passed - self._spared_seconds
        if waited >= SHORT_WAIT_SECONDS and self._places is not None and not self._has_place:
            self._has_place = self._places.acquire(blocking=False)
            if not self._has_place:
                return 0.0
        return self._seconds_max - passed


class _Audience:
    """Those of whom one narrowing has to wait: processes, and leases that nobody knows of."""

    def __init__(
        self,
        found: LeaseReading,
        clock: Callable[[], int],
        control: ControlClient,
        narrowing: Narrowing | None,
    ) -> None:
        self._clock = clock
        self._control = control
        self._narrowing = narrowing
        self._epoch = found.epoch
        self._awaited = {lease.process_id: lease for lease in found.leases}
        self._untold = set(self._awaited)
        self._unknown_until = 0 if found.is_settled else found.settled_at_nanoseconds
        self._answers = SimpleQueue[tuple[str, bool]]()

    @property
    def has_failed(self) -> bool:
        """Whether somebody did not answer, and has to be told again."""
        return bool(self._untold & self._awaited.keys())

    def is_reached(self) -> bool:
        """Tell whether everybody has answered or has no lease any more that matters."""
        now = self._clock()
        self._awaited = {
            process_id: lease
            for process_id, lease in self._awaited.items()
            if lease.over_at_nanoseconds > now
        }
        return not self._awaited and self._unknown_until <= now

    def tell(self) -> None:
        """Tell those who are not being told right now."""
        if self._narrowing is None or self.is_reached():
            return
        for process_id in self._untold & self._awaited.keys():
            self._untold.discard(process_id)
            self._control.tell(
                _process(self._awaited[process_id]), self._narrowing, self._heard_of(process_id)
            )

    def hear(self, seconds_max: float) -> bool:
        """Wait for the next answer, or the failure of one; False when there was none in time."""
        try:
            self._take(*self._answers.get(timeout=seconds_max))
        except Empty:
            return False
        return True

    def hear_all(self) -> None:
        """Take the answers that are there."""
        with suppress(Empty):
            while True:
                self._take(*self._answers.get_nowait())

    def _take(self, process_id: str, is_told: bool) -> None:  # noqa: FBT001 - as it was put
        if is_told:
            self._awaited.pop(process_id, None)
        else:
            self._untold.add(process_id)

    def is_of_epoch(self, later: LeaseReading) -> bool:
        """Tell whether a later read is of the same life of the ledger."""
        return later.epoch == self._epoch

    def keep_only(self, process_ids: Collection[str]) -> None:
        """Leave alone whoever a later read does not show."""
        for process_id in self._awaited.keys() - process_ids:
            del self._awaited[process_id]

    def _heard_of(self, process_id: str) -> Callable[[bool], None]:
        return lambda is_told: self._answers.put((process_id, is_told))


def _process(lease: Lease) -> Process:
    return Process(lease.process_id, lease.control_address)
