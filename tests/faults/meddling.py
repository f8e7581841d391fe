"""Meddling: a clock that jumps, and batches of the projector that come twice or late.

What lives here: wrappers that a process of the campaign installs before serving, and the files that
set them going.
"""

import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

CLOCK: Final = "clock"
"""File with the seconds by which the wall clock of a process is off."""

BATCHES: Final = "batches"
"""File that is there while batches of the projector are repeated and reordered."""

CLOCK_POLL_SECONDS: Final = 0.05
BATCHES_REMEMBERED: Final = 30
NANOSECONDS_PER_SECOND: Final = 1_000_000_000


def install_clock(directory: Path) -> None:
    """Let the wall clock of this process be off by what the file says, from now on."""
    clock = _ShiftedClock(directory / CLOCK, time.time_ns)
    # Before the product is imported, so that nobody holds on to the true one.
    time.time_ns = clock.nanoseconds
    time.time = clock.seconds


class _ShiftedClock:
    def __init__(self, file: Path, true_nanoseconds: Callable[[], int]) -> None:
        self._file = file
        self._true_nanoseconds = true_nanoseconds
        self._shift = 0
        self._look_again_at = 0.0

    def nanoseconds(self) -> int:
        now = time.monotonic()
        if now >= self._look_again_at:
            self._look_again_at = now + CLOCK_POLL_SECONDS
            try:
                self._shift = int(float(self._file.read_text()) * NANOSECONDS_PER_SECOND)
            except (FileNotFoundError, ValueError):
                self._shift = 0
        return self._true_nanoseconds() + self._shift

    def seconds(self) -> float:
        return self.nanoseconds() / NANOSECONDS_PER_SECOND


def install_batches(directory: Path) -> None:
    """Repeat and reorder the projector's batches while the file is there."""
    from store.cache import Cache  # noqa: PLC0415 - the clock has to be installed before

    file = directory / BATCHES
    original = Cache.project
    remembered: deque[tuple[int, Any]] = deque(maxlen=BATCHES_REMEMBERED)

    def project(cache: Cache, number: int, batch: Any) -> Any:
        if not file.exists():
            remembered.append((number, batch))
            return original(cache, number, batch)
        # One that has a gap before it, as if it had overtaken the one before.
        original(cache, number, replace(batch, first_seq=batch.first_seq + 1))
        for old_number, old_batch in random.sample(remembered, min(3, len(remembered))):
            original(cache, old_number, old_batch)
        outcome = original(cache, number, batch)
        original(cache, number, batch)
        remembered.append((number, batch))
        for old_number, old_batch in random.sample(remembered, min(3, len(remembered))):
            original(cache, old_number, old_batch)
        return outcome

    Cache.project = project  # type: ignore[method-assign,assignment]  # a wrapper
