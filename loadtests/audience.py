"""Audiences against a bare MGET loop over the same records.

What lives here: `python -m loadtests.audience`. The decision server has a core of its own, its
client and Redis the others. The loop, a redis-py client that reads the records and drops them, has
the server's core when its turn comes.
"""

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from random import Random
from typing import Any, Final, NamedTuple

import grpc
import redis
from maywe.v1 import common_pb2, decision_pb2

from loadtests.bench import Bench, Measured, run_alone
from loadtests.cores import SERVER_CORES, cpu_seconds, on_cores
from loadtests.figures import in_turn, ratios, rounded
from loadtests.installation import BenchError, Server
from loadtests.load import CALL_SECONDS_MAX, CHECK_PATH, question
from loadtests.population import customer_id

PATH: Final = "/maywe.v1.DecisionService/FilterAudience"
IDS_PER_CHUNK: Final = 4_000
CHUNKS_IN_FLIGHT: Final = 4
STREAM_SECONDS_MAX: Final = 600.0
IDS_COMPARED: Final = 200
MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024


class Throughput(NamedTuple):
    """How many ids were answered in what time, and what that took of the server."""

    ids: int
    seconds: float
    server_cpu_seconds: float

    @property
    def ids_per_second(self) -> float:
        """The throughput."""
        return self.ids / self.seconds


class Audience:
    """The ids, in chunks, as prepared messages."""

    def __init__(self, ids: Sequence[str], seconds: float) -> None:
        """Ask about the ids over and over, for so long."""
        self.chunks = [
            ids[start : start + IDS_PER_CHUNK] for start in range(0, len(ids), IDS_PER_CHUNK)
        ]
        self._seconds = seconds
        asked = question(0)
        contact = decision_pb2.AudienceQuestion(
            contact={"purpose": asked.purpose, "channel": asked.channel}
        )
        self.question = decision_pb2.FilterAudienceRequest(question=contact).SerializeToString()
        self.messages = [
            decision_pb2.FilterAudienceRequest(
                chunk=decision_pb2.AudienceChunk(customer_ids=chunk)
            ).SerializeToString()
            for chunk in self.chunks
        ]

    def filter(self, server: Server) -> Throughput:
        """Stream chunks for the time given, some in flight, and check how many came back.

        Raises BenchError.
        """
        options = [("grpc.max_receive_message_length", MESSAGE_BYTES_MAX)]
        with grpc.insecure_channel(server.address, options) as channel:
            call: Any = channel.stream_stream(PATH)
            places = threading.Semaphore(CHUNKS_IN_FLIGHT)
            cpu_before = cpu_seconds(server.process_id)
            began_at = time.perf_counter()
            sent: list[int] = []
            requests = self._requests(places, sent, began_at + self._seconds)
            received = []
            for message in call(requests, timeout=STREAM_SECONDS_MAX):
                received.append(message)
                places.release()
            seconds = time.perf_counter() - began_at
            cpu = cpu_seconds(server.process_id) - cpu_before
        return Throughput(self._count(sent, received), seconds, cpu)

    def _requests(
        self, places: threading.Semaphore, sent: list[int], ends_at: float
    ) -> Iterator[bytes]:
        yield self.question
        for number in cycle(range(len(self.messages))):
            if time.perf_counter() >= ends_at:
                return
            places.acquire()
            sent.append(number)
            yield self.messages[number]

    def _count(self, sent: Sequence[int], received: Sequence[bytes]) -> int:
        """Give how many ids were answered, every one of those sent."""
        *answers, end = (
            decision_pb2.FilterAudienceResponse.FromString(message) for message in received
        )
        for number, answer in zip(sent, answers, strict=True):
            verdicts = answer.verdicts.verdicts
            if len(verdicts) != len(self.chunks[number]) or (
                common_pb2.VERDICT_UNDETERMINED in verdicts
            ):
                message = f"a chunk of {len(self.chunks[number])} ids was not answered whole"
                raise BenchError(message)
        return int(end.end.customer_count)

    def compare_with_checks(self, server: Server) -> None:
        """Compare the answers to a chunk with those to single checks. Raises BenchError."""
        chunk = self.chunks[0][:IDS_COMPARED]
        request = decision_pb2.FilterAudienceRequest(
            chunk=decision_pb2.AudienceChunk(customer_ids=chunk)
        )
        with grpc.insecure_channel(server.address) as channel:
            stream: Any = channel.stream_stream(PATH)
            first, _ = stream(iter([self.question, request.SerializeToString()]))
            found = decision_pb2.FilterAudienceResponse.FromString(first).verdicts
            check: Any = channel.unary_unary(CHECK_PATH)
            for asked, verdict, reason in zip(chunk, found.verdicts, found.reasons, strict=True):
                single = question(0)
                single.customer_id = asked
                answer = decision_pb2.MayContactResponse.FromString(
                    check(single.SerializeToString(), timeout=CALL_SECONDS_MAX)
                )
                if (answer.verdict, answer.reason) != (verdict, reason):
                    message = f"audience and check differ about {asked}"
                    raise BenchError(message)


def mget_loop(redis_url: str, chunks: Sequence[Sequence[str]], seconds: float) -> Callable[[], Any]:
    """Give what reads the records of the ids with MGET, chunk by chunk, for so long."""
    with redis.Redis.from_url(redis_url) as client:
        keys = {key.rpartition(b":")[2].decode(): key for key in client.scan_iter(count=1000)}
    commands = [[keys[customer] for customer in chunk] for chunk in chunks]

    def loop() -> Throughput:
        with redis.Redis.from_url(redis_url) as client, on_cores(SERVER_CORES):
            client.ping()
            read = 0
            began_at = time.perf_counter()
            for command in cycle(commands):
                if time.perf_counter() - began_at >= seconds:
                    return Throughput(read, time.perf_counter() - began_at, 0.0)
                read += sum(record is not None for record in client.mget(command))
        raise AssertionError

    return loop


def measure(bench: Bench) -> Measured:
    """Measure audiences and the loop in turn."""
    filled = bench.filled(bench.sizes.customers)
    ids = [customer_id(number) for number in range(filled.customers)]
    Random(0).shuffle(ids)
    audience = Audience(ids, bench.sizes.stream_seconds)
    loop = mget_loop(filled.installation.redis_url, audience.chunks, bench.sizes.stream_seconds)
    with filled.installation.serving("decision", cores=SERVER_CORES) as [server]:
        bench.say("audiences and a bare MGET loop")
        audience.compare_with_checks(server)
        audience.filter(server)
        pairs = in_turn(lambda: audience.filter(server), loop, bench.sizes.pairs)
    compared = ratios(pairs, lambda throughput: throughput.ids_per_second)
    cpu = [pair.first.server_cpu_seconds / pair.first.ids * 1e6 for pair in pairs]
    return Measured(
        {
            "audience_ids_per_s": statistics.median(pair.first.ids_per_second for pair in pairs),
            "audience_vs_mget": compared.median,
        },
        {
            "audience_vs_mget": compared.described(),
            "mget_keys_per_second": rounded(
                statistics.median(pair.second.ids_per_second for pair in pairs)
            ),
            "server_cpu_microseconds_per_id": rounded(statistics.median(cpu)),
            "ids_per_chunk": IDS_PER_CHUNK,
            "chunks_in_flight": CHUNKS_IN_FLIGHT,
        },
    )


if __name__ == "__main__":
    run_alone("audience")
