"""Events of the contract in the shape of a case file's step, to be looked at by tests."""

from typing import Any, Final, TypeAlias

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from maywe.v1 import common_pb2, event_pb2

NeutralEvent: TypeAlias = dict[str, Any]
"""`op`, `event_id`, `customer`, and what the op needs.

Instants are integer microseconds since 1970-01-01T00:00:00Z; an open end is None.
"""

OPS: Final = {
    "purchase": "purchase",
    "product_closing": "close_product",
    "consent": "consent",
    "revocation": "revoke",
    "restriction": "restrict",
    "lifting": "lift",
    "acquisition": "acquire",
    "voiding": "void",
    "merge": "merge",
    "split": "split",
}
"""By the field of `Event`."""

NAMES: Final = {
    "customer_id": "customer",
    "effective_from": "from",
    "effective_until": "until",
    "from_customer_id": "from",
    "into_customer_id": "into",
}


def neutral_event(event: bytes) -> NeutralEvent:
    """Read the bytes of an `Event`."""
    message = event_pb2.Event.FromString(event)
    kind = message.WhichOneof("event")
    assert kind is not None
    op = OPS[kind]
    fields = _fields(getattr(message, kind), {"customer_id": "from"} if op == "split" else {})
    if op == "restrict":
        fields.setdefault("until", None)
    return {"op": op, **fields}


def _fields(message: Message, names: dict[str, str]) -> dict[str, Any]:
    return {
        names.get(field.name) or NAMES.get(field.name, field.name): _value(value)
        for field, value in message.ListFields()
    }


def _value(value: Any) -> Any:
    match value:
        case Timestamp():
            return value.seconds * 1_000_000 + value.nanos // 1_000
        case common_pb2.Product():
            parts = ("system_code", "product_type", "series", "number")
            return {part: getattr(value, part) for part in parts}
        case common_pb2.Selector():
            selector = _fields(value, {})
            if value.kind:
                selector["kind"] = common_pb2.ScopeKind.Name(value.kind)[11:].lower()
            return selector
        case Message():
            return _fields(value, {})
        case _:
            return value
