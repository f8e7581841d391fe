"""The wire format of protobuf, for what there is too much of to be made message by message.

What lives here: fields as bytes. Fields of a message may be put one after the other in any order,
and a message is its fields, with its length before it where it is part of another. Whole columns
of instants are in `wire_columns`: nothing here takes long to import, as a command line needs it.
"""

from functools import lru_cache
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from decision.instants import FOREVER, Instant
from service.conversion.timestamps import (
    MICROSECONDS_PER_SECOND,
    timestamp_fields,
)

NUMBERS_KEPT_MAX: Final = 4096
"""Numbers whose bytes are kept: most are lengths and versions, small and always the same."""

LENGTH_DELIMITED: Final = 2
FIELD_SHIFT: Final = 3
VARINT_BITS: Final = 7
VARINT_MASK: Final = 0x7F
GOES_ON: Final = 0x80

SECONDS_TAG: Final = Timestamp.SECONDS_FIELD_NUMBER << FIELD_SHIFT
SECONDS_BYTES: Final = 5
SECONDS_MIN: Final = 1 << VARINT_BITS * (SECONDS_BYTES - 1)
SECONDS_MAX: Final = (1 << VARINT_BITS * SECONDS_BYTES) - 1
"""Seconds that take five bytes: those of the years 1978 to 3058."""

_LOW_BYTES: Final = [bytes([low | GOES_ON]) for low in range(VARINT_MASK + 1)]


@lru_cache(NUMBERS_KEPT_MAX)
def varint(number: int) -> bytes:
    """Write a number, 0 or more."""
    written = bytearray()
    while number >> VARINT_BITS:
        written.append(number & VARINT_MASK | GOES_ON)
        number >>= VARINT_BITS
    written.append(number)
    return bytes(written)


def rising_varint(number: int) -> bytes:
    """Write a number, 0 or more, that hardly differs from the one before, such as a position."""
    if number <= VARINT_MASK:
        return varint(number)
    return _LOW_BYTES[number & VARINT_MASK] + varint(number >> VARINT_BITS)


@lru_cache(NUMBERS_KEPT_MAX)
def head(field: int, length: int) -> bytes:
    """Write what stands before a text, message or packed list of so many bytes in a field."""
    return varint(field << FIELD_SHIFT | LENGTH_DELIMITED) + varint(length)


def delimited(field: int, content: bytes) -> bytes:
    """Write a field that is a text, a message or a packed list."""
    return head(field, len(content)) + content


def text(field: int, utf8: bytes) -> bytes:
    """Write a text; an empty one is absent."""
    return head(field, len(utf8)) + utf8 if utf8 else b""


@lru_cache(NUMBERS_KEPT_MAX)
def number(field: int, value: int) -> bytes:
    """Write a number, 0 or more; 0 is absent."""
    return varint(field << FIELD_SHIFT) + varint(value) if value else b""


@lru_cache(NUMBERS_KEPT_MAX)
def given_number(field: int, value: int) -> bytes:
    """Write a number, 0 or more, in a field that says whether it is given; 0 is not absent."""
    return varint(field << FIELD_SHIFT) + varint(value)


def timestamp(field: int, instant: Instant) -> bytes:
    """Write an instant as a Timestamp; FOREVER is absent."""
    if instant == FOREVER:
        return b""
    seconds, microseconds = divmod(instant, MICROSECONDS_PER_SECOND)
    if microseconds or not SECONDS_MIN <= seconds <= SECONDS_MAX:
        return delimited(field, Timestamp(**timestamp_fields(instant)).SerializeToString())
    # Nearly all are whole seconds of our years.
    return head(field, 1 + SECONDS_BYTES) + bytes(
        (
            SECONDS_TAG,
            seconds & VARINT_MASK | GOES_ON,
            seconds >> VARINT_BITS & VARINT_MASK | GOES_ON,
            seconds >> 2 * VARINT_BITS & VARINT_MASK | GOES_ON,
            seconds >> 3 * VARINT_BITS & VARINT_MASK | GOES_ON,
            seconds >> 4 * VARINT_BITS,
        )
    )
