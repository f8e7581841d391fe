"""Failed calls as one line that says what went wrong and what to do.

What lives here: reading the google.rpc details of an error (`errors.proto`), and the advice for
each reason. Printing it and the exit status are the command line's.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum, auto
from typing import Final, cast

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from maywe.v1.errors_pb2 import ErrorReason

FAULTS_SHOWN_MAX: Final = 5
"""Faulty fields named in one line; how many more there are is said."""

_DOMAIN: Final = "maywe"


class Outcome(Enum):
    """What a failed call means to the caller."""

    INVALID = auto()
    """The request was wrong; sent again it fails again."""

    REFUSED = auto()
    """The request is at odds with what is recorded; nothing was changed."""

    NOT_KNOWN = auto()
    """No answer could be had; nothing follows from that."""


class ClientProblemError(Exception):
    """A call failed; the message is one line that says what to do."""

    def __init__(self, message: str, outcome: Outcome) -> None:
        super().__init__(message)
        self.outcome = outcome


_OUTCOMES: Final = {
    grpc.StatusCode.INVALID_ARGUMENT: Outcome.INVALID,
    grpc.StatusCode.OUT_OF_RANGE: Outcome.INVALID,
    grpc.StatusCode.NOT_FOUND: Outcome.REFUSED,
    grpc.StatusCode.ALREADY_EXISTS: Outcome.REFUSED,
    grpc.StatusCode.FAILED_PRECONDITION: Outcome.REFUSED,
    grpc.StatusCode.ABORTED: Outcome.REFUSED,
}
"""Every other status means that nothing is known."""

_ADVICE: Final[Mapping[int, str]] = {
    ErrorReason.ERROR_REASON_CATALOG_INVALID: "`maywe catalog validate FILE` lists every fault",
    ErrorReason.ERROR_REASON_CATALOG_CONFLICT: "`maywe catalog validate FILE` lists every fault",
    ErrorReason.ERROR_REASON_EVENT_ID_TAKEN: "give the event an id of its own",
    ErrorReason.ERROR_REASON_PUBLICATION_ID_TAKEN: "give the publication an id of its own",
    ErrorReason.ERROR_REASON_PUBLICATION_NOT_FOUND: "`maywe catalog log` lists the publications",
    ErrorReason.ERROR_REASON_DECISION_NOT_FOUND: (
        "docs/security.md says which decisions are journalled"
    ),
    ErrorReason.ERROR_REASON_PUBLICATION_OUTDATED: (
        "look at it with `maywe catalog log` and `maywe catalog preview FILE`, then publish again"
    ),
    ErrorReason.ERROR_REASON_IMPORT_IN_PROGRESS: "wait until the other one has ended",
    ErrorReason.ERROR_REASON_OVERLOADED: "try again in a moment",
    ErrorReason.ERROR_REASON_STORE_UNAVAILABLE: (
        "try again in a moment; the server's log says what it cannot reach"
    ),
    ErrorReason.ERROR_REASON_SHUTTING_DOWN: "try again in a moment",
    ErrorReason.ERROR_REASON_NOT_HANDED_IN: (
        "somebody else hands it in with `maywe catalog preview --hand-in FILE`"
    ),
    ErrorReason.ERROR_REASON_CALLER_LIMIT: "call less often, or have the limit raised",
    ErrorReason.ERROR_REASON_CALLER_UNKNOWN: "give --token-file or --certificate-file",
    ErrorReason.ERROR_REASON_NOT_PERMITTED: "docs/security.md says which role may call what",
    ErrorReason.ERROR_REASON_INTERNAL: "this is a defect of the server, whose log says more",
}

_TRANSIENT: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }
)
_BROKEN_CONNECTION: Final = frozenset(
    {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL}
)
"""How a stream may end when its server goes away; from a server of ours these carry a reason."""


@contextmanager
def answers_from(address: str) -> Iterator[None]:
    """Turn the failure of a call to a server into a ClientProblemError."""
    try:
        yield
    except grpc.RpcError as error:
        raise problem_of(error, address) from error


def problem_of(error: grpc.RpcError, address: str) -> ClientProblemError:
    """Say what a failed call means and what to do about it."""
    code = error.code()
    status = _status(error)
    reason = _reason(status)
    outcome = _OUTCOMES.get(code, Outcome.NOT_KNOWN)
    if reason is None:
        return ClientProblemError(_without_reason(code, error.details() or "", address), outcome)
    text = _faults(status) or status.message or code.name
    advice = _ADVICE.get(reason, "")
    return ClientProblemError(_one_line(f"{text}; {advice}" if advice else text), outcome)


def is_transient(error: grpc.RpcError) -> bool:
    """Tell whether the same call may succeed a little later without anything being changed."""
    code = error.code()
    reason = _reason(_status(error))
    if reason is None:
        return code in _TRANSIENT or code in _BROKEN_CONNECTION
    return code in _TRANSIENT or reason == ErrorReason.ERROR_REASON_IMPORT_IN_PROGRESS


def retry_delay_seconds(error: grpc.RpcError) -> float:
    """Give how long the server asks to wait first; 0 when it does not say."""
    delay = RetryInfo()
    for detail in _status(error).details:
        if detail.Unpack(delay):
            return float(delay.retry_delay.ToTimedelta().total_seconds())
    return 0.0


def _without_reason(code: grpc.StatusCode, details: str, address: str) -> str:
    """Say what it means that something other than a server of ours ended the call."""
    match code:
        case grpc.StatusCode.UNAVAILABLE:
            return (
                f"no server answers at {address}: start one with `maywe serve all`, or name its "
                "address by --address or MAYWE_ADDRESS"
            )
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return (
                f"the server at {address} did not answer in time: try again, or allow it more "
                "by --timeout-seconds"
            )
        case grpc.StatusCode.UNIMPLEMENTED:
            return (
                f"the server at {address} does not serve this call: name the servers by "
                "--decision-address and --writer-address"
            )
        case _:
            return _one_line(f"the call to {address} failed with {code.name}: {details}")


def _faults(status: Status) -> str:
    """Give the faulty fields, each with what is wrong."""
    faults: list[str] = []
    for detail in status.details:
        request, failure = BadRequest(), PreconditionFailure()
        if detail.Unpack(request):
            faults += [f"{fault.field}: {fault.description}" for fault in request.field_violations]
        elif detail.Unpack(failure):
            faults += [f"{fault.subject}: {fault.description}" for fault in failure.violations]
    if len(faults) > FAULTS_SHOWN_MAX:
        more = len(faults) - FAULTS_SHOWN_MAX
        faults = [*faults[:FAULTS_SHOWN_MAX], f"and {more} more"]
    return "; ".join(fault.removeprefix(": ") for fault in faults)


def _status(error: grpc.RpcError) -> Status:
    # What a stub raises is the call itself; the types of grpc do not say so.
    return rpc_status.from_call(cast("grpc.Call", error)) or Status()


def _reason(status: Status) -> int | None:
    """Give the reason of a server of ours; None when there is none or it is new to us."""
    information = ErrorInfo()
    for detail in status.details:
        if detail.Unpack(information) and information.domain == _DOMAIN:
            return ErrorReason.Value(information.reason) if _is_known(information.reason) else None
    return None


def _is_known(reason: str) -> bool:
    return reason in ErrorReason.keys()  # noqa: SIM118 - an enum wrapper is no mapping


def _one_line(text: str) -> str:
    return " ".join(text.split())
