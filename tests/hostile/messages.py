"""Messages that anybody might send: mostly plausible, with something hostile somewhere.

What lives here: Hypothesis strategies over the descriptors of the contract, so that a new field is
attacked without anybody thinking of it, and the spoiling of bytes. What is plausible for a field
goes by its name.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import strategies as st

from store.cursors import CursorKind, encode_cursor
from store.sharding import SHARD_COUNT
from store.token import Token
from tests.hostile.documents import documents
from tests.hostile.target import CUSTOMERS, document

HOSTILE_TEXTS: Final = (
    "",
    " ",
    "\0",
    "a\0b",
    "\x1b[2J",
    "\r\ngrpc-status: 0",
    "\u202egnilset\u2066",
    "\u2028",
    "\ufeff",
    "\U000e0001",
    "e\u0301" * 64,
    "'; DROP TABLE event; --",
    "%s%(a)s%n{0}{x[0]}$$",
    "\\",
    "../../etc",
    "я" * 129,
    "😀" * 128,
    "x" * 1001,
    "x" * 70_000,
)
INTEGERS: Final = (0, 1, -1, 2, 100, 1001, 2**31 - 1, -(2**31))
LONG_INTEGERS: Final = (*INTEGERS, 2**31, 2**53 + 1, 2**63 - 1, -(2**63))

_CODES: Final[Mapping[str, tuple[str, ...]]] = {
    "purpose": ("advertising", "service"),
    "channel": ("phone", "sms", "email"),
    "partner": ("acme",),
    "dataset": ("contacts", "income"),
    "datasets": ("contacts", "income"),
    "consent_type": ("marketing", "processing"),
    "value": ("granted", "refused", "asked_later"),
    "kind": ("complaint",),
    "product_type": ("loan",),
}
_CUSTOMER_FIELDS: Final = frozenset(
    {"customer_id", "customer_ids", "from_customer_id", "into_customer_id"}
)
_EVENT_FIELDS: Final = frozenset({"event_id", "voided_event_id", "restriction_event_id"})
_CURSOR_FIELDS: Final = frozenset({"cursor", "page_token"})

_customers: Final = st.one_of(
    st.sampled_from(CUSTOMERS), st.integers(0, 500).map("customer-{}".format)
)
_event_ids: Final = st.one_of(
    st.integers(0, 10**9).map("e-{}".format),
    st.integers(0, 10**9).map("customer/{}".format),
    st.sampled_from(CUSTOMERS).map("e-{}".format),
)
_sizes: Final = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 20)


@st.composite
def _forged_cursors(draw: st.DrawFn) -> str:
    """A cursor with the right checksum: whoever reads the source can make one."""
    kind = draw(st.sampled_from(CursorKind))
    count = draw(st.sampled_from([0, 1, 1, 1, 1 + SHARD_COUNT]))
    numbers = draw(st.lists(_sizes, min_size=count, max_size=count))
    asked = [None, draw(_customers), ["advertising/sms"]]
    return encode_cursor(kind, draw(st.sampled_from(asked)), numbers)


@st.composite
def _forged_tokens(draw: st.DrawFn) -> str:
    """A token with the right checksum."""
    positions = draw(
        st.dictionaries(st.integers(0, SHARD_COUNT), st.integers(0, 2**64 - 1), max_size=3)
    )
    numbers = st.sampled_from([0, 1, 2, 2**31 - 1, 2**31, 2**32 - 1])
    return Token(draw(numbers), positions, draw(numbers)).encode()


def _texts(name: str) -> st.SearchStrategy[str]:
    hostile = st.sampled_from(HOSTILE_TEXTS) | st.text(st.characters(codec="utf-8"), max_size=40)
    if name in _CUSTOMER_FIELDS:
        plausible: st.SearchStrategy[str] = _customers
    elif name in _EVENT_FIELDS:
        plausible = _event_ids
    elif name in _CURSOR_FIELDS:
        plausible = st.just("") | _forged_cursors()
    elif name == "token":
        plausible = st.just("") | _forged_tokens()
    elif name == "document":
        plausible = documents(json.dumps(document()))
    elif name in _CODES:
        plausible = st.sampled_from(_CODES[name])
    elif name.endswith("_id"):
        plausible = st.integers(0, 10**9).map("id-{}".format)
    else:
        plausible = st.sampled_from(["", "A-17", "mobile app"])
    return _rarely(hostile, plausible)


def _rarely(rare: st.SearchStrategy[Any], usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One time in eight the rare one."""
    return st.integers(0, 7).flatmap(lambda number: rare if number == 7 else usual)


_timestamps: Final = _rarely(
    st.builds(
        Timestamp,
        seconds=st.integers(-(2**63), 2**63 - 1),
        nanos=st.integers(-(2**31), 2**31 - 1),
    ),
    st.builds(
        Timestamp,
        seconds=st.integers(1_500_000_000, 2_000_000_000),
        nanos=st.sampled_from([0, 1, 999_999_999]),
    ),
)


def messages(descriptor: Any) -> st.SearchStrategy[Message]:
    """Give messages of a type."""
    if descriptor.full_name == Timestamp.DESCRIPTOR.full_name:
        return _timestamps
    return _messages(descriptor)


@st.composite
def _messages(draw: st.DrawFn, descriptor: Any) -> Message:
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        # Of alternatives the last that is set counts: more than one is tried all the same.
        chance = 2 if field.containing_oneof is not None else 7
        if draw(st.integers(0, 7)) > chance:
            continue
        if field.is_repeated:
            count = draw(_rarely(st.integers(0, 40), st.integers(1, 3)))
            values = [draw(_values(field)) for _ in range(count)]
            getattr(message, field.name).extend(values)
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(draw(_values(field)))
        else:
            setattr(message, field.name, draw(_values(field)))
    return message


def _values(field: Any) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one plain case for each type
    if field.message_type is not None:
        return messages(field.message_type)
    if field.type == FieldDescriptor.TYPE_STRING:
        return _texts(field.name)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=40)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    if field.type == FieldDescriptor.TYPE_ENUM:
        numbers = [value.number for value in field.enum_type.values]
        return _rarely(st.sampled_from([99, -1, 2**31 - 1]), st.sampled_from(numbers))
    if field.type in {FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_SINT32}:
        return _rarely(st.sampled_from(INTEGERS), st.integers(0, 50))
    return _rarely(st.sampled_from(LONG_INTEGERS), st.integers(0, 50))


def requests(input_type: Any) -> st.SearchStrategy[bytes]:
    """Give the bytes of a request: a message, one that is spoilt, or anything."""
    written = messages(input_type).map(lambda message: message.SerializeToString())
    return st.one_of(
        written, written, written, spoilt(written), st.binary(max_size=64), st.just(b"")
    )


@st.composite
def spoilt(draw: st.DrawFn, originals: st.SearchStrategy[bytes]) -> bytes:
    """Bytes of which some are cut, changed, doubled or put in."""
    data = bytearray(draw(originals))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.integers(1, 16))
        match draw(st.integers(0, 3)):
            case 0:
                del data[place : place + length]
            case 1:
                data[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
            case 2:
                data[place:place] = data[place : place + length]
            case _:
                data[place:place] = draw(st.binary(max_size=length))
    return bytes(data)
