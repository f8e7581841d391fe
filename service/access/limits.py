"""Limits per caller: calls in a second, and streams at once.

What lives here: the counting. Each process counts for itself, and takes as large a part of a
caller's calls as it hears of them; a connection of HTTP/2 stays with one. Streams are counted by
each process.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from decision.errors import ErrorCode, OverloadedError
from service.access.roles import Caller, CallerLimits

CALLERS_COUNTED_MAX: Final = 10_000
"""Beyond these whoever came first, and has no stream, is counted from nothing again."""


PROCESSES_SUPPOSED: Final = 64
"""A caller that has less than this part of its limit with one process is not near it with all."""

CALLERS_SHARED_MAX: Final = 256
"""Callers whose calls are compared with those of other processes: those that call most."""


class Allowance:
    """What is left of one caller's limits. A second's calls may come at once."""

    def __init__(self, limits: CallerLimits) -> None:
        """Begin with all of it."""
        self.limits = limits
        self._lock = threading.Lock()
        self._spacing = 0.0
        self.set_share(1.0)
        self.asked = 0
        """Calls since it was looked, those refused included."""
        self._next_at = 0.0
        """When the next call would be due if calls were evenly spaced (GCRA)."""
        self.streams = 0

    def take_call(self, now: float) -> bool:
        """Count a call, unless it is one too many."""
        if not self._spacing:
            return True
        with self._lock:
            self.asked += 1
            due = max(self._next_at, now)
            if due - now > 1.0 - self._spacing + _TOLERANCE:
                return False
            self._next_at = due + self._spacing
            return True

    def set_share(self, share: float) -> None:
        """Take a part of the calls only, 0 to 1, as others take the rest; one a second at least."""
        if self.limits.calls_per_second:
            self._spacing = 1.0 / max(1.0, self.limits.calls_per_second * share)

    def has_call(self, now: float) -> bool:
        """Tell whether a call would not be one too many."""
        return max(self._next_at, now) - now <= 1.0 - self._spacing + _TOLERANCE

    def open_stream(self) -> bool:
        """Count a stream, unless it is one too many."""
        with self._lock:
            if self.limits.streams and self.streams >= self.limits.streams:
                return False
            self.streams += 1
            return True

    def close_stream(self) -> None:
        """Count a stream no longer."""
        with self._lock:
            self.streams -= 1


_TOLERANCE: Final = 1e-9
"""Seconds; sums of fractions are not exact."""


class Limiter:
    """Counts calls and streams of all callers. Safe to be used by several threads."""

    def __init__(self, limits: CallerLimits, clock: Callable[[], float] = time.monotonic) -> None:
        """Hold callers to `limits`, unless they have some of their own."""
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._allowances: dict[tuple[str, CallerLimits], Allowance] = {}
        self._looked_at = clock()

    def rates(self) -> Mapping[str, float]:
        """Give how many calls a second there were since this was asked, of callers that call often.

        Others are far from any limit, wherever else they call.
        """
        now = self._clock()
        seconds = max(now - self._looked_at, _TOLERANCE)
        self._looked_at = now
        rates: dict[str, float] = {}
        with self._lock:
            for (key, limits), allowance in self._allowances.items():
                rate, allowance.asked = allowance.asked / seconds, 0
                if rate * PROCESSES_SUPPOSED > limits.calls_per_second > 0:
                    rates[key] = rates.get(key, 0.0) + rate
        most = sorted(rates, key=rates.__getitem__, reverse=True)[:CALLERS_SHARED_MAX]
        return {key: rates[key] for key in most}

    def set_shares(self, shares: Mapping[str, float]) -> None:
        """Take a part of the calls of these callers, and all of everybody else's."""
        with self._lock:
            for (key, _), allowance in self._allowances.items():
                allowance.set_share(shares.get(key, 1.0))

    def take_call(self, caller: Caller) -> None:
        """Count a call. Raises OverloadedError."""
        allowance = self._allowance_of(caller)
        if not allowance.take_call(self._clock()):
            raise _too_many(
                "calls_per_second", allowance.limits.calls_per_second, "calls in a second"
            )

    def open_stream(self, caller: Caller) -> Callable[[], None]:
        """Count a stream, and give what ends it. Raises OverloadedError."""
        allowance = self._allowance_of(caller)
        if not allowance.open_stream():
            raise _too_many("streams", allowance.limits.streams, "streams at once")
        return allowance.close_stream

    def _allowance_of(self, caller: Caller) -> Allowance:
        # With the limits: whoever is known with two kinds of them would else begin anew each time.
        limits = caller.limits or self._limits
        key = caller.key, limits
        allowance = self._allowances.get(key)
        if allowance is not None:
            return allowance
        with self._lock:
            allowance = self._allowances.setdefault(key, Allowance(limits))
            if len(self._allowances) > CALLERS_COUNTED_MAX:
                self._forget_one()
            return allowance

    def _forget_one(self) -> None:
        idle = next((key for key, one in self._allowances.items() if not one.streams), None)
        if idle is not None:
            del self._allowances[idle]


def _too_many(name: str, value: int, what: str) -> OverloadedError:
    return OverloadedError(
        f"this caller may make {value} {what}",
        ErrorCode.CALLER_LIMIT,
        {"limit": name, "value": str(value)},
    )
