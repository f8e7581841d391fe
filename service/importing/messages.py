"""How the fields of an event are said, in the contract's messages and in what ids are derived from.

What lives here: a table of which field of an event is which field of its message, and both forms as
bytes. Nothing is checked but what a message cannot even say; the rest is the writer's.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

import orjson
from google.protobuf.descriptor import FieldDescriptor
from maywe.v1 import common_pb2, event_pb2

from service.conversion import wire
from service.importing.values import RecordFaultError, Value

Said: TypeAlias = tuple[bytes, bytes]
"""A field, or fields, said twice: as members of a JSON object, each with a comma before it, and as
fields of a message. Ids are derived from the first, and the second is sent."""

NOTHING: Final[Said] = (b"", b"")

EVENT_ID: Final = "event_id"

_EVENT: Final[Any] = event_pb2.Event.DESCRIPTOR
_KINDS: Final = {
    "purchase": "purchase",
    "close_product": "product_closing",
    "consent": "consent",
    "revoke": "revocation",
    "restrict": "restriction",
    "lift": "lifting",
    "acquire": "acquisition",
    "void": "voiding",
    "merge": "merge",
    "split": "split",
}
"""The field of `Event`, by op as in a case file's step."""

_OTHER_NAMES_OF_ALL: Final = {"customer": "customer_id"}
_OTHER_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "restrict": {"from": "effective_from", "until": "effective_until"},
    "merge": {"from": "from_customer_id", "into": "into_customer_id"},
    "split": {"from": "customer_id"},
}
"""Fields of a message that have another name than in a case file's step, by op."""

_SCOPE_KINDS: Final[Mapping[str, int]] = {
    "contact": common_pb2.SCOPE_KIND_CONTACT,
    "share": common_pb2.SCOPE_KIND_SHARE,
    "process": common_pb2.SCOPE_KIND_PROCESS,
}
SCOPE_KIND_FIELD: Final = "selector.kind"


class FieldForm(NamedTuple):
    """How one field of a kind of event is said."""

    say: Callable[[Value], Said]
    absent: Said
    """What is said of it when a record has none."""


def kind_number(op: str) -> int:
    """Give the number of the field of `Event` that is an event of a kind."""
    number: int = _EVENT.fields_by_name[_KINDS[op]].number
    return number


def field_number(op: str, name: str) -> int:
    """Give the number of a field, or of the message that is its parent, in its message."""
    return _descriptor(op, name).number


def field_form(op: str, name: str) -> FieldForm:
    """Give how a field of a kind of event is said."""
    descriptor = _descriptor(op, name)
    key = json_key(name.rpartition(".")[2])
    absent = NOTHING
    if name.startswith("product."):
        absent = (key + b'""', b"")
    elif (op, name) == ("restrict", "until"):
        absent = (key + b"null", b"")
    say = partial(_SAID_BY_TYPE[descriptor.type], key, descriptor.number)
    return FieldForm(say, absent)


def json_key(name: str) -> bytes:
    """Give what stands before the value of a member of a JSON object."""
    return b',"%s":' % name.encode()


def check_scope_kinds(members: Sequence[bytes], fields: Sequence[bytes]) -> None:
    """Refuse selectors that name a kind of scope that no message can. Raises RecordFaultError."""
    if _UNKNOWN_SCOPE_KIND in fields:
        _, _, kind = members[fields.index(_UNKNOWN_SCOPE_KIND)].partition(b":")
        known = ", ".join(_SCOPE_KINDS)
        raise RecordFaultError(f"{SCOPE_KIND_FIELD}: {orjson.loads(kind)!r} is none of {known}")


def _descriptor(op: str, name: str) -> FieldDescriptor:
    message = _EVENT.fields_by_name[_KINDS[op]].message_type
    first, _, part = name.partition(".")
    other = _OTHER_NAMES.get(op, {}).get(first) or _OTHER_NAMES_OF_ALL.get(first, first)
    descriptor = message.fields_by_name[other]
    found: FieldDescriptor = descriptor.message_type.fields_by_name[part] if part else descriptor
    return found


def _said_text(key: bytes, number: int, text: Any) -> Said:  # noqa: ANN401 - by its type
    return key + orjson.dumps(text), wire.text(number, text.encode())


def _said_instant(key: bytes, number: int, instant: Any) -> Said:  # noqa: ANN401 - by its type
    return key + orjson.dumps(instant), wire.timestamp(number, instant)


def _said_number(key: bytes, number: int, value: Any) -> Said:  # noqa: ANN401 - by its type
    return key + orjson.dumps(value), wire.given_number(number, value)


def _said_flag(key: bytes, number: int, flag: Any) -> Said:  # noqa: ANN401 - by its type
    # That not everything is selected goes without saying.
    return (key + b"true", wire.given_number(number, 1)) if flag else NOTHING


def _said_scope_kind(key: bytes, number: int, kind: Any) -> Said:  # noqa: ANN401 - by its type
    return key + orjson.dumps(kind), wire.given_number(number, _SCOPE_KINDS.get(kind, 0))


_SAID_BY_TYPE: Final[Mapping[int, Callable[[bytes, int, Any], Said]]] = {
    FieldDescriptor.TYPE_STRING: _said_text,
    FieldDescriptor.TYPE_MESSAGE: _said_instant,
    FieldDescriptor.TYPE_INT32: _said_number,
    FieldDescriptor.TYPE_BOOL: _said_flag,
    FieldDescriptor.TYPE_ENUM: _said_scope_kind,
}

_UNKNOWN_SCOPE_KIND: Final = wire.given_number(
    common_pb2.Selector.KIND_FIELD_NUMBER, common_pb2.SCOPE_KIND_UNSPECIFIED
)
