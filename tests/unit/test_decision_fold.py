"""From events to grants and restrictions, rule by rule (`semantics.md`)."""

import itertools
from typing import Any

import pytest

from decision.catalog import Catalog
from decision.events import TimelineEvent
from decision.fold import fold
from decision.grants import Grant, Unmatched, UnmatchedCause
from decision.instants import FOREVER
from decision.products import Product
from decision.reasons import Reason
from decision.selectors import Selector
from tests.unit.decision_builders import (
    APRIL,
    FEBRUARY,
    JANUARY,
    LOAN,
    MARCH,
    PHONE,
    SMS,
    acquisition,
    answer,
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

LOANS = catalog(
    consent_types=codes("ads", "data"),
    wordings=[
        wording(term="until_product_closed"),
        wording(consent_type="data", in_force_from="2024-02-01T00:00:00Z"),
    ],
    matrix=[row("loans", product_type="loan", consent_types=["ads", "data"])],
)
OPEN_UNTIL_CLOSED = catalog(wordings=[wording(term="until_product_closed")])


def grants(*events: TimelineEvent, under: Catalog | None = None) -> list[Grant]:
    """The grants that events amount to."""
    return list(fold(under or catalog(), events).grants)


def ending(*events: TimelineEvent, under: Catalog | None = None) -> tuple[Any, ...]:
    """When and why contact by SMS ends for the first event's grant, and by which event."""
    first = next(
        grant for grant in grants(*events, under=under) if grant.event_id == events[0].event_id
    )
    return tuple(first.endings[SMS])


def test_purchase_gives_a_grant_of_each_type_of_its_row() -> None:
    """Each type is taken by itself; one without a wording in force leaves the event unmatched."""
    folded = fold(LOANS, [purchase("e1", JANUARY), purchase("e2", FEBRUARY)])
    assert [(grant.event_id, grant.consent_type) for grant in folded.grants] == [
        ("e1", "ads"),
        ("e2", "ads"),
        ("e2", "data"),
    ]
    assert all(grant.matrix_row_id == "loans" and grant.product == LOAN for grant in folded.grants)
    assert folded.unmatched == [
        Unmatched("e1", UnmatchedCause.NO_WORDING_IN_FORCE, ("data",), "loans")
    ]


def test_purchase_without_a_row_is_unmatched_and_names_the_customer() -> None:
    """Such a purchase gives nothing and waits for a publication."""
    folded = fold(LOANS, [purchase(product=Product("CARDS", "card"))])
    assert folded.is_known
    assert folded.grants == []
    assert folded.unmatched == [Unmatched("e1", UnmatchedCause.NO_MATRIX_ROW)]


def test_consent_takes_the_wording_in_force_or_the_one_it_names() -> None:
    """The version signed counts even where it was not in force."""
    dated = catalog(
        wordings=[
            wording(1, in_force_to="2024-02-01T00:00:00Z"),
            wording(2, in_force_from="2024-02-01T00:00:00Z"),
        ]
    )
    versions = [
        grants(consent(at=at, wording_version=version), under=dated)[0].wording_version
        for at, version in ((JANUARY, None), (FEBRUARY, None), (JANUARY, 2), (FEBRUARY, 1))
    ]
    assert versions == [1, 2, 2, 1]


def test_consent_without_a_wording_in_force_is_unmatched() -> None:
    """A consent before the first wording waits for a publication."""
    later = catalog(wordings=[wording(in_force_from="2024-02-01T00:00:00Z")])
    folded = fold(later, [consent(at=JANUARY)])
    assert folded.grants == []
    assert folded.unmatched == [Unmatched("e1", UnmatchedCause.NO_WORDING_IN_FORCE, ("ads",))]


def test_explicit_end_replaces_the_term() -> None:
    """Neither the wording's duration nor the closing of the product ends it any more."""
    given = consent(at=JANUARY, expires_at=APRIL, product=LOAN)
    yearly = catalog(wordings=[wording(term="P1M")])
    assert ending(given, under=yearly) == (APRIL, Reason.CONSENT_EXPIRED, "")
    assert ending(given, closing(at=MARCH), under=OPEN_UNTIL_CLOSED)[0] == APRIL


def test_refusal_is_an_empty_grant_and_ends_the_earlier_ones() -> None:
    """What was obtained at or before the refusal ends by it, what comes later does not."""
    refusal = consent("e2", MARCH, value="refused")
    assert ending(consent(at=JANUARY), refusal) == (MARCH, Reason.CONSENT_REFUSED, "e2")
    assert ending(consent(at=MARCH), refusal) == (MARCH, Reason.CONSENT_REFUSED, "e2")
    assert ending(consent(at=APRIL), refusal)[0] == FOREVER
    assert ending(refusal) == (MARCH, Reason.CONSENT_REFUSED, "e2")


def test_refusal_without_a_wording_still_ends_the_earlier_grants() -> None:
    """There is no empty grant then, and nothing unmatched either."""
    ended = catalog(wordings=[wording(in_force_to="2024-02-01T00:00:00Z")])
    folded = fold(ended, [consent(at=JANUARY), consent("e2", MARCH, value="refused")])
    assert [grant.event_id for grant in folded.grants] == ["e1"]
    assert folded.grants[0].endings[SMS].at == MARCH
    assert folded.unmatched == []


def test_refusal_ends_grants_of_its_own_type_only() -> None:
    """Grants of other types run on, purchases' grants of the type do not."""
    folded = fold(LOANS, [purchase(at=FEBRUARY), consent("e2", MARCH, value="refused")])
    assert {
        grant.consent_type: grant.endings[SMS].at
        for grant in folded.grants
        if grant.event_id == "e1"
    } == {
        "ads": MARCH,
        "data": FOREVER,
    }


def test_value_that_notes_only_names_the_customer() -> None:
    """Nothing is granted, ended or unmatched."""
    noting = catalog(
        consent_types=[
            {
                "code": "ads",
                "values": [
                    {"code": "granted", "effect": "grants"},
                    {"code": "asked", "effect": "notes"},
                ],
            }
        ]
    )
    folded = fold(noting, [consent(at=JANUARY), consent("e2", MARCH, value="asked")])
    assert [grant.endings[SMS].at for grant in folded.grants] == [FOREVER]
    assert fold(noting, [consent(value="asked")]).is_known
    assert fold(noting, [consent(value="asked")]).unmatched == []


def test_earliest_closing_at_or_after_the_grant_counts() -> None:
    """An earlier closing is of an earlier contract; the same number sold again is open."""
    sold_again = [purchase("e1", MARCH), purchase("e0", JANUARY)]
    closings = [closing("c1", FEBRUARY), closing("c2", MARCH), closing("c3", APRIL)]
    assert ending(*sold_again, closings[0], under=LOANS) == (FOREVER, Reason.CONSENT_EXPIRED, "")
    assert ending(*sold_again, *closings, under=LOANS) == (MARCH, Reason.PRODUCT_CLOSED, "c2")
    assert ending(*sold_again[::-1], *closings, under=LOANS)[0] == FEBRUARY


def test_closing_names_the_product_in_any_spelling() -> None:
    """System code, normalised series and number make the product; its type does not."""
    spelt = closing(product=Product("ABS", "credit", "k-r", "00 12"))
    assert ending(purchase(), spelt, under=LOANS)[0] == MARCH
    other = closing(product=Product("CARDS", "loan", "KR", "0012"))
    assert ending(purchase(), other, under=LOANS)[0] == FOREVER


def test_fixed_terms_run_on_after_a_closing() -> None:
    """Only grants that run until their product is closed are ended by its closing."""
    given = consent(product=LOAN)
    assert ending(given, closing(), under=catalog())[0] == FOREVER
    assert ending(given, closing(), under=OPEN_UNTIL_CLOSED)[0] == MARCH
    assert ending(consent(), closing(), under=OPEN_UNTIL_CLOSED)[0] == FOREVER


def test_revocation_ends_what_was_obtained_at_or_before_it() -> None:
    """At the same instant the revocation wins; a grant obtained later is untouched."""
    assert ending(consent(at=JANUARY), revocation()) == (MARCH, Reason.CONSENT_REVOKED, "e2")
    assert ending(consent(at=MARCH), revocation()) == (MARCH, Reason.CONSENT_REVOKED, "e2")
    assert ending(consent(at=MARCH + 1), revocation())[0] == FOREVER


def test_revocation_does_not_move_an_earlier_end() -> None:
    """What had ended stays ended as it was."""
    given = consent(at=JANUARY, expires_at=FEBRUARY)
    assert ending(given, revocation(at=MARCH)) == (FEBRUARY, Reason.CONSENT_EXPIRED, "")


def test_first_revocation_counts() -> None:
    """Of several the earliest at or after the grant ends it, whatever order they came in."""
    revocations = [revocation("r1", APRIL), revocation("r2", MARCH), revocation("r0", JANUARY - 1)]
    for order in itertools.permutations(revocations):
        assert ending(consent(), *order)[::2] == (MARCH, "r2")


def test_revocation_ends_the_selected_scopes_only() -> None:
    """One channel of one wording may be revoked, and the other stays."""
    both = catalog(
        wordings=[wording(grants=[{"purpose": "advertising", "channels": ["sms", "phone"]}])]
    )
    endings = grants(consent(), revocation(selector=Selector(channel="sms")), under=both)[0].endings
    assert (endings[SMS].at, endings[PHONE].at) == (MARCH, FOREVER)


@pytest.mark.parametrize(
    ("selector", "ended"),
    [
        (Selector(event_id="e1"), {"e1"}),
        (Selector(event_id="later"), set()),
        (Selector(consent_type="ads"), {"e1", "e3"}),
        (Selector(consent_type="data"), set()),
        (Selector(consent_type="ads", event_id="e3"), {"e3"}),
    ],
)
def test_revocation_by_event_and_type(selector: Selector, ended: set[str]) -> None:
    """Every grant of that event, or of that type, is ended; others are not."""
    known = catalog(consent_types=codes("ads", "data"))
    events = [consent("e1"), consent("e3", FEBRUARY), revocation(selector=selector)]
    found = {
        grant.event_id for grant in grants(*events, under=known) if grant.endings[SMS].at == MARCH
    }
    assert found == ended


def test_order_of_arrival_does_not_matter() -> None:
    """A revocation or a lifting may come before what it names."""
    events = [
        consent("e1", JANUARY, expires_at=APRIL),
        revocation("e3", FEBRUARY, Selector(event_id="e1")),
        restriction("e2", JANUARY),
        lifting("e4", MARCH),
        consent("e5", FEBRUARY),
    ]
    outcomes = {
        tuple(answer(order, at) for at in (JANUARY, FEBRUARY, MARCH, APRIL))
        for order in itertools.permutations(events)
    }
    assert len(outcomes) == 1


def test_latest_of_a_type_ends_what_came_before() -> None:
    """A strictly later grant of the type supersedes, whatever it covers, however soon it ended."""
    latest = catalog(
        consent_types=[{"code": "ads", "terms": "latest"}],
        wordings=[
            wording(1, in_force_to="2024-02-01T00:00:00Z"),
            wording(2, in_force_from="2024-02-01T00:00:00Z", grants=[{"purpose": "storage"}]),
        ],
    )
    superseded = (FEBRUARY, Reason.CONSENT_SUPERSEDED, "e2")
    assert ending(consent(), consent("e2", FEBRUARY), under=latest) == superseded
    gone_at_once = revocation("e3", FEBRUARY, Selector(event_id="e2"))
    assert ending(consent(), consent("e2", FEBRUARY), gone_at_once, under=latest) == superseded
    assert ending(consent(), consent("e2", JANUARY), under=latest)[0] == FOREVER
    assert ending(consent(), consent("e2", FEBRUARY))[0] == FOREVER


def test_refusal_is_stronger_than_superseding() -> None:
    """The empty grant of a refusal supersedes too, and the stronger cause is named."""
    latest = catalog(consent_types=[{"code": "ads", "terms": "latest"}])
    refusal = consent("e2", MARCH, value="refused")
    assert ending(consent(), refusal, under=latest)[1] is Reason.CONSENT_REFUSED


def test_restriction_ends_by_its_earliest_lifting() -> None:
    """A lifting after the end changes nothing, one at or before the beginning leaves nothing."""

    def interval(*liftings: TimelineEvent) -> tuple[int, int, str]:
        imposed = fold(catalog(), [restriction("e2", FEBRUARY, APRIL), *liftings]).restrictions[0]
        return (imposed.start, imposed.end, imposed.lifted_by_event_id)

    assert interval() == (FEBRUARY, APRIL, "")
    assert interval(lifting("l1", MARCH), lifting("l2", MARCH + 1)) == (FEBRUARY, MARCH, "l1")
    assert interval(lifting("l1", APRIL)) == (FEBRUARY, APRIL, "")
    assert interval(lifting("l1", FEBRUARY)) == (FEBRUARY, FEBRUARY, "l1")
    assert interval(lifting("l1", JANUARY)) == (FEBRUARY, FEBRUARY, "l1")
    assert interval(lifting("l1", MARCH, "another")) == (FEBRUARY, APRIL, "")


def test_acquisition_imposes_every_rule_of_its_partner() -> None:
    """Each rule lasts for its own term; one lifting that names the event ends them all."""
    ruled = catalog(
        acquisition_rules=[
            {"partner": "acme", "selector": {"channel": "sms"}, "term": "P1M"},
            {"partner": "acme", "selector": {"kind": "share"}, "term": "indefinite"},
            {"partner": "blue", "selector": {"all": True}, "term": "P1Y"},
        ]
    )
    imposed = fold(ruled, [acquisition(at=MARCH)]).restrictions
    assert [(one.selector.channel, one.start, one.end) for one in imposed] == [
        ("sms", MARCH, APRIL),
        ("", MARCH, FOREVER),
    ]
    lifted = fold(ruled, [acquisition(at=MARCH), lifting("l1", MARCH + 1)]).restrictions
    assert [one.end for one in lifted] == [MARCH + 1, MARCH + 1]


def test_customer_is_known_by_any_event_or_a_merge() -> None:
    """No event and no merge: nobody."""
    assert not fold(catalog(), []).is_known
    assert fold(catalog(), [], named_by_merge=True).is_known
    assert fold(catalog(), [revocation()]).is_known


def test_catalog_that_does_not_know_a_type_gives_no_meaning() -> None:
    """An older catalog may not know what a later event names: then it neither gives nor ends."""
    folded = fold(
        catalog(), [consent(), consent("e2", MARCH, consent_type="mail", value="refused")]
    )
    assert [grant.endings[SMS].at for grant in folded.grants] == [FOREVER]
    assert folded.unmatched == []
