"""Limits per caller: calls in a second, and streams at once.

What lives here: the counting. Each process counts for itself, and from time to time heeds what
callers ask of the others: it takes as large a part of the calls as it hears of them. Before it
takes a stream it asks how many others have. A connection of HTTP/2 stays with one process.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from decision.errors import ErrorCode, OverloadedError, UnavailableError
from service.access.roles import Caller, CallerLimits
from store.demand import Demand

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
        self.calls_per_second = 0.0
        """How many there were when it was looked."""
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

    def charge(self, now: float, seconds: float) -> None:
        """Count as many calls as may come in so many seconds."""
        if self._spacing:
            with self._lock:
                self._next_at = max(self._next_at, now) + seconds

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


_NOTHING: Final = Demand()

OfOthers = Callable[[Mapping[str, Demand]], Mapping[str, Demand]]
"""Gives what callers ask of other processes, told what they ask of us. It may raise
UnavailableError."""


class Limiter:
    """Counts calls and streams of all callers. Safe to be used by several threads."""

    def __init__(
        self,
        limits: CallerLimits,
        clock: Callable[[], float] = time.monotonic,
        of_others: OfOthers | None = None,
    ) -> None:
        """Hold callers to `limits`, unless they have some of their own.

        `of_others` tells what they ask of other processes; without it nothing.
        """
        self._limits = limits
        self._clock = clock
        self._ask_others = of_others
        self._lock = threading.Lock()
        self._allowances: dict[tuple[str, CallerLimits], Allowance] = {}
        self._looked_at = clock()

    def compare(self) -> None:
        """Leave to callers what is left of their limits beside what they ask of others.

        MUST be called all the time, where there are others.
        """
        ours = self._demand()
        self._heed(ours, self._of_others(ours))

    def _of_others(self, ours: Mapping[str, Demand]) -> Mapping[str, Demand]:
        if self._ask_others is None:
            return {}
        try:
            return self._ask_others(ours)
        except UnavailableError:
            # Each for itself, as if there were no others: a limit is no reason to refuse everybody.
            return {}

    def _demand(self) -> Mapping[str, Demand]:
        """Give what callers asked in a second since this was asked, of those who ask much.

        Others are far from any limit, wherever else they call.
        """
        now = self._clock()
        seconds = max(now - self._looked_at, _TOLERANCE)
        self._looked_at = now
        found: dict[str, Demand] = {}
        with self._lock:
            for (key, limits), allowance in self._allowances.items():
                rate, allowance.asked = allowance.asked / seconds, 0
                allowance.calls_per_second = rate
                is_often = rate * PROCESSES_SUPPOSED > limits.calls_per_second > 0
                if is_often or (limits.streams and allowance.streams):
                    before = found.get(key, _NOTHING)
                    found[key] = Demand(
                        before.calls_per_second + rate, before.streams + allowance.streams
                    )
        most = sorted(found, key=found.__getitem__, reverse=True)[:CALLERS_SHARED_MAX]
        return {key: found[key] for key in most}

    def _heed(self, ours: Mapping[str, Demand], others: Mapping[str, Demand]) -> None:
        with self._lock:
            for (key, _), allowance in self._allowances.items():
                other = others.get(key, _NOTHING)
                rate = ours.get(key, _NOTHING).calls_per_second
                share = rate / (rate + other.calls_per_second) if other.calls_per_second else 1.0
                allowance.set_share(share)

    def take_call(self, caller: Caller) -> None:
        """Count a call. Raises OverloadedError."""
        allowance = self._allowance_of(caller)
        if not allowance.take_call(self._clock()):
            raise _too_many(
                "calls_per_second", allowance.limits.calls_per_second, "calls in a second"
            )

    def charge(self, caller: Caller, seconds: float) -> None:
        """Count as many calls of a caller as they may make in so many seconds."""
        self._allowance_of(caller).charge(self._clock(), seconds)

    def open_stream(self, caller: Caller) -> Callable[[], None]:
        """Count a stream, and give what ends it. Raises OverloadedError."""
        allowance = self._allowance_of(caller)
        limit = allowance.limits.streams
        if not allowance.open_stream():
            raise _too_many("streams", limit, "streams at once")
        if limit:
            # After it was counted: of two that begin at once, one at least is seen by the other.
            ours = Demand(allowance.calls_per_second, allowance.streams)
            other = self._of_others({caller.key: ours}).get(caller.key, _NOTHING)
            if allowance.streams + other.streams > limit:
                allowance.close_stream()
                raise _too_many("streams", limit, "streams at once")
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
