"""Requests that are no messages: finding out what is wrong with them.

What lives here: the stand-in for a request that could not be read, and the search for the string
that is not UTF-8, so that the answer can name the field.
"""

from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from decision.errors import FieldFault, InvalidArgumentError

WIRE_TYPE_OF_BYTES: Final = 2
"""The wire type of strings and messages: a length, then so many bytes."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Bytes that are no message of the kind that the call takes."""

    message_class: type[Message]
    data: bytes

    def error(self) -> InvalidArgumentError:
        """Say what is wrong with the bytes."""
        field = _faulty_string(self.message_class.DESCRIPTOR, self.data)
        if field:
            return InvalidArgumentError(FieldFault(field, "is not UTF-8: send text as UTF-8"))
        name = self.message_class.DESCRIPTOR.full_name
        return InvalidArgumentError(FieldFault("request", f"is not a message {name}"))


def _faulty_string(
    descriptor: Any,  # noqa: ANN401 - protobuf has two classes of descriptors, and types for one
    data: bytes,
) -> str:
    """Give the path of the first string that is not UTF-8, or the empty string."""
    try:
        # To a message without fields all that is there is unknown, and so kept as raw bytes.
        empty = Empty.FromString(data)
    except DecodeError:
        return ""
    fields: Any = UnknownFieldSet(
        empty
    )  # which can be gone through, though its types do not say so
    for found in fields:
        field = descriptor.fields_by_number.get(found.field_number)
        if field is None or found.wire_type != WIRE_TYPE_OF_BYTES:
            continue
        if field.type == FieldDescriptor.TYPE_STRING and not _is_text(found.data):
            return str(field.name)
        if field.message_type is not None:
            inner = _faulty_string(field.message_type, found.data)
            if inner:
                return f"{field.name}.{inner}"
    return ""


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
