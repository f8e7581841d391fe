"""Builders of catalogs and events for the unit tests of `decision`, with defaults for all.

What lives here: values of which a test names only what matters to it. What must not: expectations.
"""

from collections.abc import Sequence
from typing import Any, Final

from decision.answer import Answer, answer_scope
from decision.catalog import Catalog
from decision.catalog_document import read_catalog
from decision.events import (
    Acquisition,
    Consent,
    Lifting,
    PersonalBody,
    ProductClosing,
    Purchase,
    Restriction,
    Revocation,
    TimelineEvent,
)
from decision.fold import fold
from decision.instants import FOREVER, Instant, parse_instant
from decision.products import Product
from decision.scopes import contact, process, share
from decision.selectors import EVERYTHING, Selector
from decision.timeline import PermissionTimeline, permission_timeline

JANUARY: Final = parse_instant("2024-01-01T00:00:00Z")
FEBRUARY: Final = parse_instant("2024-02-01T00:00:00Z")
MARCH: Final = parse_instant("2024-03-01T00:00:00Z")
APRIL: Final = parse_instant("2024-04-01T00:00:00Z")
MAY: Final = parse_instant("2024-05-01T00:00:00Z")

SMS: Final = contact("advertising", "sms")
PHONE: Final = contact("advertising", "phone")
SCORING_TO_ACME: Final = share("advertising", "acme", "scoring")
CONTACTS_TO_ACME: Final = share("advertising", "acme", "contacts")
STORAGE: Final = process("storage")

LOAN: Final = Product("ABS", "loan", "KR", "0012")


def codes(*listed: str) -> list[dict[str, Any]]:
    """A list of codes."""
    return [{"code": code, "name": code} for code in listed]


def wording(version: object = 1, **fields: Any) -> dict[str, Any]:
    """A wording of the type `ads`, in force always, that grants contact by SMS for good."""
    return {
        "consent_type": "ads",
        "version": version,
        "text": f"Text {version}.",
        "in_force_from": "2000-01-01T00:00:00Z",
        "term": "indefinite",
        "grants": [{"purpose": "advertising", "channels": ["sms"]}],
    } | fields


def row(row_id: object = "row", **fields: Any) -> dict[str, Any]:
    """A matrix row in force always, by which `ads` is signed; its criteria are up to the test."""
    return {
        "id": row_id,
        "in_force_from": "2000-01-01T00:00:00Z",
        "consent_types": ["ads"],
    } | fields


def document(**fields: Any) -> dict[str, Any]:
    """A faultless catalog document with one consent type, one wording and no matrix row."""
    return {
        "zone": "UTC",
        "purposes": codes("advertising", "storage"),
        "channels": codes("sms", "phone"),
        "partners": codes("acme", "blue"),
        "datasets": codes("contacts", "scoring"),
        "consent_types": codes("ads"),
        "wordings": [wording()],
        "matrix": [],
        "acquisition_rules": [],
    } | fields


def catalog(**fields: Any) -> Catalog:
    """The catalog of such a document."""
    return read_catalog(document(**fields))


def event(event_id: str, body: PersonalBody, customer_id: str = "ivan") -> TimelineEvent:
    """An event of a person's timeline."""
    return TimelineEvent(event_id, customer_id, body)


def consent(event_id: str = "e1", at: Instant = JANUARY, **fields: Any) -> TimelineEvent:
    """A consent to `ads`, granted."""
    given = {"consent_type": "ads", "value": "granted"} | fields
    return event(event_id, Consent(at, **given))


def purchase(event_id: str = "e1", at: Instant = JANUARY, product: Product = LOAN) -> TimelineEvent:
    """A purchase of a loan."""
    return event(event_id, Purchase(at, product))


def closing(event_id: str = "e2", at: Instant = MARCH, product: Product = LOAN) -> TimelineEvent:
    """The closing of a loan."""
    return event(event_id, ProductClosing(at, product))


def revocation(
    event_id: str = "e2", at: Instant = MARCH, selector: Selector = EVERYTHING
) -> TimelineEvent:
    """A revocation of everything."""
    return event(event_id, Revocation(at, selector))


def restriction(
    event_id: str = "e2",
    at: Instant = MARCH,
    until: Instant = FOREVER,
    selector: Selector = EVERYTHING,
) -> TimelineEvent:
    """A restriction of everything."""
    return event(event_id, Restriction(at, until, "complaint", selector))


def lifting(event_id: str, at: Instant, restriction_event_id: str = "e2") -> TimelineEvent:
    """The lifting of a restriction."""
    return event(event_id, Lifting(at, restriction_event_id))


def acquisition(event_id: str = "e2", at: Instant = MARCH, partner: str = "acme") -> TimelineEvent:
    """An acquisition through a partner."""
    return event(event_id, Acquisition(at, partner))


def timeline(events: Sequence[TimelineEvent], under: Catalog | None = None) -> PermissionTimeline:
    """The permissions that events amount to, under the default catalog if none is given."""
    return permission_timeline(fold(under or catalog(), events))


def answer(
    events: Sequence[TimelineEvent],
    at: Instant,
    under: Catalog | None = None,
    scope: Any = SMS,
) -> Answer:
    """The answer for a scope, contact by SMS if none is given."""
    known = under or catalog()
    return answer_scope(timeline(events, known), known.suspension_of(scope), scope, at)
