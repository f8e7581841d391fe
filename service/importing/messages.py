"""Events as read from a file, turned into what the contract's messages hold.

What lives here: a table of which part of an event goes to which field. Nothing is checked but what
a message cannot even say; the rest is the writer's. Protobuf fills a message from nested mappings
by itself, in half the time that it takes to put together messages of messages.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp
from maywe.v1 import common_pb2

from decision.instants import Instant
from service.importing.rows import NeutralEvent

MICROSECONDS_PER_SECOND: Final = 1_000_000
NANOSECONDS_PER_MICROSECOND: Final = 1_000

EventFields: TypeAlias = Mapping[str, Mapping[str, Any]]
"""The fields of an `Event`, and of the messages within it."""

_SCOPE_KINDS: Final = {
    "contact": common_pb2.SCOPE_KIND_CONTACT,
    "share": common_pb2.SCOPE_KIND_SHARE,
    "process": common_pb2.SCOPE_KIND_PROCESS,
}


class EventUnsayableError(Exception):
    """The contract has no message for the event; the text is the reason for its rejection."""


def event_fields(event: NeutralEvent) -> EventFields:
    """Give the fields of the message of an event. Raises EventUnsayableError."""
    kind, parts = _MESSAGES[event["op"]]
    return {
        kind: {
            part.field: value if part.convert is None else part.convert(value)
            for part in parts
            if (value := event.get(part.name)) is not None
        }
    }


def timestamp_of(instant: Instant) -> Timestamp:
    """Turn an instant, in microseconds, into a timestamp."""
    return Timestamp(**_timestamp(instant))


def _timestamp(instant: Instant) -> dict[str, int]:
    seconds, microseconds = divmod(instant, MICROSECONDS_PER_SECOND)
    return {"seconds": seconds, "nanos": microseconds * NANOSECONDS_PER_MICROSECOND}


def _selector(selector: Mapping[str, Any]) -> Mapping[str, Any]:
    if "kind" not in selector:
        return selector
    kind = _SCOPE_KINDS.get(selector["kind"])
    if kind is None:
        known = ", ".join(_SCOPE_KINDS)
        raise EventUnsayableError(f"selector.kind: {selector['kind']!r} is none of {known}")
    return {**selector, "kind": kind}


class _Part(NamedTuple):
    """A part of an event, the field of its message, and how its value is said there."""

    name: str
    field: str
    convert: Callable[[Any], Any] | None = None


_ANY: Final = (_Part("event_id", "event_id"), _Part("source", "source"))
_OF_CUSTOMER: Final = (*_ANY, _Part("customer", "customer_id"))
_PRODUCT: Final = _Part("product", "product")
_SELECTOR: Final = _Part("selector", "selector", _selector)


def _same(*names: str) -> Sequence[_Part]:
    return [_Part(name, name) for name in names]


def _instant(name: str, field: str = "") -> _Part:
    return _Part(name, field or name, _timestamp)


_MESSAGES: Final[Mapping[str, tuple[str, Sequence[_Part]]]] = {
    "purchase": ("purchase", [*_OF_CUSTOMER, _instant("purchased_at"), _PRODUCT]),
    "close_product": ("product_closing", [*_OF_CUSTOMER, _instant("closed_at"), _PRODUCT]),
    "consent": (
        "consent",
        [
            *_OF_CUSTOMER,
            _instant("obtained_at"),
            *_same("consent_type", "value", "wording_version"),
            _instant("expires_at"),
            _PRODUCT,
        ],
    ),
    "revoke": ("revocation", [*_OF_CUSTOMER, _instant("revoked_at"), _SELECTOR]),
    "restrict": (
        "restriction",
        [
            *_OF_CUSTOMER,
            *_same("kind"),
            _SELECTOR,
            _instant("from", "effective_from"),
            _instant("until", "effective_until"),
        ],
    ),
    "lift": ("lifting", [*_OF_CUSTOMER, *_same("restriction_event_id"), _instant("lifted_at")]),
    "acquire": ("acquisition", [*_OF_CUSTOMER, *_same("partner"), _instant("acquired_at")]),
    "void": ("voiding", [*_ANY, *_same("voided_event_id", "cause")]),
    "merge": (
        "merge",
        [*_ANY, _Part("from", "from_customer_id"), _Part("into", "into_customer_id")],
    ),
    "split": ("split", [*_ANY, _Part("from", "customer_id")]),
}
"""By op, as in a case file's step: the field of `Event`, and the parts of the message there."""
