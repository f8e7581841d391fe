"""Selectors: their form and what they match (`semantics.md`, "A selector")."""

import pytest

from decision.scopes import ScopeKind, contact, process, share
from decision.selectors import EVERYTHING, Selector, problem_of_form

CONTACT = contact("advertising", "sms")
SHARE = share("advertising", "acme", "scoring")
PROCESS = process("advertising")


@pytest.mark.parametrize(
    ("selector", "matched"),
    [
        (EVERYTHING, {CONTACT, SHARE, PROCESS}),
        (Selector(purpose="advertising"), {CONTACT, SHARE, PROCESS}),
        (Selector(purpose="storage"), set()),
        (Selector(kind=ScopeKind.CONTACT), {CONTACT}),
        (Selector(kind=ScopeKind.SHARE), {SHARE}),
        (Selector(kind=ScopeKind.PROCESS), {PROCESS}),
        (Selector(channel="sms"), {CONTACT}),
        (Selector(channel="phone"), set()),
        (Selector(partner="acme"), {SHARE}),
        (Selector(dataset="scoring"), {SHARE}),
        (Selector(partner="acme", dataset="contacts"), set()),
        (Selector(purpose="advertising", partner="acme", dataset="scoring"), {SHARE}),
        (Selector(kind=ScopeKind.CONTACT, purpose="storage"), set()),
        (Selector(consent_type="ads"), {CONTACT, SHARE, PROCESS}),
        (Selector(event_id="e1"), {CONTACT, SHARE, PROCESS}),
    ],
)
def test_scopes_matched(selector: Selector, matched: set[object]) -> None:
    """All named must match; a channel is of contact scopes, partner and data set of shares."""
    assert {
        scope for scope in (CONTACT, SHARE, PROCESS) if selector.matches_scope(scope)
    } == matched


def test_grants_matched() -> None:
    """Event and consent type select grants, and select all of them where they are not named."""
    assert EVERYTHING.matches_grant("e1", "ads")
    assert Selector(event_id="e1").matches_grant("e1", "ads")
    assert not Selector(event_id="e1").matches_grant("e2", "ads")
    assert Selector(consent_type="ads").matches_grant("e1", "ads")
    assert not Selector(consent_type="ads").matches_grant("e1", "data")
    assert not Selector(event_id="e1", consent_type="data").matches_grant("e1", "ads")


@pytest.mark.parametrize(
    "selector",
    [
        EVERYTHING,
        Selector(kind=ScopeKind.PROCESS, purpose="storage"),
        Selector(kind=ScopeKind.CONTACT, channel="sms"),
        Selector(kind=ScopeKind.SHARE, partner="acme", dataset="scoring"),
        Selector(consent_type="ads", channel="sms", event_id="e1"),
    ],
)
def test_selectors_in_good_form(selector: Selector) -> None:
    """What can match something, and names something or all, is in good form."""
    assert problem_of_form(selector, for_revocation=True) == ""


@pytest.mark.parametrize(
    ("selector", "problem"),
    [
        (Selector(), "empty"),
        (Selector(all=True, channel="sms"), "alone"),
        (Selector(all=True, event_id="e1"), "alone"),
        (Selector(channel="sms", partner="acme"), "together"),
        (Selector(channel="sms", dataset="scoring"), "together"),
        (Selector(kind=ScopeKind.SHARE, channel="sms"), "together"),
        (Selector(kind=ScopeKind.PROCESS, channel="sms"), "together"),
        (Selector(kind=ScopeKind.CONTACT, partner="acme"), "together"),
        (Selector(kind=ScopeKind.PROCESS, dataset="scoring"), "together"),
    ],
)
def test_selectors_in_bad_form(selector: Selector, problem: str) -> None:
    """Empty, all with others, and what can match nothing are told what is wrong with them."""
    assert problem in problem_of_form(selector, for_revocation=True)
    assert problem in problem_of_form(selector, for_revocation=False)


@pytest.mark.parametrize("selector", [Selector(consent_type="ads"), Selector(event_id="e1")])
def test_grants_are_selected_in_revocations_only(selector: Selector) -> None:
    """A restriction denies scopes, whatever grant they come from."""
    assert problem_of_form(selector, for_revocation=True) == ""
    assert "revocations only" in problem_of_form(selector, for_revocation=False)
