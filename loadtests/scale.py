"""Whether a check takes longer among a hundred times as many customers.

What lives here: `python -m loadtests.scale`. Two installations of their own, one with few and one
with many customers, each with a decision server on the same core, are asked in turn at one rate.
"""

import statistics
from contextlib import ExitStack
from typing import Final

from loadtests.bench import Bench, Measured, run_alone
from loadtests.check import LATENCY_LOAD, Subjects
from loadtests.cores import SERVER_CORES
from loadtests.figures import in_turn, ratios, rounded
from loadtests.generator import Result

SHOWN: Final = ("p50", "p99", "p99_9")


def measure(bench: Bench) -> Measured:
    """Measure checks among many and among few in turn."""
    few = bench.filled(bench.sizes.few_customers)
    many = bench.filled(bench.sizes.many_customers, has_permissions=False)
    with ExitStack() as stack:
        [of_many, of_few] = (
            Subjects(bench, filled.installation, filled.customers) for filled in (many, few)
        )
        [server_of_many], [server_of_few] = (
            stack.enter_context(filled.installation.serving("decision", cores=SERVER_CORES))
            for filled in (many, few)
        )
        bench.say(f"checks among {many.customers:,} and among {few.customers:,} customers")
        of_many.verify(server_of_many, of_many.peak(server_of_many))
        rate = LATENCY_LOAD * of_few.peak(server_of_few).calls_per_second
        pairs = in_turn(
            lambda: of_many.at(server_of_many, rate),
            lambda: of_few.at(server_of_few, rate),
            bench.sizes.pairs,
        )
    compared = ratios(pairs, lambda result: result.milliseconds["p99"])
    cpu = ratios(pairs, lambda result: result.server_cpu_microseconds)
    return Measured(
        {"scale_p99": compared.median},
        {
            "scale_p99": compared.described(),
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
