"""Which answers are kept when another catalog has been published: what no grant matters to."""

from typing import Any

import pytest

from decision.catalog import EMPTY_CATALOG
from decision.catalog_step import CatalogStep
from decision.instants import Instant
from decision.selectors import Selector
from tests.unit.catalog_step_builders import LOANS, RULE, SHARE, SMS_AND_PHONE, keeps, with_rows
from tests.unit.decision_builders import (
    APRIL,
    JANUARY,
    PHONE,
    SCORING_TO_ACME,
    SMS,
    acquisition,
    catalog,
    codes,
    consent,
    restriction,
    revocation,
    wording,
)


def test_texts_and_names_change_nothing() -> None:
    """A publication of other texts and names is exact."""
    renamed = catalog(
        purposes=[{"code": "advertising", "name": "other"}, *codes("storage")],
        wordings=[wording(description="other")],
    )
    assert CatalogStep(catalog(), renamed).is_exact
    assert keeps([consent()], catalog(), renamed)


def test_a_suspension_is_judged_by_the_new_catalog() -> None:
    """Suspending a partner sends nobody to the ledger, and takes effect."""
    wordings = [wording(grants=[SHARE, SMS_AND_PHONE])]
    suspended = catalog(
        partners=[
            {"code": "acme", "name": "acme", "suspended_from": "2024-02-01T00:00:00Z"},
            *codes("blue"),
        ],
        wordings=wordings,
    )
    old = catalog(wordings=wordings)
    assert CatalogStep(old, suspended).is_exact
    for scope in (SMS, SCORING_TO_ACME):
        assert keeps([consent()], old, suspended, scope=scope)
        assert keeps([revocation()], old, suspended, scope=scope)


def test_scopes_added_to_a_wording_leave_its_others() -> None:
    """Who was asked for SMS is not concerned by a wording that grants the phone as well."""
    widened = catalog(wordings=[wording(grants=[SMS_AND_PHONE])])
    assert keeps([consent()], catalog(), widened)
    assert keeps([consent(), revocation()], catalog(), widened)
    assert keeps([revocation()], catalog(), widened)
    assert not keeps([consent()], catalog(), widened, scope=PHONE)


def test_a_new_consent_type_that_nothing_signs_gives_nothing() -> None:
    """No event can have named it."""
    wordings = [wording(), wording(consent_type="more", grants=[SMS_AND_PHONE])]
    more = {"code": "more", "name": "more", "terms": "latest"}
    wider = catalog(consent_types=[*codes("ads"), more], wordings=wordings)
    for scope in (SMS, PHONE):
        assert keeps([consent()], catalog(), wider, scope=scope)
        assert keeps([consent(), revocation()], catalog(), wider, scope=scope)
        assert keeps([revocation()], catalog(), wider, scope=scope)


def test_a_new_value_was_never_given() -> None:
    """A value unknown so far is in no event, whatever its effect."""
    refusing = [
        *({"code": code, "name": code, "effect": "grants"} for code in ("granted", "other")),
        {"code": "refused", "name": "no", "effect": "refuses"},
        {"code": "never", "name": "never", "effect": "refuses"},
    ]
    wider = catalog(consent_types=[{"code": "ads", "name": "ads", "values": refusing}])
    assert keeps([consent()], catalog(), wider)
    assert keeps([consent(), revocation()], catalog(), wider)


def test_the_zone_moves_no_end_of_what_is_indefinite() -> None:
    """Only durations are reckoned in the company zone."""
    assert keeps([consent()], catalog(), catalog(zone="Europe/Moscow"))


def test_rules_of_a_new_partner_restrict_nobody() -> None:
    """Nobody came through a partner that was unknown."""
    rule = {"partner": "newcomer", "selector": {"all": True}, "term": "indefinite"}
    new = catalog(partners=codes("acme", "blue", "newcomer"), acquisition_rules=[rule])
    assert keeps([consent()], catalog(), new)


@pytest.mark.parametrize("at", [JANUARY, APRIL])
def test_nobody_stays_unknown(at: Instant) -> None:
    """No catalog makes a customer known."""
    assert keeps([], catalog(), EMPTY_CATALOG, at)
    assert keeps([], EMPTY_CATALOG, with_rows(LOANS), at)


def test_a_rule_that_came_may_restrict_anybody() -> None:
    """For the scopes it selects only who is restricted anyhow keeps an answer."""
    new = catalog(acquisition_rules=[RULE])
    assert not keeps([consent(), acquisition()], catalog(), new)
    assert not keeps([revocation()], catalog(), new)
    assert keeps([consent(), acquisition()], catalog(), new, scope=PHONE)
    assert keeps([consent(), restriction()], catalog(), new)


def test_a_rule_that_went_frees_whom_it_restricted() -> None:
    """Other restrictions stay, and so do other answers."""
    old = catalog(acquisition_rules=[RULE])
    assert not keeps([consent(), acquisition()], old, catalog())
    assert keeps([consent()], old, catalog())
    assert keeps([revocation()], old, catalog())
    assert keeps([consent(), acquisition(), restriction("e3")], old, catalog())
    like_it = restriction("e3", selector=Selector(channel="sms"))
    assert not keeps([consent(), like_it], old, catalog())


def test_a_rule_with_another_term_goes_and_comes() -> None:
    """Its term is a duration in the company zone."""
    yearly = RULE | {"term": "P1Y"}
    old = catalog(acquisition_rules=[yearly])
    for new in (
        catalog(acquisition_rules=[RULE]),
        catalog(acquisition_rules=[yearly], zone="Europe/Moscow"),
    ):
        assert not keeps([consent(), acquisition()], old, new)
        assert not keeps([consent()], old, new)
        assert keeps([consent()], old, new, scope=PHONE)


def test_a_suspension_gives_way_to_a_restriction() -> None:
    """A suspended partner is denied by a restriction if there is one."""
    suspended = [{"code": "acme", "name": "acme", "suspended_from": "2024-01-01T00:00:00Z"}]
    fields: dict[str, Any] = {
        "partners": [*suspended, *codes("blue")],
        "wordings": [wording(grants=[SHARE])],
    }
    old = catalog(**fields)
    rule = {"partner": "acme", "selector": {"kind": "share"}, "term": "indefinite"}
    new = catalog(acquisition_rules=[rule], **fields)
    assert not keeps([consent()], old, new, scope=SCORING_TO_ACME)
    shorter = catalog(**fields | {"wordings": [wording(grants=[SHARE], term="P1D")]})
    assert keeps([consent()], old, shorter, scope=SCORING_TO_ACME)
