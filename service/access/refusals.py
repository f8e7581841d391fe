"""The log of refused calls: each kind at once, and how many more there were, once a second.

What lives here: putting together what comes in crowds, so that nobody fills a disk by being
refused. Nothing is left out of the counts.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from service.access.roles import OTHERS
from service.logs.requests import request_id

REPEATS_LOG_SECONDS: Final = 1.0
"""How far apart refusals of one kind are logged."""

KINDS_MAX: Final = 10_000
"""Beyond these no kinds are told apart until the next time of logging, only counted together."""

REQUEST_IDS_MAX: Final = 5
"""So many calls of what is logged together are named by the ids of their requests."""

_logger = logging.getLogger(__name__)


class Refusal(NamedTuple):
    """One kind: who was refused what and why. `key` tells callers apart, and is not logged."""

    key: str
    name: str
    method: str
    reason: str


_OTHERS: Final = Refusal("", OTHERS, "several calls", "several reasons")


class _Repeats:
    __slots__ = ("count", "logged_at", "request_ids")

    def __init__(self, logged_at: float) -> None:
        self.begin(logged_at)

    def begin(self, logged_at: float) -> None:
        """Begin to count after a line of the log."""
        self.logged_at = logged_at
        self.count = 0
        self.request_ids: list[str] = []

    def add(self) -> None:
        """Count a call, which this thread serves."""
        self.count += 1
        if len(self.request_ids) < REQUEST_IDS_MAX and (request := request_id()):
            self.request_ids.append(request)


class RefusalLog:
    """Logs refusals. Safe to be used by several threads; `flush` MUST be called all the time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing refused."""
        self._clock = clock
        self._lock = threading.Lock()
        self._repeats: dict[Refusal, _Repeats] = {}

    def add(self, refusal: Refusal) -> None:
        """Log a refusal, or count it to those of its kind that were a moment ago.

        In the thread of the call, so that the request is known by its id.
        """
        with self._lock:
            if refusal not in self._repeats and len(self._repeats) >= KINDS_MAX:
                refusal = _OTHERS
            repeats = self._repeats.get(refusal)
            if repeats is not None:
                repeats.add()
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
            counted = []
            for refusal, repeats in due:
                if repeats.count:
                    counted.append((refusal, repeats.count, repeats.request_ids))
                    repeats.begin(now)
                else:
                    del self._repeats[refusal]
        for refusal, count, request_ids in counted:
            _log(refusal, count, request_ids)


def _log(refusal: Refusal, count: int, request_ids: Sequence[str] | None = None) -> None:
    """Log refusals of one kind, with ids where this thread serves none of these calls."""
    times = "" if count == 1 else f" ({count} times)"
    fields: dict[str, object] = {
        "method": refusal.method,
        "caller": refusal.name,
        "reason": refusal.reason,
        "count": count,
    }
    if request_ids is not None:
        fields["request_ids"] = request_ids
    _logger.warning(
        "refused %s to %s: %s%s",
        refusal.method,
        refusal.name,
        refusal.reason,
        times,
        extra={"fields": fields},
    )
