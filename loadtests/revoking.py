"""From sending a revocation to EFFECTIVE, with two decision servers and nothing else going on.

What lives here: `python -m loadtests.revoking`. One client revokes for one customer after another.
Servers and stores have all cores.
"""

import time
from typing import Final

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from maywe.v1 import common_pb2, event_pb2, writer_pb2_grpc

from loadtests.bench import Bench, Measured, run_alone
from loadtests.figures import percentile, rounded
from loadtests.installation import BenchError
from loadtests.population import customer_id

WARM_UP_REVOCATIONS: Final = 50
DECISION_SERVERS: Final = 2
CALL_SECONDS_MAX: Final = 30.0


def measure(bench: Bench) -> Measured:
    """Revoke for so many customers, one after the other."""
    filled = bench.written()
    installation = filled.installation
    count = min(bench.sizes.revocations + WARM_UP_REVOCATIONS, filled.customers)
    with (
        installation.serving("writer", *("decision",) * DECISION_SERVERS) as [writer, *_],
        grpc.insecure_channel(writer.address) as channel,
    ):
        bench.say("revocations until they are effective")
        stub = writer_pb2_grpc.WriterServiceStub(channel)
        milliseconds = [_revoke(stub, number) for number in range(count)][WARM_UP_REVOCATIONS:]
    ordered = sorted(milliseconds)
    return Measured(
        {"revoke_ack_ms_p99": percentile(ordered, 0.99)},
        {
            "milliseconds": {
                "p50": rounded(percentile(ordered, 0.5)),
                "p90": rounded(percentile(ordered, 0.9)),
                "p99": rounded(percentile(ordered, 0.99)),
                "max": rounded(ordered[-1]),
            },
            "revocations": len(ordered),
            "decision_servers": DECISION_SERVERS,
        },
    )


def _revoke(stub: writer_pb2_grpc.WriterServiceStub, number: int) -> float:
    """Revoke everything of a customer, and give how many milliseconds it took."""
    revoked_at = Timestamp()
    revoked_at.GetCurrentTime()
    request = event_pb2.RevokeRequest(
        event_id=f"revocation-{number}",
        customer_id=customer_id(number),
        revoked_at=revoked_at,
        selector=common_pb2.Selector(all=True),
    )
    began_at = time.perf_counter()
    response = stub.Revoke(request, timeout=CALL_SECONDS_MAX)
    milliseconds = (time.perf_counter() - began_at) * 1000
    if response.acknowledgement.durability != common_pb2.DURABILITY_EFFECTIVE:
        message = f"revocation {number} was not EFFECTIVE after {milliseconds:.0f} ms"
        raise BenchError(message)
    return milliseconds


if __name__ == "__main__":
    run_alone("revoking")
