"""The memory that one process counts in, which outlives it.

What lives here: where each series of the table has its place, and reading and writing there. The
parent of several processes makes the memory, hands each of them one as an open file, and reads them
all whenever it is asked: no process is asked anything, and none has a file anywhere. Whoever takes
the place of a process that died counts on in the same memory, so nothing is lost or counted twice,
however it died. One process writes in a memory at a time.
"""

import math
import mmap
import os
import tempfile
from typing import Final
from zlib import crc32

from service.metrics.labels import DURATION_BOUNDS_SECONDS
from service.metrics.metric import Kind, Metric
from service.metrics.table import METRICS

_PLACE_BYTES: Final = 8
_FINGERPRINT_PLACE: Final = 0

NOT_KNOWN: Final = math.nan
"""What a gauge holds whose value nobody knows."""


class Layout:
    """Where in a memory each series stands: gauges first, as floats, then counts, whole numbers.

    A histogram has one place for each bucket, the last for what is above all bounds, and one for
    the sum.
    """

    def __init__(self) -> None:
        """Lay out every series of the table."""
        self.places: dict[tuple[str, tuple[str, ...]], int] = {}
        self._size = _FINGERPRINT_PLACE + 1
        counted = [metric for metric in METRICS if not metric.is_of_parent]
        self._lay_out([metric for metric in counted if metric.kind is Kind.GAUGE], 1)
        self.gauges = range(_FINGERPRINT_PLACE + 1, self._size)
        self._lay_out([metric for metric in counted if metric.kind is Kind.COUNTER], 1)
        histograms = [metric for metric in counted if metric.kind is Kind.HISTOGRAM]
        self._lay_out(histograms, HISTOGRAM_PLACES)
        self.fingerprint = crc32(repr(self.places).encode())

    def _lay_out(self, metrics: list[Metric], places_each: int) -> None:
        for metric in metrics:
            for values in metric.series:
                self.places[metric.name, values] = self._size
                self._size += places_each

    @property
    def bytes(self) -> int:
        """How large a memory is."""
        return self._size * _PLACE_BYTES


BUCKETS: Final = len(DURATION_BOUNDS_SECONDS) + 1
HISTOGRAM_PLACES: Final = BUCKETS + 1
LAYOUT: Final = Layout()


class MetricMemory:
    """The counts of one process. `counts` and `gauges` are indexed by the places of `LAYOUT`."""

    def __init__(self, descriptor: int) -> None:
        """Use the memory behind an open file. Raises ValueError when other code laid it out."""
        memory = memoryview(mmap.mmap(descriptor, LAYOUT.bytes))
        self.descriptor = descriptor
        self.counts = memory.cast("q")
        self.gauges = memory.cast("d")
        if self.counts[_FINGERPRINT_PLACE] not in (0, LAYOUT.fingerprint):
            message = "the memory for metrics was laid out by other code"
            raise ValueError(message)
        self.counts[_FINGERPRINT_PLACE] = LAYOUT.fingerprint

    def forget_gauges(self) -> None:
        """Forget what a process knew that is no more; what it counted stays."""
        for place in LAYOUT.gauges:
            self.gauges[place] = NOT_KNOWN

    def count_of(self, name: str, values: tuple[str, ...] = ()) -> int:
        """Give what is counted in a series."""
        return self.counts[LAYOUT.places[name, values]]

    def knows(self, name: str, values: tuple[str, ...] = ()) -> bool:
        """Tell whether a gauge holds something."""
        return not math.isnan(self.gauges[LAYOUT.places[name, values]])

    def gauge_of(self, name: str, values: tuple[str, ...] = ()) -> float:
        """Give what a gauge holds, `NOT_KNOWN` where nobody knows."""
        return self.gauges[LAYOUT.places[name, values]]

    def buckets_of(self, name: str, values: tuple[str, ...]) -> tuple[list[int], int]:
        """Give what is counted in each bucket of a histogram by itself, and the sum."""
        first = LAYOUT.places[name, values]
        return self.counts[first : first + BUCKETS].tolist(), self.counts[first + BUCKETS]


def new_memory() -> MetricMemory:
    """Make a memory in which nothing is counted; it is gone with whoever has it open."""
    memory = MetricMemory(_new_file(LAYOUT.bytes))
    memory.forget_gauges()
    return memory


def _new_file(size: int) -> int:
    """Open a file that has no name anywhere, nor a disk where the system can do without."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("maywe-metrics", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor
