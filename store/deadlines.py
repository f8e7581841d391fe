"""Deadlines: until when whoever waits for this thread's work waits.

What lives here: keeping it for the thread, so that statements need not take longer than anybody
waits. What is nobody's call has none.
"""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class _OfThread(threading.local):
    ends_at: float = math.inf


_of_thread = _OfThread()


@contextmanager
def deadline_in(seconds: float | None) -> Iterator[None]:
    """Keep that in so many seconds nobody waits any more for what this thread does within."""
    before = _of_thread.ends_at
    if seconds is not None:
        _of_thread.ends_at = time.monotonic() + seconds
    try:
        yield
    finally:
        _of_thread.ends_at = before


def ends_at() -> float:
    """Tell until when somebody waits, by `time.monotonic`; infinite without a deadline."""
    return _of_thread.ends_at


@contextmanager
def deadline_at(instant: float) -> Iterator[None]:
    """Keep that somebody waits until `instant`, whatever holds for this thread else."""
    before = _of_thread.ends_at
    _of_thread.ends_at = instant
    try:
        yield
    finally:
        _of_thread.ends_at = before


def seconds_left() -> float:
    """Tell for how long somebody still waits: without a deadline for ever, past it 0."""
    if _of_thread.ends_at == math.inf:
        return math.inf
    return max(0.0, _of_thread.ends_at - time.monotonic())
