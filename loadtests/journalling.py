"""What journalling costs: the processor time of checks with all of them journalled, and with none.

What lives here: `python -m loadtests.journalling`. A decision server without a port lives in this
process, on private embedded stores, and is asked the same questions with a journal and without one,
slice by slice in turn. The journal is written by the thread that asks, whenever as much waits as a
server under full load writes at once, so that what is counted is the processor time of one thread,
whatever else goes on. PostgreSQL's own work is not in it, nor is gRPC's.
"""

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from maywe.v1 import decision_pb2
from sqlalchemy import text

from loadtests.filling import fill
from loadtests.installation import Installation, installed
from loadtests.load import question
from service.application import Application, Role
from service.composition import open_application
from service.journalling import WAKING_COUNT, Journal, JournalMode
from service.servicers.decision import DecisionServicer
from service.settings import read_settings
from store.database import reading

RESULTS: Final = Path(__file__).parent / "results" / "journalling.json"
BATCH_SIZE: Final = 500

CHECKS_PER_WRITE: Final = WAKING_COUNT
"""What waits at once where a core answers 5000 checks in a second."""

MICROSECONDS_PER_SECOND: Final = 1_000_000


def ask_singly(servicer: DecisionServicer, numbers: Sequence[int]) -> None:
    """Ask about customers one by one, and write each answer as it would travel."""
    context: Any = None
    for number in numbers:
        servicer.MayContact(question(number), context).SerializeToString()


def ask_in_batches(servicer: DecisionServicer, numbers: Sequence[int]) -> None:
    """Ask about customers in batches."""
    context: Any = None
    for first in range(0, len(numbers), BATCH_SIZE):
        checks = [
            decision_pb2.BatchCheckItem(contact=question(number))
            for number in numbers[first : first + BATCH_SIZE]
        ]
        request = decision_pb2.BatchCheckRequest(checks=checks)
        servicer.BatchCheck(request, context).SerializeToString()


def slice_microseconds(
    application: Application,
    ask: Callable[[DecisionServicer, Sequence[int]], None],
    numbers: Sequence[int],
    checks_per_write: int,
) -> float:
    """Give the processor time of one check, its part of the journal's included."""
    servicer = DecisionServicer(application)
    began_at = time.thread_time()
    for first in range(0, len(numbers), checks_per_write):
        ask(servicer, numbers[first : first + checks_per_write])
        if application.journal is not None:
            application.journal.write()
    return (time.thread_time() - began_at) * MICROSECONDS_PER_SECOND / len(numbers)


def measure(
    customers: int, slices: int, checks_per_slice: int, checks_per_write: int
) -> dict[str, Any]:
    """Give the medians of both kinds, and of the ratios of the slices that stood side by side."""
    results: dict[str, Any] = {
        "customers": customers,
        "checks_per_slice": checks_per_slice,
        "checks_per_write": checks_per_write,
    }
    with ExitStack() as stack:
        installation = stack.enter_context(installed())
        fill(installation, customers, has_permissions=False)
        # The cache is filled by the first questions.
        settings = read_settings({}, installation.environment)
        application = stack.enter_context(open_application(settings, frozenset({Role.DECISION})))
        # As a server does once it serves.
        gc.collect()
        gc.freeze()
        journal = Journal(application.engine, JournalMode.ALL, 1.0)
        servers = {"off": application, "all": replace(application, journal=journal)}
        numbers = [number % customers for number in range(checks_per_slice)]
        for name, ask in (("single", ask_singly), ("batch", ask_in_batches)):
            found: dict[str, list[float]] = {"off": [], "all": []}
            for number in range(slices + 1):
                order = ("off", "all") if number % 2 else ("all", "off")
                for mode in order:
                    found[mode].append(
                        slice_microseconds(servers[mode], ask, numbers, checks_per_write)
                    )
            # The first of each only warms up.
            ratios = [
                every / none for none, every in zip(found["off"][1:], found["all"][1:], strict=True)
            ]
            results[name] = {
                "off_microseconds": round(statistics.median(found["off"][1:]), 2),
                "all_microseconds": round(statistics.median(found["all"][1:]), 2),
                "ratio": round(statistics.median(ratios), 3),
                "ratio_quartiles": [round(ratio, 3) for ratio in statistics.quantiles(ratios)],
            }
        results["bytes_per_row"] = round(bytes_per_row(installation))
    return results


def bytes_per_row(installation: Installation) -> float:
    """Give how much room a row of the journal takes, its places in the indexes included."""
    with reading(installation.engine) as connection:
        return float(connection.execute(_BYTES_PER_ROW).scalar_one())


_BYTES_PER_ROW: Final = text(
    "SELECT sum(pg_total_relation_size(inhrelid))::float "
    "/ (SELECT count(*) FROM decision_journal) "
    "FROM pg_inherits WHERE inhparent = 'decision_journal'::regclass"
)


def main() -> int:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.journalling", description=__doc__)
    parser.add_argument("--customers", type=int, default=2_000)
    parser.add_argument("--slices", type=int, default=100)
    parser.add_argument("--checks-per-slice", type=int, default=CHECKS_PER_WRITE)
    parser.add_argument("--checks-per-write", type=int, default=CHECKS_PER_WRITE)
    options = parser.parse_args()
    results = measure(
        options.customers, options.slices, options.checks_per_slice, options.checks_per_write
    )
    print(json.dumps(results, indent=1))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
