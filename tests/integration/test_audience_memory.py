"""A long audience takes no more of a server's memory than a short one.

The server is a process of its own, so that its memory is not its client's.
"""

from collections.abc import Iterator
from pathlib import Path
from threading import Semaphore

import grpc
import pytest
from maywe.v1 import decision_pb2, decision_pb2_grpc

from tests.integration.service_builders import catalog
from tests.integration.test_serving import serving_process
from tests.running import running_maywe

pytestmark = [pytest.mark.integration, pytest.mark.slow]

CHUNKS_UNDER_WAY = 4
IDS_PER_CHUNK = 10_000
CHUNKS_BEFORE, CHUNKS_LONG = 10, 60
GROWTH_BYTES_MAX = 20 * 1024 * 1024
"""The ids of the long audience alone are more than that."""


def resident_bytes(process_id: int) -> int:
    """What a process has in memory."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def stream(address: str, chunks: int) -> int:
    """Filter an audience of so many chunks of other ids each, and tell how many were answered."""
    under_way = Semaphore(CHUNKS_UNDER_WAY)

    def requests() -> Iterator[decision_pb2.FilterAudienceRequest]:
        question = {"contact": {"purpose": "advertising", "channel": "phone"}}
        yield decision_pb2.FilterAudienceRequest(question=question)
        for number in range(chunks):
            under_way.acquire()
            first = number * IDS_PER_CHUNK
            ids = [f"customer-{one:027}" for one in range(first, first + IDS_PER_CHUNK)]
            yield decision_pb2.FilterAudienceRequest(chunk={"customer_ids": ids})

    with grpc.insecure_channel(address) as channel:
        answers = decision_pb2_grpc.DecisionServiceStub(channel).FilterAudience(requests())
        count = 0
        for answer in answers:
            count += len(answer.verdicts.reasons)
            under_way.release()
    return count


def test_a_long_audience_takes_no_more_memory_than_a_short_one(
    database_url: str, redis_url: str, redis_namespace: str
) -> None:
    """What was answered is let go."""
    with running_maywe(database_url, redis_url, redis_namespace) as maywe:
        maywe.publish(catalog())
        maywe.wait_until_projected()
    stores = (
        f"--postgres-url={database_url}",
        f"--redis-url={redis_url}",
        f"--redis-namespace={redis_namespace}",
    )
    with serving_process("decision", *stores) as (process, address):
        assert stream(address, CHUNKS_BEFORE) == CHUNKS_BEFORE * IDS_PER_CHUNK
        before = resident_bytes(process.pid)
        assert stream(address, CHUNKS_LONG) == CHUNKS_LONG * IDS_PER_CHUNK
        assert resident_bytes(process.pid) - before < GROWTH_BYTES_MAX
