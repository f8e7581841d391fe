"""The wire format of protobuf for whole columns at once.

What lives here: what `wire` writes one by one, of many values together.
"""

from typing import Final

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from decision.instants import FOREVER
from service.conversion.timestamps import MICROSECONDS_PER_SECOND, NANOSECONDS_PER_MICROSECOND
from service.conversion.wire import (
    FIELD_SHIFT,
    GOES_ON,
    LENGTH_DELIMITED,
    SECONDS_BYTES,
    SECONDS_MAX,
    SECONDS_MIN,
    SECONDS_TAG,
    VARINT_BITS,
    VARINT_MASK,
    timestamp,
)
from store.judging import Numbers

_NANOS_TAG: Final = Timestamp.NANOS_FIELD_NUMBER << FIELD_SHIFT
_NANOS_BYTES_MAX: Final = 5
_HEAD_BYTES: Final = 2
_SECONDS_AT: Final = _HEAD_BYTES + 1
_NANOS_AT: Final = _SECONDS_AT + SECONDS_BYTES + 1


def timestamps(field: int, instants: Numbers) -> list[bytes]:
    """Write instants as a Timestamp each; FOREVER is absent. `field` is below 16."""
    seconds, microseconds = np.divmod(instants, MICROSECONDS_PER_SECOND)
    rows = np.zeros((len(instants), _NANOS_AT + _NANOS_BYTES_MAX), np.uint8)
    rows[:, 0] = field << FIELD_SHIFT | LENGTH_DELIMITED
    rows[:, 1] = _NANOS_AT - 1 - _HEAD_BYTES
    rows[:, _SECONDS_AT - 1] = SECONDS_TAG
    rows[:, _SECONDS_AT : _NANOS_AT - 1] = _varints(seconds, SECONDS_BYTES)
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
    is_plain = (seconds >= SECONDS_MIN) & (seconds <= SECONDS_MAX) | is_open
    for place in np.flatnonzero(~is_plain).tolist():
        written[place] = timestamp(field, int(instants[place]))
    return written


def _varints(numbers: Numbers, bytes_max: int) -> NDArray[np.uint8]:
    """Write numbers, each as a row that ends with zeros."""
    left = numbers[:, np.newaxis] >> VARINT_BITS * np.arange(bytes_max + 1)
    goes_on = left[:, 1:] > 0
    return (left[:, :-1] & VARINT_MASK | goes_on * GOES_ON).astype(np.uint8)
