"""Erasing persons step by step, each of which has to hold before the next.

What lives here: that nobody removes anything before every server heeds that nothing counts, and
Redis shows it. What is recorded and what is removed is `store.erasing`'s.
"""

import logging
import threading
import time
from dataclasses import dataclass
from typing import Final

from decision.errors import MayweError
from decision.events import NewEvent
from decision.instants import Instant
from service.effectuation import Effectuator
from service.stores import Stores
from store import erasing
from store.clocks import wall_clock
from store.erasing import NOTHING_REMOVED, Begun, NotAppliedError, Progress, Removed
from store.projector import Projector

MICROSECONDS_PER_SECOND: Final = 1_000_000

LEFT_SECONDS: Final = 5.0
"""An erasure that is under way for so long is completed by whoever comes by."""

WATCHED_SECONDS: Final = 1.0
"""For so long whoever watches changes can hear that permissions ended: after that there is no id to
tell them by."""

WAITING_MAX: Final = 2
"""Calls that wait for that at once; others may be repeated. Writes wait in the same threads."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Erased:
    """How far an erasure has come, and what this call removed."""

    begun: Begun
    progress: Progress
    is_effective: bool
    removed: Removed = NOTHING_REMOVED


class Eraser:
    """Erases persons. Safe to be used by several threads."""

    def __init__(self, stores: Stores, projector: Projector, effectuator: Effectuator) -> None:
        """Erase from the ledger and the cache in `stores`."""
        self._stores = stores
        self._projector = projector
        self._effectuator = effectuator
        self._waiting = threading.Semaphore(WAITING_MAX)

    def erase(self, new: NewEvent, seconds_max: float) -> Erased:
        """Erase a customer as far as the time is enough; the same again goes on with it.

        Raises as `store.erasing.begin` does, and UnavailableError.
        """
        ends_at = time.monotonic() + seconds_max
        begun = erasing.begin(self._stores.engine, self._stores.catalogs, new)
        if begun.progress is not Progress.UNDER_WAY:
            # A Redis that went back may hold what was erased before.
            erasing.forget_stranger(self._stores.engine, self._stores.cache, new.customer_id)
            return Erased(begun, begun.progress, is_effective=True)
        return self._go_on(begun, ends_at, has_own_thread=False)

    def complete_left(self, stop: threading.Event, seconds_max: float) -> None:
        """Complete what others began and left. What does not work now is done another time."""
        for begun in erasing.list_under_way(
            self._stores.engine, self._stores.catalogs, LEFT_SECONDS
        ):
            if stop.is_set():
                return
            try:
                self._go_on(begun, time.monotonic() + seconds_max, has_own_thread=True)
            except MayweError as error:
                _logger.warning("an erasure is not complete yet: %s", error)

    def _go_on(self, begun: Begun, ends_at: float, *, has_own_thread: bool) -> Erased:
        """Make effective, wait for Redis and for watchers, remove: in this order and no other."""
        if begun.narrowing is None:
            message = "an erasure that is under way takes everything away"
            raise ValueError(message)
        try:
            is_effective = self._effectuator.make_effective(
                begun.narrowing, ends_at - time.monotonic(), has_own_thread=has_own_thread
            )
        finally:
            self._projector.announce(begun.positions)
        if not is_effective:
            return Erased(begun, Progress.UNDER_WAY, is_effective=False)
        is_lost = any(map(self._stores.cache.is_shard_lost, begun.positions))
        if is_lost or not self._projector.wait_until_applied(
            begun.positions, ends_at - time.monotonic()
        ):
            return Erased(begun, Progress.UNDER_WAY, is_effective=True)
        if not self._has_been_watched(begun.recorded_at, ends_at):
            return Erased(begun, Progress.UNDER_WAY, is_effective=True)
        try:
            removed = erasing.complete(self._stores.engine, self._stores.cache, begun.root)
        except NotAppliedError:
            return Erased(begun, Progress.UNDER_WAY, is_effective=True)
        return Erased(begun, Progress.COMPLETE, is_effective=True, removed=removed)

    def _has_been_watched(self, recorded_at: Instant, ends_at: float) -> bool:
        """Wait until whoever watches has had their time; False when it is not worth waiting."""
        passed = (wall_clock() - recorded_at) / MICROSECONDS_PER_SECOND
        # A clock that is wrong makes nobody wait for longer.
        seconds = min(WATCHED_SECONDS - passed, WATCHED_SECONDS)
        if seconds <= 0:
            return True
        if time.monotonic() + seconds > ends_at or not self._waiting.acquire(blocking=False):
            return False
        try:
            time.sleep(seconds)
        finally:
            self._waiting.release()
        return True
