"""A campaign engine: filters an audience of any size, and goes on where it was interrupted.

Reads customer ids from the file AUDIENCE, one a line, and appends a line for each to the file
VERDICTS, in the same order: the customer, ALLOW, DENY or UNDETERMINED, and why, with tabs between.
Started again with the same files it goes on after the last line. Ends with status 1 when there are
answers missing, and with 2 when something has to be changed before anything can be asked. A verdict
is of the instant at which it came: send soon, or ask again by BatchCheck before you do.

    python campaign.py --address dns:///maywe-decision:7443 --ca-file ca.pem --token-file token \
        --purpose advertising --channel sms audience verdicts
"""

import argparse
import itertools
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

import grpc
from connection import add_arguments, open_channel
from failure import WAIT_SECONDS, Do, failure_of
from maywe.v1.common_pb2 import VERDICT_UNDETERMINED, ContactQuestion, Reason, Verdict
from maywe.v1.decision_pb2 import (
    AudienceChunk,
    AudienceQuestion,
    BatchCheckItem,
    BatchCheckRequest,
    FilterAudienceRequest,
    MayContactRequest,
)
from maywe.v1.decision_pb2_grpc import DecisionServiceStub

CHUNKS_UNDER_WAY_MAX = 4
"""Sent and not answered: this keeps memory small, here and there, however slow either side is."""

FAILURES_MAX = 30
"""In a row, without an answer in between."""

UNDETERMINED_ASKED_MAX = 10
"""How often a customer is asked about of whom the servers can not know."""

CHECKS_PER_BATCH_MAX = 1000
BATCH_SECONDS = 10.0

Answer = tuple[str, Verdict, Reason]
Item = TypeVar("Item")


def main() -> int:
    """Ask about the rest of the audience, by as many streams as it takes."""
    parser = argparse.ArgumentParser(description="Filter an audience.")
    add_arguments(parser)
    parser.add_argument("--purpose", required=True)
    parser.add_argument("--channel", required=True)
    parser.add_argument("--chunk-size", type=int, default=1000, help="at most 10000")
    parser.add_argument("--stream-seconds", type=float, default=60.0)
    parser.add_argument("audience", type=Path)
    parser.add_argument("verdicts", type=Path)
    arguments = parser.parse_args()
    failures = undetermined = 0
    done = count_whole_lines(arguments.verdicts)
    with (
        open_channel(arguments) as channel,
        arguments.audience.open() as audience,
        arguments.verdicts.open("a") as verdicts,
    ):
        left = (line.strip() for line in itertools.islice(audience, done, None))
        campaign = Campaign(channel, arguments, in_parts(left, arguments.chunk_size))
        while not campaign.is_done:
            try:
                for answers in campaign.answers():
                    failures = 0
                    undetermined += sum(one[1] == VERDICT_UNDETERMINED for one in answers)
                    verdicts.writelines(map(line_of, answers))
                    verdicts.flush()
            except grpc.RpcError as error:
                failures += 1
                failure = failure_of(error)
                if failure.do is not Do.LATER:
                    print("STOP", failure.status, failure.reason, failure.message, file=sys.stderr)
                    return 2
                if failures == FAILURES_MAX:
                    print("GIVEN UP", failure.status, failure.reason, file=sys.stderr)
                    return 1
                time.sleep(failure.wait_seconds)
    return 1 if undetermined else 0


class Campaign:
    """One question about an audience."""

    def __init__(
        self, channel: grpc.Channel, arguments: argparse.Namespace, chunks: Iterator[list[str]]
    ) -> None:
        """Begin with `chunks` of customer ids."""
        self.is_done = False
        self._stub = DecisionServiceStub(channel)
        self._question = ContactQuestion(purpose=arguments.purpose, channel=arguments.channel)
        self._seconds = arguments.stream_seconds
        self._chunks = chunks
        self._waiting: deque[list[str]] = deque()
        """Chunks that were read and are not answered: another stream begins with them."""

    def answers(self) -> Iterator[list[Answer]]:
        """Ask by one stream, and give the answers to each chunk. Raises grpc.RpcError.

        A stream stays with the server that it began with. It has a deadline, so that nothing waits
        for ever, and so that servers which came later get their part.
        """
        requests: SimpleQueue[FilterAudienceRequest | None] = SimpleQueue()
        requests.put(FilterAudienceRequest(question=AudienceQuestion(contact=self._question)))
        for chunk in self._waiting:
            requests.put(FilterAudienceRequest(chunk=AudienceChunk(customer_ids=chunk)))
        self._send_more(requests)
        stream = self._stub.FilterAudience(iter(requests.get, None), timeout=self._seconds)
        try:
            for response in stream:
                if response.HasField("end"):
                    self.is_done = True
                    return
                found = response.verdicts
                answers = zip(self._waiting[0], found.verdicts, found.reasons, strict=True)
                settled = self._settled(list(answers))
                self._waiting.popleft()
                self._send_more(requests)
                yield settled
        finally:
            stream.cancel()
            requests.put(None)

    def _send_more(self, requests: "SimpleQueue[FilterAudienceRequest | None]") -> None:
        """Send chunks while not too many are under way; after the last one half-close."""
        while len(self._waiting) < CHUNKS_UNDER_WAY_MAX:
            chunk = next(self._chunks, None)
            if chunk is None:
                requests.put(None)
                return
            self._waiting.append(chunk)
            requests.put(FilterAudienceRequest(chunk=AudienceChunk(customer_ids=chunk)))

    def _settled(self, answers: list[Answer]) -> list[Answer]:
        """Ask again, a few times, about those of whom a server could not know."""
        for _ in range(UNDETERMINED_ASKED_MAX):
            places = [place for place, one in enumerate(answers) if one[1] == VERDICT_UNDETERMINED]
            if not places:
                break
            time.sleep(WAIT_SECONDS)
            for some in in_parts(iter(places), CHECKS_PER_BATCH_MAX):
                for place, answer in zip(some, self._batch(answers, some), strict=True):
                    answers[place] = answer
        return answers

    def _batch(self, answers: list[Answer], places: list[int]) -> list[Answer]:
        """Ask about some customers at once."""
        asked = [
            MayContactRequest(
                customer_id=answers[place][0],
                purpose=self._question.purpose,
                channel=self._question.channel,
            )
            for place in places
        ]
        request = BatchCheckRequest(checks=(BatchCheckItem(contact=one) for one in asked))
        results = self._stub.BatchCheck(request, timeout=BATCH_SECONDS).results
        # What a chunk took has no fault; elsewhere look whether a result is an `error`.
        return [
            (one.customer_id, result.contact.verdict, result.contact.reason)
            for one, result in zip(asked, results, strict=True)
        ]


def in_parts(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    """Part items into lists of at most `size`."""
    while part := list(itertools.islice(items, size)):
        yield part


def line_of(answer: Answer) -> str:
    """Write one answer."""
    customer_id, verdict, reason = answer
    verdict_name = Verdict.Name(verdict).removeprefix("VERDICT_")
    return f"{customer_id}\t{verdict_name}\t{Reason.Name(reason).removeprefix('REASON_')}\n"


def count_whole_lines(path: Path) -> int:
    """Count the lines of a file that may not be there, and cut off one that was not finished."""
    count = end = 0
    with path.open("ab+") as file:
        file.seek(0)
        for line in file:
            if line.endswith(b"\n"):
                count, end = count + 1, end + len(line)
        file.truncate(end)
    return count


if __name__ == "__main__":
    sys.exit(main())
