"""Awaiting requests: a call whose request does not come holds up nobody else.

What lives here: the waiting for the first message of a call, bounded and watched. A call begins
with its headers; whoever sends these and then nothing would otherwise keep a thread as long as they
like, and a few such calls all the threads of their kind. What a request says is not known here.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc

from service.admitting_executor import AdmittingExecutor

LATE_SECONDS: Final = 0.1
"""A request comes with the headers of its call or, where a network loses something, soon after. One
that does not stops counting as a call that is being done: its place is another's."""

REQUEST_SECONDS_MAX: Final = 5.0
"""A call whose request has not come whole by then is ended. A document of three megabytes takes so
long at five megabits a second."""

LOOK_SECONDS: Final = 0.05
"""How often it is looked whose request is late."""

WhenLate = Callable[[], None]
"""What else a late request has for a consequence."""


_Wait = tuple[float, grpc.ServicerContext, AdmittingExecutor | None, WhenLate | None]
"""When waiting began, for the request of which call, the pool of the thread that waits, and what
lateness has for a consequence. A plain tuple, because one is made for every call."""


class RequestWaits:
    """Waits for the requests of calls. Safe to be used by many threads.

    A thread of its own looks after those that are late while the context lasts (`watched`); without
    it they are waited for without end.
    """

    def __init__(self, seconds_max: float = REQUEST_SECONDS_MAX) -> None:
        """End calls whose request does not come within `seconds_max`."""
        self._seconds_max = seconds_max
        self._lock = threading.Lock()
        self._waits: dict[int, _Wait] = {}
        self._aside: dict[int, AdmittingExecutor | None] = {}
        """Of threads that wait for late requests, the pools in which others have their places."""

    def first(
        self,
        requests: Iterator[Any],
        context: grpc.ServicerContext,
        pool: AdmittingExecutor | None = None,
        when_late: WhenLate | None = None,
    ) -> Any:  # noqa: ANN401 - any message
        """Give the first of the messages of a call; None when the call ends without one.

        `pool` MUST be the one whose thread this is, if it is to have another at work meanwhile.
        `when_late` is called once, by another thread, if it has not come within LATE_SECONDS.
        """
        thread = threading.get_ident()
        self._waits[thread] = time.monotonic(), context, pool, when_late
        try:
            return next(requests, None)
        finally:
            # Whoever looks holds the lock, and asks first who waits.
            del self._waits[thread]
            with self._lock:
                pool = self._aside.pop(thread, None) if self._aside else None
            if pool is not None:
                pool.come_back()

    @contextmanager
    def watched(self) -> Iterator["RequestWaits"]:
        """Look after requests that are late for as long as the context lasts."""
        stop = threading.Event()
        watcher = threading.Thread(
            target=self._watch, args=(stop,), name="maywe requests", daemon=True
        )
        watcher.start()
        try:
            yield self
        finally:
            stop.set()
            watcher.join()

    def _watch(self, stop: threading.Event) -> None:
        while not stop.wait(LOOK_SECONDS):
            self.look(time.monotonic())

    def look(self, now: float) -> None:
        """Let those that are late stand aside, and end calls that have waited too long."""
        for thread, wait in list(self._waits.items()):
            began_at, context, _, when_late = wait
            if now - began_at < LATE_SECONDS:
                continue
            if self._put_aside(thread, wait) and when_late is not None:
                when_late()
            if now - began_at >= self._seconds_max:
                # The thread that waits finds that nothing comes any more.
                context.cancel()

    def _put_aside(self, thread: int, wait: _Wait) -> bool:
        """Give the place of a thread to another; tell whether its request is late only now."""
        with self._lock:
            if thread in self._aside or self._waits.get(thread) is not wait:
                return False
            pool = self._aside[thread] = wait[2]
            if pool is not None:
                pool.stand_aside()
            return True
