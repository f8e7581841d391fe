"""WriterService: the calls that record one event each. The import stream is next door."""

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import grpc
from maywe.v1 import common_pb2, event_pb2, writer_pb2, writer_pb2_grpc

from decision.catalog import Effect
from decision.effects import (
    ConsentEffect,
    GivenConsent,
    effect_of_consent,
    effect_of_purchase,
    effect_of_revocation,
)
from decision.events import Consent
from service.access.gate import calling
from service.application import Application
from service.conversion.reading import EventRequest, read_event
from service.conversion.writing import (
    optional_timestamp,
    scope_answer_message,
    scope_message,
    unmatched_cause_value,
)
from service.servicers.acknowledging import Acknowledger
from service.servicers.importing import import_events
from store.grouping import GroupRecorder
from store.outcomes import Recorded

_Response = TypeVar(
    "_Response",
    writer_pb2.RecordPurchaseResponse,
    writer_pb2.RecordConsentResponse,
    writer_pb2.RevokeResponse,
)

_EFFECTS: Final = {
    Effect.GRANTS: writer_pb2.VALUE_EFFECT_GRANTS,
    Effect.REFUSES: writer_pb2.VALUE_EFFECT_REFUSES,
    Effect.NOTES: writer_pb2.VALUE_EFFECT_NOTES,
}


class WriterServicer(writer_pb2_grpc.WriterServiceServicer):
    """Records events in the ledger."""

    def __init__(self, application: Application) -> None:
        """Record with the recorder of an application."""
        self._application = application
        self._recorder = GroupRecorder(application.recorder.record)
        self._acknowledger = Acknowledger(application)

    def RecordPurchase(
        self, request: event_pb2.RecordPurchaseRequest, context: grpc.ServicerContext
    ) -> writer_pb2.RecordPurchaseResponse:
        """Record a purchase, and answer which consents it gave."""
        return self._answer(self._record(request), _answer_to_purchase, context)

    def CloseProduct(
        self, request: event_pb2.CloseProductRequest, context: grpc.ServicerContext
    ) -> writer_pb2.CloseProductResponse:
        """Record that a product was closed."""
        return writer_pb2.CloseProductResponse(acknowledgement=self._just_record(request, context))

    def RecordConsent(
        self, request: event_pb2.RecordConsentRequest, context: grpc.ServicerContext
    ) -> writer_pb2.RecordConsentResponse:
        """Record an explicit consent, refusal or note, and answer what it gave."""
        return self._answer(self._record(request), _answer_to_consent, context)

    def Revoke(
        self, request: event_pb2.RevokeRequest, context: grpc.ServicerContext
    ) -> writer_pb2.RevokeResponse:
        """Record a revocation, and answer what ended by it and what survives it."""
        return self._answer(self._record(request), _answer_to_revocation, context)

    def Restrict(
        self, request: event_pb2.RestrictRequest, context: grpc.ServicerContext
    ) -> writer_pb2.RestrictResponse:
        """Record a restriction."""
        return writer_pb2.RestrictResponse(acknowledgement=self._just_record(request, context))

    def LiftRestriction(
        self, request: event_pb2.LiftRestrictionRequest, context: grpc.ServicerContext
    ) -> writer_pb2.LiftRestrictionResponse:
        """Record the lifting of a restriction or of an acquisition's restrictions."""
        return writer_pb2.LiftRestrictionResponse(
            acknowledgement=self._just_record(request, context)
        )

    def RecordAcquisition(
        self, request: event_pb2.RecordAcquisitionRequest, context: grpc.ServicerContext
    ) -> writer_pb2.RecordAcquisitionResponse:
        """Record that a customer came through a partner."""
        return writer_pb2.RecordAcquisitionResponse(
            acknowledgement=self._just_record(request, context)
        )

    def VoidEvent(
        self, request: event_pb2.VoidEventRequest, context: grpc.ServicerContext
    ) -> writer_pb2.VoidEventResponse:
        """Record that an earlier event counts as if it had never been."""
        return writer_pb2.VoidEventResponse(acknowledgement=self._just_record(request, context))

    def MergeCustomers(
        self, request: event_pb2.MergeCustomersRequest, context: grpc.ServicerContext
    ) -> writer_pb2.MergeCustomersResponse:
        """Record that two customer ids are one person."""
        return writer_pb2.MergeCustomersResponse(
            acknowledgement=self._just_record(request, context)
        )

    def SplitCustomer(
        self, request: event_pb2.SplitCustomerRequest, context: grpc.ServicerContext
    ) -> writer_pb2.SplitCustomerResponse:
        """Record that a merge is undone."""
        return writer_pb2.SplitCustomerResponse(acknowledgement=self._just_record(request, context))

    def EraseCustomer(
        self, request: event_pb2.EraseCustomerRequest, context: grpc.ServicerContext
    ) -> writer_pb2.EraseCustomerResponse:
        """Erase a customer: first nothing counts any more, then everything personal goes."""
        event = read_event(request, self._application.catalogs.newest().catalog)
        return self._acknowledger.erase(event._replace(caller=calling()), context)

    def ImportEvents(
        self,
        request_iterator: Iterator[writer_pb2.ImportEventsRequest],
        context: grpc.ServicerContext,
    ) -> Iterator[writer_pb2.ImportEventsResponse]:
        """Record many events, resumably."""
        return import_events(self._application, request_iterator, context)

    def _record(self, request: EventRequest) -> Recorded:
        event = read_event(request, self._application.catalogs.newest().catalog)
        return self._recorder.record_one(event._replace(caller=calling()))

    def _answer(
        self,
        recorded: Recorded,
        make_answer: Callable[[Recorded], _Response],
        context: grpc.ServicerContext,
    ) -> _Response:
        """Acknowledge what was recorded, with an answer that is worked out while that takes."""
        answers: list[_Response] = []
        acknowledgement = self._acknowledger.acknowledge(
            recorded, context, lambda: answers.append(make_answer(recorded))
        )
        [answer] = answers
        answer.acknowledgement.CopyFrom(acknowledgement)
        return answer

    def _just_record(
        self, request: EventRequest, context: grpc.ServicerContext
    ) -> common_pb2.Acknowledgement:
        return self._acknowledger.acknowledge(self._record(request), context)


def _answer_to_purchase(recorded: Recorded) -> writer_pb2.RecordPurchaseResponse:
    effect = effect_of_purchase(
        recorded.published.catalog, recorded.events, recorded.event.event_id
    )
    return writer_pb2.RecordPurchaseResponse(
        matrix_row_id=effect.matrix_row_id,
        consents=[_given_consent(consent) for consent in effect.consents],
        unmatched_cause=unmatched_cause_value(effect.unmatched_cause),
        consent_types_without_wording=effect.consent_types_without_wording,
    )


def _answer_to_consent(recorded: Recorded) -> writer_pb2.RecordConsentResponse:
    effect = _effect_of_consent(recorded)
    return writer_pb2.RecordConsentResponse(
        effect=_EFFECTS[effect.effect],
        consent=None if effect.consent is None else _given_consent(effect.consent),
        unmatched_cause=unmatched_cause_value(effect.unmatched_cause),
    )


def _answer_to_revocation(recorded: Recorded) -> writer_pb2.RevokeResponse:
    effect = effect_of_revocation(
        recorded.published.catalog,
        recorded.events,
        recorded.event.event_id,
        recorded.recorded_at,
    )
    return writer_pb2.RevokeResponse(
        ended=[
            writer_pb2.EndedScope(
                scope=scope_message(ended.scope),
                would_have_held_until=optional_timestamp(ended.would_have_held_until),
            )
            for ended in effect.ended
        ],
        surviving=[scope_answer_message(scope, answer) for scope, answer in effect.surviving],
    )


def _effect_of_consent(recorded: Recorded) -> ConsentEffect:
    body = recorded.event.body
    if not isinstance(body, Consent):
        message = f"{type(body).__name__} is no consent"
        raise TypeError(message)
    return effect_of_consent(
        recorded.published.catalog, recorded.events, recorded.event.event_id, body
    )


def _given_consent(consent: GivenConsent) -> writer_pb2.GivenConsent:
    return writer_pb2.GivenConsent(
        consent_type=consent.consent_type,
        wording_version=consent.wording_version,
        expires_at=optional_timestamp(consent.expires_at),
        until_product_closed=consent.is_until_product_closed,
    )
