"""What partners and customers may ask: about themselves alone, and what they are told of it.

What lives here: the rules for calls that a role may make only for its own, and the cutting of
answers to what such a caller may learn. A refusal says the same whether or not somebody exists.
"""

from collections.abc import Callable, Collection
from typing import Final

from google.protobuf.message import Message
from maywe.v1 import (
    catalog_pb2,
    common_pb2,
    consent_pb2,
    decision_pb2,
    event_pb2,
    evidence_pb2,
)
from sqlalchemy import Engine, select

from decision.errors import FieldFault, InvalidArgumentError, NotPermittedError
from service.access.roles import Caller
from store.database import reading
from store.schema import customer, subject

CUSTOMERS_EVENT_PREFIX: Final = "customer/"
"""What the ids of events begin with that customers choose: they could take others' away."""

IsOnePerson = Callable[[Collection[str], str], bool]
"""Tells whether a customer id is one person with any of some others, as the ledger has it now."""


def one_person_by_ledger(engine: Engine) -> IsOnePerson:
    """Give what asks the ledger who is one person. It raises UnavailableError."""

    def is_one_person(customer_ids: Collection[str], other_id: str) -> bool:
        with reading(engine) as connection:
            rows = connection.execute(
                select(customer.c.customer_id, subject.c.root)
                .join(subject, subject.c.number == customer.c.subject)
                .where(customer.c.customer_id.in_([*customer_ids, other_id]))
            )
            root_by_id = {row.customer_id: row.root for row in rows}
        other = root_by_id.get(other_id)
        return other is not None and any(
            root_by_id.get(customer_id) == other for customer_id in customer_ids
        )

    return is_one_person


def check_partner(
    request: decision_pb2.MayShareRequest, caller: Caller, _is_one_person: IsOnePerson
) -> None:
    """A partner asks for itself; a token would tell it about somebody's writes."""
    if request.partner not in caller.partners:
        message = "a partner may ask for itself alone"
        raise NotPermittedError(message)
    if request.token:
        raise InvalidArgumentError(FieldFault("token", "is not for partners: leave it out"))


def verdicts_alone(response: decision_pb2.MayShareResponse) -> decision_pb2.MayShareResponse:
    """Cut an answer to what a partner may learn: verdicts, and until when they hold.

    Neither the reason of a DENY, nor a version or a basis, tells whether the customer exists.
    """
    return decision_pb2.MayShareResponse(
        verdict=response.verdict,
        reason=_reason(response.verdict),
        not_after=response.not_after if response.HasField("not_after") else None,
        datasets=[
            common_pb2.DatasetAnswer(
                dataset=answer.dataset,
                verdict=answer.verdict,
                reason=_reason(answer.verdict),
                not_after=answer.not_after if answer.HasField("not_after") else None,
            )
            for answer in response.datasets
        ],
        allowed_datasets=response.allowed_datasets,
        decided_at=response.decided_at,
        decision_id=response.decision_id,
        outside_promise=response.outside_promise,
        # It was made of what is told here.
        receipt=response.receipt,
    )


def _reason(verdict: common_pb2.Verdict) -> common_pb2.Reason:
    if verdict == common_pb2.VERDICT_ALLOW:
        return common_pb2.REASON_ALLOWED
    return common_pb2.REASON_WITHHELD


def check_own_knowledge(
    request: consent_pb2.GetConsentCardRequest | decision_pb2.ExplainRequest,
    caller: Caller,
    is_one_person: IsOnePerson,
) -> None:
    """A customer sees what is known now: then, somebody else may have been taken for them."""
    _check_own(request.customer_id, caller, is_one_person)
    if request.HasField("known_at"):
        problem = "is not for customers: leave it out for all that is known now"
        raise InvalidArgumentError(FieldFault("known_at", problem))


def check_own_revocation(
    request: event_pb2.RevokeRequest, caller: Caller, is_one_person: IsOnePerson
) -> None:
    """A customer revokes for themselves, under an id that nobody else would choose."""
    _check_own(request.customer_id, caller, is_one_person)
    if not request.event_id.startswith(CUSTOMERS_EVENT_PREFIX):
        problem = f"of a customer has to begin with {CUSTOMERS_EVENT_PREFIX!r}"
        raise InvalidArgumentError(FieldFault("event_id", problem))


def _check_own(customer_id: str, caller: Caller, is_one_person: IsOnePerson) -> None:
    own = caller.customer_ids
    # Their own id needs no question, and an id that is none (a NUL) may not become one.
    if customer_id in own or (customer_id.isprintable() and is_one_person(own, customer_id)):
        return
    message = "a customer may see and revoke their own alone"
    raise NotPermittedError(message)


def own_explanation(response: decision_pb2.ExplainResponse) -> decision_pb2.ExplainResponse:
    """Take out what was known of somebody else who was taken for the customer, and who recorded."""
    response.ClearField("answer_known_then")
    own = set(response.customer_ids)
    events = [event for event in response.events if _names_only(event.event, own)]
    del response.events[:]
    for event in events:
        event.ClearField("caller")
    response.events.extend(events)
    _clear_staff(response)
    return response


def own_card(response: consent_pb2.GetConsentCardResponse) -> consent_pb2.GetConsentCardResponse:
    """Take out who recorded and who published."""
    _clear_staff(response)
    return response


_STAFF: Final = {
    common_pb2.Source.DESCRIPTOR: ("recorded_by",),
    evidence_pb2.PublicationReference.DESCRIPTOR: ("publisher", "comment"),
}
"""Fields that name the bank's people, or that they write for each other, by message."""


def _clear_staff(message: Message) -> None:
    for name in _STAFF.get(message.DESCRIPTOR, ()):
        message.ClearField(name)
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else (value,):
                _clear_staff(part)


def _names_only(event: event_pb2.Event, own: Collection[str]) -> bool:
    match event.WhichOneof("event"):
        case "merge":
            return {event.merge.from_customer_id, event.merge.into_customer_id} <= set(own)
        case "split":
            return event.split.customer_id in own
        case _:
            return True


def check_does_not_hand_in(
    request: catalog_pb2.PreviewPublicationRequest, _caller: Caller, _is_one_person: IsOnePerson
) -> None:
    """Whoever is no editor may look at what a document would do, and not hand it in."""
    if request.hand_in:
        message = "only a catalog editor may hand a document in"
        raise NotPermittedError(message)
