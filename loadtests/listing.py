"""How fast everybody who may be contacted is listed.

What lives here: `python -m loadtests.listing`: `ListAllowed` from its beginning to its end mark.
The server has a core of its own; the client and PostgreSQL, which it reads, have the others.
"""

import statistics
import time
from typing import Any, Final

import grpc
from maywe.v1 import decision_pb2

from loadtests.bench import Bench, Measured, run_alone
from loadtests.cores import SERVER_CORES
from loadtests.figures import rounded
from loadtests.installation import BenchError, Server
from loadtests.load import question

PATH: Final = "/maywe.v1.DecisionService/ListAllowed"
IDS_PER_CHUNK: Final = 10_000
STREAM_SECONDS_MAX: Final = 600.0
MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024


def list_allowed(server: Server) -> tuple[int, float]:
    """List everybody once; give how many there are and how many seconds it took."""
    asked = question(0)
    request = decision_pb2.ListAllowedRequest(
        contact={"purpose": asked.purpose, "channel": asked.channel}, chunk_size=IDS_PER_CHUNK
    )
    options = [("grpc.max_receive_message_length", MESSAGE_BYTES_MAX)]
    with grpc.insecure_channel(server.address, options) as channel:
        call: Any = channel.unary_stream(PATH)
        began_at = time.perf_counter()
        messages = list(call(request.SerializeToString(), timeout=STREAM_SECONDS_MAX))
        seconds = time.perf_counter() - began_at
    *chunks, end = (decision_pb2.ListAllowedResponse.FromString(message) for message in messages)
    ids = {found for chunk in chunks for found in chunk.chunk.customer_ids}
    if not ids or len(ids) != end.end.customer_count:
        message = f"{len(ids)} ids were listed, and {end.end.customer_count} counted"
        raise BenchError(message)
    return len(ids), seconds


def measure(bench: Bench) -> Measured:
    """List everybody, several times."""
    filled = bench.filled(bench.sizes.customers)
    with filled.installation.serving("decision", cores=SERVER_CORES) as [server]:
        bench.say("lists of everybody who is allowed")
        list_allowed(server)
        listed = [list_allowed(server) for _ in range(bench.sizes.pairs)]
    rates = [count / seconds for count, seconds in listed]
    return Measured(
        {"list_ids_per_s": statistics.median(rates)},
        {"list_ids_per_s": [rounded(rate) for rate in rates], "allowed": listed[0][0]},
    )


if __name__ == "__main__":
    run_alone("listing")
