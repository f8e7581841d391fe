"""Single purchases from several clients at once.

What lives here: `python -m loadtests.writing`. Each client records one purchase after the other, of
customers who have a history already. Servers and stores have all cores.
"""

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from random import Random
from typing import Final

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from maywe.v1 import common_pb2, event_pb2, writer_pb2_grpc

from loadtests.bench import Bench, Measured, run_alone
from loadtests.cores import cpu_seconds
from loadtests.figures import percentile, rounded
from loadtests.installation import BenchError
from loadtests.population import PRODUCTS, customer_id

CLIENTS: Final = 16
CALL_SECONDS_MAX: Final = 30.0


def measure(bench: Bench) -> Measured:
    """Let the clients record for so long."""
    filled = bench.written()
    installation, customers = filled.installation, filled.customers
    with (
        installation.serving("writer", "decision") as [writer, _],
        grpc.insecure_channel(writer.address) as channel,
    ):
        bench.say(f"purchases from {CLIENTS} clients")
        stub = writer_pb2_grpc.WriterServiceStub(channel)
        _record(stub, customers, bench.sizes.warm_up_seconds)
        cpu_before = cpu_seconds(writer.process_id)
        began_at = time.perf_counter()
        milliseconds = _record(stub, customers, bench.sizes.writing_seconds)
        seconds = time.perf_counter() - began_at
        cpu = cpu_seconds(writer.process_id) - cpu_before
    return Measured(
        {"writer_events_per_s": len(milliseconds) / seconds},
        {
            "clients": CLIENTS,
            "milliseconds": {
                "p50": rounded(percentile(milliseconds, 0.5)),
                "p99": rounded(percentile(milliseconds, 0.99)),
            },
            "writer_cpu_microseconds_per_event": rounded(cpu / len(milliseconds) * 1e6),
        },
    )


def _record(stub: writer_pb2_grpc.WriterServiceStub, customers: int, seconds: float) -> list[float]:
    """Give how many milliseconds each purchase took, in ascending order."""
    begin = threading.Barrier(CLIENTS)

    def record_as(client: int) -> list[float]:
        random = Random(client)
        begin.wait()
        ends_at = time.perf_counter() + seconds
        milliseconds = []
        while time.perf_counter() < ends_at:
            milliseconds.append(record_purchase(stub, random, random.randrange(customers)))
        return milliseconds

    with ThreadPoolExecutor(CLIENTS) as pool:
        return sorted(chain.from_iterable(pool.map(record_as, range(CLIENTS))))


def record_purchase(stub: writer_pb2_grpc.WriterServiceStub, random: Random, number: int) -> float:
    """Record a purchase of a customer; give how many milliseconds it took. Raises BenchError."""
    system, product, series, _ = random.choice(PRODUCTS)
    purchased_at = Timestamp()
    purchased_at.GetCurrentTime()
    request = event_pb2.RecordPurchaseRequest(
        event_id=f"purchase-{uuid.uuid4()}",
        customer_id=customer_id(number),
        purchased_at=purchased_at,
        product=common_pb2.Product(
            system_code=system,
            product_type=product,
            series=series,
            number=f"N{random.randrange(10**12)}",
        ),
    )
    began_at = time.perf_counter()
    response = stub.RecordPurchase(request, timeout=CALL_SECONDS_MAX)
    if not response.consents:
        message = f"a purchase gave no consent: {response}"
        raise BenchError(message)
    return (time.perf_counter() - began_at) * 1000


if __name__ == "__main__":
    run_alone("writing")
