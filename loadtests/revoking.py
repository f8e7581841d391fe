"""From sending a revocation to EFFECTIVE, with two decision servers and nothing else going on.

What lives here: `python -m loadtests.revoking`. Two writers and two decision servers run as
processes of their own; one client revokes for one customer after the other.
"""

import argparse
import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from maywe.v1 import common_pb2, event_pb2, writer_pb2_grpc

from loadtests.filling import CATALOG, customer_id, fill, migrated_servers
from service.demo.processes import environment_for, running_servers

RESULTS: Final = Path(__file__).parent / "results" / "revoking.json"
WARM_UP_REVOCATIONS: Final = 50
CALL_SECONDS_MAX: Final = 30.0


def measure(revocations: int, *, is_durable: bool) -> dict[str, Any]:
    """Revoke for so many customers, one after the other, and give the latencies."""
    with ExitStack() as stack:
        servers, engine = stack.enter_context(migrated_servers(is_durable=is_durable))
        fill(engine, CATALOG, revocations + WARM_UP_REVOCATIONS)
        logs = [Path(stack.enter_context(TemporaryDirectory())) for _ in range(2)]
        environment = environment_for(servers)
        addresses = stack.enter_context(running_servers(logs[0], environment))
        stack.enter_context(running_servers(logs[1], environment))
        channel = stack.enter_context(grpc.insecure_channel(addresses.writer))
        stub = writer_pb2_grpc.WriterServiceStub(channel)
        milliseconds = []
        for number in range(revocations + WARM_UP_REVOCATIONS):
            revoked_at = Timestamp()
            revoked_at.GetCurrentTime()
            request = event_pb2.RevokeRequest(
                event_id=f"revocation-{number}",
                customer_id=customer_id(number),
                revoked_at=revoked_at,
                selector=common_pb2.Selector(all=True),
            )
            began_at = time.monotonic()
            response = stub.Revoke(request, timeout=CALL_SECONDS_MAX)
            taken = (time.monotonic() - began_at) * 1000
            if response.acknowledgement.durability != common_pb2.DURABILITY_EFFECTIVE:
                message = f"revocation {number} was not EFFECTIVE after {taken:.0f} ms"
                raise RuntimeError(message)
            if number >= WARM_UP_REVOCATIONS:
                milliseconds.append(taken)
    milliseconds.sort()
    return {
        "revocations": revocations,
        "decision_servers": 2,
        "is_durable": is_durable,
        "p50_milliseconds": round(milliseconds[len(milliseconds) // 2], 2),
        "p99_milliseconds": round(milliseconds[int(len(milliseconds) * 0.99)], 2),
        "max_milliseconds": round(milliseconds[-1], 2),
    }


def main() -> int:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.revoking", description=__doc__)
    parser.add_argument("--revocations", type=int, default=1000)
    parser.add_argument(
        "--not-durable", action="store_true", help="PostgreSQL does not force commits to disk"
    )
    options = parser.parse_args()
    results = measure(options.revocations, is_durable=not options.not_durable)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
