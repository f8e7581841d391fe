"""The load: a process of its own that sends checks and says what became of them.

What lives here: `python -m loadtests.generator`, which reads a `Job` as JSON from its standard
input and writes a `Result` as JSON to its standard output. `load` starts it.

In a closed loop so many calls are always under way: that finds the peak. In an open loop calls are
sent at random instants (a Poisson process) at a fixed mean rate, whatever the answers do, and the
latency of each counts from the instant at which it was due: who comes late has waited too.
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
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from loadtests.cores import cpu_seconds
from loadtests.figures import percentile
from loadtests.http2 import Answer, Connection, prepared

ANSWER_SECONDS_MAX: Final = 20.0
"""A call that is not answered by then ends the measurement with an error. One that the server did
not answer with OK, as it shed it, counts as if it had taken so long."""

OK: Final = "0"
"""gRPC's status of a call that was answered."""

PERCENTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99_9": 0.999, "max": 1.0}

_SET_TIMER_SLACK: Final = 29
_TIMER_SLACK_NANOSECONDS: Final = 1000
"""By prctl(2): wake up when asked to, not up to 50 µs later together with others."""

_LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Job:
    """What to send where, for how long.

    `rate` in calls per second, or `calls_under_way` in all, is given. Of every `kept_every`
    answers one is kept. `process_id` is the server's, whose processor time is told.
    """

    address: str
    path: str
    messages_path: str
    process_id: int
    seconds: float
    warm_up_seconds: float
    connections: int = 4
    calls_under_way: int = 0
    rate: float = 0.0
    seed: int = 0
    kept_every: int = 31


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the calls that were answered (closed loop) or due (open loop) in the time.

    `kept` has the numbers of some messages and the answers to them, as hexadecimal digits.
    """

    calls: int
    seconds: float
    statuses: dict[str, int]
    milliseconds: dict[str, float]
    late_milliseconds_p99: float
    server_cpu_seconds: float
    client_cpu_seconds: float
    kept: list[tuple[int, str]]

    @property
    def calls_per_second(self) -> float:
        """The throughput."""
        return self.calls / self.seconds

    @property
    def server_cpu_microseconds(self) -> float:
        """Processor time of the server for one call."""
        return self.server_cpu_seconds / self.calls * 1e6


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


class Generator:
    """Sends the calls of a job."""

    def __init__(self, job: Job) -> None:
        """Read the messages and connect."""
        self._job = job
        self._messages = _read_messages(Path(job.messages_path))
        self._random = random.Random(job.seed)
        self._connections = [Connection(job.address, job.path) for _ in range(job.connections)]
        self._due: dict[int, tuple[float, int]] = {}
        """When each call under way was due, and the number of its message."""
        self._sent = 0
        self._statuses: Counter[str] = Counter()
        self._seconds: list[float] = []
        self._late_seconds: list[float] = []
        self._kept: list[tuple[int, str]] = []
        self._kept_in = 0
        """The answer to so many calls later is kept next."""
        self._is_counting = False

    def run(self) -> Result:
        """Send, first to warm up, then to measure."""
        job = self._job
        send = self._run_open if job.rate else self._run_closed
        if not job.rate:
            self._fill_up()
        send(job.warm_up_seconds)
        server_before, client_before = cpu_seconds(job.process_id), time.process_time()
        self._is_counting = True
        began_at = time.perf_counter()
        send(job.seconds)
        seconds = time.perf_counter() - began_at
        server_cpu = cpu_seconds(job.process_id) - server_before
        client_cpu = time.process_time() - client_before
        # In an open loop those under way were due in the time, so they count.
        self._is_counting = bool(job.rate)
        self._drain()
        for connection in self._connections:
            connection.close()
        ordered = sorted(self._seconds)
        late = sorted(self._late_seconds) or [0.0]
        return Result(
            len(ordered),
            seconds,
            dict(self._statuses),
            {name: percentile(ordered, share) * 1000 for name, share in PERCENTILES.items()},
            percentile(late, 0.99) * 1000,
            server_cpu,
            client_cpu,
            self._kept,
        )

    def _fill_up(self) -> None:
        share = -(-self._job.calls_under_way // len(self._connections))
        for connection in self._connections:
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
        rate, expovariate = self._job.rate, self._random.expovariate
        now = time.perf_counter()
        ends_at = now + seconds
        due_at = now + expovariate(rate)
        turn = 0
        while True:
            while due_at <= now and due_at < ends_at:
                if self._is_counting:
                    self._late_seconds.append(now - due_at)
                self._connections[turn].send([self._next_call(due_at)])
                turn = (turn + 1) % len(self._connections)
                due_at += expovariate(rate)
            if now >= ends_at:
                return
            wait_seconds = min(due_at, ends_at) - time.perf_counter()
            for connection in self._readable(max(0.0, wait_seconds), must_come=False):
                answers = connection.receive()
                self._note(answers, time.perf_counter())
            now = time.perf_counter()

    def _drain(self) -> None:
        while any(connection.calls_under_way for connection in self._connections):
            for connection in self._readable(ANSWER_SECONDS_MAX):
                self._note(connection.receive(), time.perf_counter())

    def _readable(self, seconds: float, *, must_come: bool = True) -> list[Connection]:
        # Not epoll, which rounds the time to milliseconds.
        ready, _, _ = select.select(self._connections, [], [], seconds)
        if not ready and must_come:
            message = f"the server at {self._job.address} does not answer"
            raise TimeoutError(message)
        return ready

    def _next_call(self, due_at: float) -> tuple[int, bytes, bool]:
        number = self._sent
        self._sent = number + 1
        chosen = int(self._random.random() * len(self._messages))
        self._due[number] = (due_at, chosen)
        is_kept = self._is_counting and not self._kept_in
        if self._is_counting:
            self._kept_in = (self._kept_in or self._job.kept_every) - 1
        return number, self._messages[chosen], is_kept

    def _note(self, answers: Sequence[Answer], now: float) -> None:
        for number, status, message in answers:
            due_at, chosen = self._due.pop(number)
            if not self._is_counting:
                continue
            self._statuses[status] += 1
            self._seconds.append(now - due_at if status == OK else ANSWER_SECONDS_MAX)
            if message is not None:
                self._kept.append((chosen, message.hex()))


def main() -> int:
    """Do the job."""
    ctypes.CDLL(None).prctl(_SET_TIMER_SLACK, _TIMER_SLACK_NANOSECONDS, 0, 0, 0)
    generator = Generator(Job(**json.load(sys.stdin)))
    # A collection would hold up calls that are due.
    gc.collect()
    gc.freeze()
    gc.disable()
    json.dump(asdict(generator.run()), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
