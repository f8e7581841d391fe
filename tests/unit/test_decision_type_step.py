"""Which answers are kept when a catalog is published that changes what grants there are."""

from math import isqrt

from decision.catalog import Catalog
from decision.catalog_differences import PAIRS_MAX
from decision.products import Product
from tests.unit.catalog_step_builders import (
    CARD,
    CARDS,
    LOANS,
    PHONE_ONLY,
    SMS_AND_PHONE,
    keeps,
    latest,
    with_effect,
    with_rows,
)
from tests.unit.decision_builders import (
    APRIL,
    FEBRUARY,
    JANUARY,
    LOAN,
    MARCH,
    MAY,
    catalog,
    closing,
    codes,
    consent,
    purchase,
    revocation,
    row,
    wording,
)


def test_a_scope_taken_out_denies_only_who_had_it() -> None:
    """Who had no grant has none; who had one is folded anew."""
    narrowed = catalog(wordings=[wording(grants=[PHONE_ONLY])])
    assert not keeps([consent()], catalog(), narrowed)
    assert not keeps([consent(), revocation()], catalog(), narrowed)
    assert keeps([revocation()], catalog(), narrowed)


def test_a_scope_put_in_may_give_a_grant() -> None:
    """Also by a consent that names a wording out of force."""
    ended = {"in_force_to": "2001-01-01T00:00:00Z"}
    old = catalog(wordings=[wording(grants=[PHONE_ONLY], **ended)])
    new = catalog(wordings=[wording(grants=[SMS_AND_PHONE], **ended)])
    assert not keeps([consent(wording_version=1)], old, new)
    early = wording(grants=[PHONE_ONLY], in_force_to="2001-01-01T00:00:00Z")
    old = catalog(wordings=[early, wording(2, in_force_from="2002-01-01T00:00:00Z")])
    new = catalog(
        wordings=[
            wording(grants=[SMS_AND_PHONE], in_force_from="2010-01-01T00:00:00Z"),
            wording(2, in_force_from="2002-01-01T00:00:00Z", in_force_to="2010-01-01T00:00:00Z"),
        ]
    )
    assert not keeps([consent(wording_version=1)], old, new)


def test_a_shorter_term_is_no_matter_to_what_ended_before() -> None:
    """A grant that a revocation ends before either term keeps its answer until then."""
    old = catalog(wordings=[wording(term="P10Y")])
    new = catalog(wordings=[wording(term="P1Y")])
    assert not keeps([consent()], old, new, FEBRUARY)
    assert keeps([consent(), revocation()], old, new, FEBRUARY)
    assert not keeps([consent(), revocation()], old, new, APRIL)


def test_an_end_at_the_very_end_of_the_term_is_not_sure() -> None:
    """What the old term ended, a longer one does not."""
    old = catalog(wordings=[wording(term="P1M")])
    assert not keeps([consent()], old, catalog(wordings=[wording(term="P2M")]), JANUARY)


def test_a_closing_before_the_end_counts_only_under_its_term() -> None:
    """Between a duration and `until_product_closed` the record does not tell the end."""
    events = [consent(product=LOAN), closing("e2", MARCH), revocation("e3", APRIL)]
    yearly = catalog(wordings=[wording(term="P1Y")])
    until_closed = catalog(wordings=[wording(term="until_product_closed")])
    assert not keeps(events, until_closed, yearly, FEBRUARY)
    assert not keeps(events, yearly, until_closed, FEBRUARY)
    indefinite = catalog()
    assert keeps(events, yearly, indefinite, FEBRUARY)


def test_another_zone_keeps_ends_that_fall_on_the_same_instant() -> None:
    """A year is as long in UTC as in Moscow; a month over a change of clocks is not."""
    yearly = [wording(term="P1Y")]
    old, moscow = catalog(wordings=yearly), catalog(wordings=yearly, zone="Europe/Moscow")
    assert keeps([consent()], old, moscow)
    monthly = [wording(term="P1M")]
    old, berlin = catalog(wordings=monthly), catalog(wordings=monthly, zone="Europe/Berlin")
    assert not keeps([consent(at=MARCH + 1)], old, berlin, MARCH + 1)


def test_a_newer_wording_leaves_grants_of_the_older() -> None:
    """From its first day on another version counts; before that nothing differs."""
    new = catalog(
        wordings=[
            wording(in_force_to="2024-03-01T00:00:00Z"),
            wording(2, in_force_from="2024-03-01T00:00:00Z", term="P1Y"),
        ]
    )
    assert keeps([consent()], catalog(), new)
    assert not keeps([consent(at=MARCH)], catalog(), new)
    assert keeps([revocation()], catalog(), new)
    expired = [consent(expires_at=FEBRUARY)]
    assert keeps(expired, catalog(), new, MARCH - 1)
    assert not keeps(expired, catalog(), new, MARCH)


def test_dates_are_no_matter_to_a_version_that_the_consent_named() -> None:
    """One that was not in force can only have been named."""
    early = wording(1, in_force_to="2010-01-01T00:00:00Z")
    late = wording(2, in_force_from="2010-01-01T00:00:00Z", grants=[PHONE_ONLY])
    earlier = early | {"in_force_to": "2005-01-01T00:00:00Z"}
    old, new = catalog(wordings=[early, late]), catalog(wordings=[earlier, late])
    assert keeps([consent(wording_version=1)], old, new)


def test_dates_that_move_away_from_a_grant_take_it() -> None:
    """The wording that was in force when it was obtained is not any more."""
    new = catalog(wordings=[wording(in_force_to="2024-01-01T00:00:00Z")])
    assert not keeps([consent()], catalog(), new)


def test_a_wording_for_a_time_without_one_may_give_a_grant() -> None:
    """Consents and purchases that waited for a wording get it."""
    old = catalog(wordings=[wording(in_force_to="2020-01-01T00:00:00Z")])
    assert not keeps([consent()], old, catalog())
    assert not keeps([consent()], old, catalog(), JANUARY - 1)


def test_a_row_for_other_products_leaves_purchases() -> None:
    """Who has no grant may have bought such a product; who has one keeps it."""
    old, new = with_rows(LOANS), with_rows(LOANS, CARDS)
    assert keeps([purchase()], old, new)
    assert keeps([consent()], old, new)
    assert not keeps([purchase(product=CARD)], old, new)
    assert not keeps([purchase(), revocation()], old, new)


def test_a_row_that_is_not_in_force_yet_changes_no_reason() -> None:
    """Grants obtained before it stay; without any, one may begin later."""
    later = CARDS | {"in_force_from": "2024-05-01T00:00:00Z"}
    old, new = with_rows(LOANS), with_rows(LOANS, later)
    assert keeps([purchase(), revocation()], old, new, MAY - 1)
    assert not keeps([purchase(), revocation()], old, new, MAY)
    assert not keeps([purchase(product=CARD)], old, new)


def test_a_row_gone_takes_the_grants_of_its_purchases() -> None:
    """Explicit consents do not rest on it."""
    old, new = with_rows(LOANS, CARDS), with_rows(CARDS)
    assert not keeps([purchase()], old, new)
    assert keeps([purchase(product=CARD)], old, new)
    assert keeps([consent()], old, new)
    assert keeps([revocation()], old, new)


def test_another_row_with_the_same_type_keeps_the_grant() -> None:
    """A purchase that matches a more specific row still signs what that row signs."""
    specific = row("specific", product_type="loan", series_mask="KR*")
    assert keeps([purchase()], with_rows(LOANS), with_rows(LOANS, specific))
    types = codes("ads", "more")
    old = with_rows(LOANS, consent_types=types)
    other = specific | {"consent_types": ["more"]}
    assert not keeps([purchase()], old, with_rows(LOANS, other, consent_types=types))


def test_a_row_gone_may_bring_forth_another() -> None:
    """Its purchases fall through to the row behind it."""
    types = codes("ads", "more")
    first = row("first", product_type="loan", series_mask="KR*", consent_types=["more"])
    old, new = (
        with_rows(first, LOANS, consent_types=types),
        with_rows(LOANS, consent_types=types),
    )
    assert not keeps([purchase()], old, new)
    behind = LOANS | {"series_mask": "K*"}
    assert not keeps(
        [purchase()],
        with_rows(first, behind, consent_types=types),
        with_rows(behind, consent_types=types),
    )


def test_a_row_gone_brings_forth_nothing_elsewhere() -> None:
    """A row for other products, before it, or in force at other times gives nothing anew."""
    types = codes("ads", "more")
    first = row(
        "first",
        product_type="loan",
        series_mask="KR*",
        in_force_from="2002-01-01T00:00:00Z",
        consent_types=["more"],
    )
    for other in (
        LOANS | {"series_mask": "XY*"},
        LOANS | {"series_mask": "KR0*"},
        LOANS | {"in_force_to": "2001-01-01T00:00:00Z"},
        CARDS,
    ):
        old = with_rows(first, other, consent_types=types)
        assert keeps([revocation()], old, with_rows(other, consent_types=types))
    signing_alike = first | {"consent_types": ["ads"]}
    assert keeps([revocation()], with_rows(signing_alike, LOANS), with_rows(LOANS))


def test_a_shorter_row_gives_nothing_anew() -> None:
    """A row that ends sooner, or signs less, takes grants only."""
    sooner = LOANS | {"in_force_to": "2023-01-01T00:00:00Z"}
    assert keeps([revocation()], with_rows(LOANS), with_rows(sooner))
    assert not keeps([purchase()], with_rows(LOANS), with_rows(sooner))


def test_a_longer_row_may_give_anew() -> None:
    """Purchases before it came into force so far match it now."""
    since_february = LOANS | {"in_force_from": "2024-02-01T00:00:00Z"}
    assert not keeps([purchase()], with_rows(since_february), with_rows(LOANS))


def test_a_row_that_begins_later_may_go_before_another() -> None:
    """Of two equally specific rows the one that came into force later counts."""
    types = codes("ads", "more")
    signing = row("signing", series_mask="K*")
    rival = row(
        "rival",
        series_mask="*R",
        in_force_from="2003-01-01T00:00:00Z",
        consent_types=["more"],
    )
    later = signing | {"in_force_from": "2005-01-01T00:00:00Z"}
    old = with_rows(signing, rival, consent_types=types)
    assert not keeps([purchase()], old, with_rows(later, rival, consent_types=types))


def test_of_a_matrix_with_very_many_changes_only_grants_are_looked_at() -> None:
    """Beyond PAIRS_MAX any purchase may sign anything anew; what is signed still is looked up."""
    types, numbers = codes("ads", "more"), range(isqrt(PAIRS_MAX) + 1)

    def replaced(letter: str) -> Catalog:
        rows = (
            row(f"{letter}{number}", series_mask=f"{letter}{number:04}*", consent_types=["more"])
            for number in numbers
        )
        return with_rows(LOANS, *rows, consent_types=types)

    old, new = replaced("A"), replaced("B")
    assert keeps([purchase()], old, new)
    assert not keeps([purchase(product=Product("ABS", "loan", "B0007", "1"))], old, new)
    assert not keeps([purchase(product=Product("ABS", "loan", "A0007", "1"))], old, new)


def test_a_value_that_refuses_now_may_end_grants() -> None:
    """Any grant of the type, from a purchase too, and one may be empty now."""
    old, new = with_effect("notes"), with_effect("refuses")
    said = consent("e2", FEBRUARY, value="said")
    assert not keeps([consent()], old, new)
    assert not keeps([consent(), said], old, new)
    assert not keeps([said], old, new)


def test_a_value_that_grants_no_more_may_take_grants() -> None:
    """Which value gave a grant is not recorded with it."""
    said = consent(value="said")
    assert not keeps([said], with_effect("grants"), with_effect("notes"))
    assert keeps([revocation()], with_effect("grants"), with_effect("notes"))


def test_a_value_that_refuses_no_more_may_lengthen_grants() -> None:
    """One that nothing ends is as it was."""
    old, new = with_effect("refuses"), with_effect("notes")
    assert keeps([consent()], old, new)
    assert not keeps([consent(), consent("e2", MARCH, value="said")], old, new, FEBRUARY)


def test_a_type_of_which_the_latest_counts_now_may_end_grants() -> None:
    """The later grant may cover other scopes, which the record of this one does not show."""
    assert not keeps([consent()], catalog(), latest())
    assert keeps([revocation()], catalog(), latest())


def test_a_type_of_which_all_count_again_may_lengthen_grants() -> None:
    """What was superseded goes on; what nothing ends is as it was."""
    assert keeps([consent()], latest(), catalog())
    assert not keeps([consent(), consent("e2", MARCH)], latest(), catalog(), FEBRUARY)


def test_a_grant_given_anew_may_supersede() -> None:
    """A row that came signs the type, where only the latest consent to it counts."""
    old, new = latest(matrix=[LOANS]), latest(matrix=[LOANS, CARDS])
    assert not keeps([purchase(), purchase("e2", FEBRUARY, CARD)], old, new)
    ended = CARDS | {"in_force_to": "2024-01-01T00:00:00Z"}
    assert keeps([purchase()], old, latest(matrix=[LOANS, ended]))


def test_a_value_that_gives_anew_may_supersede() -> None:
    """Where only the latest consent counts, one that only noted so far may be the latest."""
    old = with_effect("notes", terms="latest")
    new = with_effect("grants", terms="latest")
    assert not keeps([consent(), consent("e2", FEBRUARY, value="said")], old, new)


def test_a_grant_that_is_gone_supersedes_no_more() -> None:
    """It lengthens only what ended at an instant at which it may have been obtained."""
    old, new = latest(matrix=[LOANS, CARDS]), latest(matrix=[LOANS])
    superseded = [purchase(), purchase("e2", MARCH, CARD)]
    assert not keeps(superseded, old, new, FEBRUARY)
    assert keeps([purchase()], old, new)


def test_not_yet_valid_is_not_sure() -> None:
    """What begins later may be of a wording that is in force then and has other scopes."""
    new = catalog(
        wordings=[
            wording(in_force_to="2024-05-01T00:00:00Z"),
            wording(2, in_force_from="2024-05-01T00:00:00Z", grants=[PHONE_ONLY]),
        ]
    )
    assert not keeps([consent(at=MAY)], catalog(), new)


def test_an_answer_lasts_as_long_as_the_grants_that_stay() -> None:
    """Every grant that it needs up to its end is looked at, and no other."""
    types, more = codes("ads", "more"), wording(consent_type="more", term="P1Y")
    old = catalog(consent_types=types, wordings=[wording(), more])
    new = catalog(consent_types=types, wordings=[wording(), more | {"term": "P2M"}])
    second = consent("e2", FEBRUARY, consent_type="more")
    assert not keeps([consent(expires_at=MARCH), second], old, new, JANUARY)
    assert keeps([consent(), second], old, new, JANUARY)
    assert keeps([consent(expires_at=MARCH), second, revocation("e3")], old, new, JANUARY)
