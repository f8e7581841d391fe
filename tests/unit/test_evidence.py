"""Evidence and the card: what is shown for an answer, chosen out of what was folded."""

from collections.abc import Sequence
from typing import Any

import pytest

from decision.card import ConsentStatus, ConsentSummary, allowed_scopes, summarise
from decision.catalog import Catalog, Interval
from decision.events import TimelineEvent
from decision.evidence import (
    Picture,
    ShownGrant,
    events_that_mattered,
    shown_grants,
    shown_restrictions,
    void_events_that_mattered,
)
from decision.instants import FOREVER, Instant
from decision.reasons import Reason
from decision.scopes import Scope
from decision.selectors import Selector
from tests.unit.decision_builders import (
    APRIL,
    FEBRUARY,
    JANUARY,
    MARCH,
    MAY,
    PHONE,
    SMS,
    acquisition,
    catalog,
    closing,
    codes,
    consent,
    lifting,
    purchase,
    restriction,
    revocation,
    row,
    wording,
)

CALLS_TOO = [wording(grants=[{"purpose": "advertising", "channels": ["sms", "phone"]}])]


def picture(events: Sequence[TimelineEvent], under: Catalog | None = None) -> Picture:
    """A person of whom these events are known."""
    return Picture(under or catalog(), events, is_named_by_merge=False)


def recorded(event: TimelineEvent, at: Instant) -> TimelineEvent:
    """An event that was recorded at an instant."""
    return event._replace(recorded_at=at)


def grants(
    events: Sequence[TimelineEvent],
    *,
    under: Catalog | None = None,
    then: Catalog | None = None,
    at: Instant = MAY,
    asked: Sequence[Scope] | None = (SMS,),
) -> list[ShownGrant]:
    """The grants that are shown, all known in time if nothing else is said."""
    known = picture(events, under)
    return shown_grants(known, then or known.catalog, at, asked)


def summary(
    events: Sequence[TimelineEvent], at: Instant, under: Catalog | None = None
) -> ConsentSummary:
    """The one line of the card."""
    (line,) = summarise(grants(events, under=under, at=at, asked=None), at)
    return line


def test_a_grant_is_shown_with_the_scopes_asked_about_only() -> None:
    """Of a grant for several scopes only those asked about are shown."""
    (shown,) = grants([recorded(consent(), JANUARY)], under=catalog(wordings=CALLS_TOO))
    assert [scope for scope, _ in shown.scopes] == [SMS]


def test_a_grant_that_covers_nothing_asked_about_is_not_shown() -> None:
    """A consent to something else proves nothing."""
    assert grants([recorded(consent(), JANUARY)], asked=[PHONE]) == []


def test_an_ended_grant_is_shown() -> None:
    """What was ended before the instant asked about is shown with what ended it."""
    (shown,) = grants([recorded(consent(), JANUARY), recorded(revocation(at=MARCH), MARCH)])
    ((_, ending),) = shown.scopes
    assert (ending.at, ending.cause, ending.event_id) == (MARCH, Reason.CONSENT_REVOKED, "e2")


def test_a_grant_known_in_time_is_not_marked() -> None:
    """What was known at the instant asked about was brought by nothing later."""
    (shown,) = grants([recorded(consent(), JANUARY)], at=JANUARY)
    assert not shown.brought_by_late_event
    assert not shown.brought_by_later_publication


def test_a_grant_of_an_event_recorded_later_is_marked_late() -> None:
    """An event that was recorded after the instant asked about came late, whatever the catalog."""
    events = [recorded(consent(), APRIL)]
    (shown,) = grants(events, then=catalog(wordings=[]), at=MARCH)
    assert shown.brought_by_late_event
    assert not shown.brought_by_later_publication


def test_a_grant_by_a_later_matrix_is_marked() -> None:
    """A purchase that was known, but matched no row then, gave its grant by a later publication."""
    events = [recorded(purchase(), JANUARY)]
    now = catalog(matrix=[row(product_type="loan")])
    (shown,) = grants(events, under=now, then=catalog(), at=MARCH)
    assert shown.brought_by_later_publication
    assert not shown.brought_by_late_event


def test_a_scope_by_a_later_publication_is_marked() -> None:
    """A grant that covered the scope only since a wording was corrected is marked."""
    events = [recorded(consent(), JANUARY)]
    (shown,) = grants(events, under=catalog(wordings=CALLS_TOO), then=catalog(), asked=[PHONE])
    assert shown.brought_by_later_publication
    (shown,) = grants(events, under=catalog(wordings=CALLS_TOO), then=catalog(), asked=[SMS])
    assert not shown.brought_by_later_publication


def test_the_own_end_of_a_grant_outlives_its_revocation_and_refusal() -> None:
    """The term is shown as it would have run, whatever ended the grant before."""
    under = catalog(wordings=[wording(term="P2M")])
    events = [
        consent("e1", JANUARY),
        consent("e2", FEBRUARY, value="refused"),
        revocation("e3", JANUARY + 1),
    ]
    granted, _ = grants([recorded(event, JANUARY) for event in events], under=under)
    assert (granted.own_end.at, granted.own_end.cause) == (MARCH, Reason.CONSENT_EXPIRED)


def test_the_own_end_of_a_grant_is_the_closing_of_its_product() -> None:
    """A grant until its product is closed ends by itself with the first closing after it."""
    under = catalog(
        wordings=[wording(term="until_product_closed")], matrix=[row(product_type="loan")]
    )
    events = [purchase("e1", JANUARY), closing("e2", MARCH), closing("e3", APRIL)]
    (shown,) = grants([recorded(event, JANUARY) for event in events], under=under)
    assert (shown.own_end.at, shown.own_end.event_id) == (MARCH, "e2")


def test_a_restriction_is_shown_with_the_end_it_would_have_had() -> None:
    """A lifting moves the end of a restriction and leaves what was meant."""
    known = picture([restriction("e2", JANUARY, MAY), lifting("e3", MARCH)])
    (shown,) = shown_restrictions(known, [SMS])
    assert (shown.restriction.end, shown.end_unless_lifted) == (MARCH, MAY)
    assert shown.restriction.lifted_by_event_id == "e3"


def test_restrictions_of_an_acquisition_are_shown_by_rule() -> None:
    """Each rule that selects a scope asked about gives a restriction of its own."""
    rules = [
        {"partner": "acme", "selector": {"channel": "sms"}, "term": "P1M"},
        {"partner": "acme", "selector": {"channel": "phone"}, "term": "indefinite"},
    ]
    known = picture([acquisition("e2", JANUARY)], catalog(acquisition_rules=rules))
    assert [one.end_unless_lifted for one in shown_restrictions(known, [SMS])] == [FEBRUARY]
    assert len(shown_restrictions(known, None)) == 2


def test_the_events_that_mattered_gave_ended_imposed_or_lifted() -> None:
    """An event that bears on other scopes only does not matter."""
    events = [
        consent("e1"),
        revocation("e2", MARCH, Selector(channel="sms")),
        restriction("e3", MARCH),
        lifting("e4", APRIL, "e3"),
        revocation("e5", MARCH, Selector(channel="phone")),
        restriction("e6", MARCH, selector=Selector(channel="phone")),
    ]
    assert events_that_mattered(picture(events), [SMS]) == {"e1", "e2", "e3", "e4"}


def test_void_events_that_would_have_mattered_are_found_behind_each_other() -> None:
    """Of two void revocations the later one would have ended the consent too."""
    void = [revocation("e2", FEBRUARY), revocation("e3", MARCH)]
    assert void_events_that_mattered(picture([consent()]), void, [SMS]) == {"e2", "e3"}


def test_void_events_that_would_have_changed_nothing_do_not_matter() -> None:
    """A void revocation behind one that counts, or of something else, changes nothing."""
    known = picture([consent(), revocation("e2", FEBRUARY)])
    void = [revocation("e3", MARCH), consent("e4", consent_type="other")]
    assert void_events_that_mattered(known, void, [SMS]) == set()


def test_the_card_shows_the_common_term_of_overlapping_consents() -> None:
    """Consents of one type that follow each other without a gap have one term."""
    events = [
        consent("e1", JANUARY, expires_at=MARCH),
        consent("e2", FEBRUARY, expires_at=APRIL),
        consent("e3", MAY),
    ]
    line = summary(events, FEBRUARY)
    assert (line.status, line.common_term) == (
        ConsentStatus.IN_FORCE,
        Interval(JANUARY, APRIL),
    )
    assert line.ended_by is None


def test_the_common_term_is_over_all_scopes() -> None:
    """A consent of which one scope is left is in force."""
    events = [consent("e1", JANUARY), revocation("e2", MARCH, Selector(channel="sms"))]
    line = summary(events, MAY, catalog(wordings=CALLS_TOO))
    assert (line.status, line.common_term) == (
        ConsentStatus.IN_FORCE,
        Interval(JANUARY, FOREVER),
    )


def test_an_ended_consent_shows_the_term_that_held_last_and_what_ended_it() -> None:
    """Between two consents the one before is shown as ended."""
    events = [consent("e1", JANUARY), revocation("e2", MARCH), consent("e3", MAY)]
    line = summary(events, APRIL)
    assert line == line._replace(
        status=ConsentStatus.ENDED,
        common_term=Interval(JANUARY, MARCH),
        ended_by=Reason.CONSENT_REVOKED,
    )


def test_a_consent_to_come_is_not_yet_valid() -> None:
    """Before the first consent its own term is shown."""
    line = summary([consent("e1", MARCH, expires_at=MAY)], JANUARY)
    assert line == line._replace(
        status=ConsentStatus.NOT_YET_VALID, common_term=Interval(MARCH, MAY), ended_by=None
    )


@pytest.mark.parametrize(("at", "ended_by"), [(FEBRUARY, Reason.CONSENT_REFUSED), (JANUARY, None)])
def test_a_refusal_alone_has_no_term(at: Instant, ended_by: Reason | None) -> None:
    """A type that was only ever refused is ended without ever having held."""
    line = summary([consent("e1", FEBRUARY, value="refused")], at)
    assert line == line._replace(status=ConsentStatus.ENDED, common_term=None, ended_by=ended_by)


def test_the_card_has_one_line_for_each_type_by_code() -> None:
    """Types stand in the order of their codes, whatever came first."""
    both: dict[str, Any] = {
        "consent_types": codes("ads", "zeal"),
        "wordings": [wording(), wording(consent_type="zeal")],
    }
    events = [consent("e1", consent_type="zeal"), consent("e2")]
    lines = summarise(grants(events, under=catalog(**both), asked=None), MAY)
    assert [line.consent_type for line in lines] == ["ads", "zeal"]


def test_allowed_scopes_leave_out_what_is_restricted() -> None:
    """A scope that a restriction denies is not allowed, though consented to."""
    known = picture(
        [consent(), restriction("e2", JANUARY, selector=Selector(channel="sms"))],
        catalog(wordings=CALLS_TOO),
    )
    ((scope, answer),) = allowed_scopes(known, MARCH)
    assert scope == PHONE
    assert answer.basis is not None
    assert answer.basis.event_id == "e1"
