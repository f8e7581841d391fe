"""Reads that stand still until a test lets them end, for the tests of shared reads.

What lives here: the load that stands in for PostgreSQL, and waiting for what other threads bring
about. What is true of shared reads is in the tests.
"""

import queue
import threading
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Final

from store.shared_reads import SharedReads
from tests.waiting import until

HANG_SECONDS_MAX: Final = 30.0
"""A bound against hanging; nothing here is expected to take any time."""


class Standing:
    """A read that stands still until it is told how it ends."""

    def __init__(self, number: int, ids: Collection[str]) -> None:
        self.number = number
        self.ids = sorted(ids)
        self._end: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def wait(self) -> int:
        """Give the number of the read, when it may end."""
        error = self._end.get(timeout=HANG_SECONDS_MAX)
        if error is not None:
            raise error
        return self.number

    def end(self, error: BaseException | None = None) -> None:
        """Let the read succeed, or fail."""
        self._end.put(error)


class Gate:
    """A load at which reads stand still one by one, numbered from 1, until it is opened."""

    def __init__(self) -> None:
        self.reads: list[Standing] = []
        self._arrivals: queue.SimpleQueue[Standing] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._is_open = False

    def load(self, ids: Collection[str]) -> int:
        """Give the number of the read."""
        with self._lock:
            read = Standing(len(self.reads) + 1, ids)
            self.reads.append(read)
            if self._is_open:
                read.end()
        self._arrivals.put(read)
        return read.wait()

    def arrived(self) -> Standing:
        """Wait for one more read to be sent."""
        return self._arrivals.get(timeout=HANG_SECONDS_MAX)

    @property
    def sent(self) -> list[list[str]]:
        """What was asked so far."""
        return [read.ids for read in self.reads]

    def open(self) -> None:
        """Let every read pass, those that stand here too."""
        with self._lock:
            self._is_open = True
            for read in self.reads:
                read.end()


patient_reads: Final = partial(
    SharedReads[int], wait_seconds_max=HANG_SECONDS_MAX, read_seconds_max=HANG_SECONDS_MAX
)


def wait_until_waiting(reads: SharedReads[int], count: int) -> None:
    """Wait until so many ids wait to be sent."""
    until(lambda: reads.counts().ids_waiting == count)


def result(future: "Future[Mapping[str, int]]") -> Mapping[str, int]:
    """What a call gave."""
    return future.result(HANG_SECONDS_MAX)
