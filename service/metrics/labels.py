"""What labels can say: methods, outcomes of calls, and the like.

What lives here: every value, by which the places of `memory` are laid out too.
"""

from collections.abc import Mapping
from typing import Final

from google.rpc import code_pb2
from grpc_reflection.v1alpha import reflection_pb2
from maywe.v1 import catalog_pb2, common_pb2, consent_pb2, decision_pb2, writer_pb2

from decision.errors import ErrorCode
from service.access.table import TABLE


def method_label(method: str) -> str:
    """Give how a method, by its full name, stands in labels: `DecisionService/MayContact`."""
    service, _, name = method.removeprefix("/").partition("/")
    return f"{service.rpartition('.')[2]}/{name}"


METHODS: Final = tuple(method for method in TABLE if not method.startswith("/grpc.health."))
"""Every method that is counted, by its full name."""

_CONTRACT: Final = (catalog_pb2, consent_pb2, decision_pb2, writer_pb2, reflection_pb2)

STREAMING: Final = frozenset(
    method_label(f"/{service.full_name}/{method.name}")
    for file in _CONTRACT
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
    if method.server_streaming
)
"""Methods whose answers are streams: how long one lasts says nothing."""

STATUS_BY_REASON: Final[Mapping[ErrorCode, int]] = {
    ErrorCode.FIELD_INVALID: code_pb2.INVALID_ARGUMENT,
    ErrorCode.CATALOG_INVALID: code_pb2.INVALID_ARGUMENT,
    ErrorCode.STREAM_OUT_OF_ORDER: code_pb2.INVALID_ARGUMENT,
    ErrorCode.EVENT_ID_TAKEN: code_pb2.ALREADY_EXISTS,
    ErrorCode.EVENT_ERASED: code_pb2.ALREADY_EXISTS,
    ErrorCode.PUBLICATION_ID_TAKEN: code_pb2.ALREADY_EXISTS,
    ErrorCode.EVENT_NOT_FOUND: code_pb2.NOT_FOUND,
    ErrorCode.PUBLICATION_NOT_FOUND: code_pb2.NOT_FOUND,
    ErrorCode.DECISION_NOT_FOUND: code_pb2.NOT_FOUND,
    ErrorCode.ALREADY_MERGED: code_pb2.FAILED_PRECONDITION,
    ErrorCode.MERGE_CIRCLE: code_pb2.FAILED_PRECONDITION,
    ErrorCode.NOT_MERGED: code_pb2.FAILED_PRECONDITION,
    ErrorCode.NOT_VOIDABLE: code_pb2.FAILED_PRECONDITION,
    ErrorCode.ALREADY_VOID: code_pb2.FAILED_PRECONDITION,
    ErrorCode.SEVERAL_IDS: code_pb2.FAILED_PRECONDITION,
    ErrorCode.CUSTOMER_ERASED: code_pb2.FAILED_PRECONDITION,
    ErrorCode.CATALOG_CONFLICT: code_pb2.FAILED_PRECONDITION,
    ErrorCode.CURSOR_TOO_OLD: code_pb2.FAILED_PRECONDITION,
    ErrorCode.NOT_HANDED_IN: code_pb2.FAILED_PRECONDITION,
    ErrorCode.NO_RECEIPT_KEY: code_pb2.FAILED_PRECONDITION,
    ErrorCode.NOTHING_ANSWERED: code_pb2.FAILED_PRECONDITION,
    ErrorCode.PUBLICATION_OUTDATED: code_pb2.ABORTED,
    ErrorCode.IMPORT_IN_PROGRESS: code_pb2.ABORTED,
    ErrorCode.OVERLOADED: code_pb2.RESOURCE_EXHAUSTED,
    ErrorCode.CALLER_LIMIT: code_pb2.RESOURCE_EXHAUSTED,
    ErrorCode.STORE_UNAVAILABLE: code_pb2.UNAVAILABLE,
    ErrorCode.SHUTTING_DOWN: code_pb2.UNAVAILABLE,
    ErrorCode.ERASURE_UNDER_WAY: code_pb2.UNAVAILABLE,
    ErrorCode.DEADLINE_EXCEEDED: code_pb2.DEADLINE_EXCEEDED,
    ErrorCode.CALLER_UNKNOWN: code_pb2.UNAUTHENTICATED,
    ErrorCode.NOT_PERMITTED: code_pb2.PERMISSION_DENIED,
}
"""With which status each reason is given, as `service.errors` has it by the error's class."""

METHOD_LABELS: Final = tuple(map(method_label, METHODS))
"""How they stand in labels."""

OK: Final = ("OK", "")
INTERNAL: Final = ("INTERNAL", "INTERNAL")
GONE: Final = ("CANCELLED", "CALLER_GONE")
OUTCOMES: Final = (
    OK,
    *((code_pb2.Code.Name(code), reason.name) for reason, code in STATUS_BY_REASON.items()),
    INTERNAL,
    GONE,
)
"""How calls end: status and reason (`maywe/v1/errors.proto`)."""

AUDIENCE: Final = "DecisionService/FilterAudience"
DECIDING: Final = ("DecisionService/MayContact", "DecisionService/MayShare")
"""The calls whose answer is one decision."""

BATCH_OUTCOMES: Final = ("answered", "undetermined", "refused")

DECISION_REASONS: Final = tuple(
    name.removeprefix("REASON_")
    for name in common_pb2.Reason.keys()  # noqa: SIM118 - not a mapping
)
"""The reasons of answers in the contract, each at the place of its number."""

DURATION_BOUNDS_SECONDS: Final = (
    *(0.0001, 0.0002, 0.0003, 0.0005, 0.00075),
    *(0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075),
    *(0.01, 0.02, 0.05),
    *(0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""Where the buckets of durations end: finest where checks are, and as far as a write may wait."""

EXECUTORS: Final = ("checks", "bulk", "writes", "imports", "watches", "control", "housekeeping")
POSTGRESQL_READS: Final = "postgresql reads"

JOURNAL_OUTCOMES: Final = ("written", "shed", "lost")
"""What becomes of an answer that the journal is given."""

TASKS: Final = (
    "bulk work",
    "callers",
    "catalogs",
    "counting",
    "erasures",
    "journal",
    "journal days",
    "lapses",
    "lease",
    "leases",
    "limits",
    "metrics",
    "observing",
    "outbox",
    "projector",
    "receipt keys",
    "reconciler",
    "refusals",
    "token keys",
    "warming",
    "other",
)
"""Background work by its name (`duties`); what is not named here is `other`."""
