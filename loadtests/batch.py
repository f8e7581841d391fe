"""Decisions by batches against decisions by single checks.

What lives here: `python -m loadtests.batch`. The server has a core of its own, and both ask it the
same questions.
"""

import statistics
import time
from collections.abc import Sequence
from itertools import cycle
from random import Random
from typing import Any, Final, NamedTuple

import grpc
from maywe.v1 import decision_pb2

from loadtests.bench import Bench, Measured, run_alone
from loadtests.check import Asked, Loads, written_questions
from loadtests.cores import SERVER_CORES, cpu_seconds
from loadtests.figures import in_turn, ratios, rounded
from loadtests.installation import BenchError, Server
from loadtests.load import CALL_SECONDS_MAX, question

PATH: Final = "/maywe.v1.DecisionService/BatchCheck"
CHECKS_PER_BATCH: Final = 500
BATCHES_UNDER_WAY: Final = 4


class Decided(NamedTuple):
    """How many decisions came in what time, and what that took of the server."""

    decisions: int
    seconds: float
    server_cpu_seconds: float

    @property
    def per_second(self) -> float:
        """The throughput."""
        return self.decisions / self.seconds


def prepared_batches(customers: int) -> list[bytes]:
    """Give batches that ask about every customer once, in random order."""
    numbers = list(range(customers))
    Random(0).shuffle(numbers)
    return [
        decision_pb2.BatchCheckRequest(
            checks=[
                decision_pb2.BatchCheckItem(contact=question(number))
                for number in numbers[start : start + CHECKS_PER_BATCH]
            ]
        ).SerializeToString()
        for start in range(0, customers, CHECKS_PER_BATCH)
    ]


def ask_in_batches(server: Server, batches: Sequence[bytes], seconds: float) -> Decided:
    """Keep some batches under way for so long. Raises BenchError when one is not answered whole."""
    with grpc.insecure_channel(server.address) as channel:
        call: Any = channel.unary_unary(PATH)
        turn = cycle(batches)
        cpu_before = cpu_seconds(server.process_id)
        began_at = time.perf_counter()
        waiting = [call.future(next(turn), CALL_SECONDS_MAX) for _ in range(BATCHES_UNDER_WAY)]
        answers = []
        while time.perf_counter() - began_at < seconds:
            answers.append(waiting.pop(0).result())
            waiting.append(call.future(next(turn), CALL_SECONDS_MAX))
        answers += [future.result() for future in waiting]
        taken = time.perf_counter() - began_at
        cpu = cpu_seconds(server.process_id) - cpu_before
    return Decided(_decisions(answers), taken, cpu)


def _decisions(answers: Sequence[bytes]) -> int:
    decisions = 0
    for answer in answers:
        results = decision_pb2.BatchCheckResponse.FromString(answer).results
        if any(result.WhichOneof("result") != "contact" for result in results):
            message = "a batch was not answered whole"
            raise BenchError(message)
        decisions += len(results)
    return decisions


def measure(bench: Bench) -> Measured:
    """Measure batches and single checks in turn."""
    filled = bench.filled(bench.sizes.customers)
    installation, sizes = filled.installation, bench.sizes
    batches = prepared_batches(filled.customers)
    questions = written_questions(filled)
    loads = Loads(sizes)
    with installation.serving("decision", cores=SERVER_CORES) as [server]:
        bench.say("batches and single checks")
        ask_in_batches(server, batches, sizes.warm_up_seconds)

        def decided_singly() -> Decided:
            [result] = loads.peaks(Asked(server, questions))
            return Decided(result.calls, result.seconds, result.server_cpu_seconds)

        pairs = in_turn(
            lambda: ask_in_batches(server, batches, sizes.peak_seconds),
            decided_singly,
            sizes.pairs,
        )
    compared = ratios(pairs, lambda decided: decided.per_second)
    return Measured(
        {"batch_vs_single": compared.median},
        {
            "batch_vs_single": compared.described(),
            "decisions_per_second": {
                "batch": rounded(statistics.median(pair.first.per_second for pair in pairs)),
                "single": rounded(statistics.median(pair.second.per_second for pair in pairs)),
            },
            "server_cpu_microseconds_per_decision": rounded(
                statistics.median(
                    pair.first.server_cpu_seconds / pair.first.decisions * 1e6 for pair in pairs
                )
            ),
        },
    )


if __name__ == "__main__":
    run_alone("batch")
