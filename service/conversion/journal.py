"""The journal of decisions: its entries, and what came of making them again, as messages."""

from collections.abc import Sequence

from maywe.v1 import common_pb2, evidence_pb2, journal_pb2

from decision.answer import Answer
from decision.questions import ContactQuestion
from decision.reasons import Reason
from service.asked import CheckQuestion
from service.conversion.evidence import answer_message
from service.conversion.timestamps import timestamp
from service.replaying import Replay
from store.journal import JournalEntry
from store.positions import BEFORE_EVERYTHING


def journalled_message(entry: JournalEntry) -> journal_pb2.JournalledDecision:
    """Write an answer as it was given."""
    message = journal_pb2.JournalledDecision(
        decision_id=entry.decision_id,
        answered_at=timestamp(entry.answered_at),
        caller=entry.caller,
        customer_id=entry.customer_id,
        decided_at=timestamp(entry.decided_at),
        answer=_answer(entry.question, entry.answers),
        allowed_channels=entry.allowed_channels,
        state_version=entry.state_version,
        catalog_publication=entry.publication,
        outside_promise=entry.is_outside_promise,
    )
    question = entry.question
    if isinstance(question, ContactQuestion):
        message.contact.purpose = question.purpose
        message.contact.channel = question.channel
    else:
        message.share.purpose = question.purpose
        message.share.partner = question.partner
        message.share.datasets.extend(question.datasets)
    return message


def replay_message(replay: Replay) -> journal_pb2.ReplayDecisionResponse:
    """Write an answer beside what the ledger says."""
    question = replay.entry.question
    message = journal_pb2.ReplayDecisionResponse(
        decision=journalled_message(replay.entry),
        replayed=_answer(question, replay.answers),
        replayed_channels=replay.allowed_channels,
        differences=replay.differences,
        known_at_by_time=not replay.position.is_exact,
    )
    if replay.position.known_at != BEFORE_EVERYTHING:
        message.known_at.CopyFrom(timestamp(replay.position.known_at))
    if replay.answers_known_then is not None:
        message.answer_known_then.CopyFrom(_answer(question, replay.answers_known_then))
    return message


def _answer(question: CheckQuestion, answers: Sequence[Answer]) -> evidence_pb2.Answer:
    if any(answer.reason is Reason.UNAVAILABLE for answer in answers):
        return evidence_pb2.Answer(
            verdict=common_pb2.VERDICT_UNDETERMINED, reason=common_pb2.REASON_UNAVAILABLE
        )
    return answer_message(question, answers)
