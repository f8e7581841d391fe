"""Background work: named threads that run beside the server until they are told to stop.

What lives here: the threads and their care. A piece of work that fails is counted and tried again
after a pause that grows, and logged ever less often; a thread never ends before it is told to. What
the work is, the composition root decides.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from store.failures import is_told

BACKOFF_SECONDS_MIN: Final = 0.1
BACKOFF_SECONDS_MAX: Final = 1.0
"""A failing piece of work waits at least and at most so long before it is tried again."""

BACKOFF_DOUBLINGS_MAX: Final = 10

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class TaskCounts:
    """How often a task's work ended well and how often it failed."""

    runs: int = 0
    failures: int = 0


class Background:
    """The background threads of one process. `stop_and_join` MUST be called at the end."""

    def __init__(self) -> None:
        """Begin without threads."""
        self.counts: dict[str, TaskCounts] = {}
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._wakes: list[threading.Event] = []

    def repeat(
        self,
        name: str,
        work: Callable[[threading.Event], object],
        every_seconds: float,
        wake: threading.Event | None = None,
    ) -> None:
        """Run `work` in a thread of its own, again and again, `every_seconds` after it ended.

        Setting `wake` runs it at once. `work` is handed the event that tells it to stop.
        """
        awake = wake if wake is not None else threading.Event()
        counts = self.counts.setdefault(name, TaskCounts())
        thread = threading.Thread(
            target=self._run, name=f"maywe {name}", args=(work, every_seconds, awake, counts)
        )
        self._wakes.append(awake)
        self._threads.append(thread)
        thread.start()

    def stop_and_join(self) -> None:
        """Tell every thread to stop and wait until all have."""
        self._stop.set()
        for wake in self._wakes:
            wake.set()
        for thread in self._threads:
            thread.join()

    def _run(
        self,
        work: Callable[[threading.Event], object],
        every_seconds: float,
        wake: threading.Event,
        counts: TaskCounts,
    ) -> None:
        failures_in_a_row = 0
        while not self._stop.is_set():
            # Before working, so that who wakes us while we work is not overlooked.
            wake.clear()
            try:
                work(self._stop)
            except Exception:
                counts.failures += 1
                failures_in_a_row += 1
                if is_told(failures_in_a_row):
                    _logger.warning(
                        "%s failed %d times in a row",
                        threading.current_thread().name,
                        failures_in_a_row,
                        # Once tells enough: an outage may last.
                        exc_info=failures_in_a_row == 1,
                    )
                self._stop.wait(_backoff_seconds(failures_in_a_row))
                continue
            counts.runs += 1
            failures_in_a_row = 0
            # `stop_and_join` sets the wakes after the stop, and a wake that was cleared above was
            # cleared before the work looked at the stop; so it is looked at once more.
            if not self._stop.is_set():
                wake.wait(every_seconds)


def _backoff_seconds(failures_in_a_row: int) -> float:
    doublings = min(failures_in_a_row - 1, BACKOFF_DOUBLINGS_MAX)
    return min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS_MIN * 2.0**doublings)
