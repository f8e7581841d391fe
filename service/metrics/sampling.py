"""Sampling: what the parts of a process count for themselves, taken over once a second.

What lives here: keeping up with counts that begin at nothing with each process, so that they go on
where the process before them ended. Nothing is asked of a part but to be read.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from service.metrics.memory import LAYOUT, NOT_KNOWN
from service.metrics.meters import Meters

SAMPLE_SECONDS: Final = 1.0
"""How often counts are taken over: what a process that is killed did since then is not counted."""

SETTLE_SECONDS: Final = 0.1
"""How often what was noted is counted; likewise."""

_STATM: Final = Path("/proc/self/statm")
_RESIDENT_FIELD: Final = 1


class Sampler:
    """Takes counts and gauges over from the parts of a process. For any number of threads."""

    def __init__(self, meters: Meters) -> None:
        """Write into the memory of `meters`; begin with what the process itself uses."""
        self._memory = meters.memory
        self._lock = threading.Lock()
        self._counts: dict[int, tuple[int, Callable[[], int]]] = {}
        self._gauges: dict[int, Callable[[], float]] = {}
        self.follow_count("maywe_process_cpu_seconds_total", time.process_time_ns)
        self.follow_gauge("maywe_process_resident_memory_bytes", _resident_bytes)

    def follow_count(self, name: str, read: Callable[[], int], *values: str) -> None:
        """Keep a series in step with a count of this process, which began at 0 with it."""
        place = LAYOUT.places[name, values]
        with self._lock:
            self._counts[place] = self._memory.counts[place], read

    def follow_gauge(self, name: str, read: Callable[[], float], *values: str) -> None:
        """Keep a gauge in step with something of this process, from now on."""
        place = LAYOUT.places[name, values]
        with self._lock:
            self._gauges[place] = read
            self._memory.gauges[place] = read()

    def sample(self) -> None:
        """Take everything over."""
        with self._lock:
            for place, (before, count) in self._counts.items():
                self._memory.counts[place] = before + count()
            for place, gauge in self._gauges.items():
                self._memory.gauges[place] = gauge()


def _resident_bytes() -> float:
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[_RESIDENT_FIELD])
    except OSError:
        # Elsewhere than on Linux nobody says.
        return NOT_KNOWN
    return float(pages * os.sysconf("SC_PAGE_SIZE"))
