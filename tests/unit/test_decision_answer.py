"""The answer for a scope at an instant, in the order of its rules (`semantics.md`)."""

from itertools import combinations
from typing import Any

import pytest

from decision.answer import Answer, ShareAnswer, allowed_intervals, answer_scope
from decision.catalog import Interval
from decision.events import TimelineEvent
from decision.instants import BEGINNING, FOREVER
from decision.products import Product
from decision.reasons import STRENGTH_BY_CAUSE, Reason, Verdict
from decision.selectors import Selector
from decision.timeline import NOBODY
from tests.unit.decision_builders import (
    APRIL,
    CONTACTS_TO_ACME,
    FEBRUARY,
    JANUARY,
    LOAN,
    MARCH,
    MAY,
    PHONE,
    SCORING_TO_ACME,
    SMS,
    answer,
    catalog,
    closing,
    codes,
    consent,
    lifting,
    purchase,
    restriction,
    revocation,
    timeline,
    wording,
)

SHARING = [
    wording(grants=[{"purpose": "advertising", "partners": ["acme"], "datasets": ["scoring"]}])
]


def suspended(**dates: str) -> Any:
    """A catalog that grants sharing with a partner and suspends it."""
    return catalog(
        partners=[{"code": "acme"} | dates, *codes("blue")],
        wordings=[
            wording(
                grants=[
                    {"purpose": "advertising", "partners": ["acme"], "datasets": ["scoring"]},
                    {"purpose": "advertising", "channels": ["sms"]},
                ]
            )
        ],
    )


def test_nobody_is_unknown() -> None:
    """What no event names is unknown, before anything else is looked at."""
    always = Interval(BEGINNING, FOREVER)
    assert answer_scope(NOBODY, always, SCORING_TO_ACME, JANUARY) == Answer(Reason.UNKNOWN_CUSTOMER)


def test_restriction_comes_before_everything_known() -> None:
    """It denies what is granted, names itself where a partner is suspended, and holds half-open."""
    events = [consent(), restriction("e2", FEBRUARY, MARCH)]
    assert answer(events, FEBRUARY - 1).is_allowed
    assert answer(events, FEBRUARY).reason is Reason.RESTRICTED
    assert answer(events, MARCH - 1).reason is Reason.RESTRICTED
    assert answer(events, MARCH).is_allowed
    known = suspended(suspended_from="2024-01-01T00:00:00Z")
    assert answer(events, FEBRUARY, known, SCORING_TO_ACME).reason is Reason.RESTRICTED


def test_restriction_denies_also_what_was_never_granted() -> None:
    """A restricted scope is restricted, consent or none."""
    assert answer([restriction()], MARCH, scope=PHONE).reason is Reason.RESTRICTED


def test_new_consent_does_not_lift_a_restriction() -> None:
    """Only its end or a lifting ends it."""
    events = [restriction("e2", JANUARY), consent("e3", MARCH)]
    assert answer(events, APRIL).reason is Reason.RESTRICTED
    assert answer([*events, lifting("e4", APRIL)], APRIL).is_allowed


def test_suspension_denies_shares_with_the_partner() -> None:
    """From its beginning to before its end, and nothing but shares."""
    known = suspended(suspended_from="2024-02-01T00:00:00Z", suspended_to="2024-03-01T00:00:00Z")
    reasons = [
        answer([consent()], at, known, SCORING_TO_ACME).reason
        for at in (FEBRUARY - 1, FEBRUARY, MARCH - 1, MARCH)
    ]
    assert reasons == [
        Reason.ALLOWED,
        Reason.PARTNER_SUSPENDED,
        Reason.PARTNER_SUSPENDED,
        Reason.ALLOWED,
    ]
    assert answer([consent()], FEBRUARY, known, SMS).is_allowed
    # Also where nothing was granted.
    assert answer([revocation()], FEBRUARY, known, SCORING_TO_ACME).reason is (
        Reason.PARTNER_SUSPENDED
    )


def test_grant_holds_from_its_beginning_and_not_at_its_end() -> None:
    """At the end instant the answer is already no."""
    events = [consent(at=FEBRUARY, expires_at=MARCH)]
    assert answer(events, FEBRUARY - 1).reason is Reason.CONSENT_NOT_YET_VALID
    assert answer(events, FEBRUARY).is_allowed
    assert answer(events, MARCH - 1).is_allowed
    assert answer(events, MARCH).reason is Reason.CONSENT_EXPIRED


def test_scope_that_nothing_granted() -> None:
    """There is no consent, however much else is granted."""
    assert answer([consent()], MARCH, scope=PHONE).reason is Reason.NO_CONSENT


def test_empty_grant_of_the_future_is_not_to_come() -> None:
    """What is empty never begins: before it there is no consent, after it there was one."""
    events = [consent("e1", MARCH, value="refused")]
    assert answer(events, FEBRUARY).reason is Reason.NO_CONSENT
    assert answer(events, MARCH).reason is Reason.CONSENT_REFUSED


ENDED_BY: dict[Reason, list[TimelineEvent]] = {
    Reason.CONSENT_REVOKED: [
        consent("revoked", consent_type="revoked"),
        revocation("r", MARCH, Selector(event_id="revoked")),
    ],
    Reason.CONSENT_REFUSED: [
        consent("refused", consent_type="refused"),
        consent("r2", MARCH, consent_type="refused", value="refused"),
    ],
    Reason.PRODUCT_CLOSED: [
        consent("closed", consent_type="closed", product=LOAN),
        closing("c", MARCH),
    ],
    Reason.CONSENT_SUPERSEDED: [
        consent("superseded", consent_type="superseded"),
        consent("s2", MARCH, consent_type="superseded", wording_version=2),
    ],
    Reason.CONSENT_EXPIRED: [consent("expired", consent_type="expired", expires_at=MARCH)],
}
"""For each cause the events of one grant that it ends in March."""

ALL_CAUSES = catalog(
    consent_types=[
        {"code": "revoked"},
        {"code": "refused"},
        {"code": "closed"},
        {"code": "superseded", "terms": "latest"},
        {"code": "expired"},
    ],
    wordings=[
        wording(consent_type="revoked"),
        wording(consent_type="refused"),
        wording(consent_type="closed", term="until_product_closed"),
        wording(consent_type="superseded"),
        # What replaces it grants something else, so that only the replaced one is of the scope.
        wording(
            2,
            consent_type="superseded",
            in_force_from="1990-01-01T00:00:00Z",
            in_force_to="1991-01-01T00:00:00Z",
            grants=[{"purpose": "storage"}],
        ),
        wording(consent_type="expired"),
    ],
)


@pytest.mark.parametrize("cause", ENDED_BY)
def test_what_ended_the_grant_is_the_reason(cause: Reason) -> None:
    """Each way in which a grant ends has a reason of its own."""
    assert answer(ENDED_BY[cause], MARCH - 1, ALL_CAUSES).is_allowed
    assert answer(ENDED_BY[cause], MARCH, ALL_CAUSES).reason is cause


@pytest.mark.parametrize(("stronger", "weaker"), list(combinations(ENDED_BY, 2)))
def test_stronger_cause_is_named_where_several_grants_end_at_once(
    stronger: Reason, weaker: Reason
) -> None:
    """Revoked, refused, closed, superseded, expired: in this order of strength."""
    events = [*ENDED_BY[weaker], *ENDED_BY[stronger]]
    assert answer(events, MARCH, ALL_CAUSES).reason is stronger
    assert answer(events[::-1], MARCH, ALL_CAUSES).reason is stronger


def test_strength_is_in_the_order_of_the_text() -> None:
    """The table and the text agree."""
    assert sorted(STRENGTH_BY_CAUSE, key=STRENGTH_BY_CAUSE.__getitem__, reverse=True) == list(
        ENDED_BY
    )


def test_stronger_cause_is_named_where_one_grant_ends_by_several() -> None:
    """A revocation at the very end of the term is the reason."""
    events = [consent(expires_at=MARCH), revocation("e2", MARCH)]
    assert answer(events, MARCH).reason is Reason.CONSENT_REVOKED


def test_grant_that_ended_last_gives_the_reason() -> None:
    """Not the one obtained last, and not the strongest."""
    events = [
        consent("e1", JANUARY, expires_at=APRIL),
        consent("e3", FEBRUARY),
        revocation("e2", MARCH, Selector(event_id="e3")),
    ]
    assert answer(events, MARCH).is_allowed
    assert answer(events, APRIL).reason is Reason.CONSENT_EXPIRED


def test_grant_not_obtained_yet_gives_no_reason_for_an_end() -> None:
    """Before it is obtained a grant counts as one to come only, and only where none was yet."""
    events = [consent("e1", JANUARY, expires_at=FEBRUARY), consent("e2", APRIL, expires_at=MAY)]
    assert answer(events, MARCH).reason is Reason.CONSENT_EXPIRED
    assert answer(events, JANUARY - 1).reason is Reason.CONSENT_NOT_YET_VALID


def test_not_after_is_the_end_of_the_unbroken_union() -> None:
    """Grants that touch or overlap are one union, a gap of a microsecond ends it."""
    first = consent("e1", JANUARY, expires_at=FEBRUARY)
    assert answer([first, consent("e2", FEBRUARY, expires_at=MARCH)], JANUARY).not_after == MARCH
    later = consent("e2", FEBRUARY + 1, expires_at=MARCH)
    assert answer([first, later], JANUARY).not_after == FEBRUARY
    unbounded = consent("e3", FEBRUARY)
    assert answer([first, unbounded], JANUARY).not_after == FOREVER


def test_not_after_is_the_next_restriction_or_suspension_if_sooner() -> None:
    """The soonest of the three ends the answer; a restriction that is past does not."""
    known = suspended(suspended_from="2024-04-01T00:00:00Z")
    events = [consent(expires_at=MAY), restriction("e2", JANUARY, FEBRUARY)]
    assert answer(events, MARCH, known, SCORING_TO_ACME).not_after == APRIL
    restricted = [*events, restriction("e3", MARCH + 1, FOREVER, Selector(partner="acme"))]
    assert answer(restricted, MARCH, known, SCORING_TO_ACME).not_after == MARCH + 1
    assert answer(restricted, MARCH, known, SMS).not_after == MAY


def test_restriction_lifted_at_once_ends_nothing() -> None:
    """What left nothing of itself is no bound."""
    events = [consent(), restriction("e2", MARCH), lifting("e3", MARCH)]
    assert answer(events, JANUARY).not_after == FOREVER


def basis_event(*events: TimelineEvent, at: int = MARCH) -> str:
    """The event of the basis, whatever order the events came in."""
    found = {answer(order, at).basis for order in (events, events[::-1])}
    assert len(found) == 1
    basis = found.pop()
    assert basis is not None
    return basis.event_id


def test_basis_is_the_grant_that_ends_last() -> None:
    """However early it was obtained."""
    assert (
        basis_event(
            consent("e1", JANUARY, expires_at=MAY), consent("e2", FEBRUARY, expires_at=APRIL)
        )
        == "e1"
    )
    assert basis_event(consent("e1", JANUARY), consent("e2", FEBRUARY, expires_at=APRIL)) == "e1"


def test_basis_is_then_the_grant_obtained_last() -> None:
    """Of those that end together."""
    assert basis_event(consent("e1", JANUARY), consent("e2", FEBRUARY)) == "e2"


def test_basis_is_then_the_smallest_event_id() -> None:
    """By code point, not by UTF-16 unit."""
    assert basis_event(consent("\U0001f600"), consent("\uff45")) == "\uff45"
    assert basis_event(consent("e"), consent("E")) == "E"


def test_basis_is_last_the_smallest_consent_type() -> None:
    """One purchase may give several grants that hold alike."""
    types = catalog(
        consent_types=codes("b", "B"),
        wordings=[wording(consent_type="b"), wording(consent_type="B")],
        matrix=[
            {
                "id": "row",
                "product_type": "loan",
                "in_force_from": "2000-01-01T00:00:00Z",
                "consent_types": ["b", "B"],
            }
        ],
    )
    basis = answer([purchase()], MARCH, types).basis
    assert basis is not None
    assert basis.consent_type == "B"


def test_basis_counts_the_end_of_the_asked_scope() -> None:
    """A revocation of one channel makes another grant the basis for it."""
    both = catalog(
        wordings=[wording(grants=[{"purpose": "advertising", "channels": ["sms", "phone"]}])]
    )
    events = [
        consent("e1", expires_at=MAY),
        consent("e2", expires_at=APRIL),
        revocation("e3", MARCH, Selector(event_id="e1", channel="sms")),
    ]
    bases = {scope: answer(events, FEBRUARY, both, scope).basis for scope in (SMS, PHONE)}
    assert [basis.event_id for basis in bases.values() if basis] == ["e2", "e1"]
    assert [basis.ends_at for basis in bases.values() if basis] == [APRIL, MAY]


def test_basis_tells_wording_product_and_row() -> None:
    """It names all that proves the answer."""
    basis = answer([consent(product=Product(number="7"), wording_version=1)], MARCH).basis
    assert basis is not None
    assert (basis.consent_type, basis.wording_version, basis.product) == (
        "ads",
        1,
        Product(number="7"),
    )
    assert (basis.obtained_at, basis.ends_at, basis.matrix_row_id) == (JANUARY, FOREVER, "")


def test_share_of_several_data_sets() -> None:
    """Allowed only if every one is, until the earliest end; denied for the first that is."""
    known = catalog(
        wordings=[
            wording(
                grants=[
                    {
                        "purpose": "advertising",
                        "partners": ["acme"],
                        "datasets": ["scoring", "contacts"],
                    }
                ]
            )
        ]
    )
    events = [consent(), revocation(selector=Selector(dataset="contacts"))]
    scopes = (SCORING_TO_ACME, CONTACTS_TO_ACME)
    early = ShareAnswer([answer(events, JANUARY, known, scope) for scope in scopes])
    assert (early.verdict, early.reason, early.not_after) == (Verdict.ALLOW, Reason.ALLOWED, MARCH)
    late = ShareAnswer([answer(events, MARCH, known, scope) for scope in scopes])
    assert (late.verdict, late.reason) == (Verdict.DENY, Reason.CONSENT_REVOKED)
    assert [each.is_allowed for each in late.answers] == [True, False]
    first_denied = ShareAnswer([Answer(Reason.NO_CONSENT), Answer(Reason.RESTRICTED)])
    assert first_denied.reason is Reason.NO_CONSENT


def test_allowed_intervals_begin_where_the_answer_turns() -> None:
    """An interval is told whole, also where the basis changed within it earlier."""
    events = [consent("e1", JANUARY, expires_at=MARCH), consent("e2", FEBRUARY, expires_at=MAY)]
    whole = [Interval(JANUARY, MAY)]
    for after in (BEGINNING, JANUARY, MARCH, APRIL):
        assert allowed_intervals(timeline(events), None, SMS, after) == whole
    assert allowed_intervals(timeline(events), None, SMS, MAY) == []


def test_allowed_intervals_are_cut_by_restrictions_and_suspensions() -> None:
    """What is denied is cut out, at both ends or in the middle."""
    events = [consent(expires_at=MAY), restriction("e2", FEBRUARY, MARCH)]
    cut = [Interval(JANUARY, FEBRUARY), Interval(MARCH, MAY)]
    assert allowed_intervals(timeline(events), None, SMS, BEGINNING) == cut
    suspension = Interval(BEGINNING, APRIL)
    shared = timeline([consent()], catalog(wordings=SHARING))
    assert allowed_intervals(shared, suspension, SCORING_TO_ACME, BEGINNING) == [
        Interval(APRIL, FOREVER)
    ]


def test_nobody_is_allowed_nothing() -> None:
    """An unknown customer has no intervals."""
    assert allowed_intervals(NOBODY, None, SMS, BEGINNING) == []
