"""Observing: the figures of the whole installation, looked at every few seconds.

What lives here: putting them into the memory of the process that looks. Of several processes of a
port one does; of several servers each does, and all of them see the same.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

from sqlalchemy import Engine

from decision.errors import OverloadedError, UnavailableError
from decision.grants import UnmatchedCause
from service.metrics.memory import NOT_KNOWN
from service.metrics.meters import Meters
from store.cache import Cache
from store.clocks import NANOSECONDS_PER_SECOND, boot_nanoseconds
from store.standing import Standing, count_unmatched, read_standing

OBSERVE_SECONDS: Final = 5.0
UNMATCHED_SECONDS: Final = 60.0
"""How often the unmatched events are counted, which takes longer the more there are."""

_ROLLED_OUT: Final = 1.0


class Observer:
    """Looks at the installation. For one thread."""

    def __init__(self, meters: Meters, engine: Engine, cache: Cache) -> None:
        """Look at the ledger at `engine` and at `cache`, and say it in the memory of `meters`."""
        self._meters = meters
        self._engine = engine
        self._cache = cache
        self._count_at = time.monotonic()

    def observe(self, stop: threading.Event) -> None:
        """Look once. What can not be seen is not known, and nothing is raised for it."""
        if not self._sees(self._observe_standing):
            for name in _STANDING:
                self._meters.set_gauge(name, NOT_KNOWN)
            self._forget_unmatched()
            self._count_at = time.monotonic()
        elif time.monotonic() >= self._count_at and not stop.is_set():
            self._count_or_forget()

    def _count_or_forget(self) -> None:
        began_at = time.monotonic()
        pause_seconds = UNMATCHED_SECONDS
        if not self._sees(self._count_unmatched):
            self._forget_unmatched()
            # Sooner, unless it is the counting that takes too long.
            pause_seconds = min(pause_seconds, time.monotonic() - began_at)
        self._count_at = time.monotonic() + pause_seconds

    def _sees(self, look: Callable[[], None]) -> bool:
        try:
            look()
        except (UnavailableError, OverloadedError):
            return False
        return True

    def _forget_unmatched(self) -> None:
        for cause in UnmatchedCause:
            self._meters.set_gauge(_UNMATCHED, NOT_KNOWN, cause.value)

    def _observe_standing(self) -> None:
        standing = read_standing(self._engine, self._cache)
        values = (
            float(standing.lag_rows),
            standing.lag_seconds,
            float(standing.shards_incomplete),
            float(standing.publication),
            *_of_rollout(standing),
            boot_nanoseconds() / NANOSECONDS_PER_SECOND,
        )
        for name, value in zip(_STANDING, values, strict=True):
            self._meters.set_gauge(name, value)

    def _count_unmatched(self) -> None:
        for cause, count in count_unmatched(self._engine).items():
            self._meters.set_gauge(_UNMATCHED, float(count), cause.value)


_UNMATCHED: Final = "maywe_unmatched_purchases"
_STANDING: Final = (
    "maywe_projector_lag_rows",
    "maywe_projector_lag_seconds",
    "maywe_cache_shards_incomplete",
    "maywe_rollout_publication",
    "maywe_rollout_customers",
    "maywe_rollout_customers_done",
    "maywe_rollout_progress_ratio",
    "maywe_observation_age_seconds",
)


def _of_rollout(standing: Standing) -> tuple[float, float, float]:
    """Give how many customers there are, how many are done, and how much that is of all."""
    rollout = standing.rollout
    if rollout is None:
        return 0.0, 0.0, _ROLLED_OUT
    customers = float(rollout.customers_total), float(rollout.customers_done)
    if standing.is_rolled_out:
        return *customers, _ROLLED_OUT
    # Pieces count too: one of a shard without customers is nothing to do, and yet to be done.
    ratios = (
        rollout.pieces_done / rollout.pieces_total,
        rollout.customers_done / max(1, rollout.customers_total),
    )
    return *customers, min(ratios) if rollout.customers_total else ratios[0]
