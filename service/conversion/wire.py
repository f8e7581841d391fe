"""The wire format of protobuf, for answers of which there are too many to be made one by one.

What lives here: fields as bytes. Fields of a message may be put one after the other in any order,
and a message is its fields, with its length before it where it is part of another.
"""

from functools import lru_cache
from typing import Final

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from decision.instants import FOREVER, Instant
from service.conversion import writing
from service.conversion.reading import MICROSECONDS_PER_SECOND, NANOSECONDS_PER_MICROSECOND
from store.judging import Numbers

NUMBERS_KEPT_MAX: Final = 4096
"""Numbers whose bytes are kept: most are lengths and versions, small and always the same."""

_LENGTH_DELIMITED: Final = 2
_FIELD_SHIFT: Final = 3
_VARINT_BITS: Final = 7
_VARINT_MASK: Final = 0x7F
_GOES_ON: Final = 0x80

_SECONDS_TAG: Final = Timestamp.SECONDS_FIELD_NUMBER << _FIELD_SHIFT
_NANOS_TAG: Final = Timestamp.NANOS_FIELD_NUMBER << _FIELD_SHIFT
_SECONDS_BYTES: Final = 5
_NANOS_BYTES_MAX: Final = 5
_HEAD_BYTES: Final = 2
_SECONDS_AT: Final = _HEAD_BYTES + 1
_NANOS_AT: Final = _SECONDS_AT + _SECONDS_BYTES + 1
_SECONDS_MIN: Final = 1 << _VARINT_BITS * (_SECONDS_BYTES - 1)
_SECONDS_MAX: Final = (1 << _VARINT_BITS * _SECONDS_BYTES) - 1
"""Seconds that take five bytes: those of the years 1978 to 3058."""


@lru_cache(NUMBERS_KEPT_MAX)
def varint(number: int) -> bytes:
    """Write a number, 0 or more."""
    written = bytearray()
    while number >> _VARINT_BITS:
        written.append(number & _VARINT_MASK | _GOES_ON)
        number >>= _VARINT_BITS
    written.append(number)
    return bytes(written)


@lru_cache(NUMBERS_KEPT_MAX)
def head(field: int, length: int) -> bytes:
    """Write what stands before a text, message or packed list of so many bytes in a field."""
    return varint(field << _FIELD_SHIFT | _LENGTH_DELIMITED) + varint(length)


def delimited(field: int, content: bytes) -> bytes:
    """Write a field that is a text, a message or a packed list."""
    return head(field, len(content)) + content


def text(field: int, utf8: bytes) -> bytes:
    """Write a text; an empty one is absent."""
    return head(field, len(utf8)) + utf8 if utf8 else b""


@lru_cache(NUMBERS_KEPT_MAX)
def number(field: int, value: int) -> bytes:
    """Write a number, 0 or more; 0 is absent."""
    return varint(field << _FIELD_SHIFT) + varint(value) if value else b""


def timestamp(field: int, instant: Instant) -> bytes:
    """Write an instant as a Timestamp; FOREVER is absent."""
    if instant == FOREVER:
        return b""
    return delimited(field, writing.timestamp(instant).SerializeToString())


def timestamps(field: int, instants: Numbers) -> list[bytes]:
    """Write instants as a Timestamp each; FOREVER is absent. `field` is below 16."""
    seconds, microseconds = np.divmod(instants, MICROSECONDS_PER_SECOND)
    rows = np.zeros((len(instants), _NANOS_AT + _NANOS_BYTES_MAX), np.uint8)
    rows[:, 0] = field << _FIELD_SHIFT | _LENGTH_DELIMITED
    rows[:, 1] = _NANOS_AT - 1 - _HEAD_BYTES
    rows[:, _SECONDS_AT - 1] = _SECONDS_TAG
    rows[:, _SECONDS_AT : _NANOS_AT - 1] = _varints(seconds, _SECONDS_BYTES)
    exact = np.flatnonzero(microseconds)
    if len(exact):
        nanos = _varints(microseconds[exact] * NANOSECONDS_PER_MICROSECOND, _NANOS_BYTES_MAX)
        rows[exact, 1] += (1 + np.count_nonzero(nanos, axis=1)).astype(np.uint8)
        rows[exact, _NANOS_AT - 1] = _NANOS_TAG
        rows[exact, _NANOS_AT:] = nanos
    is_open = instants == FOREVER
    rows[is_open] = 0
    # No row ends with a zero that is written, so numpy may take zeros for the end of a text.
    written: list[bytes] = rows.view(f"S{rows.shape[1]}")[:, 0].tolist()
    is_plain = (seconds >= _SECONDS_MIN) & (seconds <= _SECONDS_MAX) | is_open
    for place in np.flatnonzero(~is_plain).tolist():
        written[place] = timestamp(field, int(instants[place]))
    return written


def _varints(numbers: Numbers, bytes_max: int) -> NDArray[np.uint8]:
    """Write numbers, each as a row that ends with zeros."""
    left = numbers[:, np.newaxis] >> _VARINT_BITS * np.arange(bytes_max + 1)
    goes_on = left[:, 1:] > 0
    return (left[:, :-1] & _VARINT_MASK | goes_on * _GOES_ON).astype(np.uint8)
