"""What to do when a call fails. Whatever it is, nobody is called, written to or told anything."""

from enum import StrEnum
from typing import NamedTuple, cast

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from grpc_status import rpc_status

WAIT_SECONDS = 1.0
"""Where the server does not say how long to wait."""


class Do(StrEnum):
    """What to do."""

    LATER = "LATER"
    """Nobody knows the answer now: wait, go on with others, and ask again."""

    MEND = "MEND"
    """This customer's id is at fault, and only mending it helps; others can be asked about."""

    STOP = "STOP"
    """The next call would fail the same way: end, and tell whoever runs the program."""


_LATER = {
    grpc.StatusCode.UNAVAILABLE,  # no server, or a server without its stores
    grpc.StatusCode.RESOURCE_EXHAUSTED,  # a limit is reached, the servers' or our own
    grpc.StatusCode.DEADLINE_EXCEEDED,  # not in time
    grpc.StatusCode.CANCELLED,  # the connection broke in the middle
    grpc.StatusCode.ABORTED,  # somebody else was first
    grpc.StatusCode.INTERNAL,  # a defect: the server's log has it under the id in the details
    grpc.StatusCode.UNKNOWN,  # as above, of something between us
}
"""With any other status we have to change something first."""


class Failure(NamedTuple):
    """A call that failed: what to do, how long to wait first, and why."""

    do: Do
    wait_seconds: float
    status: str
    reason: str
    message: str


def failure_of(error: grpc.RpcError) -> Failure:
    """Read a failed call."""
    info, faulty, retry = ErrorInfo(), BadRequest(), RetryInfo()
    wait_seconds = WAIT_SECONDS
    # What a stub raises is the call itself. A proxy or gRPC may have ended it: then there are no
    # details.
    status = rpc_status.from_call(cast("grpc.Call", error))
    for detail in status.details if status else ():
        if detail.Unpack(retry):
            wait_seconds = retry.retry_delay.ToTimedelta().total_seconds()
        elif not detail.Unpack(info):
            detail.Unpack(faulty)
    if error.code() in _LATER:
        do = Do.LATER
    elif [one.field for one in faulty.field_violations] == ["customer_id"]:
        do = Do.MEND
    else:
        do = Do.STOP
    reason = info.reason.removeprefix("ERROR_REASON_")
    return Failure(do, wait_seconds, error.code().name, reason, error.details() or "")
