"""Explain: any question as of any instant, with whatever was known at another, and its proof.

What lives here: which knowledge is asked for what, and the putting together of the response. What
proves an answer is chosen by `decision.evidence`.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from maywe.v1 import consent_pb2, decision_pb2, event_pb2, evidence_pb2
from sqlalchemy import Connection

from decision.event_rules import check_identifier
from decision.evidence import (
    ShownGrant,
    events_that_mattered,
    matrix_rows_of,
    shown_grants,
    shown_restrictions,
    void_events_that_mattered,
    wordings_of,
)
from decision.instants import Instant
from decision.questions import Question, ShareQuestion, check_question
from service.application import Application
from service.conversion.evidence import (
    answer_message,
    grant_message,
    matrix_row_message,
    publication_message,
    read_question,
    recorded_event_message,
    restriction_message,
    suspension_message,
    wording_message,
)
from service.conversion.reading import optional_instant
from service.conversion.timestamps import timestamp
from store.database import reading
from store.history import find_recorded, load_identity_event_ids, load_void_events
from store.knowledge import Knowledge, draw_now, load_knowledge, refuse_future, wait_for_person
from store.publications import Catalogs, get_publication


class AskedInstants(NamedTuple):
    """The instants of a question about the past, absent ones filled in, and now."""

    valid_at: Instant
    known_at: Instant
    now: Instant


def asked_instants(
    application: Application,
    request: decision_pb2.ExplainRequest | consent_pb2.GetConsentCardRequest,
) -> AskedInstants:
    """Read the instants of a question. Raises InvalidArgumentError."""
    valid_at = optional_instant("valid_at", request)
    known_at = optional_instant("known_at", request)
    now = draw_now(application.engine)
    if known_at is not None:
        refuse_future(known_at, now)
    return AskedInstants(
        now if valid_at is None else valid_at, now if known_at is None else known_at, now
    )


def explain(
    application: Application, request: decision_pb2.ExplainRequest
) -> decision_pb2.ExplainResponse:
    """Answer a question as of any instant and prove it (`semantics.md`, As of).

    Raises InvalidArgumentError, and UnavailableError when the ledger does not answer.
    """
    check_identifier("customer_id", request.customer_id)
    question = read_question(request)
    check_question(question, application.catalogs.refresh().catalog)
    instants = asked_instants(application, request)
    known_instants = {instants.known_at, min(instants.valid_at, instants.now), instants.now}
    wait_for_person(application.engine, request.customer_id, known_instants)
    with reading(application.engine) as connection:
        return _Explanation(
            connection, application.catalogs, request.customer_id, question, instants
        ).response()


class _Explanation:
    def __init__(
        self,
        connection: Connection,
        catalogs: Catalogs,
        customer_id: str,
        question: Question,
        instants: AskedInstants,
    ) -> None:
        self._connection = connection
        self._catalogs = catalogs
        self._customer_id = customer_id
        self._question = question
        self._instants = instants
        self._known = self._load(instants.known_at)

    def response(self) -> decision_pb2.ExplainResponse:
        valid_at, known_at, now = self._instants
        known, scopes = self._known, self._question.scopes
        grants = shown_grants(
            known.picture,
            self._catalogs.known_at(self._connection, min(valid_at, known_at)).catalog,
            valid_at,
            scopes,
        )
        wordings = self._wording_messages(grants)
        restrictions = shown_restrictions(known.picture, scopes)
        answer = self._answer(known)
        return decision_pb2.ExplainResponse(
            answer=answer,
            answer_known_then=self._answer_if_other(valid_at, answer) if valid_at <= now else None,
            answer_known_now=self._answer_if_other(now, answer),
            valid_at=timestamp(valid_at),
            known_at=timestamp(known_at),
            zone=known.published.catalog.zone.key if known.published.number else "",
            customer_ids=sorted({*known.customer_ids, self._customer_id}),
            grants=map(grant_message, grants),
            restrictions=map(restriction_message, restrictions),
            suspension=self._suspension_message(),
            events=self._event_messages(),
            wordings=wordings,
            matrix_rows=[
                matrix_row_message(row, known.published.number)
                for row in matrix_rows_of(grants, known.published.catalog)
            ],
            publications=self._publication_messages(wordings),
        )

    def _load(self, known_at: Instant) -> Knowledge:
        return load_knowledge(self._connection, self._catalogs, self._customer_id, known_at)

    def _answer(self, known: Knowledge) -> evidence_pb2.Answer:
        answers = known.picture.answers(self._question.scopes, self._instants.valid_at)
        return answer_message(self._question, answers)

    def _answer_if_other(
        self, known_at: Instant, answer: evidence_pb2.Answer
    ) -> evidence_pb2.Answer | None:
        if known_at == self._instants.known_at:
            return None
        other = self._answer(self._load(known_at))
        return other if other != answer else None

    def _suspension_message(self) -> evidence_pb2.PartnerSuspension | None:
        if not isinstance(self._question, ShareQuestion):
            return None
        published = self._known.published
        suspension = published.catalog.suspension_of(self._question.scopes[0])
        if suspension is None:
            return None
        return suspension_message(self._question.partner, suspension, published.number)

    def _event_messages(self) -> list[event_pb2.RecordedEvent]:
        """Give the events that mattered, void ones with their voids, and the person's merges."""
        connection, known_at = self._connection, self._instants.known_at
        picture, subjects = self._known.picture, self._known.subjects
        scopes = self._question.scopes
        void_ids = void_events_that_mattered(
            picture, load_void_events(connection, subjects, known_at), scopes
        )
        voids = {one.voided_by_event_id for one in find_recorded(connection, void_ids, known_at)}
        event_ids = (
            events_that_mattered(picture, scopes)
            | void_ids
            | voids
            | load_identity_event_ids(connection, subjects, known_at)
        )
        return [
            recorded_event_message(one) for one in find_recorded(connection, event_ids, known_at)
        ]

    def _wording_messages(self, grants: Sequence[ShownGrant]) -> list[evidence_pb2.Wording]:
        published = self._known.published
        return [
            wording_message(
                wording,
                published.number,
                self._first_published(wording.consent_type, wording.version, published.number),
            )
            for wording in wordings_of(grants, published.catalog)
        ]

    def _first_published(self, consent_type: str, version: int, newest: int) -> int:
        """Find the publication that brought a wording: from there on every one has it."""
        return 1 + bisect_left(
            range(1, newest + 1),
            True,  # noqa: FBT003 - what is looked for
            key=lambda number: (
                self._catalogs.by_number(self._connection, number).catalog.wording(
                    consent_type, version
                )
                is not None
            ),
        )

    def _publication_messages(
        self, wordings: Sequence[evidence_pb2.Wording]
    ) -> list[evidence_pb2.PublicationReference]:
        numbers = {self._known.published.number}
        numbers.update(wording.first_published_number for wording in wordings)
        return [
            publication_message(get_publication(self._connection, number))
            for number in sorted(numbers - {0})
        ]
