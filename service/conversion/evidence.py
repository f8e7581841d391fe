"""Evidence to messages: answers, grants, restrictions, wordings, matrix rows and publications.

What lives here: what Explain, the consent card and the lists of ConsentService show, and the
reading of the question that is explained. Values that every service shows are in `writing`.
"""

from collections.abc import Sequence
from typing import Final

from maywe.v1 import common_pb2, consent_pb2, decision_pb2, event_pb2, evidence_pb2

from decision.answer import Answer, ShareAnswer
from decision.card import ConsentStatus, ConsentSummary
from decision.catalog import Interval, LocalisedText, Wording
from decision.errors import FieldFault, InvalidArgumentError
from decision.events import Acquisition, Consent, Restriction
from decision.evidence import ShownGrant, ShownRestriction
from decision.grants import Ending
from decision.instants import FOREVER, Instant
from decision.matrix import MatrixRow
from decision.questions import ContactQuestion, ProcessQuestion, Question, ShareQuestion
from decision.reasons import Reason, Verdict
from decision.scopes import Scope
from service.conversion.reading import read_datasets
from service.conversion.timestamps import timestamp
from service.conversion.writing import (
    basis_fields,
    dataset_answer_message,
    event_message,
    optional_timestamp,
    product_message,
    reason_value,
    scope_change_message,
    scope_message,
    selector_message,
    source_message,
    unmatched_cause_value,
    verdict_value,
)
from store.feed import FeedCause, FeedChange, FeedPage
from store.history import RecordedEvent
from store.publications import PublicationHead
from store.unmatched import UnmatchedEvent


def read_question(
    request: decision_pb2.ExplainRequest | decision_pb2.ListAllowedRequest,
) -> Question:
    """Read which question is asked. Raises InvalidArgumentError when none is."""
    match request.WhichOneof("question"):
        case "contact":
            contact = request.contact
            return ContactQuestion(purpose=contact.purpose, channel=contact.channel)
        case "share":
            share = request.share
            return ShareQuestion(
                purpose=share.purpose,
                partner=share.partner,
                datasets=read_datasets(share.datasets),
            )
        case "process" if isinstance(request, decision_pb2.ExplainRequest):
            return ProcessQuestion(purpose=request.process.purpose)
        case _:
            raise InvalidArgumentError(FieldFault("question", "is missing: send exactly one"))


def answer_message(question: Question, answers: Sequence[Answer]) -> evidence_pb2.Answer:
    """Write the answer to a question, given one for each of its scopes in the order asked."""
    together = ShareAnswer(answers)
    message = evidence_pb2.Answer(
        verdict=verdict_value(together.verdict), reason=reason_value(together.reason)
    )
    if together.verdict is Verdict.ALLOW and together.not_after != FOREVER:
        message.not_after.CopyFrom(timestamp(together.not_after))
    if not isinstance(question, ShareQuestion):
        basis = basis_fields(answers[0].basis)
        if basis is not None:
            message.basis.CopyFrom(common_pb2.Basis(**basis))
        return message
    for dataset, answer in zip(question.datasets, answers, strict=True):
        message.datasets.append(dataset_answer_message(dataset, answer))
        if answer.is_allowed:
            message.allowed_datasets.append(dataset)
    return message


_OWN_ENDS: Final = (Reason.CONSENT_EXPIRED, Reason.PRODUCT_CLOSED)


def grant_message(shown: ShownGrant) -> evidence_pb2.Grant:
    """Write a grant with what is shown of it."""
    grant, event = shown.grant, shown.event
    return evidence_pb2.Grant(
        event_id=grant.event_id,
        customer_id=event.customer_id,
        consent_type=grant.consent_type,
        wording_version=grant.wording_version,
        value=event.body.value if isinstance(event.body, Consent) else "",
        product=product_message(grant.product),
        matrix_row_id=grant.matrix_row_id,
        obtained_at=timestamp(grant.obtained_at),
        # A refusal has no term of its own.
        expires_at=(
            optional_timestamp(shown.own_end.at) if shown.own_end.cause in _OWN_ENDS else None
        ),
        scopes=[
            _granted_scope_message(scope, ending, grant.obtained_at)
            for scope, ending in shown.scopes
        ],
        source=source_message(event.source),
        recorded_at=timestamp(event.recorded_at),
        brought_by_late_event=shown.brought_by_late_event,
        brought_by_later_publication=shown.brought_by_later_publication,
    )


def _granted_scope_message(
    scope: Scope, ending: Ending, obtained_at: Instant
) -> evidence_pb2.GrantedScope:
    if ending.at == FOREVER:
        return evidence_pb2.GrantedScope(scope=scope_message(scope))
    return evidence_pb2.GrantedScope(
        scope=scope_message(scope),
        ends_at=timestamp(ending.at),
        ended_by=reason_value(ending.cause),
        ended_by_event_id=ending.event_id,
        empty=ending.at <= obtained_at,
    )


def restriction_message(shown: ShownRestriction) -> evidence_pb2.Restriction:
    """Write a restriction."""
    imposed, event = shown.restriction, shown.event
    return evidence_pb2.Restriction(
        event_id=imposed.event_id,
        customer_id=event.customer_id,
        kind=imposed.kind if isinstance(event.body, Restriction) else "",
        acquired_through_partner=(
            event.body.partner if isinstance(event.body, Acquisition) else ""
        ),
        selector=selector_message(imposed.selector),
        effective_from=timestamp(imposed.start),
        effective_until=optional_timestamp(shown.end_unless_lifted),
        ends_at=optional_timestamp(imposed.end),
        lifted_by_event_id=imposed.lifted_by_event_id,
        source=source_message(event.source),
        recorded_at=timestamp(event.recorded_at),
    )


def suspension_message(
    partner: str, suspension: Interval, publication_number: int
) -> evidence_pb2.PartnerSuspension:
    """Write a partner's suspension."""
    return evidence_pb2.PartnerSuspension(
        partner=partner,
        suspended_from=timestamp(suspension.start),
        suspended_to=optional_timestamp(suspension.end),
        publication_number=publication_number,
    )


def wording_message(
    wording: Wording, publication_number: int, first_published_number: int
) -> evidence_pb2.Wording:
    """Write a wording, word by word."""
    return evidence_pb2.Wording(
        consent_type=wording.consent_type,
        version=wording.version,
        texts=_text_messages(wording.text),
        in_force_from=timestamp(wording.in_force.start),
        in_force_to=optional_timestamp(wording.in_force.end),
        term=wording.term_text,
        publication_number=publication_number,
        first_published_number=first_published_number,
    )


def _text_messages(text: LocalisedText) -> list[evidence_pb2.LocalisedText]:
    return [evidence_pb2.LocalisedText(language=language, text=words) for language, words in text]


def matrix_row_message(row: MatrixRow, publication_number: int) -> evidence_pb2.MatrixRow:
    """Write a matrix row, its masks as published."""
    return evidence_pb2.MatrixRow(
        id=row.id,
        system_code=row.system_code or "",
        product_type=row.product_type or "",
        series_mask="" if row.series_mask is None else row.series_mask.text,
        number_mask="" if row.number_mask is None else row.number_mask.text,
        in_force_from=timestamp(row.in_force_from),
        in_force_to=optional_timestamp(row.in_force_to),
        consent_types=row.consent_types,
        publication_number=publication_number,
    )


def publication_message(publication: PublicationHead) -> evidence_pb2.PublicationReference:
    """Write who published when, and why."""
    return evidence_pb2.PublicationReference(
        number=publication.number,
        publication_id=publication.publication_id,
        recorded_at=timestamp(publication.recorded_at),
        publisher=publication.publisher,
        comment=publication.comment,
    )


def recorded_event_message(recorded: RecordedEvent) -> event_pb2.RecordedEvent:
    """Write an event as the ledger holds it."""
    return event_pb2.RecordedEvent(
        event=event_message(recorded.event),
        recorded_at=timestamp(recorded.recorded_at),
        voided_by_event_id=recorded.voided_by_event_id,
        voided_at=optional_timestamp(recorded.voided_at),
        caller=recorded.event.caller,
    )


_STATUSES: Final = {
    ConsentStatus.IN_FORCE: consent_pb2.CONSENT_STATUS_IN_FORCE,
    ConsentStatus.NOT_YET_VALID: consent_pb2.CONSENT_STATUS_NOT_YET_VALID,
    ConsentStatus.ENDED: consent_pb2.CONSENT_STATUS_ENDED,
}


def consent_summary_message(summary: ConsentSummary) -> consent_pb2.ConsentSummary:
    """Write how a consent type stands."""
    term = summary.common_term
    return consent_pb2.ConsentSummary(
        consent_type=summary.consent_type,
        status=_STATUSES[summary.status],
        term_from=None if term is None else timestamp(term.start),
        term_until=None if term is None else optional_timestamp(term.end),
        ended_by=(
            common_pb2.REASON_UNSPECIFIED
            if summary.ended_by is None
            else reason_value(summary.ended_by)
        ),
        grants=[grant_message(shown) for shown in summary.grants],
    )


def unmatched_message(missed: UnmatchedEvent) -> consent_pb2.UnmatchedPurchase:
    """Write an event that waits for a publication."""
    return consent_pb2.UnmatchedPurchase(
        event=event_message(missed.recorded.event),
        recorded_at=timestamp(missed.recorded.recorded_at),
        cause=unmatched_cause_value(missed.unmatched.cause),
        matrix_row_id=missed.unmatched.matrix_row_id,
        consent_types_without_wording=missed.unmatched.consent_types,
    )


_CAUSES: Final = {
    FeedCause.EVENT: consent_pb2.CHANGE_CAUSE_EVENT,
    FeedCause.PUBLICATION: consent_pb2.CHANGE_CAUSE_PUBLICATION,
    FeedCause.TIME: consent_pb2.CHANGE_CAUSE_PASSAGE_OF_TIME,
    FeedCause.CORRECTION: consent_pb2.CHANGE_CAUSE_CORRECTION,
}


def watch_message(page: FeedPage, sent_at: Instant) -> consent_pb2.WatchChangesResponse:
    """Write one message of the stream of changes; one without changes is a heartbeat."""
    return consent_pb2.WatchChangesResponse(
        changes=[_change_message(change) for change in page.changes],
        cursor=page.position.encode(),
        sent_at=timestamp(sent_at),
    )


def _change_message(changed: FeedChange) -> consent_pb2.PermissionChange:
    return consent_pb2.PermissionChange(
        shard=changed.shard,
        sequence=changed.seq,
        customer_id=changed.customer_id,
        change=scope_change_message(changed.change),
        cause=_CAUSES[changed.cause],
        event_id=changed.event_id,
        publication_number=changed.publication,
        occurred_at=timestamp(changed.change.at),
        recorded_at=timestamp(changed.recorded_at),
    )
