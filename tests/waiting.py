"""Waiting in tests for what other threads and processes do."""

import time
from collections.abc import Callable
from typing import Final

SECONDS_MAX: Final = 60.0
"""A bound against hanging; not a performance claim."""

LOOK_SECONDS: Final = 0.005


def until(is_so: Callable[[], bool], trouble: str = "what a test waits for does not come") -> None:
    """Wait for something that has to come. Raises TimeoutError, which tells the trouble."""
    deadline = time.monotonic() + SECONDS_MAX
    while not is_so():
        if time.monotonic() >= deadline:
            raise TimeoutError(trouble)
        time.sleep(LOOK_SECONDS)
