"""Asking: every kind of check at one decision server, and what came back.

What lives here: the calls, without retries so that unavailability is seen, and the reduction of
their answers to what the judge looks at. Whom to ask about is the clients' affair.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from maywe.v1 import common_pb2, decision_pb2
from maywe.v1.decision_pb2_grpc import DecisionServiceStub

from tests.faults.campaign_catalog import CHANNELS, DATASETS, PURPOSE, contact, share
from tests.faults.history import Answer, Asked, History, now
from tests.faults.judging import DENY

CHECK_SECONDS_MAX: Final = 3.0
NO_END: Final = 0


class Asker:
    """Asks one decision server and notes what it says. Safe to be used by several threads."""

    def __init__(self, server: str, channel: grpc.Channel, history: History) -> None:
        """Ask through a channel, and note answers under the server's name."""
        self._server = server
        self._stub = DecisionServiceStub(channel)
        self._history = history

    def contact(
        self,
        customer_id: str,
        channel: str,
        token: tuple[str, str] = ("", ""),
        ahead_seconds: int = 0,
    ) -> None:
        """Ask MayContact; `token` is a token and the write it is of."""
        instant = _instant(ahead_seconds)
        request = _contact_request(customer_id, channel, token[0], instant)
        began_at = now()
        try:
            response = self._stub.MayContact(request, timeout=CHECK_SECONDS_MAX)
        except grpc.RpcError as error:
            self._note("MayContact", began_at, error.code().name)
            return
        answers = _contact_answers(customer_id, channel, response)
        self._note("MayContact", began_at, "", answers, instant, token[1])

    def share(self, customer_id: str, partner: str, token: tuple[str, str] = ("", "")) -> None:
        """Ask MayShare for every data set."""
        request = _share_request(customer_id, partner, token[0])
        began_at = now()
        try:
            response = self._stub.MayShare(request, timeout=CHECK_SECONDS_MAX)
        except grpc.RpcError as error:
            self._note("MayShare", began_at, error.code().name)
            return
        answers = _share_answers(customer_id, partner, response)
        self._note("MayShare", began_at, "", answers, None, token[1])

    def batch(self, customer_ids: Sequence[str], channel: str, partner: str) -> None:
        """Ask BatchCheck: of each customer both kinds of question."""
        request = decision_pb2.BatchCheckRequest()
        for customer_id in customer_ids:
            request.checks.add().contact.CopyFrom(_contact_request(customer_id, channel, "", None))
            request.checks.add().share.CopyFrom(_share_request(customer_id, partner, ""))
        began_at = now()
        try:
            response = self._stub.BatchCheck(request, timeout=CHECK_SECONDS_MAX)
        except grpc.RpcError as error:
            self._note("BatchCheck", began_at, error.code().name)
            return
        code = ""
        answers: list[Answer] = []
        for check, result in zip(request.checks, response.results, strict=True):
            match result.WhichOneof("result"):
                case "contact":
                    answers += _contact_answers(check.contact.customer_id, channel, result.contact)
                case "share":
                    answers += _share_answers(check.share.customer_id, partner, result.share)
                case _:
                    code = _code_name(result.error.code)
        self._note("BatchCheck", began_at, code, answers)

    def audience(self, chunks: Sequence[Sequence[str]], channel: str) -> None:
        """Ask FilterAudience; each chunk is noted as a check that began when it was sent."""
        sent_at: list[int] = []

        def requests() -> Iterator[decision_pb2.FilterAudienceRequest]:
            question = common_pb2.ContactQuestion(channel=channel, purpose=PURPOSE)
            yield decision_pb2.FilterAudienceRequest(
                question=decision_pb2.AudienceQuestion(contact=question)
            )
            for chunk in chunks:
                sent_at.append(now())
                yield decision_pb2.FilterAudienceRequest(
                    chunk=decision_pb2.AudienceChunk(customer_ids=chunk)
                )

        answered = 0
        began_at = now()
        try:
            for response in self._stub.FilterAudience(requests(), timeout=CHECK_SECONDS_MAX):
                if response.WhichOneof("part") != "verdicts":
                    continue
                chunk, verdicts = chunks[answered], response.verdicts
                answers = [
                    Answer(customer_id, contact(channel), _verdict(verdict), _reason(reason))
                    for customer_id, verdict, reason in zip(
                        chunk, verdicts.verdicts, verdicts.reasons, strict=True
                    )
                ]
                self._note("FilterAudience", sent_at[answered], "", answers)
                answered += 1
        except grpc.RpcError as error:
            self._note("FilterAudience", began_at, error.code().name)

    def _note(
        self,
        call: str,
        began_at: int,
        code: str,
        answers: Iterable[Answer] = (),
        instant: Timestamp | None = None,
        token_of: str = "",
    ) -> None:
        self._history.add(
            Asked(
                self._server,
                call,
                began_at,
                now(),
                code,
                tuple(answers),
                None if instant is None else instant.ToMicroseconds(),
                token_of,
            )
        )


def _instant(ahead_seconds: int) -> Timestamp | None:
    if not ahead_seconds:
        return None
    timestamp = Timestamp()
    timestamp.FromMicroseconds(time.time_ns() // 1000 + ahead_seconds * 1_000_000)
    return timestamp


def _contact_request(
    customer_id: str, channel: str, token: str, instant: Timestamp | None
) -> decision_pb2.MayContactRequest:
    return decision_pb2.MayContactRequest(
        customer_id=customer_id, channel=channel, purpose=PURPOSE, token=token, at=instant
    )


def _share_request(customer_id: str, partner: str, token: str) -> decision_pb2.MayShareRequest:
    return decision_pb2.MayShareRequest(
        customer_id=customer_id, partner=partner, datasets=DATASETS, purpose=PURPOSE, token=token
    )


def _contact_answers(
    customer_id: str, channel: str, response: decision_pb2.MayContactResponse
) -> Iterator[Answer]:
    """Give the answer for the channel asked about, and those that the suggestions amount to."""
    verdict = _verdict(response.verdict)
    yield Answer(
        customer_id, contact(channel), verdict, _reason(response.reason), _not_after(response)
    )
    if response.verdict == common_pb2.VERDICT_UNDETERMINED:
        return
    for other in CHANNELS:
        # What is suggested for the channel asked about is judged with the others.
        is_suggested = other in response.allowed_channels
        yield Answer(
            customer_id, contact(other), "ALLOW" if is_suggested else DENY, "suggested channels"
        )


def _share_answers(
    customer_id: str, partner: str, response: decision_pb2.MayShareResponse
) -> Iterator[Answer]:
    if response.verdict == common_pb2.VERDICT_UNDETERMINED:
        for dataset in DATASETS:
            yield Answer(customer_id, share(partner, dataset), _verdict(response.verdict), "")
        return
    for answer in response.datasets:
        yield Answer(
            customer_id,
            share(partner, answer.dataset),
            _verdict(answer.verdict),
            _reason(answer.reason),
            _not_after(answer),
        )
    for dataset in response.allowed_datasets:
        yield Answer(
            customer_id, share(partner, dataset), "ALLOW", "allowed data sets", _not_after(response)
        )


def _not_after(
    answer: decision_pb2.MayContactResponse
    | decision_pb2.MayShareResponse
    | common_pb2.DatasetAnswer,
) -> int | None:
    """Give until when an ALLOW holds, 0 for without end; None with any other verdict."""
    if answer.verdict != common_pb2.VERDICT_ALLOW:
        return None
    return answer.not_after.ToMicroseconds() if answer.HasField("not_after") else NO_END


def _verdict(verdict: common_pb2.Verdict) -> str:
    return common_pb2.Verdict.Name(verdict).removeprefix("VERDICT_")


def _reason(reason: common_pb2.Reason) -> str:
    return common_pb2.Reason.Name(reason).removeprefix("REASON_")


def _code_name(number: int) -> str:
    return next(code.name for code in grpc.StatusCode if code.value[0] == number)
