"""Redis emptied under load: how checks fare, second by second.

What lives here: `python -m loadtests.cold_cache`. A decision server and a writer run as processes
of their own on private embedded servers; checks come at a fixed rate whatever the answers do (an
open loop, so that waiting is counted); in the middle FLUSHALL empties Redis. Shed checks are the
bound doing its work; any other failure makes the exit status non-zero.
"""

import argparse
import json
import random
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
import redis
from maywe.v1 import common_pb2, decision_pb2_grpc

from loadtests.filling import fill
from loadtests.installation import installed
from loadtests.load import question

RESULTS: Final = Path(__file__).parent / "results" / "cold_cache.json"
CALL_SECONDS_MAX: Final = 5.0
SETTLING_SECONDS: Final = 3
"""Left out at the beginning: connections are opened and code is loaded."""

FULL_SPEED_FACTOR: Final = 2.0
"""Full speed again: the 99th percentile of a second is within this factor of before."""


@dataclass(slots=True)
class Second:
    """What became of the checks that were due in one second."""

    sent: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """Give a percentile of the latencies, from when a check was due until its answer."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Load:
    """Checks at a fixed rate, each due at its own instant."""

    def __init__(self, stub: decision_pb2_grpc.DecisionServiceStub, customers: int) -> None:
        """Ask about so many customers at random."""
        self._stub = stub
        self._customers = customers
        self._random = random.Random(1)
        self._lock = threading.Lock()
        self._seconds: list[Second] = []

    def run(self, checks_per_second: int, seconds: int) -> Sequence[Second]:
        """Send checks for so long, and give what became of them once all are answered."""
        self._seconds = [Second() for _ in range(seconds)]
        pending = []
        began_at = time.monotonic()
        for number in range(checks_per_second * seconds):
            due_at = began_at + number / checks_per_second
            delay = due_at - time.monotonic()
            if delay > 0:
                time.sleep(delay)
            pending.append(self._send(self._seconds[number // checks_per_second], due_at))
        for call in pending:
            call.code()
        return self._seconds

    def _send(self, second: Second, due_at: float) -> Any:  # noqa: ANN401 - grpc's call is generic
        call = self._stub.MayContact.future(
            question(self._random.randrange(self._customers)),
            timeout=CALL_SECONDS_MAX,
        )
        second.sent += 1
        call.add_done_callback(lambda done: self._note(second, due_at, done))
        return call

    def _note(self, second: Second, due_at: float, call: Any) -> None:  # noqa: ANN401 - as above
        milliseconds = (time.monotonic() - due_at) * 1000
        status = call.code().name
        # Everybody bought something, so a customer who is not known is an answer that is not true.
        if call.code() is grpc.StatusCode.OK and (
            call.result().reason == common_pb2.REASON_UNKNOWN_CUSTOMER
        ):
            status = "WRONG_DENY"
        with self._lock:
            second.statuses[status] += 1
            second.milliseconds.append(milliseconds)


def measure(customers: int, checks_per_second: int, seconds: int) -> dict[str, Any]:
    """Empty Redis in the middle of a load, and give what became of the checks by second."""
    with ExitStack() as stack:
        installation = stack.enter_context(installed())
        fill(installation, customers, has_permissions=False)
        server, _ = stack.enter_context(installation.serving("decision", "writer"))
        client = stack.enter_context(redis.Redis.from_url(installation.redis_url))
        channel = stack.enter_context(grpc.insecure_channel(server.address))
        load = Load(decision_pb2_grpc.DecisionServiceStub(channel), customers)
        load.run(checks_per_second, SETTLING_SECONDS)
        emptied_after = seconds // 2
        timer = threading.Timer(emptied_after, client.flushall)
        timer.start()
        found = load.run(checks_per_second, seconds)
        timer.join()
    before = statistics.median(second.percentile(0.99) for second in found[:emptied_after])
    slow = [
        number
        for number, second in enumerate(found)
        if number >= emptied_after and second.percentile(0.99) > FULL_SPEED_FACTOR * before
    ]
    statuses = sum((second.statuses for second in found), Counter())
    return {
        "customers": customers,
        "checks_per_second": checks_per_second,
        "emptied_after_seconds": emptied_after,
        "p99_before_milliseconds": round(before, 2),
        "seconds_until_full_speed": (max(slow) + 1 - emptied_after) if slow else 0,
        "statuses": dict(statuses),
        "by_second": [
            {
                "sent": second.sent,
                "statuses": dict(second.statuses),
                "p50_milliseconds": round(second.percentile(0.5), 2),
                "p99_milliseconds": round(second.percentile(0.99), 2),
            }
            for second in found
        ],
    }


def main() -> int:
    """Measure, print a table, write the results, and judge them."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.cold_cache", description=__doc__)
    parser.add_argument("--customers", type=int, default=200_000)
    parser.add_argument("--checks-per-second", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=30)
    options = parser.parse_args()
    results = measure(options.customers, options.checks_per_second, options.seconds)
    for number, second in enumerate(results["by_second"]):
        mark = "  <- FLUSHALL" if number == results["emptied_after_seconds"] else ""
        print(
            f"{number:4} s  {second['sent']:6} sent  p50 {second['p50_milliseconds']:8.2f} ms"
            f"  p99 {second['p99_milliseconds']:8.2f} ms  {second['statuses']}{mark}"
        )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    failed = {
        status: count
        for status, count in results["statuses"].items()
        if status not in {"OK", "RESOURCE_EXHAUSTED"}
    }
    shed = results["statuses"].get("RESOURCE_EXHAUSTED", 0)
    print(
        f"full speed again after {results['seconds_until_full_speed']} s, {shed} shed, "
        f"{sum(failed.values())} failed"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
