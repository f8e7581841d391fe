"""The log of refused calls: each kind at once, and how many more there were, once a second.

What lives here: putting together what comes in crowds, so that nobody fills a disk by being
refused. Nothing is left out of the counts.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from service.access.roles import OTHERS

REPEATS_LOG_SECONDS: Final = 1.0
"""How far apart refusals of one kind are logged."""

KINDS_MAX: Final = 10_000
"""Beyond these no kinds are told apart until the next time of logging, only counted together."""

_logger = logging.getLogger(__name__)


class Refusal(NamedTuple):
    """One kind: who was refused what and why. `key` tells callers apart, and is not logged."""

    key: str
    name: str
    method: str
    reason: str


_OTHERS: Final = Refusal("", OTHERS, "several calls", "several reasons")


class _Repeats:
    __slots__ = ("count", "logged_at")

    def __init__(self, logged_at: float) -> None:
        self.logged_at = logged_at
        self.count = 0


class RefusalLog:
    """Logs refusals. Safe to be used by several threads; `flush` MUST be called all the time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing refused."""
        self._clock = clock
        self._lock = threading.Lock()
        self._repeats: dict[Refusal, _Repeats] = {}

    def add(self, refusal: Refusal) -> None:
        """Log a refusal, or count it to those of its kind that were a moment ago."""
        with self._lock:
            if refusal not in self._repeats and len(self._repeats) >= KINDS_MAX:
                refusal = _OTHERS
            repeats = self._repeats.get(refusal)
            if repeats is not None:
                repeats.count += 1
                return
            self._repeats[refusal] = _Repeats(self._clock())
        _log(refusal, 1)

    def flush(self) -> None:
        """Log how many more there were of kinds that were logged long enough ago."""
        now = self._clock()
        with self._lock:
            due = [
                (refusal, repeats)
                for refusal, repeats in self._repeats.items()
                if now - repeats.logged_at >= REPEATS_LOG_SECONDS
            ]
            counts = []
            for refusal, repeats in due:
                if repeats.count:
                    counts.append((refusal, repeats.count))
                    repeats.logged_at, repeats.count = now, 0
                else:
                    del self._repeats[refusal]
        for refusal, count in counts:
            _log(refusal, count)


def _log(refusal: Refusal, count: int) -> None:
    times = "" if count == 1 else f" ({count} times)"
    fields = {
        "method": refusal.method,
        "caller": refusal.name,
        "reason": refusal.reason,
        "count": count,
    }
    _logger.warning(
        "refused %s to %s: %s%s",
        refusal.method,
        refusal.name,
        refusal.reason,
        times,
        extra={"fields": fields},
    )
