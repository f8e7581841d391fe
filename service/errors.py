"""Errors on the wire: the one place where exceptions become gRPC statuses.

What lives here: which status, reason and details each exception becomes (`maywe/v1/errors.proto`).
`guards` puts it around every call. No text of a driver, of Python or of this machine leaves through
here: an exception that nobody expected becomes INTERNAL with an id under which the log has it.
"""

import logging
import secrets
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, NoReturn

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from maywe.v1 import errors_pb2

from decision.errors import (
    AbortedError,
    AlreadyExistsError,
    DeadlineExceededError,
    DocumentFault,
    ErrorCode,
    FaultKind,
    FieldFault,
    InvalidArgumentError,
    MayweError,
    NotFoundError,
    NotPermittedError,
    OverloadedError,
    PreconditionError,
    PublicationRefusedError,
    UnavailableError,
    UnidentifiedError,
)
from service.logs.requests import REQUEST_ID, request_id

DOMAIN: Final = "maywe"
"""The domain in every ErrorInfo."""

DETAILS_BYTES_MAX: Final = 4096
"""A serialised status is cut to this: peers accept 8 KiB of trailers, and base64 adds a third."""

MESSAGE_ENCODED_BYTES_MAX: Final = 1024
"""How long a message may be as it travels, where a letter outside ASCII takes six bytes or more."""

TEXT_LENGTH_MAX: Final = 300
"""Characters of one description, field path or metadata value; callers' texts may be huge."""

RETRY_MILLISECONDS_BY_CODE: Final[Mapping[ErrorCode, int]] = {
    ErrorCode.STORE_UNAVAILABLE: 1000,
    ErrorCode.SHUTTING_DOWN: 200,
    ErrorCode.ERASURE_UNDER_WAY: 1000,
    ErrorCode.OVERLOADED: 500,
    ErrorCode.CALLER_LIMIT: 1000,
}
"""How long a caller is asked to wait before trying again."""

PUSHBACK_METADATA: Final = "grpc-retry-pushback-ms"
"""The trailer from which gRPC's own retries take how long to wait."""

_INCIDENT_BYTES: Final = 6
_BYTES_PER_ESCAPED_BYTE: Final = 3

_logger = logging.getLogger(__name__)


class ShuttingDownError(UnavailableError):
    """The server is shutting down."""

    def __init__(self) -> None:
        super().__init__(
            "the server is shutting down: try again, another one will answer",
            ErrorCode.SHUTTING_DOWN,
        )


class StreamOrderError(MayweError):
    """A message of a stream stands where it may not."""

    def __init__(self, expected: str, received: str) -> None:
        super().__init__(
            f"the stream expects {expected} here, not {received}",
            ErrorCode.STREAM_OUT_OF_ORDER,
            {"expected": expected, "received": received},
        )


class Problem(NamedTuple):
    """What a failed call says: a status code, a reason, the faulty fields, all fit to be shown."""

    code: int
    reason: str
    message: str
    metadata: Mapping[str, str]
    fields: tuple[tuple[str, str], ...] = ()
    is_precondition: bool = False
    retry_milliseconds: int = 0

    @property
    def field(self) -> str:
        """The path of the first faulty field; empty when no single field is at fault."""
        return self.metadata.get("field", "")


_CODE_BY_CLASS: Final[Mapping[type[MayweError], int]] = {
    InvalidArgumentError: code_pb2.INVALID_ARGUMENT,
    StreamOrderError: code_pb2.INVALID_ARGUMENT,
    AlreadyExistsError: code_pb2.ALREADY_EXISTS,
    NotFoundError: code_pb2.NOT_FOUND,
    PreconditionError: code_pb2.FAILED_PRECONDITION,
    AbortedError: code_pb2.ABORTED,
    DeadlineExceededError: code_pb2.DEADLINE_EXCEEDED,
    UnavailableError: code_pb2.UNAVAILABLE,
    OverloadedError: code_pb2.RESOURCE_EXHAUSTED,
    UnidentifiedError: code_pb2.UNAUTHENTICATED,
    NotPermittedError: code_pb2.PERMISSION_DENIED,
}


def problem_of(error: MayweError) -> Problem:
    """Tell what a call that failed with `error` says."""
    match error:
        case InvalidArgumentError(faults=faults):
            return _problem_of_fields(faults)
        case PublicationRefusedError(faults=document_faults):
            return _problem_of_document(error, document_faults)
    code = next((code for kind, code in _CODE_BY_CLASS.items() if isinstance(error, kind)), None)
    if code is None:
        message = f"{type(error).__name__} has no status"
        raise TypeError(message)
    return Problem(
        code,
        reason_name(error.code),
        _one_line(str(error)),
        {name: _shortened(value) for name, value in error.details.items()},
        retry_milliseconds=RETRY_MILLISECONDS_BY_CODE.get(error.code, 0),
    )


def reason_name(code: ErrorCode) -> str:
    """Give the name of the ErrorReason for a code."""
    return f"ERROR_REASON_{code.name}"


def reason_number(code: ErrorCode) -> errors_pb2.ErrorReason:
    """Give the ErrorReason for a code."""
    reason: errors_pb2.ErrorReason = getattr(errors_pb2, reason_name(code))
    return reason


def _problem_of_fields(faults: Iterable[FieldFault]) -> Problem:
    fields = tuple((_shortened(fault.field), _shortened(fault.problem)) for fault in faults)
    return Problem(
        code_pb2.INVALID_ARGUMENT,
        reason_name(ErrorCode.FIELD_INVALID),
        _one_line(_summary([f"{field}: {problem}" for field, problem in fields])),
        {"field": fields[0][0], "fault_count": str(len(fields))},
        fields,
    )


def _problem_of_document(error: MayweError, faults: Iterable[DocumentFault]) -> Problem:
    # What decides the status comes first, so that it is not cut off.
    ordered = sorted(faults, key=lambda fault: fault.kind is not FaultKind.INVALID)
    fields = tuple(
        (_shortened(fault.path), _shortened(f"{fault.problem}; {fault.remedy}"))
        for fault in ordered
    )
    is_invalid = error.code is ErrorCode.CATALOG_INVALID
    return Problem(
        code_pb2.INVALID_ARGUMENT if is_invalid else code_pb2.FAILED_PRECONDITION,
        reason_name(error.code),
        _one_line(_summary([f"{path or 'document'}: {text}" for path, text in fields])),
        {"field": "document", "fault_count": str(len(fields))},
        fields,
        is_precondition=not is_invalid,
    )


def _summary(faults: list[str]) -> str:
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{faults[0]}{more}"


def status_of(problem: Problem) -> status_pb2.Status:
    """Write a problem as a status with its details, cut to what a trailer can carry."""
    status = status_pb2.Status(code=problem.code, message=problem.message)
    info = error_details_pb2.ErrorInfo(
        reason=problem.reason, domain=DOMAIN, metadata=dict(problem.metadata)
    )
    status.details.add().Pack(info)
    if problem.retry_milliseconds:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(problem.retry_milliseconds)
        status.details.add().Pack(retry)
    room = DETAILS_BYTES_MAX - status.ByteSize()
    if problem.fields and problem.is_precondition:
        status.details.add().Pack(_precondition_failure(problem, room))
    elif problem.fields:
        status.details.add().Pack(_bad_request(problem, room))
    return status


_FRAME_BYTES: Final = 100
"""More than what stands around the faults: the type's URL, tags and lengths."""


def _bad_request(problem: Problem, room: int) -> error_details_pb2.BadRequest:
    details = error_details_pb2.BadRequest()
    for field, text in problem.fields:
        details.field_violations.add(field=field, description=text)
        if details.ByteSize() > room - _FRAME_BYTES:
            del details.field_violations[-1]
            break
    return details


def _precondition_failure(problem: Problem, room: int) -> error_details_pb2.PreconditionFailure:
    details = error_details_pb2.PreconditionFailure()
    for field, text in problem.fields:
        details.violations.add(type=problem.reason, subject=field, description=text)
        if details.ByteSize() > room - _FRAME_BYTES:
            del details.violations[-1]
            break
    return details


def abort(context: grpc.ServicerContext, error: Exception) -> NoReturn:
    """End a call with the status of `error`; one that nobody expected is logged, as INTERNAL."""
    problem = problem_of(error) if isinstance(error, MayweError) else _incident(error)
    status = rpc_status.to_status(status_of(problem))
    if problem.code == code_pb2.RESOURCE_EXHAUSTED and problem.retry_milliseconds:
        # The retries of gRPC itself wait as long as RetryInfo says: they read no details, and would
        # come back sooner to whoever has too much to do. Of a server that stops, or can not reach
        # its stores, another one may take the call at once.
        status = _with_trailer(status, PUSHBACK_METADATA, str(problem.retry_milliseconds))
    if request := request_id():
        # Whoever asks what became of a call that failed finds it in the log.
        status = _with_trailer(status, REQUEST_ID, request)
    context.abort_with_status(status)
    raise AssertionError  # abort_with_status always raises


def _with_trailer(status: Any, name: str, value: str) -> Any:  # noqa: ANN401 - a tuple of grpc_status
    return status._replace(trailing_metadata=(*status.trailing_metadata, (name, value)))


def _incident(error: Exception) -> Problem:
    incident_id = secrets.token_hex(_INCIDENT_BYTES)
    _logger.error("incident %s", incident_id, exc_info=error)
    return Problem(
        code_pb2.INTERNAL,
        "ERROR_REASON_INTERNAL",
        f"a defect of the server; its log has the incident {incident_id}",
        {"incident_id": incident_id},
    )


def _one_line(text: str) -> str:
    """Give a text without line ends and control characters, short enough for a header."""
    printable = "".join(
        " " if unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} else letter
        for letter in text
    )
    room = MESSAGE_ENCODED_BYTES_MAX
    for index, letter in enumerate(printable):
        room -= 1 if letter.isascii() else _BYTES_PER_ESCAPED_BYTE * len(letter.encode())
        if room < 0:
            return printable[:index] + "…"
    return printable


def _shortened(text: str) -> str:
    clean = text.encode("utf-8", "replace").decode()
    return clean if len(clean) <= TEXT_LENGTH_MAX else clean[: TEXT_LENGTH_MAX - 1] + "…"
