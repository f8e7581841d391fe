"""Messages to domain values: instants, selectors, products, sources and events.

What lives here: the reading of what a message can say and the domain cannot take. Whether codes are
known and texts are well formed is `decision.event_rules`' to say. Faults are collected, so that one
answer names them all.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from maywe.v1 import common_pb2, event_pb2

from decision.catalog import Catalog
from decision.errors import FieldFault, InvalidArgumentError
from decision.event_rules import check_event
from decision.events import (
    Acquisition,
    Body,
    Consent,
    Erasure,
    Lifting,
    Merge,
    NewEvent,
    ProductClosing,
    Purchase,
    Restriction,
    Revocation,
    Source,
    Split,
    Void,
)
from decision.instants import EARLIEST, FOREVER, LATEST, Instant, is_in_range
from decision.products import Product
from decision.scopes import ScopeKind
from decision.selectors import Selector
from service.conversion.timestamps import MICROSECONDS_PER_SECOND, NANOSECONDS_PER_MICROSECOND

NANOSECONDS_PER_SECOND: Final = 1_000_000_000


class Faults:
    """The faults found while one message is read."""

    def __init__(self) -> None:
        """Begin with none."""
        self.found: list[FieldFault] = []

    def note(self, field: str, problem: str) -> None:
        """Note what is wrong with a field."""
        self.found.append(FieldFault(field, problem))

    def refuse(self) -> None:
        """Raise InvalidArgumentError with every fault, if there is any."""
        if self.found:
            raise InvalidArgumentError(*self.found)


def read_instant(field: str, timestamp: Timestamp, faults: Faults, otherwise: Instant) -> Instant:
    """Read an instant of the years 1900 to 9999; what is finer than a microsecond is dropped.

    A faulty one is noted, and `otherwise` stands in for it.
    """
    if not 0 <= timestamp.nanos < NANOSECONDS_PER_SECOND:
        faults.note(field, f"has {timestamp.nanos} nanos: 0 to 999999999 are possible")
        return otherwise
    instant = (
        timestamp.seconds * MICROSECONDS_PER_SECOND + timestamp.nanos // NANOSECONDS_PER_MICROSECOND
    )
    if not is_in_range(instant):
        faults.note(field, "has to lie in the years 1900 to 9999")
        return otherwise
    return instant


def read_required_instant(message: Message, field: str, faults: Faults) -> Instant:
    """Read a field of type Timestamp that has to be there."""
    if not message.HasField(field):
        faults.note(field, "is missing: send an instant")
        return EARLIEST
    return read_instant(field, getattr(message, field), faults, EARLIEST)


def read_optional_instant(message: Message, field: str, faults: Faults) -> Instant | None:
    """Read a field of type Timestamp, None when it is absent."""
    if not message.HasField(field):
        return None
    return read_instant(field, getattr(message, field), faults, LATEST)


def optional_instant(field: str, message: Message) -> Instant | None:
    """Read a field of type Timestamp, None when absent. Raises InvalidArgumentError."""
    if not message.HasField(field):
        return None
    faults = Faults()
    instant = read_instant(field, getattr(message, field), faults, LATEST)
    faults.refuse()
    return instant


def read_optional_text(message: Message, field: str, path: str, faults: Faults) -> str:
    """Read an `optional string`, empty when absent; one that is sent empty is a fault."""
    text: str = getattr(message, field)
    if not text and message.HasField(field):
        faults.note(path, "is sent empty: leave it out to name nothing")
    return text


DATASETS_PER_QUESTION_MAX: Final = 1000
"""Data sets that one question may name."""


def read_datasets(datasets: Sequence[str]) -> tuple[str, ...]:
    """Read the data sets of a question. Raises InvalidArgumentError when they are too many."""
    if len(datasets) > DATASETS_PER_QUESTION_MAX:
        # Before anything is said of each of them.
        problem = f"names {len(datasets)} data sets, {DATASETS_PER_QUESTION_MAX} are the most"
        raise InvalidArgumentError(FieldFault("datasets", problem))
    return tuple(datasets)


def read_product(message: common_pb2.Product) -> Product:
    """Read a product; absent parts are empty."""
    return Product(message.system_code, message.product_type, message.series, message.number)


def read_source(message: common_pb2.Source) -> Source:
    """Read a source; absent parts are empty."""
    return Source(message.process, message.channel, message.document, message.recorded_by)


_KINDS: Final[Mapping[int, ScopeKind | None]] = {
    common_pb2.SCOPE_KIND_UNSPECIFIED: None,
    common_pb2.SCOPE_KIND_CONTACT: ScopeKind.CONTACT,
    common_pb2.SCOPE_KIND_SHARE: ScopeKind.SHARE,
    common_pb2.SCOPE_KIND_PROCESS: ScopeKind.PROCESS,
}

_SelectorPart = Literal["purpose", "channel", "partner", "dataset", "consent_type", "event_id"]


def read_selector(message: common_pb2.Selector, faults: Faults) -> Selector:
    """Read the field `selector`. Its form and codes are checked with the event."""
    if message.kind not in _KINDS:
        faults.note("selector.kind", f"{message.kind} is not a kind of scope")

    def part(name: _SelectorPart) -> str:
        return read_optional_text(message, name, f"selector.{name}", faults)

    return Selector(
        all=message.all,
        kind=_KINDS.get(message.kind),
        purpose=part("purpose"),
        channel=part("channel"),
        partner=part("partner"),
        dataset=part("dataset"),
        consent_type=part("consent_type"),
        event_id=part("event_id"),
    )


EventRequest = (
    event_pb2.RecordPurchaseRequest
    | event_pb2.CloseProductRequest
    | event_pb2.RecordConsentRequest
    | event_pb2.RevokeRequest
    | event_pb2.RestrictRequest
    | event_pb2.LiftRestrictionRequest
    | event_pb2.RecordAcquisitionRequest
    | event_pb2.VoidEventRequest
    | event_pb2.MergeCustomersRequest
    | event_pb2.SplitCustomerRequest
    | event_pb2.EraseCustomerRequest
)
"""The requests that are events."""


def read_event(request: EventRequest, catalog: Catalog) -> NewEvent:
    """Read the request of a call that records an event.

    Raises InvalidArgumentError with every faulty field. When the message itself is faulty,
    `catalog` serves to name the faults that the event would have had besides; else the recorder
    checks it.
    """
    faults = Faults()
    body = _READERS[type(request)](request, faults)
    customer_id = "" if isinstance(body, Void | Merge | Split) else request.customer_id  # type: ignore[union-attr]  # the other kinds have one
    event = NewEvent(request.event_id, customer_id, body, read_source(request.source))
    if faults.found:
        _add_faults_of_event(event, catalog, faults)
        faults.refuse()
    return event


def read_any_event(message: event_pb2.Event, catalog: Catalog) -> NewEvent:
    """Read any event. Raises as `read_event` does; paths begin inside the event's own message."""
    which = message.WhichOneof("event")
    if which is None:
        raise InvalidArgumentError(FieldFault("event", "is missing: send exactly one event"))
    if which == "erasure":
        raise InvalidArgumentError(FieldFault("erasure", "is not for an import: EraseCustomer is"))
    return read_event(getattr(message, which), catalog)


def _add_faults_of_event(event: NewEvent, catalog: Catalog, faults: Faults) -> None:
    """Add what else is wrong; the stand-ins for faulty fields add nothing of their own."""
    known = {fault.field for fault in faults.found}
    # A selector whose parts were sent empty would be called empty as well.
    known |= {field.partition(".")[0] for field in known}
    try:
        check_event(event, catalog)
    except InvalidArgumentError as error:
        faults.found += [fault for fault in error.faults if fault.field not in known]


def _purchase(request: event_pb2.RecordPurchaseRequest, faults: Faults) -> Body:
    return Purchase(
        read_required_instant(request, "purchased_at", faults), read_product(request.product)
    )


def _product_closing(request: event_pb2.CloseProductRequest, faults: Faults) -> Body:
    return ProductClosing(
        read_required_instant(request, "closed_at", faults), read_product(request.product)
    )


def _consent(request: event_pb2.RecordConsentRequest, faults: Faults) -> Body:
    return Consent(
        read_required_instant(request, "obtained_at", faults),
        request.consent_type,
        request.value,
        request.wording_version if request.HasField("wording_version") else None,
        read_optional_instant(request, "expires_at", faults),
        read_product(request.product) if request.HasField("product") else None,
    )


def _revocation(request: event_pb2.RevokeRequest, faults: Faults) -> Body:
    return Revocation(
        read_required_instant(request, "revoked_at", faults),
        read_selector(request.selector, faults),
    )


def _restriction(request: event_pb2.RestrictRequest, faults: Faults) -> Body:
    until = read_optional_instant(request, "effective_until", faults)
    return Restriction(
        read_required_instant(request, "effective_from", faults),
        FOREVER if until is None else until,
        request.kind,
        read_selector(request.selector, faults),
    )


def _lifting(request: event_pb2.LiftRestrictionRequest, faults: Faults) -> Body:
    return Lifting(
        read_required_instant(request, "lifted_at", faults), request.restriction_event_id
    )


def _acquisition(request: event_pb2.RecordAcquisitionRequest, faults: Faults) -> Body:
    return Acquisition(read_required_instant(request, "acquired_at", faults), request.partner)


def _void(request: event_pb2.VoidEventRequest, _: Faults) -> Body:
    return Void(request.voided_event_id, request.cause)


def _merge(request: event_pb2.MergeCustomersRequest, _: Faults) -> Body:
    return Merge(request.from_customer_id, request.into_customer_id)


def _split(request: event_pb2.SplitCustomerRequest, _: Faults) -> Body:
    return Split(request.customer_id)


def _erasure(request: event_pb2.EraseCustomerRequest, _: Faults) -> Body:
    return Erasure(request.with_merged)


_READERS: Final[Mapping[type[Message], Callable[[Any, Faults], Body]]] = {
    event_pb2.RecordPurchaseRequest: _purchase,
    event_pb2.CloseProductRequest: _product_closing,
    event_pb2.RecordConsentRequest: _consent,
    event_pb2.RevokeRequest: _revocation,
    event_pb2.RestrictRequest: _restriction,
    event_pb2.LiftRestrictionRequest: _lifting,
    event_pb2.RecordAcquisitionRequest: _acquisition,
    event_pb2.VoidEventRequest: _void,
    event_pb2.MergeCustomersRequest: _merge,
    event_pb2.SplitCustomerRequest: _split,
    event_pb2.EraseCustomerRequest: _erasure,
}
