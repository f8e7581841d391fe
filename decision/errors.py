"""The one exception tree of maywe. A class's docstring is the start of its message.

Messages here are written for the caller: they never contain a driver's text. What gRPC status each
becomes is decided in one place of `service`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One field that is wrong: its name, what is wrong, and what would be right."""

    field: str
    problem: str

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"


class FaultKind(Enum):
    """Whether a document is faulty in itself or at odds with what is published or recorded."""

    INVALID = "INVALID"
    CONFLICT = "CONFLICT"


FAULT_TEXT_LENGTH_MAX: Final = 400
"""Characters of each text of a fault, which may quote a document of megabytes.

A code of the longest kind fits three times. With this and `document_reader.FAULTS_MAX` the faults
of a document fit one message, be each character of four bytes.
"""

_OMISSION: Final = " … "


@dataclass(frozen=True, slots=True)
class DocumentFault:
    """One fault of a catalog document: where, what is wrong, what would be right.

    A text longer than FAULT_TEXT_LENGTH_MAX characters loses its middle: what is quoted is long,
    and what is said of it stands before and after.
    """

    path: str
    problem: str
    remedy: str
    kind: FaultKind = FaultKind.INVALID

    def __post_init__(self) -> None:
        for name in ("path", "problem", "remedy"):
            text: str = getattr(self, name)
            if len(text) > FAULT_TEXT_LENGTH_MAX:
                object.__setattr__(self, name, _without_middle(text))

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}; {self.remedy}"


def _without_middle(text: str) -> str:
    kept = FAULT_TEXT_LENGTH_MAX - len(_OMISSION)
    at_end = kept // 2
    return f"{text[: kept - at_end]}{_OMISSION}{text[-at_end:]}"


class ErrorCode(Enum):
    """What went wrong, finer than the class of the error; documented in `maywe/v1/errors.proto`."""

    FIELD_INVALID = "FIELD_INVALID"
    CATALOG_INVALID = "CATALOG_INVALID"
    STREAM_OUT_OF_ORDER = "STREAM_OUT_OF_ORDER"
    EVENT_ID_TAKEN = "EVENT_ID_TAKEN"
    EVENT_ERASED = "EVENT_ERASED"
    PUBLICATION_ID_TAKEN = "PUBLICATION_ID_TAKEN"
    EVENT_NOT_FOUND = "EVENT_NOT_FOUND"
    PUBLICATION_NOT_FOUND = "PUBLICATION_NOT_FOUND"
    DECISION_NOT_FOUND = "DECISION_NOT_FOUND"
    ALREADY_MERGED = "ALREADY_MERGED"
    MERGE_CIRCLE = "MERGE_CIRCLE"
    NOT_MERGED = "NOT_MERGED"
    NOT_VOIDABLE = "NOT_VOIDABLE"
    ALREADY_VOID = "ALREADY_VOID"
    SEVERAL_IDS = "SEVERAL_IDS"
    CUSTOMER_ERASED = "CUSTOMER_ERASED"
    ERASURE_UNDER_WAY = "ERASURE_UNDER_WAY"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    CATALOG_CONFLICT = "CATALOG_CONFLICT"
    NO_RECEIPT_KEY = "NO_RECEIPT_KEY"
    NOTHING_ANSWERED = "NOTHING_ANSWERED"
    CURSOR_TOO_OLD = "CURSOR_TOO_OLD"
    PUBLICATION_OUTDATED = "PUBLICATION_OUTDATED"
    IMPORT_IN_PROGRESS = "IMPORT_IN_PROGRESS"
    OVERLOADED = "OVERLOADED"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    NOT_HANDED_IN = "NOT_HANDED_IN"
    CALLER_LIMIT = "CALLER_LIMIT"
    CALLER_UNKNOWN = "CALLER_UNKNOWN"
    NOT_PERMITTED = "NOT_PERMITTED"


class MayweError(Exception):
    """maywe could not do what was asked.

    `details` are the facts that programs read, by the names that `maywe/v1/errors.proto` gives.
    """

    def __init__(
        self, message: str, code: ErrorCode, details: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.details: Mapping[str, str] = details or {}


class InvalidArgumentError(MayweError):
    """The request is wrong in itself."""

    def __init__(self, *faults: FieldFault) -> None:
        super().__init__("; ".join(str(fault) for fault in faults), ErrorCode.FIELD_INVALID)
        self.faults = faults


class AlreadyExistsError(MayweError):
    """The id is taken by something with other content."""


class NotFoundError(MayweError):
    """What the request names does not exist."""


class PreconditionError(MayweError):
    """The request does not fit what is recorded."""


class AbortedError(MayweError):
    """Somebody else did something in between: look again, then repeat."""


class PublicationRefusedError(MayweError):
    """The catalog document is refused as a whole; every fault is listed."""

    def __init__(self, faults: Sequence[DocumentFault]) -> None:
        self.faults = tuple(faults)
        # Being faulty in itself outranks being at odds with what is recorded.
        self.is_invalid = any(fault.kind is FaultKind.INVALID for fault in faults)
        super().__init__(
            "; ".join(str(fault) for fault in faults),
            ErrorCode.CATALOG_INVALID if self.is_invalid else ErrorCode.CATALOG_CONFLICT,
        )


class UnidentifiedError(MayweError):
    """It is not known who calls."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ErrorCode.CALLER_UNKNOWN)


class NotPermittedError(MayweError):
    """No role of the caller allows this."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ErrorCode.NOT_PERMITTED)


class UnavailableError(MayweError):
    """A part that is needed does not answer; trying again later may help."""

    def __init__(
        self,
        message: str,
        code: ErrorCode = ErrorCode.STORE_UNAVAILABLE,
        details: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, code, details)


class DeadlineExceededError(UnavailableError):
    """The time that the caller gave is over; whether something was recorded is not known."""

    def __init__(
        self,
        message: str = "the call was not done within its deadline: allow it more time; what was to "
        "be recorded is sent again with the same event id",
        code: ErrorCode = ErrorCode.DEADLINE_EXCEEDED,
        details: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, code, details)


class OverloadedError(MayweError):
    """More was asked at once than a stated limit admits; trying again later helps."""

    def __init__(
        self,
        message: str,
        code: ErrorCode = ErrorCode.OVERLOADED,
        details: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, code, details)


def of_ones_own(error: UnavailableError | OverloadedError) -> UnavailableError | OverloadedError:
    """Give an error that says the same: one that several threads raise keeps no trace."""
    return type(error)(str(error), error.code, error.details)
