"""The load: a process of its own that sends checks and says what became of them.

What lives here: `python -m loadtests.generator`, which reads a `Job` as JSON from its standard
input and writes a `Result` for each target as JSON to its standard output. `load` starts it.

Targets are loaded in turn, a slice of time each, over and over: whatever else goes on meets all of
them alike. In a closed loop so many calls are always under way: that finds the peak. In an open
loop calls are sent at random instants (a Poisson process) at a fixed mean rate, whatever the
answers do, and the latency of each counts from the instant at which it was due: who comes late has
waited too.
"""

import ctypes
import gc
import json
import random
import select
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from loadtests.cores import cpu_seconds, stolen_seconds
from loadtests.figures import percentile
from loadtests.http2 import Answer, Connection, prepared

ANSWER_SECONDS_MAX: Final = 20.0
"""A call that is not answered by then ends the measurement with an error. One that the server did
not answer with OK, as it shed it, counts as if it had taken so long."""

OK: Final = "0"
"""gRPC's status of a call that was answered."""

PERCENTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99_9": 0.999, "max": 1.0}

SETTLING_SHARE: Final = 0.1
"""So much of a slice goes by before anything counts."""

GOING_ON_SECONDS: Final = 0.005
"""Between two looks whether the calls of a slice are answered."""

_SET_TIMER_SLACK: Final = 29
_TIMER_SLACK_NANOSECONDS: Final = 1000
"""By prctl(2): wake up when asked to, not up to 50 µs later together with others."""

_LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Target:
    """A server to load with the messages of a file.

    `process_id` is the server's, whose processor time is told. With a `rate`, in calls per second,
    the loop is open, without one closed.
    """

    address: str
    path: str
    messages_path: str
    process_id: int
    rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Job:
    """What to load, for how long each. Of every `kept_every` answers one is kept.

    Up to `rounds_factor_max` times the rounds that the time has room for are done, see `run`.
    """

    targets: Sequence[Target]
    seconds: float
    warm_up_seconds: float
    slice_seconds: float = 0.5
    rounds_factor_max: int = 1
    connections: int = 4
    calls_under_way: int = 32
    seed: int = 0
    kept_every: int = 31


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the calls that were answered (closed loop) or due (open loop) in the time.

    `kept` has the numbers of some messages and the answers to them, as hexadecimal digits.
    `rounds_set_aside` tells how many rounds do not count, see `run`; `milliseconds_p99_of_all` and
    `statuses_of_all` what the 99th percentile and the statuses would be if they did.
    """

    calls: int
    seconds: float
    statuses: dict[str, int]
    milliseconds: dict[str, float]
    late_milliseconds_p99: float
    server_cpu_seconds: float
    client_cpu_seconds: float
    kept: list[tuple[int, str]]
    rounds_set_aside: int
    milliseconds_p99_of_all: float
    statuses_of_all: dict[str, int]

    @property
    def calls_per_second(self) -> float:
        """The throughput."""
        return self.calls / self.seconds

    @property
    def server_cpu_microseconds(self) -> float:
        """Processor time of the server for one call."""
        return self.server_cpu_seconds / self.calls * 1e6


def shared_out(calls: int, connections: int) -> list[int]:
    """Give the number of calls for each connection: `calls` altogether, and no more."""
    return [len(range(turn, calls, connections)) for turn in range(connections)]


def write_messages(path: Path, messages: Sequence[bytes]) -> None:
    """Write the messages of a job."""
    path.write_bytes(b"".join(_LENGTH.pack(len(message)) + message for message in messages))


def _read_messages(path: Path) -> list[bytes]:
    data = path.read_bytes()
    messages = []
    place = 0
    while place < len(data):
        (length,) = _LENGTH.unpack_from(data, place)
        place += _LENGTH.size + length
        messages.append(prepared(data[place - length : place]))
    return messages


@dataclass(slots=True)
class _Slice:
    """What became of the calls of one slice."""

    statuses: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)
    kept: list[tuple[int, str]] = field(default_factory=list)
    seconds: float = 0.0
    server_cpu_seconds: float = 0.0
    client_cpu_seconds: float = 0.0


def _statuses(slices: Sequence[_Slice]) -> dict[str, int]:
    return dict(sum((one.statuses for one in slices), Counter()))


def _ordered_latencies(slices: Sequence[_Slice]) -> list[float]:
    return sorted(latency for one in slices for latency in one.latencies)


class Lane:
    """The calls to one target, and what became of those that count."""

    def __init__(self, target: Target, job: Job) -> None:
        """Read the messages and connect."""
        self._target = target
        self._job = job
        self._messages = _read_messages(Path(target.messages_path))
        self._random = random.Random(job.seed)
        self._connections = [
            Connection(target.address, target.path) for _ in range(job.connections)
        ]
        self._due: dict[int, tuple[float, int, bool]] = {}
        """Of each call under way: when it was due, the number of its message, whether it counts."""
        self._sent = 0
        self._is_counting = False
        self._slice = _Slice()
        self._slices: list[_Slice] = []
        """Those that were counted."""
        self._kept_in = 0
        """The answer to so many calls later is kept next."""

    def run(self, seconds: float, settling_seconds: float, *, is_counting: bool) -> None:
        """Load the target for so long, after settling, and wait for what is under way."""
        send = self._run_open if self._target.rate else self._run_closed
        if not self._target.rate:
            self._fill_up()
        send(settling_seconds)
        server_before, client_before = cpu_seconds(self._target.process_id), time.process_time()
        began_at = time.perf_counter()
        self._slice = _Slice()
        self._is_counting = is_counting
        send(seconds)
        if self._target.rate:
            self._go_on_until_answered()
        self._is_counting = False
        if is_counting:
            self._slice.seconds = time.perf_counter() - began_at
            self._slice.server_cpu_seconds = cpu_seconds(self._target.process_id) - server_before
            self._slice.client_cpu_seconds = time.process_time() - client_before
            self._slices.append(self._slice)
        self._drain()

    def result(self, rounds: Sequence[int]) -> Result:
        """Sum up the slices of some rounds."""
        slices = [self._slices[number] for number in rounds]
        ordered = _ordered_latencies(slices)
        late = sorted(seconds for one in slices for seconds in one.lateness) or [0.0]
        return Result(
            len(ordered),
            sum(one.seconds for one in slices),
            _statuses(slices),
            {name: percentile(ordered, share) * 1000 for name, share in PERCENTILES.items()},
            percentile(late, 0.99) * 1000,
            sum(one.server_cpu_seconds for one in slices),
            sum(one.client_cpu_seconds for one in slices),
            [kept for one in slices for kept in one.kept],
            len(self._slices) - len(slices),
            percentile(_ordered_latencies(self._slices), 0.99) * 1000,
            _statuses(self._slices),
        )

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections:
            connection.close()

    def _fill_up(self) -> None:
        shares = shared_out(self._job.calls_under_way, len(self._connections))
        for connection, share in zip(self._connections, shares, strict=True):
            now = time.perf_counter()
            connection.send([self._next_call(now) for _ in range(share)])

    def _run_closed(self, seconds: float) -> None:
        """Replace each call that is answered by another."""
        ends_at = time.perf_counter() + seconds
        while time.perf_counter() < ends_at:
            for connection in self._readable(ANSWER_SECONDS_MAX):
                answers = connection.receive()
                now = time.perf_counter()
                self._note(answers, now)
                connection.send([self._next_call(now) for _ in answers])

    def _run_open(self, seconds: float) -> None:
        """Send each call when it is due, and as soon as possible after that."""
        rate, expovariate = self._target.rate, self._random.expovariate
        now = time.perf_counter()
        ends_at = now + seconds
        due_at = now + expovariate(rate)
        turn = 0
        while now < ends_at or due_at < ends_at:
            while due_at <= now and due_at < ends_at:
                if self._is_counting:
                    self._slice.lateness.append(now - due_at)
                self._connections[turn].send([self._next_call(due_at)])
                turn = (turn + 1) % len(self._connections)
                due_at += expovariate(rate)
            wait_seconds = min(due_at, ends_at) - time.perf_counter()
            for connection in self._readable(max(0.0, wait_seconds), must_come=False):
                self._note(connection.receive(), time.perf_counter())
            now = time.perf_counter()

    def _go_on_until_answered(self) -> None:
        """Let calls come due until those of the slice are answered: a stall meets them as well."""
        last = self._sent
        while next(iter(self._due), last) < last:
            self._run_open(GOING_ON_SECONDS)

    def _drain(self) -> None:
        while any(connection.calls_under_way for connection in self._connections):
            for connection in self._readable(ANSWER_SECONDS_MAX):
                self._note(connection.receive(), time.perf_counter())

    def _readable(self, seconds: float, *, must_come: bool = True) -> list[Connection]:
        # Not epoll, which rounds the time to milliseconds.
        ready, _, _ = select.select(self._connections, [], [], seconds)
        if not ready and must_come:
            message = f"the server at {self._target.address} does not answer"
            raise TimeoutError(message)
        return ready

    def _next_call(self, due_at: float) -> tuple[int, bytes, bool]:
        number = self._sent
        self._sent = number + 1
        chosen = int(self._random.random() * len(self._messages))
        self._due[number] = (due_at, chosen, self._is_counting)
        is_kept = self._is_counting and not self._kept_in
        if self._is_counting:
            self._kept_in = (self._kept_in or self._job.kept_every) - 1
        return number, self._messages[chosen], is_kept

    def _note(self, answers: Sequence[Answer], now: float) -> None:
        for number, status, message in answers:
            due_at, chosen, was_counting = self._due.pop(number)
            # In an open loop what was due in the time counts, in a closed one what is answered.
            if not (was_counting if self._target.rate else self._is_counting):
                continue
            self._slice.statuses[status] += 1
            self._slice.latencies.append(now - due_at if status == OK else ANSWER_SECONDS_MAX)
            if message is not None:
                self._slice.kept.append((chosen, message.hex()))


def run(job: Job, stolen: Callable[[], float] = stolen_seconds) -> list[Result]:
    """Load the targets in turn, the last first every other time, and give what became of each.

    A moment in which the host keeps the cores from this machine says nothing about a server. So
    there are up to `rounds_factor_max` times as many rounds where some was stolen from, and those
    of which least was stolen count. What the servers did in a round has no part in the choice.
    """
    lanes = [Lane(target, job) for target in job.targets]
    for lane in lanes:
        lane.run(job.warm_up_seconds, 0.0, is_counting=False)
    count = max(1, round(job.seconds / job.slice_seconds))
    seconds = job.seconds / count
    stolen_in: list[float] = []
    rounds_max = job.rounds_factor_max * count
    while sum(not it for it in stolen_in) < count and len(stolen_in) < rounds_max:
        stolen_before = stolen()
        for lane in lanes[:: -1 if len(stolen_in) % 2 else 1]:
            lane.run(seconds, seconds * SETTLING_SHARE, is_counting=True)
        stolen_in.append(stolen() - stolen_before)
    for lane in lanes:
        lane.close()
    chosen = sorted(range(len(stolen_in)), key=stolen_in.__getitem__)[:count]
    return [lane.result(chosen) for lane in lanes]


def main() -> int:
    """Do the job."""
    ctypes.CDLL(None).prctl(_SET_TIMER_SLACK, _TIMER_SLACK_NANOSECONDS, 0, 0, 0)
    asked = json.load(sys.stdin)
    job = Job(**{**asked, "targets": [Target(**target) for target in asked["targets"]]})
    # A collection would hold up calls that are due.
    gc.collect()
    gc.freeze()
    gc.disable()
    json.dump([asdict(result) for result in run(job)], sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
