"""Rules that an event and a question keep by themselves and towards the newest catalog.

What lives here: every check that needs no ledger. What an event may not do given what is recorded
(an unknown voided event, a merge into a circle) is checked where the ledger is.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from decision.catalog import Catalog, Effect
from decision.document_reader import (
    FREE_TEXT_LENGTH_MAX,
    IDENTIFIER_LENGTH_MAX,
    problem_of_characters,
    problem_of_identifier,
)
from decision.errors import FieldFault, InvalidArgumentError
from decision.events import (
    Acquisition,
    Body,
    Consent,
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
from decision.instants import FOREVER, Instant, is_in_range
from decision.products import Product
from decision.scopes import Scope, ScopeKind
from decision.selectors import Selector, problem_of_form

CONTRACT_LENGTH_MAX: Final = 128
"""Characters that a system code, product type, series or number may have at the most."""


_PLAIN_LENGTH_MAX: Final = min(IDENTIFIER_LENGTH_MAX, FREE_TEXT_LENGTH_MAX, CONTRACT_LENGTH_MAX)

_SOURCE_FIELDS: Final = tuple(f"source.{name}" for name in Source._fields)
_PRODUCT_FIELDS: Final = tuple(f"product.{name}" for name in Product._fields)


def check_event(event: NewEvent, catalog: Catalog) -> None:
    """Check an event against its rules and the newest catalog.

    Raises InvalidArgumentError naming every faulty field.
    """
    if is_plain(event):
        return
    faults = faults_of_event(event, catalog)
    if faults:
        raise InvalidArgumentError(*faults)


def is_plain(event: NewEvent) -> bool:
    """Tell of a purchase or a closing, as most events are, that nothing at all is wrong.

    That is seen at one look at all its texts; where it is not seen, `faults_of_event` tells.
    """
    event_id, customer_id, body, source, _ = event
    if isinstance(body, Purchase):
        at = body.purchased_at
    elif isinstance(body, ProductClosing):
        at = body.closed_at
    else:
        return False
    texts = (event_id, customer_id, *source, *body.product)
    return (
        "" not in texts[:2]
        and any(body.product)
        and is_in_range(at)
        and max(map(len, texts)) <= _PLAIN_LENGTH_MAX
        and "".join(texts).isprintable()
    )


def faults_of_event(event: NewEvent, catalog: Catalog) -> Sequence[FieldFault]:
    """Give what is wrong with an event, towards its rules and the newest catalog."""
    return [*_faults_of_envelope(event), *_faults_of_body(event.body, catalog)]


def check_identifier(field: str, text: str) -> None:
    """Check an id. Raises InvalidArgumentError naming `field`."""
    problem = problem_of_identifier(text)
    if problem:
        raise InvalidArgumentError(FieldFault(field, problem))


def check_instant(field: str, at: Instant) -> None:
    """Check that an instant lies in the years 1900 to 9999. Raises InvalidArgumentError."""
    for fault in _faults_of_instant(field, at):
        raise InvalidArgumentError(fault)


def check_scope(scope: Scope, catalog: Catalog) -> None:
    """Check that the codes of an asked scope are known. Raises InvalidArgumentError."""
    faults = [*_faults_of_code("purpose", scope.purpose, catalog.purposes)]
    if scope.kind is ScopeKind.CONTACT:
        faults += _faults_of_code("channel", scope.channel, catalog.channels)
    if scope.kind is ScopeKind.SHARE:
        faults += _faults_of_code("partner", scope.partner, catalog.partners)
        faults += _faults_of_code("datasets", scope.dataset, catalog.datasets)
    if faults:
        raise InvalidArgumentError(*faults)


def _faults_of_envelope(event: NewEvent) -> Iterator[FieldFault]:
    yield from _faults_of_identifier("event_id", event.event_id)
    if not isinstance(event.body, Void | Merge | Split):
        yield from _faults_of_identifier("customer_id", event.customer_id)
    for field, text in zip(_SOURCE_FIELDS, event.source, strict=True):
        if text:
            yield from _faults_of_text(field, text, FREE_TEXT_LENGTH_MAX)


def _faults_of_body(body: Body, catalog: Catalog) -> Iterator[FieldFault]:  # noqa: C901 - one arm per kind
    match body:
        case Purchase(purchased_at=at, product=product):
            yield from _faults_of_instant("purchased_at", at)
            yield from _faults_of_product(product)
        case ProductClosing(closed_at=at, product=product):
            yield from _faults_of_instant("closed_at", at)
            yield from _faults_of_product(product)
        case Consent():
            yield from _faults_of_consent(body, catalog)
        case Revocation(revoked_at=at, selector=selector):
            yield from _faults_of_instant("revoked_at", at)
            yield from _faults_of_selector(selector, catalog, for_revocation=True)
        case Restriction():
            yield from _faults_of_restriction(body, catalog)
        case Lifting(lifted_at=at, restriction_event_id=event_id):
            yield from _faults_of_instant("lifted_at", at)
            yield from _faults_of_identifier("restriction_event_id", event_id)
        case Acquisition(acquired_at=at, partner=partner):
            yield from _faults_of_instant("acquired_at", at)
            yield from _faults_of_code("partner", partner, catalog.partners)
        case Void(voided_event_id=event_id, cause=cause):
            yield from _faults_of_identifier("voided_event_id", event_id)
            yield from _faults_of_required_text("cause", cause)
        case Merge(from_customer_id=from_id, into_customer_id=into_id):
            yield from _faults_of_identifier("from_customer_id", from_id)
            yield from _faults_of_identifier("into_customer_id", into_id)
            if from_id == into_id:
                yield FieldFault("into_customer_id", "a customer can not be merged into itself")
        case Split(customer_id=customer_id):
            yield from _faults_of_identifier("customer_id", customer_id)


def _faults_of_consent(body: Consent, catalog: Catalog) -> Iterator[FieldFault]:
    yield from _faults_of_instant("obtained_at", body.obtained_at)
    if body.product is not None:
        yield from _faults_of_product(body.product)
    if body.expires_at is not None:
        yield from _faults_of_instant("expires_at", body.expires_at)
        if body.expires_at <= body.obtained_at:
            yield FieldFault("expires_at", "has to be later than obtained_at")
    yield from _faults_of_code("consent_type", body.consent_type, catalog.consent_types)
    consent_type = catalog.consent_types.get(body.consent_type)
    if consent_type is None:
        return
    yield from _faults_of_code("value", body.value, consent_type.values)
    value = consent_type.values.get(body.value)
    if body.expires_at is not None and value is not None and value.effect is not Effect.GRANTS:
        yield FieldFault("expires_at", f"the value {body.value!r} does not grant: leave it out")
    version = body.wording_version
    if version is not None and catalog.wording(body.consent_type, version) is None:
        yield FieldFault(
            "wording_version", f"{body.consent_type}/{version} is not a wording of the catalog"
        )


def _faults_of_restriction(body: Restriction, catalog: Catalog) -> Iterator[FieldFault]:
    yield from _faults_of_instant("effective_from", body.effective_from)
    yield from _faults_of_identifier("kind", body.kind)
    if body.effective_until != FOREVER:
        yield from _faults_of_instant("effective_until", body.effective_until)
        if body.effective_until <= body.effective_from:
            yield FieldFault("effective_until", "has to be later than effective_from")
    yield from _faults_of_selector(body.selector, catalog, for_revocation=False)


def _faults_of_selector(
    selector: Selector, catalog: Catalog, *, for_revocation: bool
) -> Iterator[FieldFault]:
    problem = problem_of_form(selector, for_revocation=for_revocation)
    if problem:
        yield FieldFault("selector", problem)
    lists: Mapping[str, Mapping[str, object]] = {
        "purpose": catalog.purposes,
        "channel": catalog.channels,
        "partner": catalog.partners,
        "dataset": catalog.datasets,
        "consent_type": catalog.consent_types,
    }
    for part, code in selector.named().items():
        if part in lists:
            yield from _faults_of_code(f"selector.{part}", code, lists[part])
    if selector.event_id:
        yield from _faults_of_identifier("selector.event_id", selector.event_id)


def _faults_of_product(product: Product) -> Iterator[FieldFault]:
    if not any(product):
        yield FieldFault("product", "names nothing: give a system code, product type or contract")
    for field, text in zip(_PRODUCT_FIELDS, product, strict=True):
        if text:
            yield from _faults_of_text(field, text, CONTRACT_LENGTH_MAX)


def _faults_of_identifier(field: str, text: str) -> Sequence[FieldFault]:
    problem = problem_of_identifier(text)
    return [FieldFault(field, problem)] if problem else ()


def _faults_of_text(field: str, text: str, length_max: int) -> Sequence[FieldFault]:
    problems = []
    if len(text) > length_max:
        problems.append(f"has {len(text)} characters, {length_max} are the most")
    if problem := problem_of_characters(text):
        problems.append(problem)
    return [FieldFault(field, problem) for problem in problems] if problems else ()


def _faults_of_required_text(field: str, text: str) -> Iterator[FieldFault]:
    if not text.strip():
        yield FieldFault(field, "may not be empty")
    yield from _faults_of_text(field, text, FREE_TEXT_LENGTH_MAX)


def _faults_of_instant(field: str, at: Instant) -> Sequence[FieldFault]:
    return () if is_in_range(at) else [FieldFault(field, "has to lie in the years 1900 to 9999")]


def _faults_of_code(field: str, code: str, known: Mapping[str, object]) -> Sequence[FieldFault]:
    if code in known:
        return ()
    problem = (
        f"{code!r} is not in the catalog" if code else "is missing: name a code of the catalog"
    )
    return [FieldFault(field, problem)]
