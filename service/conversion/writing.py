"""Domain values to messages: instants, scopes, answers, events, acknowledgements.

What lives here: the values that several services show. An open end (FOREVER) is an absent field, an
empty text too.
"""

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from maywe.v1 import common_pb2, event_pb2

from decision.answer import Answer
from decision.changes import Direction, PermissionChange
from decision.events import (
    Acquisition,
    Consent,
    Erasure,
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
from decision.grants import Basis, UnmatchedCause
from decision.instants import FOREVER, Instant
from decision.products import Product
from decision.reasons import Reason, Verdict
from decision.scopes import Scope, ScopeKind
from decision.selectors import Selector
from service.conversion.timestamps import timestamp, timestamp_fields


def optional_timestamp(instant: Instant | None) -> Timestamp | None:
    """Write an instant; None and FOREVER are absent."""
    return None if instant is None or instant == FOREVER else timestamp(instant)


# Messages within the answers to checks are given as their fields: the message around them makes
# them where they belong, in half the time that it takes to make them apart and copy them there.


def optional_timestamp_fields(instant: Instant | None) -> dict[str, int] | None:
    """Write an instant as the fields of a Timestamp; None and FOREVER are absent."""
    return None if instant is None or instant == FOREVER else timestamp_fields(instant)


def basis_fields(basis: Basis | None) -> dict[str, Any] | None:
    """Write what an ALLOW rests on as the fields of a Basis; None is absent."""
    if basis is None:
        return None
    event_id, consent_type, version, product, obtained_at, ends_at, _ = basis
    fields: dict[str, Any] = {
        "event_id": event_id,
        "consent_type": consent_type,
        "wording_version": version,
        "obtained_at": timestamp_fields(obtained_at),
    }
    if ends_at != FOREVER:
        fields["ends_at"] = timestamp_fields(ends_at)
    if product is not None:
        fields["product"] = _product_fields(product)
    return fields


def _product_fields(product: Product) -> dict[str, str]:
    system_code, product_type, series, number = product
    return {
        "system_code": system_code,
        "product_type": product_type,
        "series": series,
        "number": number,
    }


def verdict_value(verdict: Verdict) -> common_pb2.Verdict:
    """Write a verdict."""
    return _VERDICTS[verdict]


def reason_value(reason: Reason) -> common_pb2.Reason:
    """Write a reason."""
    return _REASONS[reason]


# By name, so that a number changed on one side only is noticed at once.
_VERDICTS: Final[Mapping[Verdict, common_pb2.Verdict]] = {
    verdict: getattr(common_pb2, f"VERDICT_{verdict.name}") for verdict in Verdict
}
_REASONS: Final[Mapping[Reason, common_pb2.Reason]] = {
    reason: getattr(common_pb2, f"REASON_{reason.name}") for reason in Reason
}
_KINDS: Final[Mapping[ScopeKind, common_pb2.ScopeKind]] = {
    kind: getattr(common_pb2, f"SCOPE_KIND_{kind.name}") for kind in ScopeKind
}
_DIRECTIONS: Final[Mapping[Direction, common_pb2.ChangeDirection]] = {
    direction: getattr(common_pb2, f"CHANGE_DIRECTION_{direction.name}") for direction in Direction
}
_CAUSES: Final[Mapping[UnmatchedCause, common_pb2.UnmatchedCause]] = {
    cause: getattr(common_pb2, f"UNMATCHED_CAUSE_{cause.name}") for cause in UnmatchedCause
}


def unmatched_cause_value(cause: UnmatchedCause | None) -> common_pb2.UnmatchedCause:
    """Write why an event is unmatched; None is unspecified."""
    return common_pb2.UNMATCHED_CAUSE_UNSPECIFIED if cause is None else _CAUSES[cause]


def scope_message(scope: Scope) -> common_pb2.Scope:
    """Write a scope."""
    return common_pb2.Scope(
        kind=_KINDS[scope.kind],
        purpose=scope.purpose,
        channel=scope.channel,
        partner=scope.partner,
        dataset=scope.dataset,
    )


def product_message(product: Product | None) -> common_pb2.Product | None:
    """Write a product; None is absent."""
    return None if product is None else common_pb2.Product(**_product_fields(product))


def source_message(source: Source) -> common_pb2.Source | None:
    """Write a source; one of which nothing is known is absent."""
    return common_pb2.Source(**source._asdict()) if any(source) else None


def selector_message(selector: Selector) -> common_pb2.Selector:
    """Write a selector."""
    return common_pb2.Selector(
        all=selector.all,
        kind=None if selector.kind is None else _KINDS[selector.kind],
        purpose=selector.purpose or None,
        channel=selector.channel or None,
        partner=selector.partner or None,
        dataset=selector.dataset or None,
        consent_type=selector.consent_type or None,
        event_id=selector.event_id or None,
    )


def scope_answer_message(scope: Scope | None, answer: Answer) -> common_pb2.ScopeAnswer:
    """Write the answer for a scope; the scope is left out where it stands beside."""
    return common_pb2.ScopeAnswer(
        scope=None if scope is None else scope_message(scope),
        verdict=verdict_value(answer.verdict),
        reason=reason_value(answer.reason),
        not_after=optional_timestamp(answer.not_after),
        basis=basis_fields(answer.basis),
    )


def dataset_answer_message(dataset: str, answer: Answer) -> common_pb2.DatasetAnswer:
    """Write the answer for one data set of a share."""
    return common_pb2.DatasetAnswer(
        dataset=dataset,
        verdict=verdict_value(answer.verdict),
        reason=reason_value(answer.reason),
        not_after=optional_timestamp(answer.not_after),
        basis=basis_fields(answer.basis),
    )


def scope_change_message(change: PermissionChange) -> common_pb2.ScopeChange:
    """Write how a scope changes."""
    return common_pb2.ScopeChange(
        scope=scope_message(change.scope),
        before=scope_answer_message(None, change.before),
        after=scope_answer_message(None, change.after),
        direction=_DIRECTIONS[change.direction],
    )


def durability_value(*, is_effective: bool) -> common_pb2.Durability:
    """Write how far something has come that is committed."""
    return common_pb2.DURABILITY_EFFECTIVE if is_effective else common_pb2.DURABILITY_DURABLE


def acknowledgement_message(
    token: str, recorded_at: Instant, *, is_repeated: bool, is_effective: bool
) -> common_pb2.Acknowledgement:
    """Write that something is durable, or effective."""
    return common_pb2.Acknowledgement(
        durability=durability_value(is_effective=is_effective),
        token=token,
        recorded_at=timestamp(recorded_at),
        repeat=is_repeated,
    )


def event_message(event: NewEvent) -> event_pb2.Event:  # noqa: C901, PLR0911 - one plain case for each kind
    """Write an event, in the message in which it was sent."""
    event_id, customer_id, source = event.event_id, event.customer_id, source_message(event.source)
    match event.body:
        case Purchase(purchased_at=at, product=product):
            return event_pb2.Event(
                purchase=event_pb2.RecordPurchaseRequest(
                    event_id=event_id,
                    customer_id=customer_id,
                    purchased_at=timestamp(at),
                    product=product_message(product),
                    source=source,
                )
            )
        case ProductClosing(closed_at=at, product=product):
            return event_pb2.Event(
                product_closing=event_pb2.CloseProductRequest(
                    event_id=event_id,
                    customer_id=customer_id,
                    closed_at=timestamp(at),
                    product=product_message(product),
                    source=source,
                )
            )
        case Consent() as body:
            return event_pb2.Event(
                consent=event_pb2.RecordConsentRequest(
                    event_id=event_id,
                    customer_id=customer_id,
                    obtained_at=timestamp(body.obtained_at),
                    consent_type=body.consent_type,
                    value=body.value,
                    wording_version=body.wording_version,
                    expires_at=optional_timestamp(body.expires_at),
                    product=product_message(body.product),
                    source=source,
                )
            )
        case Revocation(revoked_at=at, selector=selector):
            return event_pb2.Event(
                revocation=event_pb2.RevokeRequest(
                    event_id=event_id,
                    customer_id=customer_id,
                    revoked_at=timestamp(at),
                    selector=selector_message(selector),
                    source=source,
                )
            )
        case Restriction() as restriction:
            return event_pb2.Event(
                restriction=event_pb2.RestrictRequest(
                    event_id=event_id,
                    customer_id=customer_id,
                    kind=restriction.kind,
                    selector=selector_message(restriction.selector),
                    effective_from=timestamp(restriction.effective_from),
                    effective_until=optional_timestamp(restriction.effective_until),
                    source=source,
                )
            )
        case Lifting(lifted_at=at, restriction_event_id=restriction_event_id):
            return event_pb2.Event(
                lifting=event_pb2.LiftRestrictionRequest(
                    event_id=event_id,
                    customer_id=customer_id,
                    restriction_event_id=restriction_event_id,
                    lifted_at=timestamp(at),
                    source=source,
                )
            )
        case Acquisition(acquired_at=at, partner=partner):
            return event_pb2.Event(
                acquisition=event_pb2.RecordAcquisitionRequest(
                    event_id=event_id,
                    customer_id=customer_id,
                    partner=partner,
                    acquired_at=timestamp(at),
                    source=source,
                )
            )
        case Void(voided_event_id=voided_event_id, cause=cause):
            return event_pb2.Event(
                voiding=event_pb2.VoidEventRequest(
                    event_id=event_id,
                    voided_event_id=voided_event_id,
                    cause=cause,
                    source=source,
                )
            )
        case Merge(from_customer_id=from_id, into_customer_id=into_id):
            return event_pb2.Event(
                merge=event_pb2.MergeCustomersRequest(
                    event_id=event_id,
                    from_customer_id=from_id,
                    into_customer_id=into_id,
                    source=source,
                )
            )
        case Split(customer_id=split_customer_id):
            return event_pb2.Event(
                split=event_pb2.SplitCustomerRequest(
                    event_id=event_id, customer_id=split_customer_id, source=source
                )
            )
        case Erasure(with_merged=with_merged):
            return event_pb2.Event(
                erasure=event_pb2.EraseCustomerRequest(
                    event_id=event_id,
                    customer_id=customer_id,
                    with_merged=with_merged,
                    source=source,
                )
            )
