"""Checks and decisions: the messages of DecisionService's checks, to domain values and back."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from maywe.v1 import common_pb2, decision_pb2

from decision.answer import ShareAnswer
from decision.errors import FieldFault, InvalidArgumentError
from decision.instants import FOREVER
from decision.questions import ContactQuestion, ShareQuestion
from decision.reasons import Reason, verdict_of
from service.audiences import ChunkDecision
from service.checking import Check, Decision, Undetermined
from service.conversion import wire
from service.conversion.reading import optional_instant, read_datasets
from service.conversion.timestamps import timestamp, timestamp_fields
from service.conversion.writing import (
    basis_fields,
    dataset_answer_message,
    optional_timestamp_fields,
    reason_value,
    verdict_value,
)
from store.token import Token, decode_token

QUESTIONS_KEPT_MAX: Final = 1024
"""Questions kept ready: callers ask the same few again and again."""

_contact_question: Final = lru_cache(QUESTIONS_KEPT_MAX)(ContactQuestion)


def contact_check(request: decision_pb2.MayContactRequest) -> Check:
    """Read a contact question. Raises InvalidArgumentError."""
    return Check(
        request.customer_id,
        _contact_question(request.purpose, request.channel),
        optional_instant("at", request) if request.HasField("at") else None,
        decode_token(request.token) if request.token else None,
    )


def share_check(request: decision_pb2.MayShareRequest) -> Check:
    """Read a share question. Raises InvalidArgumentError."""
    return Check(
        request.customer_id,
        ShareQuestion(request.purpose, request.partner, read_datasets(request.datasets)),
        optional_instant("at", request) if request.HasField("at") else None,
        _token(request.token),
    )


def batch_check(item: decision_pb2.BatchCheckItem) -> Check:
    """Read one question of a batch. Raises InvalidArgumentError."""
    match item.WhichOneof("question"):
        case "contact":
            _refuse_receipt(item.contact.receipt)
            return contact_check(item.contact)
        case "share":
            _refuse_receipt(item.share.receipt)
            return share_check(item.share)
        case _:
            raise InvalidArgumentError(FieldFault("question", "ask contact or share"))


def _refuse_receipt(is_wanted: bool) -> None:  # noqa: FBT001 - a field of a message
    if is_wanted:
        problem = "only an answer to a single question has one: leave it out"
        raise InvalidArgumentError(FieldFault("receipt", problem))


def audience_check(question: decision_pb2.AudienceQuestion) -> Check:
    """Read the question of an audience, whose customers come later. Raises InvalidArgumentError."""
    asked: ContactQuestion | ShareQuestion
    match question.WhichOneof("question"):
        case "contact":
            asked = ContactQuestion(question.contact.purpose, question.contact.channel)
        case "share":
            share = question.share
            asked = ShareQuestion(share.purpose, share.partner, read_datasets(share.datasets))
        case _:
            raise InvalidArgumentError(FieldFault("question", "ask contact or share"))
    return Check("", asked, optional_instant("at", question), _token(question.token))


def _token(text: str) -> Token | None:
    return decode_token(text) if text else None


_VERDICT_AND_REASON: Final = {
    reason: (verdict_value(verdict_of(reason)), reason_value(reason)) for reason in Reason
}
"""Of each reason the values of its verdict and of itself, looked up together."""


def contact_response(decision: Decision) -> decision_pb2.MayContactResponse:
    """Write the answer to a contact question."""
    answers, channels, version, publication, decided_at, decision_id, is_outside = decision
    ((reason, not_after, basis),) = answers
    verdict, reason_told = _VERDICT_AND_REASON[reason]
    return decision_pb2.MayContactResponse(
        verdict=verdict,
        reason=reason_told,
        not_after=None if not_after == FOREVER else timestamp_fields(not_after),
        basis=None if basis is None else basis_fields(basis),
        allowed_channels=channels,
        state_version=version,
        catalog_publication=publication,
        decided_at=timestamp_fields(decided_at),
        decision_id=decision_id,
        outside_promise=is_outside,
    )


def share_response(decision: Decision, datasets: Sequence[str]) -> decision_pb2.MayShareResponse:
    """Write the answer to a share question about `datasets`."""
    share = ShareAnswer(decision.answers)
    answers = list(zip(datasets, decision.answers, strict=True))
    return decision_pb2.MayShareResponse(
        verdict=verdict_value(share.verdict),
        reason=reason_value(share.reason),
        not_after=optional_timestamp_fields(share.not_after if share.is_allowed else None),
        datasets=[dataset_answer_message(dataset, answer) for dataset, answer in answers],
        allowed_datasets=[dataset for dataset, answer in answers if answer.is_allowed],
        state_version=decision.state_version,
        catalog_publication=decision.publication,
        decided_at=timestamp_fields(decision.decided_at),
        decision_id=decision.decision_id,
        outside_promise=decision.is_outside_promise,
    )


def undetermined_fields(result: Undetermined) -> dict[str, Any]:
    """Write what is answered when a decision can not be known, as the fields of either answer."""
    return {
        "verdict": common_pb2.VERDICT_UNDETERMINED,
        "reason": common_pb2.REASON_UNAVAILABLE,
        "decided_at": timestamp_fields(result.decided_at),
        "decision_id": result.decision_id,
    }


_VERDICTS_FIELD: Final = decision_pb2.AudienceVerdicts.VERDICTS_FIELD_NUMBER
_REASONS_FIELD: Final = decision_pb2.AudienceVerdicts.REASONS_FIELD_NUMBER

_REASON_VALUES: Final = np.zeros(len(Reason) + 1, np.uint8)
_VERDICT_VALUES: Final = np.zeros(len(Reason) + 1, np.uint8)
for _reason in Reason:
    _REASON_VALUES[_reason] = reason_value(_reason)
    _VERDICT_VALUES[_reason] = verdict_value(verdict_of(_reason))


def verdicts_response(decision: ChunkDecision) -> decision_pb2.FilterAudienceResponse:
    """Write the answers to one chunk of an audience.

    The lists are given as protobuf has them on the wire, a byte for each of these small numbers:
    thousands would take their time one by one.
    """
    response = decision_pb2.FilterAudienceResponse()
    verdicts = response.verdicts
    verdicts.MergeFromString(
        wire.delimited(_VERDICTS_FIELD, _VERDICT_VALUES[decision.reasons].tobytes())
        + wire.delimited(_REASONS_FIELD, _REASON_VALUES[decision.reasons].tobytes())
    )
    verdicts.decided_at.CopyFrom(timestamp(decision.decided_at))
    verdicts.catalog_publication = decision.publication
    verdicts.outside_promise = decision.is_outside_promise
    return response


def audience_end_message(counts: Mapping[Reason, int]) -> decision_pb2.AudienceEnd:
    """Write the end of an audience with its counts."""
    return decision_pb2.AudienceEnd(
        customer_count=sum(counts.values()),
        counts=[
            decision_pb2.VerdictCount(
                verdict=verdict_value(verdict),
                reason=reason_value(reason),
                customer_count=counts[reason],
            )
            for verdict, reason in sorted((verdict_of(reason), reason) for reason in counts)
        ],
    )
