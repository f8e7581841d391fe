"""Loading a server with unary calls, and making sure that it answers rightly.

What lives here: starting the generator on the cores of clients, and comparing a sample of the
answers with those to an ordinary client of gRPC.
"""

import json
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import grpc
from maywe.v1 import common_pb2, decision_pb2, decision_pb2_grpc

from loadtests.cores import OTHER_CORES, on_cores
from loadtests.generator import OK, Job, Result
from loadtests.installation import BenchError, Server
from loadtests.population import customer_id

CHECK_PATH: Final = "/maywe.v1.DecisionService/MayContact"
GENERATOR_SECONDS_MAX: Final = 120.0
"""Beyond what the job asks for."""

SAMPLE_MAX: Final = 300
CALL_SECONDS_MAX: Final = 10.0


def question(number: int) -> decision_pb2.MayContactRequest:
    """Give the check of a customer that measurements ask."""
    return decision_pb2.MayContactRequest(
        customer_id=customer_id(number), channel="sms", purpose="advertising"
    )


def run(job: Job, cores: Collection[int] = OTHER_CORES) -> list[Result]:
    """Do a job in a process of its own, and give the results of its targets.

    Raises BenchError unless every status is OK; at a fixed rate, where calls may be shed, any other
    counts as a very long latency instead.
    """
    with on_cores(cores):
        completed = subprocess.run(
            [sys.executable, "-m", "loadtests.generator"],
            input=json.dumps(asdict(job)),
            capture_output=True,
            text=True,
            timeout=job.rounds_factor_max * len(job.targets) * (job.warm_up_seconds + job.seconds)
            + GENERATOR_SECONDS_MAX,
            check=False,
        )
    if completed.returncode:
        message = f"the load generator failed: {completed.stderr.strip()}"
        raise BenchError(message)
    results = [Result(**result) for result in json.loads(completed.stdout)]
    for target, result in zip(job.targets, results, strict=True):
        if set(result.statuses_of_all) != {OK} and not target.rate:
            message = f"not every call was answered with OK: {result.statuses_of_all}"
            raise BenchError(message)
    return results


def check_sample(server: Server, result: Result, numbers: Sequence[int]) -> Mapping[str, int]:
    """Ask again what was kept of a load, with an ordinary client, and compare the answers.

    `numbers` are the customers in the order of the job's messages. Gives the verdicts seen. Raises
    BenchError when an answer differs in anything but its instant and its id.
    """
    verdicts: dict[str, int] = {}
    with grpc.insecure_channel(server.address) as channel:
        stub = decision_pb2_grpc.DecisionServiceStub(channel)
        for index, hexadecimal in result.kept[:SAMPLE_MAX]:
            found = decision_pb2.MayContactResponse.FromString(bytes.fromhex(hexadecimal))
            request = question(numbers[index])
            expected = stub.MayContact(request, timeout=CALL_SECONDS_MAX)
            for answer in (found, expected):
                answer.ClearField("decision_id")
                answer.ClearField("decided_at")
            if found != expected:
                message = f"two answers about {request.customer_id} differ: {found} and {expected}"
                raise BenchError(message)
            verdict = common_pb2.Verdict.Name(found.verdict)
            verdicts[verdict] = verdicts.get(verdict, 0) + 1
    if not verdicts:
        message = "no answer was kept, so none was compared"
        raise BenchError(message)
    return verdicts


def sampled_answers(server: Server, numbers: Sequence[int]) -> list[bytes]:
    """Give the answers to the checks of some customers, as bytes."""
    with grpc.insecure_channel(server.address) as channel:
        call: Any = channel.unary_unary(CHECK_PATH)
        return [
            call(question(number).SerializeToString(), timeout=CALL_SECONDS_MAX)
            for number in numbers
        ]


def echo_command(answer: bytes, path: Path) -> list[str]:
    """Give the command of the decision server that gives one answer to every check."""
    path.write_bytes(answer)
    return [sys.executable, "-m", "loadtests.echo_server", str(path), "serve", "decision"]
