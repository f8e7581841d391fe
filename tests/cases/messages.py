"""From the shapes of case files to the messages of the contract.

What lives here: which fields a step or a probe may have, and the request that says the same. What
must not: calls. A shape that is not known here is an error, so that nothing is passed over.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

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

OUTCOME_FIELDS: Final = frozenset({"expect_error", "repeat"})
_EVENT_FIELDS: Final = frozenset({"op", "event_id", "source"}) | OUTCOME_FIELDS
_STEP_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "purchase": _EVENT_FIELDS | {"customer", "purchased_at", "product"},
    "close_product": _EVENT_FIELDS | {"customer", "closed_at", "product"},
    "consent": _EVENT_FIELDS
    | {"customer", "obtained_at", "consent_type", "value", "wording_version", "expires_at"}
    | {"product"},
    "revoke": _EVENT_FIELDS | {"customer", "revoked_at", "selector"},
    "restrict": _EVENT_FIELDS | {"customer", "kind", "selector", "from", "until"},
    "lift": _EVENT_FIELDS | {"customer", "restriction_event_id", "lifted_at"},
    "acquire": _EVENT_FIELDS | {"customer", "partner", "acquired_at"},
    "void": _EVENT_FIELDS | {"voided_event_id", "cause"},
    "merge": _EVENT_FIELDS | {"from", "into"},
    "split": _EVENT_FIELDS | {"from"},
    "publish": frozenset({"op", "catalog", "expect_error"}),
}
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
    operation = step.get("op")
    if operation not in _STEP_FIELDS:
        raise UnknownShapeError(f"no such step: {operation!r}")
    known_fields(f"a step {operation}", step, _STEP_FIELDS[operation])


def check_probe(probe: Shape) -> None:
    """Check that a probe is of a known shape. Raises UnknownShapeError."""
    kind = (probe.get("via"), probe.get("ask"))
    if kind not in _PROBE_FIELDS:
        raise UnknownShapeError(f"no such probe: via {kind[0]!r}, ask {kind[1]!r}")
    known_fields(f"a probe {kind[1]} via {kind[0]}", probe, _PROBE_FIELDS[kind])
    if kind[1] == "share" and (probe.get("dataset") is None) == (probe.get("datasets") is None):
        raise UnknownShapeError("a share asks for either a dataset or datasets")


def event_request(step: Shape, zone: str) -> EventRequest:  # noqa: C901 - one arm per kind of step
    """The request of a step that records an event; `zone` is where dates without a time begin."""
    event_id, source = step.get("event_id") or "", _source(step)
    customer_id = step.get("customer") or ""
    product = _product(step)

    def instant(field: str) -> Timestamp | None:
        return timestamp(step.get(field), zone)

    match step["op"]:
        case "purchase":
            return event_pb2.RecordPurchaseRequest(
                event_id=event_id,
                customer_id=customer_id,
                purchased_at=instant("purchased_at"),
                product=product,
                source=source,
            )
        case "close_product":
            return event_pb2.CloseProductRequest(
                event_id=event_id,
                customer_id=customer_id,
                closed_at=instant("closed_at"),
                product=product,
                source=source,
            )
        case "consent":
            return event_pb2.RecordConsentRequest(
                event_id=event_id,
                customer_id=customer_id,
                obtained_at=instant("obtained_at"),
                consent_type=step.get("consent_type") or "",
                value=step.get("value") or "",
                wording_version=step.get("wording_version"),
                expires_at=instant("expires_at"),
                product=product,
                source=source,
            )
        case "revoke":
            return event_pb2.RevokeRequest(
                event_id=event_id,
                customer_id=customer_id,
                revoked_at=instant("revoked_at"),
                selector=_selector(step),
                source=source,
            )
        case "restrict":
            return event_pb2.RestrictRequest(
                event_id=event_id,
                customer_id=customer_id,
                kind=step.get("kind") or "",
                selector=_selector(step),
                effective_from=instant("from"),
                effective_until=instant("until"),
                source=source,
            )
        case "lift":
            return event_pb2.LiftRestrictionRequest(
                event_id=event_id,
                customer_id=customer_id,
                restriction_event_id=step.get("restriction_event_id") or "",
                lifted_at=instant("lifted_at"),
                source=source,
            )
        case "acquire":
            return event_pb2.RecordAcquisitionRequest(
                event_id=event_id,
                customer_id=customer_id,
                partner=step.get("partner") or "",
                acquired_at=instant("acquired_at"),
                source=source,
            )
        case "void":
            return event_pb2.VoidEventRequest(
                event_id=event_id,
                voided_event_id=step.get("voided_event_id") or "",
                cause=step.get("cause") or "",
                source=source,
            )
        case "merge":
            return event_pb2.MergeCustomersRequest(
                event_id=event_id,
                from_customer_id=step.get("from") or "",
                into_customer_id=step.get("into") or "",
                source=source,
            )
        case "split":
            return event_pb2.SplitCustomerRequest(
                event_id=event_id, customer_id=step.get("from") or "", source=source
            )
        case operation:
            raise UnknownShapeError(f"no such step: {operation!r}")


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


_PRODUCT_FIELDS: Final = frozenset({"system_code", "product_type", "series", "number"})
_SOURCE_FIELDS: Final = frozenset({"process", "channel", "document", "recorded_by"})
_SELECTOR_FIELDS: Final = frozenset(
    {"all", "kind", "purpose", "channel", "partner", "dataset", "consent_type", "event_id"}
)


def _product(step: Shape) -> common_pb2.Product | None:
    return _message(common_pb2.Product, step, "product", _PRODUCT_FIELDS)


def _source(step: Shape) -> common_pb2.Source | None:
    return _message(common_pb2.Source, step, "source", _SOURCE_FIELDS)


def _message(kind: Any, step: Shape, field: str, known: frozenset[str]) -> Any:
    content = step.get(field)
    if content is None:
        return None
    known_fields(f"a {field}", content, known)
    return kind(**{name: value for name, value in content.items() if value is not None})


def _selector(step: Shape) -> common_pb2.Selector | None:
    content = step.get("selector")
    if content is None:
        return None
    known_fields("a selector", content, _SELECTOR_FIELDS)
    parts = {name: value for name, value in content.items() if value is not None}
    if "kind" in parts:
        name = f"SCOPE_KIND_{str(parts['kind']).upper()}"
        is_known = name in common_pb2.ScopeKind.keys() and parts["kind"] != "unspecified"  # noqa: SIM118 - a wrapper of the enum, no mapping
        parts["kind"] = common_pb2.ScopeKind.Value(name) if is_known else UNKNOWN_KIND_NUMBER
    return common_pb2.Selector(**parts)
