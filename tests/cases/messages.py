"""From the shapes of case files to the messages of the contract.

What lives here: which fields a step or a probe may have, and the request that says the same. What
must not: calls. A shape that is not known here is an error, so that nothing is passed over.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from maywe.v1 import catalog_pb2, common_pb2, decision_pb2, event_pb2

Shape: TypeAlias = Mapping[str, Any]
EventRequest: TypeAlias = (
    event_pb2.RecordPurchaseRequest
    | event_pb2.CloseProductRequest
    | event_pb2.RecordConsentRequest
    | event_pb2.RevokeRequest
    | event_pb2.RestrictRequest
    | event_pb2.LiftRestrictionRequest
    | event_pb2.RecordAcquisitionRequest
    | event_pb2.VoidEventRequest
    | event_pb2.MergeCustomersRequest
    | event_pb2.SplitCustomerRequest
)
Check: TypeAlias = decision_pb2.MayContactRequest | decision_pb2.MayShareRequest

DATE_CHARACTERS: Final = len("2024-01-01")
UNKNOWN_KIND_NUMBER: Final = 99
"""How a caller would send a kind of scope that the contract does not have."""

_REQUESTS: Final[Mapping[str, tuple[type[EventRequest], Mapping[str, str]]]] = {
    "purchase": (
        event_pb2.RecordPurchaseRequest,
        {"customer": "customer_id", "purchased_at": "purchased_at", "product": "product"},
    ),
    "close_product": (
        event_pb2.CloseProductRequest,
        {"customer": "customer_id", "closed_at": "closed_at", "product": "product"},
    ),
    "consent": (
        event_pb2.RecordConsentRequest,
        {
            "customer": "customer_id",
            "obtained_at": "obtained_at",
            "consent_type": "consent_type",
            "value": "value",
            "wording_version": "wording_version",
            "expires_at": "expires_at",
            "product": "product",
        },
    ),
    "revoke": (
        event_pb2.RevokeRequest,
        {"customer": "customer_id", "revoked_at": "revoked_at", "selector": "selector"},
    ),
    "restrict": (
        event_pb2.RestrictRequest,
        {
            "customer": "customer_id",
            "kind": "kind",
            "selector": "selector",
            "from": "effective_from",
            "until": "effective_until",
        },
    ),
    "lift": (
        event_pb2.LiftRestrictionRequest,
        {
            "customer": "customer_id",
            "restriction_event_id": "restriction_event_id",
            "lifted_at": "lifted_at",
        },
    ),
    "acquire": (
        event_pb2.RecordAcquisitionRequest,
        {"customer": "customer_id", "partner": "partner", "acquired_at": "acquired_at"},
    ),
    "void": (
        event_pb2.VoidEventRequest,
        {"voided_event_id": "voided_event_id", "cause": "cause"},
    ),
    "merge": (
        event_pb2.MergeCustomersRequest,
        {"from": "from_customer_id", "into": "into_customer_id"},
    ),
    "split": (event_pb2.SplitCustomerRequest, {"from": "customer_id"}),
}
"""For each step that records an event its request, and which field of it each field becomes."""

_EVERY_EVENT: Final = {"event_id": "event_id", "source": "source"}
_OUTCOME_FIELDS: Final = frozenset({"op", "expect_error", "repeat"})
_PUBLISH_FIELDS: Final = frozenset({"op", "catalog", "expect_error"})
_PROBE_FIELDS: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    (via, ask): frozenset({"via", "ask", "customer", "purpose", "expect"}) | of_via | of_ask
    for via, of_via in (
        ("check", frozenset({"at"})),
        ("explain", frozenset({"valid_at", "known_after_step"})),
    )
    for ask, of_ask in (
        ("contact", frozenset({"channel"})),
        ("share", frozenset({"partner", "dataset", "datasets"})),
        ("process", frozenset[str]()),
    )
    if (via, ask) != ("check", "process")
}


class UnknownShapeError(Exception):
    """A case file has something that this runner does not know."""


def known_fields(what: str, shape: Shape, known: frozenset[str]) -> None:
    """Refuse fields that are not known. Raises UnknownShapeError."""
    unknown = sorted(set(shape) - known)
    if unknown:
        raise UnknownShapeError(f"{what} has {', '.join(unknown)}, which this runner does not know")


def check_step(step: Shape) -> None:
    """Check that a step is of a known shape. Raises UnknownShapeError."""
    operation = str(step.get("op"))
    known = _PUBLISH_FIELDS
    if operation != "publish":
        if operation not in _REQUESTS:
            raise UnknownShapeError(f"no such step: {operation}")
        known = _OUTCOME_FIELDS | {*_REQUESTS[operation][1], *_EVERY_EVENT}
    known_fields(f"a step {operation}", step, known)


def check_probe(probe: Shape) -> None:
    """Check that a probe is of a known shape. Raises UnknownShapeError."""
    kind = (str(probe.get("via")), str(probe.get("ask")))
    if kind not in _PROBE_FIELDS:
        raise UnknownShapeError(f"no such probe: via {kind[0]}, ask {kind[1]}")
    known_fields(f"a probe {kind[1]} via {kind[0]}", probe, _PROBE_FIELDS[kind])
    if kind[1] == "share" and (probe.get("dataset") is None) == (probe.get("datasets") is None):
        raise UnknownShapeError("a share asks for either a dataset or datasets")


def event_request(step: Shape, zone: str) -> EventRequest:
    """The request of a step that records an event; `zone` is where dates without a time begin."""
    kind, fields = _REQUESTS[step["op"]]
    return kind(
        **{
            field: _value(field, step[name], zone)
            for name, field in (*fields.items(), *_EVERY_EVENT.items())
            if step.get(name) is not None
        }
    )


def publish_request(step: Shape, publication_id: str) -> catalog_pb2.PublishRequest:
    """The request of a step that publishes."""
    return catalog_pb2.PublishRequest(
        publication_id=publication_id,
        document=json.dumps(step["catalog"], ensure_ascii=False),
        format=catalog_pb2.DOCUMENT_FORMAT_JSON,
        publisher="case file",
    )


def check_request(probe: Shape, token: str) -> Check:
    """The request of a probe via check."""
    if probe["ask"] == "contact":
        return decision_pb2.MayContactRequest(
            customer_id=probe["customer"],
            channel=probe["channel"],
            purpose=probe["purpose"],
            at=timestamp(probe.get("at")),
            token=token,
        )
    return decision_pb2.MayShareRequest(
        customer_id=probe["customer"],
        partner=probe["partner"],
        datasets=asked_datasets(probe),
        purpose=probe["purpose"],
        at=timestamp(probe.get("at")),
        token=token,
    )


def explain_request(probe: Shape, known_at: Timestamp | None) -> decision_pb2.ExplainRequest:
    """The request of a probe via explain."""
    request = decision_pb2.ExplainRequest(
        customer_id=probe["customer"],
        valid_at=timestamp(probe.get("valid_at")),
        known_at=known_at,
    )
    purpose = probe["purpose"]
    if probe["ask"] == "contact":
        question = common_pb2.ContactQuestion(channel=probe["channel"], purpose=purpose)
        request.contact.CopyFrom(question)
    elif probe["ask"] == "share":
        request.share.CopyFrom(
            common_pb2.ShareQuestion(
                partner=probe["partner"], datasets=asked_datasets(probe), purpose=purpose
            )
        )
    else:
        request.process.CopyFrom(common_pb2.ProcessQuestion(purpose=purpose))
    return request


def asked_datasets(probe: Shape) -> list[str]:
    """The data sets that a share asks for."""
    return [probe["dataset"]] if probe.get("datasets") is None else list(probe["datasets"])


def timestamp(text: str | None, zone: str = "UTC") -> Timestamp | None:
    """An RFC 3339 instant, or a date, which is the start of that day in `zone`; None for none."""
    if text is None:
        return None
    found = Timestamp()
    if len(text) == DATE_CHARACTERS:
        found.FromDatetime(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)))
    else:
        found.FromJsonString(text)
    return found


_PARTS: Final[Mapping[str, tuple[type[Message], frozenset[str]]]] = {
    "product": (
        common_pb2.Product,
        frozenset({"system_code", "product_type", "series", "number"}),
    ),
    "source": (
        common_pb2.Source,
        frozenset({"process", "channel", "document", "recorded_by"}),
    ),
    "selector": (
        common_pb2.Selector,
        frozenset({"all", "kind", "purpose", "channel", "partner", "dataset"})
        | {"consent_type", "event_id"},
    ),
}


def _value(field: str, value: Any, zone: str) -> Any:
    if field.endswith("_at") or field.startswith("effective_"):
        return timestamp(value, zone)
    if field not in _PARTS:
        return value
    kind, known = _PARTS[field]
    known_fields(f"a {field}", value, known)
    parts = {name: part for name, part in value.items() if part is not None}
    if "kind" in parts:
        parts["kind"] = _KIND_NUMBERS.get(parts["kind"], UNKNOWN_KIND_NUMBER)
    return kind(**parts)


_KIND_NUMBERS: Final[Mapping[str, int]] = {
    "contact": common_pb2.SCOPE_KIND_CONTACT,
    "share": common_pb2.SCOPE_KIND_SHARE,
    "process": common_pb2.SCOPE_KIND_PROCESS,
}
