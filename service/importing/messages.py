"""Events as read from a file, turned into the contract's messages.

What lives here: one function for each kind of event. Nothing is checked but what a message cannot
even say; the rest is the writer's.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from maywe.v1 import common_pb2, event_pb2

from decision.instants import Instant
from service.importing.rows import NeutralEvent

MICROSECONDS_PER_SECOND: Final = 1_000_000
NANOSECONDS_PER_MICROSECOND: Final = 1_000

_SCOPE_KINDS: Final = {
    "contact": common_pb2.SCOPE_KIND_CONTACT,
    "share": common_pb2.SCOPE_KIND_SHARE,
    "process": common_pb2.SCOPE_KIND_PROCESS,
}


class EventUnsayableError(Exception):
    """The contract has no message for the event; the text is the reason for its rejection."""


def event_message(event: NeutralEvent) -> event_pb2.Event:
    """Turn an event into a message. Raises EventUnsayableError."""
    return _MAKERS[event["op"]](event)


def timestamp_of(instant: Instant) -> Timestamp:
    """Turn an instant, in microseconds, into a timestamp."""
    seconds, microseconds = divmod(instant, MICROSECONDS_PER_SECOND)
    return Timestamp(seconds=seconds, nanos=microseconds * NANOSECONDS_PER_MICROSECOND)


def _optional_timestamp(instant: Instant | None) -> Timestamp | None:
    return None if instant is None else timestamp_of(instant)


def _product(event: NeutralEvent) -> common_pb2.Product | None:
    product = event.get("product")
    return None if product is None else common_pb2.Product(**product)


def _source(event: NeutralEvent) -> common_pb2.Source | None:
    source = event.get("source")
    return None if source is None else common_pb2.Source(**source)


def _selector(event: NeutralEvent) -> common_pb2.Selector:
    parts: dict[str, Any] = dict(event["selector"])
    if "kind" in parts:
        kind = _SCOPE_KINDS.get(parts["kind"])
        if kind is None:
            known = ", ".join(_SCOPE_KINDS)
            raise EventUnsayableError(f"selector.kind: {parts['kind']!r} is none of {known}")
        parts["kind"] = kind
    return common_pb2.Selector(**parts)


def _purchase(event: NeutralEvent) -> event_pb2.Event:
    return event_pb2.Event(
        purchase=event_pb2.RecordPurchaseRequest(
            event_id=event["event_id"],
            customer_id=event["customer"],
            purchased_at=timestamp_of(event["purchased_at"]),
            product=_product(event),
            source=_source(event),
        )
    )


def _product_closing(event: NeutralEvent) -> event_pb2.Event:
    return event_pb2.Event(
        product_closing=event_pb2.CloseProductRequest(
            event_id=event["event_id"],
            customer_id=event["customer"],
            closed_at=timestamp_of(event["closed_at"]),
            product=_product(event),
            source=_source(event),
        )
    )


def _consent(event: NeutralEvent) -> event_pb2.Event:
    return event_pb2.Event(
        consent=event_pb2.RecordConsentRequest(
            event_id=event["event_id"],
            customer_id=event["customer"],
            obtained_at=timestamp_of(event["obtained_at"]),
            consent_type=event["consent_type"],
            value=event["value"],
            wording_version=event.get("wording_version"),
            expires_at=_optional_timestamp(event.get("expires_at")),
            product=_product(event),
            source=_source(event),
        )
    )


def _revocation(event: NeutralEvent) -> event_pb2.Event:
    return event_pb2.Event(
        revocation=event_pb2.RevokeRequest(
            event_id=event["event_id"],
            customer_id=event["customer"],
            revoked_at=timestamp_of(event["revoked_at"]),
            selector=_selector(event),
            source=_source(event),
        )
    )


def _restriction(event: NeutralEvent) -> event_pb2.Event:
    return event_pb2.Event(
        restriction=event_pb2.RestrictRequest(
            event_id=event["event_id"],
            customer_id=event["customer"],
            kind=event["kind"],
            selector=_selector(event),
            effective_from=timestamp_of(event["from"]),
            effective_until=_optional_timestamp(event["until"]),
            source=_source(event),
        )
    )


def _lifting(event: NeutralEvent) -> event_pb2.Event:
    return event_pb2.Event(
        lifting=event_pb2.LiftRestrictionRequest(
            event_id=event["event_id"],
            customer_id=event["customer"],
            restriction_event_id=event["restriction_event_id"],
            lifted_at=timestamp_of(event["lifted_at"]),
            source=_source(event),
        )
    )


def _acquisition(event: NeutralEvent) -> event_pb2.Event:
    return event_pb2.Event(
        acquisition=event_pb2.RecordAcquisitionRequest(
            event_id=event["event_id"],
            customer_id=event["customer"],
            partner=event["partner"],
            acquired_at=timestamp_of(event["acquired_at"]),
            source=_source(event),
        )
    )


def _voiding(event: NeutralEvent) -> event_pb2.Event:
    return event_pb2.Event(
        voiding=event_pb2.VoidEventRequest(
            event_id=event["event_id"],
            voided_event_id=event["voided_event_id"],
            cause=event["cause"],
            source=_source(event),
        )
    )


def _merge(event: NeutralEvent) -> event_pb2.Event:
    return event_pb2.Event(
        merge=event_pb2.MergeCustomersRequest(
            event_id=event["event_id"],
            from_customer_id=event["from"],
            into_customer_id=event["into"],
            source=_source(event),
        )
    )


def _split(event: NeutralEvent) -> event_pb2.Event:
    return event_pb2.Event(
        split=event_pb2.SplitCustomerRequest(
            event_id=event["event_id"],
            customer_id=event["from"],
            source=_source(event),
        )
    )


_MAKERS: Final[Mapping[str, Callable[[NeutralEvent], event_pb2.Event]]] = {
    "purchase": _purchase,
    "close_product": _product_closing,
    "consent": _consent,
    "revoke": _revocation,
    "restrict": _restriction,
    "lift": _lifting,
    "acquire": _acquisition,
    "void": _voiding,
    "merge": _merge,
    "split": _split,
}
"""By op, as in a case file's step."""
