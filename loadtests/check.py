"""Single checks against an empty call: throughput, processor time, latency.

What lives here: `python -m loadtests.check`. The decision server and the echo server have the same
core, one after the other under load; clients and stores have the other cores. Customers are drawn
at random. h2load, where there is one, measures the same as a second opinion, though of one
customer, for it knows one body only.
"""

import statistics
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Final

from loadtests import load
from loadtests.bench import Bench, Filled, Measured, Sizes, run_alone
from loadtests.cores import OTHER_CORES, SERVER_CORES
from loadtests.figures import Pair, in_turn, ratios, rounded, undisturbed
from loadtests.generator import ANSWER_SECONDS_MAX, Job, Result, Target, write_messages
from loadtests.h2load import find_h2load, h2load_calls_per_second
from loadtests.installation import BenchError, Installation, Server

LATENCY_LOAD: Final = 0.4
"""The share of its own peak at which a server's 99th percentile is compared."""

LOADS_SHOWN: Final = (0.2, 0.4, 0.6, 0.8)
"""At these shares of its own peak a server's percentiles are shown, once."""

TIME_SHOWN: Final = 0.5
"""What is only shown is measured for this share of the time."""

LATENCY_SLICE_SECONDS: Final = 0.2
"""Targets take turns as often where latencies count. The host keeps the cores from this machine a
few times a second: in slices as short there are some in which it does not."""

ANSWERS_SAMPLED: Final = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """A server, and the file with the questions that it is asked: one about each customer."""

    server: Server
    messages_path: Path

    def target(self, rate: float = 0.0) -> Target:
        """Give it as a target, without a rate for its peak."""
        server = self.server
        path = str(self.messages_path)
        return Target(server.address, load.CHECK_PATH, path, server.process_id, rate)


class Loads:
    """Loads servers with checks, as large and as often as the bench wants."""

    def __init__(self, sizes: Sizes) -> None:
        """Take the times from the sizes; every load draws other customers."""
        self._sizes = sizes
        self._seed = 0

    def peaks(
        self, *asked: Asked, cores: Collection[int] = OTHER_CORES, **others: int
    ) -> list[Result]:
        """Load servers in turn, each with as much as it takes."""
        job = self._job([each.target() for each in asked], self._sizes.peak_seconds, **others)
        return load.run(job, cores)

    def at_rates(self, *asked: tuple[Asked, float], share: float = 1.0) -> list[Result]:
        """Load servers in turn, each at a fixed rate, for a share of the time for latencies."""
        targets = [each.target(rate) for each, rate in asked]
        job = self._job(targets, share * self._sizes.latency_seconds)
        return load.run(replace(job, slice_seconds=LATENCY_SLICE_SECONDS))

    def _job(self, targets: Sequence[Target], seconds: float, **others: int) -> Job:
        self._seed += 1
        return Job(
            targets,
            seconds,
            self._sizes.warm_up_seconds,
            rounds_factor_max=self._sizes.rounds_factor_max,
            seed=self._seed,
            **others,
        )


def written_questions(filled: Filled) -> Path:
    """Write a check of every customer of an installation, and give the file."""
    path = filled.installation.directory / "checks.messages"
    if not path.exists():
        numbers = range(filled.customers)
        write_messages(path, [load.question(number).SerializeToString() for number in numbers])
    return path


def typical_answer(server: Server, customers: int) -> bytes:
    """Give an answer that is as long as those to a sample of checks in the mean."""
    numbers = Random(0).sample(range(customers), min(ANSWERS_SAMPLED, customers))
    answers = load.sampled_answers(server, numbers)
    mean = statistics.mean(map(len, answers))
    return min(answers, key=lambda answer: abs(len(answer) - mean))


def measure(bench: Bench) -> Measured:
    """Measure checks and empty calls in turn."""
    filled = bench.filled(bench.sizes.customers)
    installation = filled.installation
    questions = written_questions(filled)
    loads = Loads(bench.sizes)
    turns = range(bench.sizes.pairs)
    with ExitStack() as stack:
        [server] = stack.enter_context(installation.serving("decision", cores=SERVER_CORES))
        answer = typical_answer(server, filled.customers)
        command = load.echo_command(answer, installation.directory / "echo.answer")
        echo_server = stack.enter_context(installation.serving_with(command, SERVER_CORES))
        check, echo = Asked(server, questions), Asked(echo_server, questions)
        bench.say("checks and empty calls at their peaks")
        peaks = [Pair(*loads.peaks(check, echo)) for _ in turns]
        verdicts = load.check_sample(server, peaks[0].first, range(filled.customers))
        _verify_echo(peaks, answer)
        check_peak, echo_peak = (
            statistics.median(result.calls_per_second for result in results)
            for results in zip(*peaks, strict=True)
        )

        def pair_at(check_rate: float, echo_rate: float, share: float = TIME_SHOWN) -> Pair:
            return Pair(*loads.at_rates((check, check_rate), (echo, echo_rate), share=share))

        bench.say("checks and empty calls at fixed rates")
        rate = LATENCY_LOAD * check_peak
        latencies, disturbed = undisturbed(
            lambda: pair_at(rate, LATENCY_LOAD * echo_peak, 1.0), is_disturbed, bench.sizes.pairs
        )
        by_load = {share: pair_at(share * check_peak, share * echo_peak) for share in LOADS_SHOWN}
        # As strict as can be: the empty call at the rate of the check, where it waits for less.
        at_one_rate = pair_at(rate, rate)
        second_opinion = _second_opinion(bench, installation, server, echo_server)
    throughput = ratios(peaks, lambda result: result.calls_per_second)
    cpu = ratios(peaks, lambda result: result.server_cpu_microseconds)
    p99 = ratios(latencies, p99_milliseconds)
    figures = {"check_vs_echo": throughput.median, "check_cpu_vs_echo": cpu.median}
    if enough(latencies, bench.sizes):
        figures["check_p99_vs_echo"] = p99.median
    return Measured(
        figures,
        {
            "check_vs_echo": throughput.described(),
            "check_cpu_vs_echo": cpu.described(),
            "check_p99_vs_echo": p99.described() if latencies else None,
            "check_p99_pairs_disturbed": disturbed,
            "check_p99_rounds_set_aside": [pair.first.rounds_set_aside for pair in latencies],
            "check_p99_vs_echo_of_all_rounds": p99_of_all_rounds(latencies),
            "check_p99_vs_echo_at_one_rate": rounded(
                p99_milliseconds(at_one_rate.first) / p99_milliseconds(at_one_rate.second)
            ),
            "check_vs_echo_by_h2load": second_opinion,
            "verdicts_in_sample": verdicts,
            "answer_bytes": len(answer),
            "peaks": {
                name: [_described(result) for result in results]
                for name, results in zip(("check", "echo"), zip(*peaks, strict=True), strict=True)
            },
            "latency_by_load": _latency_table(by_load),
        },
    )


def p99_milliseconds(result: Result) -> float:
    """Give the 99th percentile of the latencies."""
    return result.milliseconds["p99"]


def p99_of_all_rounds(pairs: Sequence[Pair]) -> Mapping[str, Any] | None:
    """Give the ratios as they would be if no round had been set aside; None without pairs."""
    return (
        ratios(pairs, lambda result: result.milliseconds_p99_of_all).described() if pairs else None
    )


def is_disturbed(pair: Pair) -> bool:
    """Tell whether what a latency is compared with was itself held up by something else.

    An empty call far below the peak is shed when the machine stood still for a while. A check that
    is shed beside empty calls that are not counts as what it is.
    """
    return p99_milliseconds(pair.second) >= ANSWER_SECONDS_MAX * 1000


def enough(pairs: Sequence[Pair], sizes: Sizes) -> bool:
    """Tell whether so many pairs say something that their median does too."""
    return 2 * len(pairs) > sizes.pairs


def _verify_echo(peaks: Sequence[Pair], answer: bytes) -> None:
    for pair in peaks:
        if any(bytes.fromhex(found) != answer for _, found in pair.second.kept):
            message = "the echo server did not give the answer that it was told to give"
            raise BenchError(message)


def _described(result: Result) -> dict[str, float]:
    return {
        "calls_per_second": rounded(result.calls_per_second),
        "server_cpu_microseconds_per_call": rounded(result.server_cpu_microseconds),
        "server_cores_used": rounded(result.server_cpu_seconds / result.seconds),
        "client_cpu_microseconds_per_call": rounded(result.client_cpu_seconds / result.calls * 1e6),
        "rounds_set_aside": result.rounds_set_aside,
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
        return h2load_calls_per_second(program, asked, body, path, bench.sizes.peak_seconds)

    pairs = in_turn(
        lambda: calls_per_second(server), lambda: calls_per_second(echo), bench.sizes.pairs
    )
    return ratios(pairs).described()


if __name__ == "__main__":
    run_alone("check")
