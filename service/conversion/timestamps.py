"""Instants to the Timestamps of the contract.

What lives here: what every sender of messages needs, without anything that takes long to import.
"""

from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from decision.instants import Instant

MICROSECONDS_PER_SECOND: Final = 1_000_000
NANOSECONDS_PER_MICROSECOND: Final = 1_000


def timestamp(instant: Instant) -> Timestamp:
    """Write an instant, which is none of the open ends."""
    return Timestamp(**timestamp_fields(instant))


def timestamp_fields(instant: Instant) -> dict[str, int]:
    """Write an instant, which is none of the open ends, as the fields of a Timestamp."""
    seconds, microseconds = divmod(instant, MICROSECONDS_PER_SECOND)
    if not microseconds:
        return {"seconds": seconds}
    return {"seconds": seconds, "nanos": microseconds * NANOSECONDS_PER_MICROSECOND}
