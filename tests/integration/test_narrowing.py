"""What a write says it took away: of whom, and from which state on."""

from collections.abc import Callable
from typing import Final

import pytest

from decision.events import (
    Acquisition,
    Body,
    Consent,
    Lifting,
    NewEvent,
    ProductClosing,
    Purchase,
    Restriction,
    Revocation,
    Source,
    Void,
)
from decision.instants import FOREVER, Instant
from decision.selectors import EVERYTHING, Selector
from store.clocks import wall_clock
from store.outcomes import Recorded
from tests.integration.ledger_builders import LONG_AGO, Ledger
from tests.integration.narrowing_builders import (
    ANNA,
    BORIS,
    DAY,
    LOAN,
    OTHER_LOAN,
    VERA,
    assert_narrowed,
    floors_of,
    narrower_document,
    rich_document,
    stands_at,
)

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("rich_catalog")]


def consented(ledger: Ledger, customer_id: str = ANNA) -> str:
    """Somebody who has consented to calls, and bought a loan, and came through nobody."""
    ledger.consent(customer_id)
    ledger.record(customer_id, Purchase(LONG_AGO, LOAN))
    return customer_id


def restricted(ledger: Ledger, at: Instant = LONG_AGO) -> str:
    """Restrict everything of Anna, and give the event's id."""
    return ledger.record(ANNA, Restriction(at, FOREVER, "complaint", EVERYTHING)).event.event_id


NARROWING: Final[dict[str, Callable[[], Body]]] = {
    "revocation": lambda: Revocation(wall_clock(), EVERYTHING),
    "of one channel": lambda: Revocation(wall_clock(), Selector(channel="sms")),
    "future revocation": lambda: Revocation(wall_clock() + DAY, EVERYTHING),
    "refusal": lambda: Consent(wall_clock(), "calls", "refused"),
    "restriction": lambda: Restriction(wall_clock(), FOREVER, "complaint", EVERYTHING),
    "restriction of a while": lambda: Restriction(
        wall_clock() + DAY, wall_clock() + 2 * DAY, "complaint", EVERYTHING
    ),
    "closing": lambda: ProductClosing(wall_clock(), LOAN),
    "acquisition": lambda: Acquisition(wall_clock(), "acme"),
    "superseding consent": lambda: Consent(wall_clock(), "latest", "granted", 2),
    "superseding purchase": lambda: Purchase(wall_clock(), OTHER_LOAN),
}
"""Each takes something away of Anna, who has consented and bought."""


@pytest.mark.parametrize("kind", NARROWING)
def test_what_takes_away_says_so(ledger: Ledger, kind: str) -> None:
    """Of the customer, with the state and the row from which on it is shown."""
    consented(ledger)
    assert_narrowed(ledger, ledger.record(ANNA, NARROWING[kind]()), ANNA)


WIDENING: Final[dict[str, Callable[[], Body]]] = {
    "consent again": lambda: Consent(wall_clock(), "calls", "granted"),
    "shorter consent beside it": lambda: Consent(
        wall_clock(), "calls", "granted", expires_at=wall_clock() + DAY
    ),
    "future consent": lambda: Consent(wall_clock() + DAY, "calls", "granted"),
    "purchase of what nobody knows": lambda: Purchase(
        wall_clock(), LOAN._replace(product_type="other")
    ),
    "closing of what was not bought": lambda: ProductClosing(wall_clock(), OTHER_LOAN),
    "revocation of what was not granted": lambda: Revocation(
        wall_clock(), Selector(event_id="unknown")
    ),
    "revocation before anything": lambda: Revocation(LONG_AGO - DAY, EVERYTHING),
    "restriction that is over": lambda: Restriction(
        LONG_AGO, LONG_AGO + DAY, "complaint", EVERYTHING
    ),
    "lifting of nothing": lambda: Lifting(wall_clock(), "unknown"),
}
"""None takes anything away of Anna, who has consented and bought."""


@pytest.mark.parametrize("kind", WIDENING)
def test_what_takes_nothing_away_says_so(ledger: Ledger, kind: str) -> None:
    """What widens, changes nothing, or changes only a past that is over demands nothing."""
    consented(ledger)
    assert_narrowed(ledger, ledger.record(ANNA, WIDENING[kind]()))


@pytest.mark.parametrize("kind", NARROWING)
def test_nothing_is_taken_from_a_stranger(ledger: Ledger, kind: str) -> None:
    """Of somebody whom nobody knew there is nothing to be stale."""
    assert_narrowed(ledger, ledger.record(BORIS, NARROWING[kind]()))


def test_lifting_gives_and_a_lifting_voided_takes(ledger: Ledger) -> None:
    """A restriction that holds again takes away what its lifting gave back."""
    consented(ledger)
    restriction_id = restricted(ledger)
    lifting = ledger.record(ANNA, Lifting(wall_clock(), restriction_id))
    assert_narrowed(ledger, lifting)
    assert_narrowed(ledger, ledger.record("", Void(lifting.event.event_id, "by mistake")), ANNA)


def test_a_void_narrows_if_it_takes_a_grant_away(ledger: Ledger) -> None:
    """Voiding a consent takes away, voiding a revocation gives back."""
    granted = ledger.consent(ANNA)
    revoked = ledger.revoke(ANNA)
    assert_narrowed(ledger, ledger.record("", Void(revoked.event.event_id, "by mistake")))
    assert_narrowed(ledger, ledger.record("", Void(granted.event.event_id, "by mistake")), ANNA)


def test_a_merge_narrows_each_id_by_what_it_had(ledger: Ledger) -> None:
    """Of who consented a merge with who revoked takes away, of the other it does not."""
    ledger.consent(ANNA)
    ledger.consent(BORIS)
    ledger.revoke(BORIS)
    assert_narrowed(ledger, ledger.merge(ANNA, BORIS), ANNA)


def test_a_merge_with_a_stranger_takes_nothing_away(ledger: Ledger) -> None:
    """Two ids answer for what one did."""
    ledger.consent(ANNA)
    assert_narrowed(ledger, ledger.merge(ANNA, BORIS))


def test_a_split_narrows_whom_it_leaves_without(ledger: Ledger) -> None:
    """Who lived on the other's consent loses it, with everybody merged into the same."""
    ledger.consent(ANNA)
    ledger.merge(VERA, BORIS)
    ledger.merge(ANNA, BORIS)
    assert_narrowed(ledger, ledger.split(ANNA), BORIS, VERA)


def test_every_id_of_a_person_is_narrowed(ledger: Ledger) -> None:
    """All ids answer alike, so all have a floor, each in its own shard."""
    ledger.consent(ANNA)
    ledger.merge(BORIS, ANNA)
    assert_narrowed(ledger, ledger.revoke(BORIS), ANNA, BORIS)


def test_an_erased_id_has_no_floor(ledger: Ledger) -> None:
    """Nobody can ask for it any more; the person's other ids keep theirs."""
    ledger.consent(ANNA)
    ledger.merge(BORIS, ANNA)
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM customer WHERE customer_id = %s", (BORIS,))
    assert list(floors_of(ledger.revoke(ANNA))) == [ANNA]


def test_several_events_of_a_transaction_give_one_floor_for_each_customer(ledger: Ledger) -> None:
    """Each event tells of its own customer, in the one state that all of them led to."""
    at = wall_clock()
    for customer_id in (ANNA, BORIS, VERA):
        ledger.consent(customer_id)
    bodies: list[tuple[str, Body]] = [
        (ANNA, Revocation(at, Selector(channel="sms"))),
        (BORIS, Consent(at, "calls", "granted")),
        (ANNA, Revocation(at, Selector(channel="phone"))),
        (VERA, Revocation(at, EVERYTHING)),
    ]
    outcomes = ledger.recorder.record(
        [
            NewEvent(f"imported-{number}", customer_id, body, Source("test"))
            for number, (customer_id, body) in enumerate(bodies)
        ]
    )
    expected = [[ANNA], [], [ANNA], [VERA]]
    for outcome, ids in zip(outcomes, expected, strict=True):
        assert isinstance(outcome, Recorded)
        assert floors_of(outcome) == {one: stands_at(ledger, one) for one in ids}


def test_a_consent_that_comes_with_its_revocation_takes_nothing_away(ledger: Ledger) -> None:
    """What was given and taken in one transaction was never there to be stale.

    The revocation is told all the same, for what it may repeat.
    """
    bodies: list[Body] = [
        Consent(LONG_AGO, "calls", "granted"),
        Revocation(wall_clock(), EVERYTHING),
    ]
    outcomes = ledger.recorder.record(
        [NewEvent(f"both-{index}", ANNA, body) for index, body in enumerate(bodies)]
    )
    assert [one.narrowing.is_empty for one in outcomes if isinstance(one, Recorded)] == [
        True,
        False,
    ]


def test_a_revocation_that_has_nothing_left_to_take_is_told_nevertheless(ledger: Ledger) -> None:
    """The one that took it may not have been told to everybody, and this one says the same."""
    consented(ledger)
    ledger.revoke(ANNA)
    again = ledger.revoke(ANNA)
    assert not again.is_repeated
    assert floors_of(again) == {ANNA: stands_at(ledger, ANNA)}


def test_a_state_of_an_older_publication_is_held_against_the_new_one(ledger: Ledger) -> None:
    """An event that comes before the roll-out tells what both took away of the old record."""
    ledger.consent(ANNA)
    ledger.publish(narrower_document(), rolled_out=False)
    assert_narrowed(ledger, ledger.record(ANNA, Consent(wall_clock(), "calls", "granted")), ANNA)


def test_a_loss_behind_a_suspension_is_told(ledger: Ledger) -> None:
    """The record made while the partner was suspended is asked again when it is not any more."""
    suspended = {"code": "acme", "name": "acme", "suspended_from": "2021-01-01T00:00:00Z"}
    ledger.record(ANNA, Consent(LONG_AGO, "latest", "granted", 1))
    ledger.publish(rich_document(partners=[suspended]))
    ledger.publish(rich_document(), rolled_out=False)
    assert_narrowed(ledger, ledger.revoke(ANNA), ANNA)
