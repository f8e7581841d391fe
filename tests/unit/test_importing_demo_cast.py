"""The customers with a story: read from the files, folded, and asked about."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest
import yaml

from decision.answer import Answer, answer_scope
from decision.catalog import Catalog
from decision.catalog_document import read_catalog
from decision.errors import InvalidArgumentError
from decision.event_rules import check_event
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
    TimelineEvent,
    Void,
)
from decision.fold import fold
from decision.instants import FOREVER, Instant, parse_instant
from decision.products import Product
from decision.reasons import Reason
from decision.scopes import Scope, ScopeKind, contact, share
from decision.selectors import Selector
from decision.timeline import permission_timeline
from service.demo import cast
from service.demo.catalog_correction import corrected_catalog
from service.demo.history import (
    COMPANY_ZONE,
    CONSENTS_MAPPING_PATH,
    PRODUCTS_MAPPING_PATH,
    generate_history,
)
from service.importing import EventRow, load_mapping, read
from service.starter import STARTER_CATALOG_PATH
from tests.neutral_events import NeutralEvent, neutral_event

NOW = parse_instant("2026-07-15T09:00:00Z")
EVENT_ID_KEY = bytes(32)
TWO_MONTHS_AGO = parse_instant("2026-05-15T09:00:00Z")
ADVERTISING_SMS = contact("advertising", "sms")
ADVERTISING_PHONE = contact("advertising", "phone")
SHARE_WITH_INSURER = share("advertising", "example_insurance", "contacts")


def selector_of(event: NeutralEvent) -> Selector:
    """Give the selector of a neutral event."""
    parts = dict(event["selector"])
    kind = parts.pop("kind", None)
    return Selector(kind=None if kind is None else ScopeKind(kind), **parts)


BODIES: Final[Mapping[str, Callable[[NeutralEvent], Body]]] = {
    "purchase": lambda event: Purchase(event["purchased_at"], Product(**event["product"])),
    "close_product": lambda event: ProductClosing(event["closed_at"], Product(**event["product"])),
    "consent": lambda event: Consent(
        event["obtained_at"],
        event["consent_type"],
        event["value"],
        event.get("wording_version"),
        event.get("expires_at"),
    ),
    "revoke": lambda event: Revocation(event["revoked_at"], selector_of(event)),
    "restrict": lambda event: Restriction(
        event["from"],
        FOREVER if event["until"] is None else event["until"],
        event["kind"],
        selector_of(event),
    ),
    "lift": lambda event: Lifting(event["lifted_at"], event["restriction_event_id"]),
    "acquire": lambda event: Acquisition(event["acquired_at"], event["partner"]),
    "merge": lambda event: Merge(event["from"], event["into"]),
    "void": lambda event: Void(event["voided_event_id"], event["cause"]),
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """Give the starter catalog's document."""
    loaded: dict[str, Any] = yaml.safe_load(STARTER_CATALOG_PATH.read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> list[NewEvent]:
    """Generate a small history and read all of it."""
    directory = tmp_path_factory.mktemp("history")
    history = generate_history(directory, NOW, customer_count=2_000, product_count=6_000)
    return [
        NewEvent(event["event_id"], event.get("customer", ""), BODIES[event["op"]](event))
        for path, mapping_path in (
            (history.products.path, PRODUCTS_MAPPING_PATH),
            (history.consents.path, CONSENTS_MAPPING_PATH),
        )
        for row in read(path, load_mapping(mapping_path), COMPANY_ZONE, event_id_key=EVENT_ID_KEY)
        if isinstance(row, EventRow)
        for event in [neutral_event(row.event)]
    ]


@pytest.fixture(scope="module")
def timelines(events: list[NewEvent]) -> dict[str, list[TimelineEvent]]:
    """Give each customer's events; a merged card's are with the main card."""
    merged = {
        event.body.from_customer_id: event.body.into_customer_id
        for event in events
        if isinstance(event.body, Merge)
    }
    by_customer: dict[str, list[TimelineEvent]] = defaultdict(list)
    for event in dict.fromkeys(events):
        if not isinstance(event.body, Merge | Void) and event.customer_id:
            customer_id = merged.get(event.customer_id, event.customer_id)
            body: Any = event.body
            by_customer[customer_id].append(TimelineEvent(event.event_id, customer_id, body))
    return by_customer


def ask(catalog: Catalog, events: list[TimelineEvent], scope: Scope, at: Instant = NOW) -> Answer:
    """Answer one question about one person."""
    timeline = permission_timeline(fold(catalog, events))
    return answer_scope(timeline, catalog.suspension_of(scope), scope, at)


def test_the_writer_refuses_only_the_lines_foretold(
    document: dict[str, Any], events: list[NewEvent]
) -> None:
    """Every event but the three of the generator's list keeps the rules of events."""
    catalog = read_catalog(document)
    refused = []
    for event in events:
        try:
            check_event(event, catalog)
        except InvalidArgumentError:
            refused.append(event.event_id)
    assert sorted(refused) == ["R-1", "R-2", "R-3"]


@pytest.mark.parametrize(
    ("customer_id", "scope", "at", "reason"),
    [
        (cast.SMS_REVOKED, ADVERTISING_SMS, TWO_MONTHS_AGO, Reason.ALLOWED),
        (cast.SMS_REVOKED, ADVERTISING_SMS, NOW, Reason.CONSENT_REVOKED),
        (cast.SMS_REVOKED, ADVERTISING_PHONE, NOW, Reason.ALLOWED),
        (cast.LOAN_REPAID, contact("service", "phone"), NOW, Reason.PRODUCT_CLOSED),
        (cast.LOAN_REPAID, ADVERTISING_PHONE, NOW, Reason.ALLOWED),
        (cast.CAME_THROUGH_TELECOM, ADVERTISING_PHONE, NOW, Reason.RESTRICTED),
        (cast.CAME_THROUGH_TELECOM, contact("service", "phone"), NOW, Reason.ALLOWED),
        (cast.REFUSED_ADVERTISING, ADVERTISING_PHONE, NOW, Reason.CONSENT_REFUSED),
        (cast.ADVERTISING_EXPIRED, ADVERTISING_PHONE, NOW, Reason.CONSENT_EXPIRED),
        (cast.PREMIUM, SHARE_WITH_INSURER, NOW, Reason.ALLOWED),
        (
            cast.PREMIUM,
            share("advertising", "example_loyalty", "contacts"),
            NOW,
            Reason.PARTNER_SUSPENDED,
        ),
        (cast.CARD_AFTER_CORRECTION, ADVERTISING_SMS, NOW, Reason.ALLOWED),
        (cast.CARD_AFTER_CORRECTION, SHARE_WITH_INSURER, NOW, Reason.NO_CONSENT),
        (cast.COMPLAINED, ADVERTISING_SMS, NOW, Reason.RESTRICTED),
        (cast.TWO_CARDS, ADVERTISING_SMS, NOW, Reason.ALLOWED),
        (cast.UNMATCHED, ADVERTISING_SMS, NOW, Reason.NO_CONSENT),
        (cast.SIGNED_IN_QUESTIONNAIRE, ADVERTISING_SMS, NOW, Reason.ALLOWED),
    ],
)
def test_each_story_ends_as_told(
    document: dict[str, Any],
    timelines: dict[str, list[TimelineEvent]],
    customer_id: str,
    scope: Scope,
    at: Instant,
    reason: Reason,
) -> None:
    """Under the starter catalog the cast is answered as its descriptions say."""
    assert ask(read_catalog(document), timelines[customer_id], scope, at).reason is reason


def test_the_correction_takes_advertising_and_gives_sharing(
    document: dict[str, Any], timelines: dict[str, list[TimelineEvent]]
) -> None:
    """The corrected matrix is faultless and turns both answers about the recent credit card."""
    catalog = read_catalog(corrected_catalog(document, NOW))
    events = timelines[cast.CARD_AFTER_CORRECTION]
    assert ask(catalog, events, ADVERTISING_SMS).reason is Reason.NO_CONSENT
    assert ask(catalog, events, SHARE_WITH_INSURER).reason is Reason.ALLOWED


def test_every_row_of_the_matrix_still_in_force_is_met(
    document: dict[str, Any], events: list[NewEvent]
) -> None:
    """The history has a product for each row, however its contract is spelt, and unmatched ones."""
    catalog = read_catalog(document)
    met = {
        row.id if (row := catalog.matrix.match(event.body.product, event.body.purchased_at)) else ""
        for event in events
        if isinstance(event.body, Purchase)
    }
    unmet = {row.id for row in catalog.matrix_rows} - met
    # Ten years before the history's end the older row of loans had some months left to run.
    assert unmet == set()
    assert "" in met
