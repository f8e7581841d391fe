"""Whether a second process on the same port adds throughput.

What lives here: `python -m loadtests.processes`. A decision server of one process and one of two
are loaded in turn. Everything has all cores, so of two of them the load and Redis take their share.
"""

import statistics
from typing import Final

from loadtests.bench import Bench, Measured, run_alone
from loadtests.check import Asked, Loads, written_questions
from loadtests.cores import ALL_CORES, on_cores
from loadtests.figures import in_turn, ratios, rounded
from loadtests.generator import Result

CALLS_UNDER_WAY: Final = 48
"""Fewer than one process takes at once: a call counts there until after its answer was sent."""

CONNECTIONS: Final = 32
"""The kernel gives each connection to one of the processes; few would be given unevenly."""


def measure(bench: Bench) -> Measured:
    """Measure two processes and one in turn."""
    filled = bench.filled(bench.sizes.customers)
    questions = written_questions(filled)
    loads = Loads(bench.sizes)

    def peak(processes: int) -> Result:
        settings = {"MAYWE_PROCESSES": str(processes)}
        with filled.installation.serving("decision", settings=settings) as [server]:
            [result] = loads.peaks(
                Asked(server, questions),
                cores=ALL_CORES,
                calls_under_way=CALLS_UNDER_WAY,
                connections=CONNECTIONS,
            )
        return result

    bench.say("two decision processes on a port, and one")
    with on_cores(ALL_CORES):
        pairs = in_turn(lambda: peak(2), lambda: peak(1), bench.sizes.pairs)
    compared = ratios(pairs, lambda result: result.calls_per_second)
    return Measured(
        {"check_two_processes_vs_one": compared.median},
        {
            "check_two_processes_vs_one": compared.described(),
            "calls_per_second": {
                name: rounded(statistics.median(result.calls_per_second for result in results))
                for name, results in zip(("two", "one"), zip(*pairs, strict=True), strict=True)
            },
        },
    )


if __name__ == "__main__":
    run_alone("processes")
