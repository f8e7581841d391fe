"""Waiting in tests for what other threads and processes do."""

import time
from collections.abc import Callable
from typing import Final

SECONDS_MAX: Final = 120.0
"""A bound against hanging; not a performance claim."""

LOOK_SECONDS: Final = 0.01


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that has to come."""
    deadline = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(LOOK_SECONDS)
