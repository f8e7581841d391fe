"""Builders for tests of the services: a catalog, requests, and what a failed call says.

Here live defaults for all that does not matter to a test; a test names only what matters to it.
"""

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from maywe.v1 import common_pb2, event_pb2

from decision.instants import parse_instant
from service.conversion.timestamps import timestamp

BOUGHT_AT: Final = "2024-05-01T00:00:00Z"

_CATALOG: Final[dict[str, Any]] = {
    "zone": "Europe/Moscow",
    "purposes": [{"code": code} for code in ("advertising", "service")],
    "channels": [{"code": code} for code in ("phone", "sms", "email")],
    "partners": [{"code": "acme"}],
    "datasets": [{"code": "contacts"}],
    "consent_types": [
        {
            "code": "marketing",
            "values": [
                {"code": "granted", "effect": "grants"},
                {"code": "refused", "effect": "refuses"},
                {"code": "asked_later", "effect": "notes"},
            ],
        },
        {"code": "processing"},
    ],
    "wordings": [
        {
            "consent_type": "marketing",
            "version": 1,
            "text": "Согласен получать предложения.",
            "in_force_from": "2020-01-01T00:00:00Z",
            "term": "P5Y",
            "grants": [
                {"purpose": "advertising", "channels": ["phone", "sms"]},
                {"purpose": "advertising", "partners": ["acme"], "datasets": ["contacts"]},
            ],
        },
        {
            "consent_type": "processing",
            "version": 1,
            "text": "Согласен на обработку.",
            "in_force_from": "2020-01-01T00:00:00Z",
            "term": "until_product_closed",
            "grants": [{"purpose": "service"}],
        },
    ],
    "matrix": [
        {
            "id": "loans",
            "product_type": "loan",
            "in_force_from": "2010-01-01T00:00:00Z",
            "consent_types": ["processing", "marketing"],
        }
    ],
    "acquisition_rules": [],
}

_numbers: Final = itertools.count(1)


def catalog(**replaced: object) -> dict[str, Any]:
    """A catalog whose loans give `processing` and `marketing`; top-level fields may be replaced."""
    return copy.deepcopy(_CATALOG) | replaced


def at(text: str) -> Timestamp:
    """An instant as a message."""
    return timestamp(parse_instant(text))


def text_of(instant: Timestamp) -> str:
    """A message as an instant to the second."""
    return datetime.fromtimestamp(instant.seconds).astimezone().isoformat()


def new_id() -> str:
    """An id that no other has."""
    return f"id-{next(_numbers)}"


def purchase(
    customer_id: str = "ivan",
    product_type: str = "loan",
    number: str = "001",
    purchased_at: str = BOUGHT_AT,
    event_id: str = "",
) -> event_pb2.RecordPurchaseRequest:
    """A purchase of a loan."""
    return event_pb2.RecordPurchaseRequest(
        event_id=event_id or new_id(),
        customer_id=customer_id,
        purchased_at=at(purchased_at),
        product=common_pb2.Product(system_code="ABS", product_type=product_type, number=number),
    )


def consent(
    customer_id: str = "ivan",
    value: str = "granted",
    obtained_at: str = BOUGHT_AT,
    event_id: str = "",
) -> event_pb2.RecordConsentRequest:
    """An explicit consent to marketing."""
    return event_pb2.RecordConsentRequest(
        event_id=event_id or new_id(),
        customer_id=customer_id,
        obtained_at=at(obtained_at),
        consent_type="marketing",
        value=value,
    )


def revocation(
    customer_id: str = "ivan",
    revoked_at: str = "2025-01-01T00:00:00Z",
    event_id: str = "",
    **selector: Any,
) -> event_pb2.RevokeRequest:
    """A revocation of everything, or of what `selector` names."""
    return event_pb2.RevokeRequest(
        event_id=event_id or new_id(),
        customer_id=customer_id,
        revoked_at=at(revoked_at),
        selector=common_pb2.Selector(**(selector or {"all": True})),
    )


class Failure(NamedTuple):
    """What a failed call says."""

    code: grpc.StatusCode
    message: str
    reason: str
    metadata: dict[str, str]
    fields: list[str]
    has_retry_info: bool


def failure_of(call: Callable[[], object]) -> Failure:
    """Make a call that fails, and tell what it says."""
    with pytest.raises(grpc.RpcError) as raised:
        _exhaust(call())
    return failure(raised.value)


def failure(error: grpc.RpcError) -> Failure:
    """Tell what an error says."""
    call: Any = error  # A call as well, which the types of grpc do not say.
    status = rpc_status.from_call(call)
    info = error_details_pb2.ErrorInfo()
    request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    found = set()
    for detail in status.details if status is not None else ():
        for message in (info, request, retry):
            if detail.Unpack(message):
                found.add(type(message))
    assert info.domain == "maywe"
    return Failure(
        call.code(),
        call.details() or "",
        info.reason.removeprefix("ERROR_REASON_"),
        dict(info.metadata),
        [violation.field for violation in request.field_violations],
        error_details_pb2.RetryInfo in found,
    )


def _exhaust(answer: object) -> None:
    if isinstance(answer, Iterator):
        for _ in answer:
            pass


def scopes_of(scopes: Iterable[common_pb2.Scope]) -> list[str]:
    """Scopes as `purpose/channel` and the like, in the order given."""
    return [
        "/".join(
            part for part in (scope.purpose, scope.channel, scope.partner, scope.dataset) if part
        )
        for scope in scopes
    ]
