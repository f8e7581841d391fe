"""This machine's clocks: the one by which leases are timed, and its idea of now.

What lives here: a clock that nobody sets, and that runs on while the machine is suspended or the
process stopped, so that a lease is over when it says so (`design.md`, "No stale ALLOW", step 3);
and the one that people set. PostgreSQL's clock is in `ledger_clock`.
"""

import time
from typing import Final

from decision.instants import Instant

NANOSECONDS_PER_SECOND: Final = 1_000_000_000

# Where there is no such clock (macOS), the monotonic one runs on while suspended.
_BOOT_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_nanoseconds() -> int:
    """Give nanoseconds since some instant that is the same for the life of the machine."""
    return time.clock_gettime_ns(_BOOT_CLOCK)


def wall_clock() -> Instant:
    """Give this machine's idea of now. Recorded instants come from PostgreSQL instead."""
    return time.time_ns() // 1000
