"""A stream of five million ids, and one that nobody reads: what they take of the server's memory.

What lives here: `python -m loadtests.streaming`. The memory is what the server process has
resident, above what it had before the stream, sampled while the stream runs.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import grpc

from loadtests.audience import (
    CHUNKS_IN_FLIGHT,
    IDS_PER_CHUNK,
    MESSAGE_BYTES_MAX,
    PATH,
    STREAM_SECONDS_MAX,
    Audience,
)
from loadtests.bench import Bench, Measured, run_alone
from loadtests.cores import SERVER_CORES
from loadtests.figures import rounded
from loadtests.installation import Server
from loadtests.population import customer_id

SAMPLE_SECONDS: Final = 0.02
UNREAD_CHUNKS_MAX: Final = 2_000
"""Far more than the transport between client and server can hold."""

STANDING_SECONDS: Final = 1.0
"""After so long without another chunk taken, a stream that nobody reads stands."""


class MemorySampler:
    """The most that a process has had resident since sampling began, in mebibytes."""

    def __init__(self, process_id: int) -> None:
        """Sample the process of this id."""
        self._status = Path(f"/proc/{process_id}/status")
        self._stop = threading.Event()
        self.idle_mebibytes = self._resident()
        self.peak_mebibytes = self.idle_mebibytes

    @property
    def growth_mebibytes(self) -> float:
        """The most above what it was at the beginning."""
        return self.peak_mebibytes - self.idle_mebibytes

    @contextmanager
    def running(self) -> Iterator[None]:
        """Sample in a thread meanwhile."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            self.peak_mebibytes = max(self.peak_mebibytes, self._resident())

    def _resident(self) -> float:
        lines = self._status.read_text().splitlines()
        kibibytes = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
        return kibibytes / 1024


def stream_ids(server: Server, audience: Audience, ids: int) -> dict[str, float]:
    """Stream so many ids, read every answer, and tell what it took."""
    places = threading.Semaphore(CHUNKS_IN_FLIGHT)
    chunks = -(-ids // IDS_PER_CHUNK)

    def requests() -> Iterator[bytes]:
        yield audience.question
        for _, message in zip(range(chunks), cycle(audience.messages), strict=False):
            places.acquire()
            yield message

    def read(call: Callable[..., Any]) -> None:
        for _ in call(requests(), timeout=STREAM_SECONDS_MAX):
            places.release()

    seconds, growth = _sampled(server, read)
    return {"ids": ids, "seconds": rounded(seconds), "mebibytes_above_idle": rounded(growth)}


def leave_unread(server: Server, audience: Audience) -> dict[str, float]:
    """Send whatever is taken, read nothing, and tell when the server took no more."""
    taken = 0

    def requests() -> Iterator[bytes]:
        nonlocal taken
        yield audience.question
        for _, message in zip(range(UNREAD_CHUNKS_MAX), cycle(audience.messages), strict=False):
            taken += 1
            yield message

    def stand(call: Callable[..., Any]) -> None:
        answers = call(requests(), timeout=STREAM_SECONDS_MAX)
        before = -1
        while taken > before:
            before = taken
            time.sleep(STANDING_SECONDS)
        answers.cancel()

    _, growth = _sampled(server, stand)
    return {"chunks_taken": taken, "mebibytes_above_idle": rounded(growth)}


def _sampled(server: Server, use: Callable[[Callable[..., Any]], None]) -> tuple[float, float]:
    """Give the seconds that a use of the call took, and how the server's memory grew in them."""
    options = [("grpc.max_receive_message_length", MESSAGE_BYTES_MAX)]
    sampler = MemorySampler(server.process_id)
    began_at = time.perf_counter()
    with sampler.running(), grpc.insecure_channel(server.address, options) as channel:
        use(channel.stream_stream(PATH))
    return time.perf_counter() - began_at, sampler.growth_mebibytes


def measure(bench: Bench) -> Measured:
    """Stream as many ids as the sizes say, then leave a stream unread."""
    filled = bench.filled(bench.sizes.customers)
    ids = [customer_id(number) for number in range(filled.customers)]
    audience = Audience(ids, bench.sizes.stream_seconds)
    with filled.installation.serving("decision", cores=SERVER_CORES) as [server]:
        bench.say(f"a stream of {bench.sizes.streamed_ids:,} ids, and one that nobody reads")
        # Once before, so that what is loaded only once is not counted.
        audience.filter(server)
        streamed = stream_ids(server, audience, bench.sizes.streamed_ids)
        unread = leave_unread(server, audience)
    growth = max(streamed["mebibytes_above_idle"], unread["mebibytes_above_idle"])
    return Measured(
        {"stream_mebibytes_above_idle": growth}, {"streamed": streamed, "unread": unread}
    )


if __name__ == "__main__":
    run_alone("streaming")
