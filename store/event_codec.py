"""Events as they are stored: a public body, and the personal fields beside it.

What lives here: the translation between `decision.events` and JSON. Personal is what points to a
person or was written freely: customer ids, contract series and numbers, documents, who recorded,
causes. It goes to a table that can be erased; the body keeps what the meaning needs.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from decision.events import (
    KIND_BY_BODY,
    Acquisition,
    Body,
    Consent,
    Erasure,
    EventKind,
    Lifting,
    Merge,
    NewEvent,
    ProductClosing,
    Purchase,
    Restriction,
    Revocation,
    Source,
    Split,
    Void,
)
from decision.products import Product
from decision.scopes import ScopeKind
from decision.selectors import Selector

Json: TypeAlias = dict[str, Any]


class EncodedEvent(NamedTuple):
    """An event in the two parts in which it is stored."""

    kind: EventKind
    body: Json
    personal: Json


def encode_event(event: NewEvent) -> EncodedEvent:
    """Split an event into its public body and its personal fields; empty parts are left out."""
    body, personal = _encode_body(event.body)
    process, channel, document, recorded_by = event.source
    if process or channel:
        body["source"] = _given(process=process, channel=channel)
    if document or recorded_by:
        personal["source"] = _given(document=document, recorded_by=recorded_by)
    if event.customer_id:
        personal["customer_id"] = event.customer_id
    if event.caller:
        body["caller"] = event.caller
    return EncodedEvent(KIND_BY_BODY[type(event.body)], body, personal)


def _encode_body(body: Body) -> tuple[Json, Json]:  # noqa: C901, PLR0911 - one arm per kind
    match body:
        case Purchase(purchased_at=at, product=product):
            return _with_product({"purchased_at": at}, product)
        case ProductClosing(closed_at=at, product=product):
            return _with_product({"closed_at": at}, product)
        case Consent():
            return _encode_consent(body)
        case Revocation(revoked_at=at, selector=selector):
            return {"revoked_at": at, "selector": _encode_selector(selector)}, {}
        case Restriction():
            return {
                "effective_from": body.effective_from,
                "effective_until": body.effective_until,
                "kind": body.kind,
                "selector": _encode_selector(body.selector),
            }, {}
        case Lifting(lifted_at=at, restriction_event_id=event_id):
            return {"lifted_at": at, "restriction_event_id": event_id}, {}
        case Acquisition(acquired_at=at, partner=partner):
            return {"acquired_at": at, "partner": partner}, {}
        case Void(voided_event_id=event_id, cause=cause):
            return {"voided_event_id": event_id}, {"cause": cause}
        case Merge(from_customer_id=from_id, into_customer_id=into_id):
            return {}, {"from_customer_id": from_id, "into_customer_id": into_id}
        case Split(customer_id=customer_id):
            return {}, {"split_customer_id": customer_id}
        case Erasure(with_merged=with_merged):
            return {"with_merged": with_merged}, {}


def _encode_consent(consent: Consent) -> tuple[Json, Json]:
    body: Json = {
        "obtained_at": consent.obtained_at,
        "consent_type": consent.consent_type,
        "value": consent.value,
    }
    if consent.wording_version is not None:
        body["wording_version"] = consent.wording_version
    if consent.expires_at is not None:
        body["expires_at"] = consent.expires_at
    return (body, {}) if consent.product is None else _with_product(body, consent.product)


def _with_product(body: Json, product: Product) -> tuple[Json, Json]:
    system_code, product_type, series, number = product
    # Written out, as most events pass here.
    public: Json = {}
    if system_code:
        public["system_code"] = system_code
    if product_type:
        public["product_type"] = product_type
    body["product"] = public
    personal: Json = {}
    if series:
        personal["series"] = series
    if number:
        personal["number"] = number
    return body, {"product": personal} if personal else {}


def _given(**parts: str) -> Json:
    return {name: part for name, part in parts.items() if part}


def _encode_selector(selector: Selector) -> Json:
    return {"all": True} if selector.all else dict(selector.named())


def decode_event(event_id: str, kind: str, body: str, personal: str | None) -> NewEvent:
    """Put an event together again from the JSON of its parts.

    Personal fields that were erased come back empty.
    """
    public: Json = orjson.loads(body)
    kept: Json = {} if personal is None else orjson.loads(personal)
    return NewEvent(
        event_id,
        kept.get("customer_id", ""),
        _DECODERS[kind](public, kept),
        _source(public, kept),
        public.get("caller", ""),
    )


def decode_body(kind: str, body: str, personal: str | None) -> Body:
    """Give what happened alone: not who brought it, at which no fold looks."""
    kept: Json = {} if personal is None else orjson.loads(personal)
    return _DECODERS[kind](orjson.loads(body), kept)


def _source(body: Json, personal: Json) -> Source:
    public, kept = body.get("source", _NOTHING), personal.get("source", _NOTHING)
    return Source(
        public.get("process", ""),
        public.get("channel", ""),
        kept.get("document", ""),
        kept.get("recorded_by", ""),
    )


def _product(body: Json, personal: Json) -> Product:
    public, kept = body["product"], personal.get("product", _NOTHING)
    return Product(
        public.get("system_code", ""),
        public.get("product_type", ""),
        kept.get("series", ""),
        kept.get("number", ""),
    )


_NOTHING: Final[Json] = {}


def _decode_purchase(body: Json, personal: Json) -> Purchase:
    return Purchase(body["purchased_at"], _product(body, personal))


def _decode_closing(body: Json, personal: Json) -> ProductClosing:
    return ProductClosing(body["closed_at"], _product(body, personal))


def _decode_consent(body: Json, personal: Json) -> Consent:
    return Consent(
        body["obtained_at"],
        body["consent_type"],
        body["value"],
        body.get("wording_version"),
        body.get("expires_at"),
        _product(body, personal) if "product" in body else None,
    )


def _decode_revocation(body: Json, _: Json) -> Revocation:
    return Revocation(body["revoked_at"], decode_selector(body["selector"]))


def _decode_restriction(body: Json, _: Json) -> Restriction:
    return Restriction(
        body["effective_from"],
        body["effective_until"],
        body["kind"],
        decode_selector(body["selector"]),
    )


def _decode_lifting(body: Json, _: Json) -> Lifting:
    return Lifting(body["lifted_at"], body["restriction_event_id"])


def _decode_acquisition(body: Json, _: Json) -> Acquisition:
    return Acquisition(body["acquired_at"], body["partner"])


def _decode_void(body: Json, personal: Json) -> Void:
    return Void(body["voided_event_id"], personal.get("cause", ""))


def _decode_merge(_: Json, personal: Json) -> Merge:
    return Merge(personal.get("from_customer_id", ""), personal.get("into_customer_id", ""))


def _decode_split(_: Json, personal: Json) -> Split:
    return Split(personal.get("split_customer_id", ""))


def _decode_erasure(body: Json, _: Json) -> Erasure:
    return Erasure(body["with_merged"])


_DECODERS: Final[Mapping[str, Callable[[Json, Json], Body]]] = {
    EventKind.PURCHASE.value: _decode_purchase,
    EventKind.PRODUCT_CLOSING.value: _decode_closing,
    EventKind.CONSENT.value: _decode_consent,
    EventKind.REVOCATION.value: _decode_revocation,
    EventKind.RESTRICTION.value: _decode_restriction,
    EventKind.LIFTING.value: _decode_lifting,
    EventKind.ACQUISITION.value: _decode_acquisition,
    EventKind.VOID.value: _decode_void,
    EventKind.MERGE.value: _decode_merge,
    EventKind.SPLIT.value: _decode_split,
    EventKind.ERASURE.value: _decode_erasure,
}


def decode_selector(parts: Json) -> Selector:
    """Read a stored selector."""
    named = dict(parts)
    if "kind" in named:
        named["kind"] = ScopeKind(named["kind"])
    return Selector(**named)
