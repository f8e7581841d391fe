"""Whether the events of a customer who has a thousand of them are felt.

What lives here: `python -m loadtests.long_history`. Checks about that customer and about one with
few events are compared by the processor time of the decision server, purchases of theirs and of
others by how long they take, one after the other.
"""

import statistics
from pathlib import Path
from random import Random
from typing import Final

import grpc
from maywe.v1 import writer_pb2_grpc

from loadtests import load
from loadtests.bench import Bench, Measured, run_alone
from loadtests.check import Asked, Loads
from loadtests.cores import SERVER_CORES
from loadtests.figures import Pair, ratios, rounded
from loadtests.generator import write_messages
from loadtests.installation import Installation
from loadtests.writing import record_purchase

PURCHASES: Final = 50
"""Of the customer with many events, and of as many others."""


def measure(bench: Bench) -> Measured:
    """Give one customer many events, and compare them with others."""
    filled = bench.written()
    installation = filled.installation
    many, few = filled.customers - 1, filled.customers - 2
    random = Random(0)
    events = bench.sizes.long_history_events
    with (
        installation.serving("writer", "decision") as [writer, _],
        grpc.insecure_channel(writer.address) as channel,
    ):
        bench.say(f"a customer with {events:,} events")
        stub = writer_pb2_grpc.WriterServiceStub(channel)
        for _ in range(events):
            record_purchase(stub, random, many)
        purchases = [
            Pair(
                record_purchase(stub, random, many),
                record_purchase(stub, random, turn % few),
            )
            for turn in range(PURCHASES)
        ]
        installation.wait_until_caught_up()
    loads = Loads(bench.sizes)
    with installation.serving("decision", cores=SERVER_CORES) as [server]:
        of_many, of_few = (Asked(server, _question(installation, one)) for one in (many, few))
        checks = [Pair(*loads.peaks(of_many, of_few)) for _ in range(bench.sizes.pairs)]
    cpu = ratios(checks, lambda result: result.server_cpu_microseconds)
    return Measured(
        {
            "check_cpu_many_events_vs_few": cpu.median,
            "write_many_events_vs_few": _median(purchases, 0) / _median(purchases, 1),
        },
        {
            "check_cpu_many_events_vs_few": cpu.described(),
            "events": events,
            "milliseconds_p50": {
                "many": rounded(_median(purchases, 0)),
                "few": rounded(_median(purchases, 1)),
            },
        },
    )


def _question(installation: Installation, number: int) -> Path:
    path = installation.directory / f"check-{number}.messages"
    write_messages(path, [load.question(number).SerializeToString()])
    return path


def _median(pairs: list[Pair], place: int) -> float:
    return float(statistics.median(pair[place] for pair in pairs))


if __name__ == "__main__":
    run_alone("long_history")
