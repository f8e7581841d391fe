"""Whether a check takes longer among a hundred times as many customers.

What lives here: `python -m loadtests.scale`. Two installations of their own, one with few and one
with many customers, each with a decision server on the same core, are asked in turn at one rate.
"""

import statistics
from contextlib import ExitStack
from typing import Final

from loadtests.bench import Bench, Measured, run_alone
from loadtests.check import (
    LATENCY_LOAD,
    Asked,
    Loads,
    enough,
    is_disturbed,
    p99_milliseconds,
    p99_of_all_rounds,
    written_questions,
)
from loadtests.cores import SERVER_CORES
from loadtests.figures import Pair, ratios, rounded, undisturbed
from loadtests.generator import Result
from loadtests.installation import BenchError
from loadtests.load import check_sample

SHOWN: Final = ("p50", "p99", "p99_9")


def measure(bench: Bench) -> Measured:
    """Measure checks among many and among few in turn."""
    few = bench.filled(bench.sizes.few_customers)
    many = bench.filled(bench.sizes.many_customers, has_permissions=False)
    loads = Loads(bench.sizes)
    with ExitStack() as stack:
        of_many, of_few = (
            Asked(server, written_questions(filled))
            for filled in (many, few)
            for server in stack.enter_context(
                filled.installation.serving("decision", cores=SERVER_CORES)
            )
        )
        bench.say(f"checks among {many.customers:,} and among {few.customers:,} customers")
        peaks = loads.peaks(of_many, of_few)
        check_sample(of_many.server, peaks[0], range(many.customers))
        rate = LATENCY_LOAD * peaks[1].calls_per_second
        pairs, disturbed = undisturbed(
            lambda: Pair(*loads.at_rates((of_many, rate), (of_few, rate))),
            is_disturbed,
            bench.sizes.pairs,
        )
    if not enough(pairs, bench.sizes):
        message = f"the machine stood still too often: {disturbed} pairs were disturbed"
        raise BenchError(message)
    compared = ratios(pairs, p99_milliseconds)
    cpu = ratios(pairs, lambda result: result.server_cpu_microseconds)
    return Measured(
        {"scale_p99": compared.median},
        {
            "scale_p99": compared.described(),
            "pairs_disturbed": disturbed,
            "rounds_set_aside": [pair.first.rounds_set_aside for pair in pairs],
            "scale_p99_of_all_rounds": p99_of_all_rounds(pairs),
            "scale_cpu": cpu.described(),
            "calls_per_second": rounded(rate),
            "milliseconds": {
                "many": _percentiles([pair.first for pair in pairs]),
                "few": _percentiles([pair.second for pair in pairs]),
            },
        },
    )


def _percentiles(results: list[Result]) -> dict[str, float]:
    return {
        name: rounded(statistics.median(result.milliseconds[name] for result in results))
        for name in SHOWN
    }


if __name__ == "__main__":
    run_alone("scale")
