"""What a check costs whose answer is journalled, against one whose answer is not.

What lives here: `python -m loadtests.journal`. Two decision servers on the same core, of which one
journals every answer, are loaded in turn. What counts is their processor time, that of making and
sending rows included; PostgreSQL writes on the cores of clients, which throughput tells of.
"""

from contextlib import ExitStack
from typing import Final

from sqlalchemy import func, select

from loadtests.bench import Bench, Measured, run_alone
from loadtests.check import Asked, Loads, written_questions
from loadtests.cores import SERVER_CORES
from loadtests.figures import Pair, ratios
from loadtests.installation import BenchError
from store.database import reading
from store.schema import decision_journal

MODES: Final = ("all", "off")

PAIRS_FACTOR: Final = 3
"""So many times the pairs of other parts: they differ by more than what is to be seen."""


def measure(bench: Bench) -> Measured:
    """Measure checks with a journal and without in turn."""
    filled = bench.filled(bench.sizes.customers)
    questions = written_questions(filled)
    loads = Loads(bench.sizes)
    with ExitStack() as stack:
        journalling, plain = (
            Asked(server, questions)
            for mode in MODES
            for server in stack.enter_context(
                filled.installation.serving(
                    "decision", cores=SERVER_CORES, settings={"MAYWE_JOURNAL": mode}
                )
            )
        )
        bench.say("checks that are journalled, and checks that are not")
        turns = range(PAIRS_FACTOR * bench.sizes.pairs)
        pairs = [Pair(*loads.peaks(journalling, plain)) for _ in turns]
    # The servers have ended: what they answered is written.
    with reading(filled.installation.engine) as connection:
        written = connection.scalar(select(func.count()).select_from(decision_journal)) or 0
    answered = sum(pair.first.calls for pair in pairs)
    if written < answered:
        message = f"{answered} answers were to be journalled, and {written} are"
        raise BenchError(message)
    cpu = ratios(pairs, lambda result: result.server_cpu_microseconds)
    throughput = ratios(pairs, lambda result: result.calls_per_second)
    return Measured(
        {"check_cpu_journalled_vs_not": cpu.median},
        {
            "check_cpu_journalled_vs_not": cpu.described(),
            "check_journalled_vs_not": throughput.described(),
            "server_cpu_microseconds_per_call": [
                [round(result.server_cpu_microseconds, 1) for result in pair] for pair in pairs
            ],
        },
    )


if __name__ == "__main__":
    run_alone("journal")
