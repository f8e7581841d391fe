"""Builders for the tests of `CatalogStep`, and its judgement checked against a new fold."""

from collections.abc import Sequence
from typing import Any, Final

from decision.answer import answer_scope
from decision.catalog import Catalog
from decision.catalog_step import CatalogStep
from decision.events import TimelineEvent
from decision.instants import Instant
from decision.products import Product
from decision.scopes import Scope
from tests.unit.decision_builders import (
    APRIL,
    SMS,
    catalog,
    row,
    timeline,
)

CARD: Final = Product("ABS", "card", "CC", "0001")
SMS_AND_PHONE: Final = {"purpose": "advertising", "channels": ["sms", "phone"]}
PHONE_ONLY: Final = {"purpose": "advertising", "channels": ["phone"]}
SHARE: Final = {"purpose": "advertising", "partners": ["acme"], "datasets": ["scoring"]}


def keeps(
    events: Sequence[TimelineEvent],
    old: Catalog,
    new: Catalog,
    at: Instant = APRIL,
    scope: Scope = SMS,
) -> bool:
    """Whether an answer is kept; one that is kept has to be that of a new fold."""
    known = timeline(events, old)
    is_kept = CatalogStep(old, new).keeps(known, scope, at)
    if is_kept:
        suspension = new.suspension_of(scope)
        answer = answer_scope(known, suspension, scope, at)
        expected = answer_scope(timeline(events, new), suspension, scope, at)
        assert answer.reason is expected.reason
        assert not answer.is_allowed or answer.not_after <= expected.not_after
    return is_kept


def latest(**fields: Any) -> Catalog:
    """A catalog in which only the latest consent to `ads` counts."""
    return catalog(consent_types=[{"code": "ads", "name": "ads", "terms": "latest"}], **fields)


def with_effect(effect: str, **fields: Any) -> Catalog:
    """A catalog in which `ads` has a further value, `said`, with this effect."""
    values = [
        {"code": "granted", "name": "yes", "effect": "grants"},
        {"code": "said", "name": "said", "effect": effect},
    ]
    return catalog(consent_types=[{"code": "ads", "name": "ads"} | fields | {"values": values}])


def with_rows(*rows: dict[str, Any], **fields: Any) -> Catalog:
    """A catalog with these matrix rows."""
    return catalog(matrix=[*rows], **fields)


RULE: Final = {"partner": "acme", "selector": {"channel": "sms"}, "term": "indefinite"}
LOANS: Final = row("loans", product_type="loan")
CARDS: Final = row("cards", product_type="card")
