"""Single checks against an empty call: throughput, processor time, latency.

What lives here: `python -m loadtests.check`. The decision server and the echo server have the same
core, one after the other under load; clients and stores have the other cores. Customers are drawn
at random. h2load, where there is one, measures the same as a second opinion, though of one
customer, for it knows one body only.
"""

import statistics
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from random import Random
from typing import Any, Final

from loadtests import load
from loadtests.bench import Bench, Measured, run_alone
from loadtests.cores import OTHER_CORES, SERVER_CORES
from loadtests.figures import Pair, in_turn, ratios, rounded
from loadtests.generator import Job, Result, write_messages
from loadtests.h2load import find_h2load, h2load_calls_per_second
from loadtests.installation import BenchError, Installation, Server

CALLS_UNDER_WAY: Final = 32
"""At the peak. More only wait in the server; the most it takes is 64."""

CONNECTIONS: Final = 4

LATENCY_LOAD: Final = 0.4
"""The share of its own peak at which a server's 99th percentile is compared."""

FURTHER_LOADS: Final = (0.2, 0.6, 0.8)
"""At these the percentiles are shown, once."""

ANSWERS_SAMPLED: Final = 200


class Subjects:
    """The decision server and the echo server, and how each is loaded with the same questions."""

    def __init__(self, bench: Bench, installation: Installation, customers: int) -> None:
        """Write the questions, one for each customer."""
        self._sizes = bench.sizes
        self._installation = installation
        self._numbers = range(customers)
        self._path = installation.directory / "checks.messages"
        write_messages(
            self._path, [load.question(number).SerializeToString() for number in self._numbers]
        )
        self._seed = 0

    def peak(
        self,
        server: Server,
        calls_under_way: int = CALLS_UNDER_WAY,
        connections: int = CONNECTIONS,
        cores: Collection[int] = OTHER_CORES,
    ) -> Result:
        """Load a server with as much as it takes."""
        job = self._job(
            server,
            self._sizes.peak_seconds,
            calls_under_way=calls_under_way,
            connections=connections,
        )
        return load.run(job, cores)

    def at(self, server: Server, calls_per_second: float) -> Result:
        """Load a server with a fixed rate."""
        return load.run(self._job(server, self._sizes.latency_seconds, rate=calls_per_second))

    def _job(self, server: Server, seconds: float, **others: Any) -> Job:  # noqa: ANN401 - fields of Job
        self._seed += 1
        return Job(
            server.address,
            load.CHECK_PATH,
            str(self._path),
            server.process_id,
            seconds,
            self._sizes.warm_up_seconds,
            seed=self._seed,
            **others,
        )

    def verify(self, server: Server, result: Result) -> Mapping[str, int]:
        """Compare a sample of answers with those to an ordinary client."""
        return load.check_sample(server, result, self._numbers)

    def typical_answer(self, server: Server) -> bytes:
        """Give an answer that is as long as the mean of a sample."""
        numbers = Random(0).sample(self._numbers, min(ANSWERS_SAMPLED, len(self._numbers)))
        answers = load.sampled_answers(server, numbers)
        mean = statistics.mean(map(len, answers))
        return min(answers, key=lambda answer: abs(len(answer) - mean))


def measure(bench: Bench) -> Measured:
    """Measure checks and empty calls in turn."""
    filled = bench.filled(bench.sizes.customers)
    installation = filled.installation
    subjects = Subjects(bench, installation, filled.customers)
    with ExitStack() as stack:
        [server] = stack.enter_context(installation.serving("decision", cores=SERVER_CORES))
        answer = subjects.typical_answer(server)
        command = load.echo_command(answer, installation.directory / "echo.answer")
        echo = stack.enter_context(installation.serving_with(command, SERVER_CORES))
        pairs = bench.sizes.pairs
        bench.say("checks and empty calls at their peaks")
        peaks = in_turn(lambda: subjects.peak(server), lambda: subjects.peak(echo), pairs)
        verdicts = subjects.verify(server, peaks[0].first)
        _verify_echo(peaks, answer)
        check_peak, echo_peak = (
            statistics.median(result.calls_per_second for result in results)
            for results in zip(*peaks, strict=True)
        )
        bench.say("checks and empty calls at fixed rates")
        latencies = in_turn(
            lambda: subjects.at(server, LATENCY_LOAD * check_peak),
            lambda: subjects.at(echo, LATENCY_LOAD * echo_peak),
            pairs,
        )
        by_load = {
            share: Pair(
                subjects.at(server, share * check_peak), subjects.at(echo, share * echo_peak)
            )
            for share in FURTHER_LOADS
        }
        # As strict as can be: the empty call at the rate of the check, where it waits for less.
        at_one_rate = Pair(latencies[-1].first, subjects.at(echo, LATENCY_LOAD * check_peak))
        second_opinion = _second_opinion(bench, installation, server, echo)
    throughput = ratios(peaks, lambda result: result.calls_per_second)
    cpu = ratios(peaks, lambda result: result.server_cpu_microseconds)
    p99 = ratios(latencies, _p99)
    return Measured(
        {
            "check_vs_echo": throughput.median,
            "check_cpu_vs_echo": cpu.median,
            "check_p99_vs_echo": p99.median,
        },
        {
            "check_vs_echo": throughput.described(),
            "check_cpu_vs_echo": cpu.described(),
            "check_p99_vs_echo": p99.described(),
            "check_p99_vs_echo_at_one_rate": rounded(
                _p99(at_one_rate.first) / _p99(at_one_rate.second)
            ),
            "check_vs_echo_by_h2load": second_opinion,
            "verdicts_in_sample": verdicts,
            "answer_bytes": len(answer),
            "peaks": {
                name: [_described(result) for result in results]
                for name, results in zip(("check", "echo"), zip(*peaks, strict=True), strict=True)
            },
            "latency_by_load": _latency_table({LATENCY_LOAD: latencies[-1]} | by_load),
        },
    )


def _p99(result: Result) -> float:
    return result.milliseconds["p99"]


def _verify_echo(peaks: Sequence[Pair], answer: bytes) -> None:
    for pair in peaks:
        if any(bytes.fromhex(found) != answer for _, found in pair.second.kept):
            message = "the echo server did not give the answer that it was told to give"
            raise BenchError(message)


def _described(result: Result) -> dict[str, float]:
    return {
        "calls_per_second": rounded(result.calls_per_second),
        "server_cpu_microseconds_per_call": rounded(result.server_cpu_microseconds),
        "client_cpu_microseconds_per_call": rounded(result.client_cpu_seconds / result.calls * 1e6),
    }


def _latency_table(by_load: Mapping[float, Pair]) -> list[dict[str, Any]]:
    return [
        {
            "load": share,
            "what": name,
            "calls_per_second": rounded(result.calls_per_second),
            "statuses": result.statuses,
            "milliseconds": {key: rounded(value) for key, value in result.milliseconds.items()},
            "client_late_milliseconds_p99": rounded(result.late_milliseconds_p99),
            "server_cpu_microseconds_per_call": rounded(result.server_cpu_microseconds),
        }
        for share, pair in sorted(by_load.items())
        for name, result in zip(("check", "echo"), pair, strict=True)
    ]


def _second_opinion(
    bench: Bench, installation: Installation, server: Server, echo: Server
) -> dict[str, Any] | None:
    """Measure the throughput with h2load too; None where there is none."""
    program = find_h2load()
    if program is None:
        return None
    bench.say("the same with h2load")
    path = installation.directory / "h2load.body"
    body = load.question(0).SerializeToString()

    def calls_per_second(asked: Server) -> float:
        return h2load_calls_per_second(
            program, asked, body, path, CALLS_UNDER_WAY, bench.sizes.peak_seconds
        )

    pairs = in_turn(
        lambda: calls_per_second(server), lambda: calls_per_second(echo), bench.sizes.pairs
    )
    return ratios(pairs).described()


if __name__ == "__main__":
    run_alone("check")
