"""What one event did: the consents it gave, the scopes it ended."""

from decision.answer import Answer
from decision.catalog import Effect
from decision.effects import (
    ConsentEffect,
    EndedScope,
    GivenConsent,
    PurchaseEffect,
    effect_of_consent,
    effect_of_purchase,
    effect_of_revocation,
)
from decision.events import Consent, TimelineEvent
from decision.grants import UnmatchedCause
from decision.instants import FOREVER, parse_instant
from decision.selectors import Selector
from tests.unit.decision_builders import (
    APRIL,
    FEBRUARY,
    JANUARY,
    LOAN,
    MARCH,
    MAY,
    PHONE,
    SMS,
    catalog,
    closing,
    codes,
    consent,
    purchase,
    restriction,
    revocation,
    row,
    wording,
)

LOANS = catalog(matrix=[row("loans", product_type="loan")], wordings=[wording(term="P1M")])


def body_of(event: TimelineEvent) -> Consent:
    """The body of a consent event."""
    assert isinstance(event.body, Consent)
    return event.body


def test_a_purchase_gave_its_consents_whatever_happened_to_them_since() -> None:
    """A revocation or a closing does not change what was given."""
    events = [purchase("e1"), revocation("e2", at=JANUARY)]
    assert effect_of_purchase(LOANS, events, "e1") == PurchaseEffect(
        "loans", [GivenConsent("ads", 1, FEBRUARY, is_until_product_closed=False)]
    )


def test_a_consent_until_the_product_is_closed_says_so() -> None:
    """It has no end of its own, even when the product was closed in the meantime."""
    under = catalog(
        matrix=[row("loans", product_type="loan")], wordings=[wording(term="until_product_closed")]
    )
    events = [purchase("e1"), closing("e2")]
    (given,) = effect_of_purchase(under, events, "e1").consents
    assert given == GivenConsent("ads", 1, FOREVER, is_until_product_closed=True)


def test_a_row_without_consent_types_is_named_all_the_same() -> None:
    """It matched, and nothing was to be given."""
    under = catalog(matrix=[row("loans", product_type="loan", consent_types=[])])
    assert effect_of_purchase(under, [purchase("e1")], "e1") == PurchaseEffect("loans", [])


def test_an_unmatched_purchase_says_why() -> None:
    """Without a row, or with types that have no wording in force."""
    assert effect_of_purchase(catalog(), [purchase("e1")], "e1") == PurchaseEffect(
        "", [], UnmatchedCause.NO_MATRIX_ROW
    )
    under = catalog(
        matrix=[row("loans", product_type="loan", consent_types=["ads", "calls"])],
        consent_types=codes("ads", "calls"),
    )
    effect = effect_of_purchase(under, [purchase("e1")], "e1")
    assert [given.consent_type for given in effect.consents] == ["ads"]
    assert effect.unmatched_cause is UnmatchedCause.NO_WORDING_IN_FORCE
    assert effect.consent_types_without_wording == ("calls",)


def test_a_void_purchase_gave_nothing() -> None:
    """It is no part of the timeline any more."""
    assert effect_of_purchase(LOANS, [], "e1") == PurchaseEffect()


def test_an_explicit_end_is_no_end_by_closing() -> None:
    """It replaces the term entirely."""
    under = catalog(wordings=[wording(term="until_product_closed")])
    event = consent("e1", expires_at=MAY, product=LOAN)
    assert effect_of_consent(under, [event], "e1", body_of(event)) == ConsentEffect(
        Effect.GRANTS, GivenConsent("ads", 1, MAY, is_until_product_closed=False)
    )


def test_a_refusal_gives_no_consent() -> None:
    """Its empty grant is no consent given."""
    event = consent("e1", value="refused")
    assert effect_of_consent(catalog(), [event], "e1", body_of(event)) == ConsentEffect(
        Effect.REFUSES
    )


def test_a_consent_without_a_wording_in_force_says_so() -> None:
    """It waits for a publication."""
    event = consent("e1", at=parse_instant("1990-01-01T00:00:00Z"))
    assert effect_of_consent(catalog(), [event], "e1", body_of(event)) == ConsentEffect(
        Effect.GRANTS, None, UnmatchedCause.NO_WORDING_IN_FORCE
    )


TWO_CHANNELS = catalog(
    wordings=[
        wording(grants=[{"purpose": "advertising", "channels": ["sms", "phone"]}], term="P1Y")
    ]
)
NEXT_JANUARY = parse_instant("2025-01-01T00:00:00Z")


def test_a_revocation_ends_what_it_selects_and_the_rest_survives() -> None:
    """What survives comes with its answer at the later of revocation and now."""
    events = [consent("e1"), revocation("e2", at=MARCH, selector=Selector(channel="sms"))]
    effect = effect_of_revocation(TWO_CHANNELS, events, "e2", now=APRIL)
    assert effect.ended == [EndedScope(SMS, NEXT_JANUARY)]
    ((scope, answer),) = effect.surviving
    assert scope == PHONE
    assert answer.is_allowed
    assert answer.not_after == NEXT_JANUARY


def test_what_has_lapsed_by_now_does_not_survive() -> None:
    """Though it was allowed at the instant of revocation."""
    events = [consent("e1"), revocation("e2", at=MARCH, selector=Selector(channel="sms"))]
    assert effect_of_revocation(TWO_CHANNELS, events, "e2", now=NEXT_JANUARY).surviving == []


def test_what_was_not_allowed_any_more_is_not_ended() -> None:
    """An earlier revocation has ended it."""
    events = [
        consent("e1"),
        revocation("e2", at=FEBRUARY),
        revocation("e3", at=MARCH, selector=Selector(channel="sms")),
    ]
    assert effect_of_revocation(TWO_CHANNELS, events, "e3", now=MARCH).ended == []


def test_what_a_restriction_denies_for_a_time_is_ended_for_later() -> None:
    """It would have held again once the restriction was over."""
    events = [
        consent("e1"),
        restriction("e2", at=FEBRUARY, until=MAY),
        revocation("e3", at=MARCH),
    ]
    effect = effect_of_revocation(TWO_CHANNELS, events, "e3", now=MARCH)
    assert set(effect.ended) == {EndedScope(SMS, NEXT_JANUARY), EndedScope(PHONE, NEXT_JANUARY)}
    assert effect.surviving == []


def test_a_later_grant_does_not_count_as_what_would_have_held() -> None:
    """The interval that was taken away ends where the gap before the later grant begins."""
    under = catalog(wordings=[wording(term="P1M")])
    events = [consent("e1", at=FEBRUARY), consent("e3", at=MAY), revocation("e2", at=FEBRUARY)]
    effect = effect_of_revocation(under, events, "e2", now=FEBRUARY)
    assert effect.ended == [EndedScope(SMS, MARCH)]


def test_a_void_revocation_ended_nothing() -> None:
    """What is allowed now survives."""
    effect = effect_of_revocation(TWO_CHANNELS, [consent("e1")], "e2", now=APRIL)
    assert effect.ended == []
    assert [scope for scope, _ in effect.surviving] == [PHONE, SMS]
    assert all(isinstance(answer, Answer) for _, answer in effect.surviving)
