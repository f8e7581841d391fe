"""Meters: what a process counts with, where calls are answered.

What lives here: counting in the memory of the process, in places that are known beforehand. Where
every microsecond is measured, nothing is counted: it is noted, without a lock, and what was noted
is counted ten times a second, together.
"""

import os
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter_ns
from typing import Any, Final

from maywe.v1 import common_pb2

from decision.errors import ErrorCode, MayweError
from service.admitting_executor import submitted_nanoseconds
from service.batches import Decided
from service.checking import Undetermined
from service.metrics.labels import (
    AUDIENCE,
    BATCH_OUTCOMES,
    DECIDING,
    DECISION_REASONS,
    DURATION_BOUNDS_SECONDS,
    GONE,
    INTERNAL,
    OK,
    OUTCOMES,
    STREAMING,
    method_label,
)
from service.metrics.memory import BUCKETS, LAYOUT, MetricMemory, new_memory
from store.lookups import LookupResult, StaleCause

MEMORY_VARIABLE: Final = "MAYWE_METRICS_MEMORY"
"""Environment variable by which one of several processes finds its memory, a file descriptor, and
which of them it is."""

_BOUNDS_NANOSECONDS: Final = tuple(round(bound * 1e9) for bound in DURATION_BOUNDS_SECONDS)
_PLACE_BY_OUTCOME: Final = {outcome: place for place, outcome in enumerate(OUTCOMES)}
_PLACE_BY_REASON: Final = {
    reason: place for place, (_, reason) in enumerate(OUTCOMES) if reason in ErrorCode.__members__
}


class Meters:
    """All that one process counts with. Safe to be used by several threads."""

    def __init__(self, memory: MetricMemory | None = None, *, observes: bool = True) -> None:
        """Count in `memory`, or in one that nobody else reads.

        Whoever `observes` looks at the whole installation, which is enough for all of a port.
        """
        self.observes = observes
        self.memory = memory if memory is not None else new_memory()
        self.lock = threading.Lock()
        """Held while anything is counted that several threads count."""
        self.lookups = LookupMeter(self)
        self._deciding: list[DecisionMeter] = []

    def of_method(self, method: str) -> "CallMeter":
        """Give what counts the calls of a method, by its full name."""
        label = method_label(method)
        if label in DECIDING:
            meter = DecisionMeter(self, label)
            self._deciding.append(meter)
            return meter
        if label.startswith("WriterService/"):
            return WriteMeter(self, label)
        return CallMeter(self, label)

    def settle(self) -> None:
        """Count what was only noted, because there is so much of it; MUST be called often."""
        for meter in self._deciding:
            meter.settle()
        self.lookups.settle()

    def count(self, name: str, *values: str, count: int = 1) -> None:
        """Count in one series."""
        place = LAYOUT.places[name, values]
        with self.lock:
            self.memory.counts[place] += count

    def set_gauge(self, name: str, value: float, *values: str) -> None:
        """Set what a gauge of this process holds."""
        self.memory.gauges[LAYOUT.places[name, values]] = value

    def count_audience(self, counts: Sequence[int]) -> None:
        """Count the answers for one chunk of an audience: so many of each number of a reason."""
        first = LAYOUT.places["maywe_decisions_total", (AUDIENCE, DECISION_REASONS[0])]
        with self.lock:
            for number, count in enumerate(counts):
                self.memory.counts[first + number] += count

    def count_batch(self, decided: Decided) -> None:
        """Count what came of the questions of a batch."""
        refused = len(decided.errors)
        undetermined = sum(
            isinstance(answer, Undetermined) for _, answer in decided.singly.values()
        )
        answered = decided.check_count - refused - undetermined
        first = LAYOUT.places["maywe_batch_checks_total", (BATCH_OUTCOMES[0],)]
        with self.lock:
            for place, count in enumerate((answered, undetermined, refused)):
                self.memory.counts[first + place] += count


def meters_of_process() -> Meters:
    """Give the meters of this process, whose memory its parent may have made."""
    descriptor, _, number = os.environ.pop(MEMORY_VARIABLE, "").partition(":")
    if not descriptor:
        return Meters()
    os.set_inheritable(int(descriptor), False)  # noqa: FBT003 - as it is called
    return Meters(MetricMemory(int(descriptor)), observes=number == "1")


def memory_variable(memory: MetricMemory, number: int) -> str:
    """Give what `MEMORY_VARIABLE` tells one of several processes; the first is number 1."""
    return f"{memory.descriptor}:{number}"


class CallMeter:
    """Counts the calls of one method. Safe to be used by several threads."""

    __slots__ = ("_counts", "_duration", "_first", "_gauges", "_lock", "_open", "_streams")

    def __init__(self, meters: Meters, label: str) -> None:
        """Count the calls of a method, by its label."""
        self._lock = meters.lock
        self._counts = meters.memory.counts
        self._gauges = meters.memory.gauges
        self._first = LAYOUT.places["maywe_calls_total", (label, *OK)]
        is_streaming = label in STREAMING
        self._duration = (
            0 if is_streaming else LAYOUT.places["maywe_call_duration_seconds", (label,)]
        )
        self._streams = LAYOUT.places["maywe_streams_open", (label,)] if is_streaming else 0
        self._open = 0
        if is_streaming:
            self._gauges[self._streams] = 0.0

    def answered(self, _response: Any) -> None:  # noqa: ANN401 - any message
        """Count a call that was answered, and how long it took; in the thread of the call."""
        took = perf_counter_ns() - submitted_nanoseconds()
        duration = self._duration
        bucket = duration + bisect_left(_BOUNDS_NANOSECONDS, took)
        counts = self._counts
        with self._lock:
            counts[self._first] += 1
            counts[bucket] += 1
            counts[duration + BUCKETS] += took

    def failed(self, error: Exception) -> None:
        """Count a call that ended with an error, and how long it took."""
        self._ended(_place_of(error))

    def gone(self) -> None:
        """Count a call whose caller has gone before it was answered."""
        self._ended(_PLACE_BY_OUTCOME[GONE])

    def shed(self, code: ErrorCode) -> None:
        """Count a call that was refused before it had a thread."""
        with self._lock:
            self._counts[self._first + _PLACE_BY_REASON[code.name]] += 1

    @contextmanager
    def stream(self) -> Iterator["StreamMeter"]:
        """Count a stream as open; one that ends without a word has lost its caller."""
        stream = StreamMeter()
        with self._lock:
            self._open += 1
            self._gauges[self._streams] = float(self._open)
        try:
            yield stream
        finally:
            with self._lock:
                self._open -= 1
                self._gauges[self._streams] = float(self._open)
                self._counts[self._first + stream.place] += 1

    def _ended(self, place: int) -> None:
        took = perf_counter_ns() - submitted_nanoseconds()
        counts = self._counts
        with self._lock:
            counts[self._first + place] += 1
            if self._duration:
                counts[self._duration + bisect_left(_BOUNDS_NANOSECONDS, took)] += 1
                counts[self._duration + BUCKETS] += took


class StreamMeter:
    """Takes how one stream ends."""

    __slots__ = ("place",)

    def __init__(self) -> None:
        """Begin with what is true of a stream that nobody reads any more."""
        self.place = _PLACE_BY_OUTCOME[GONE]

    def answered(self) -> None:
        """Take that all was sent."""
        self.place = _PLACE_BY_OUTCOME[OK]

    def failed(self, error: Exception) -> None:
        """Take with which error it ended."""
        self.place = _place_of(error)


def _place_of(error: Exception) -> int:
    """Give the place of the outcome that an error is, among all outcomes."""
    if isinstance(error, MayweError):
        return _PLACE_BY_REASON.get(error.code.name, _PLACE_BY_OUTCOME[INTERNAL])
    return _PLACE_BY_OUTCOME[INTERNAL]


class DecisionMeter(CallMeter):
    """Counts the calls of one method that decides, and the reasons of its answers.

    There are so many of them that an answer is only noted, which takes no lock; `settle` counts.
    """

    __slots__ = ("_first_reason", "_note", "_noted")

    def __init__(self, meters: Meters, label: str) -> None:
        """Count the calls of a method, by its label."""
        super().__init__(meters, label)
        self._first_reason = LAYOUT.places["maywe_decisions_total", (label, DECISION_REASONS[0])]
        self._noted = deque[tuple[int, int]]()
        self._note = self._noted.append

    def answered(self, response: Any) -> None:  # noqa: ANN401 - any message
        """Note an answer with its reason, and how long it took."""
        self._note((response.reason, perf_counter_ns() - submitted_nanoseconds()))

    def settle(self) -> None:
        """Count what was noted. That it was answered need not be: `exposition` adds reasons up."""
        counts, duration, first_reason = self._counts, self._duration, self._first_reason
        with self._lock:
            for _ in range(len(self._noted)):
                reason, took = self._noted.popleft()
                counts[first_reason + reason] += 1
                counts[duration + bisect_left(_BOUNDS_NANOSECONDS, took)] += 1
                counts[duration + BUCKETS] += took


class WriteMeter(CallMeter):
    """Counts the calls of one method that records, and what they promise."""

    __slots__ = ("_durable", "_effective")

    def __init__(self, meters: Meters, label: str) -> None:
        """Count the calls of a method, by its label."""
        super().__init__(meters, label)
        self._effective = LAYOUT.places["maywe_acknowledgements_total", ("effective",)]
        self._durable = LAYOUT.places["maywe_acknowledgements_total", ("durable",)]

    def answered(self, response: Any) -> None:  # noqa: ANN401 - any message
        """Count a write with what it promises, and how long it took."""
        super().answered(response)
        durability = response.acknowledgement.durability
        if durability:
            is_effective = durability == common_pb2.DURABILITY_EFFECTIVE
            with self._lock:
                self._counts[self._effective if is_effective else self._durable] += 1


class LookupMeter:
    """Counts look-ups in Redis. Safe to be used by several threads.

    Hits are only noted, like answers: `count_hits` takes how many there were.
    """

    def __init__(self, meters: Meters) -> None:
        """Count in the memory of `meters`."""
        self._lock = meters.lock
        self._counts = meters.memory.counts
        self._place = LAYOUT.places["maywe_cache_lookups_total", (LookupResult.HIT.value,)]
        self._hits = deque[int]()
        self.count_hits = self._hits.append

    def count_miss(self, result: LookupResult, cause: StaleCause | None = None) -> None:
        """Count one for whom Redis did not answer."""
        with self._lock:
            self._counts[LAYOUT.places["maywe_cache_lookups_total", (result.value,)]] += 1
            if cause is not None:
                self._counts[LAYOUT.places["maywe_stale_denials_total", (cause.value,)]] += 1

    def settle(self) -> None:
        """Count the hits that were noted."""
        with self._lock:
            self._counts[self._place] += sum(self._hits.popleft() for _ in range(len(self._hits)))
