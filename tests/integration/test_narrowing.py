"""What a write says it took away: of whom, from which state on, and as of when."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from sqlalchemy import select

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
from decision.instants import FOREVER, Instant, format_instant
from decision.products import Product
from decision.selectors import EVERYTHING, Selector
from store import record
from store.database import reading, wall_clock
from store.epochs import raise_epoch
from store.floors import NOW_AHEAD_MICROSECONDS_MAX, CustomerFloor, Narrowing
from store.publishing import NewPublication, PublicationRecorded, publish
from store.recording import Recorded
from store.schema import customer, outbox, shard, state, subject
from store.sharding import shard_of
from tests.integration.ledger_builders import LONG_AGO, Ledger, document

pytestmark = pytest.mark.integration

SECOND: Final = 1_000_000
HOUR: Final = 3600 * SECOND
DAY: Final = 24 * HOUR
LOAN: Final = Product("ABS", "loan", "KR", "0012")
OTHER_LOAN: Final = LOAN._replace(number="77")
ANNA, BORIS, VERA = "anna", "boris", "vera"


def rich_document(**fields: Any) -> dict[str, Any]:
    """A catalog in which every kind of event can take something away."""
    base = document()
    wordings = [
        *base["wordings"],
        {
            **base["wordings"][0],
            "consent_type": "latest",
            "grants": [
                {"purpose": "advertising", "partners": ["acme"], "datasets": ["scoring"]},
            ],
        },
        {**base["wordings"][0], "consent_type": "latest", "version": 2}
        | {
            "in_force_from": "2022-01-01T00:00:00Z",
            "grants": [{"purpose": "advertising", "channels": ["email"]}],
        },
        {**base["wordings"][0], "consent_type": "product", "term": "until_product_closed"}
        | {"grants": [{"purpose": "advertising", "channels": ["email"]}]},
    ]
    wordings[1]["in_force_to"] = "2022-01-01T00:00:00Z"
    return (
        base
        | {
            "partners": [{"code": "acme", "name": "acme"}],
            "datasets": [{"code": "scoring", "name": "scoring"}],
            "consent_types": [
                {"code": "calls", "name": "calls"},
                {"code": "latest", "name": "latest", "terms": "latest"},
                {"code": "product", "name": "product"},
            ],
            "wordings": wordings,
            "matrix": [
                {
                    "id": "loans",
                    "in_force_from": "2000-01-01T00:00:00Z",
                    "product_type": "loan",
                    "consent_types": ["product", "latest"],
                }
            ],
            "acquisition_rules": [
                {"partner": "acme", "selector": {"kind": "contact"}, "term": "P1Y"}
            ],
        }
        | fields
    )


def narrower_document() -> dict[str, Any]:
    """The same without SMS for those who consented to calls."""
    narrowed = document(channels=("phone",))["wordings"]
    return rich_document(wordings=[*narrowed, *rich_document()["wordings"][1:]])


@pytest.fixture
def ledger(ledger: Ledger) -> Ledger:
    """A ledger under the rich catalog."""
    ledger.publish(rich_document())
    return ledger


def floors_of(recorded: Recorded) -> dict[str, CustomerFloor]:
    """The floors by customer id, each once."""
    assert recorded.narrowing.epoch == recorded.epoch
    floors = {floor.customer_id: floor for floor in recorded.narrowing.customers}
    assert len(floors) == len(recorded.narrowing.customers)
    return floors


def stands_at(ledger: Ledger, customer_id: str) -> CustomerFloor:
    """The floor that demands a customer's state and shard as they stand."""
    with reading(ledger.engine) as connection:
        row = connection.execute(
            select(state.c.version, shard.c.seq)
            .select_from(customer.join(subject, subject.c.number == customer.c.subject))
            .join(state, state.c.subject == subject.c.root)
            .join(shard, shard.c.number == subject.c.shard)
            .where(customer.c.customer_id == customer_id)
        ).one()
    return CustomerFloor(customer_id, row.seq, row.version)


def assert_narrowed(ledger: Ledger, recorded: Recorded, *customer_ids: str) -> None:
    """The write took something away of just these, as the outbox says, and all these are told.

    What may take away tells of others too, as it may repeat what was not told the first time.
    """
    told = floors_of(recorded)
    assert told.keys() >= set(customer_ids)
    assert told == {customer_id: stands_at(ledger, customer_id) for customer_id in told}
    body = recorded.event.body
    only_gives = isinstance(body, Purchase | Lifting) or (
        isinstance(body, Consent) and body.value == "granted"
    )
    assert recorded.narrowing.is_empty == (only_gives and not customer_ids)
    for number, seq in recorded.positions.items():
        ids = [customer_id for customer_id in customer_ids if shard_of(customer_id) == number]
        with reading(ledger.engine) as connection:
            row = connection.execute(
                select(outbox.c.narrowed_version, outbox.c.lost_at)
                .where(outbox.c.shard == number)
                .where(outbox.c.seq == seq)
            ).one()
        assert (row.narrowed_version is not None) == bool(ids)
        assert (row.lost_at is not None) == bool(ids)


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


def test_a_roll_out_tells_of_no_loss_but_the_publication_does(ledger: Ledger) -> None:
    """What a publication takes away counts from its recording on."""
    ledger.consent(ANNA)
    ledger.publish(narrower_document())
    with reading(ledger.engine) as connection:
        rows = connection.execute(
            select(outbox.c.narrowed_version).where(outbox.c.shard == shard_of(ANNA))
        ).all()
    assert len(rows) > 1
    assert {row.narrowed_version for row in rows} == {None}


def publication(
    ledger: Ledger, content: dict[str, Any], publication_id: str
) -> PublicationRecorded:
    """Publish, and give what was recorded."""
    new = NewPublication(publication_id, "{}", content, "test", "")
    return publish(ledger.engine, ledger.catalogs, new)


def test_a_publication_narrows_and_does_again_when_it_is_repeated(ledger: Ledger) -> None:
    """Whatever it changes, it is told; who was not told the first time is told the second."""
    first = publication(ledger, rich_document(), "the same")
    again = publication(ledger, rich_document(), "the same")
    expected = Narrowing(first.epoch, publication=first.number, narrowed_at=first.recorded_at)
    assert (first.narrowing, again.narrowing) == (expected, expected)
    assert (first.is_repeated, again.is_repeated) == (False, True)


def test_a_suspension_dated_a_moment_ahead_counts_as_now(ledger: Ledger) -> None:
    """The clock of who publishes may be ahead; what is dated later is meant to be."""
    at = wall_clock() + NOW_AHEAD_MICROSECONDS_MAX // 2
    for suspended_from, is_now in ((at, True), (at + HOUR, False)):
        partner = {"code": "acme", "name": "a", "suspended_from": format_instant(suspended_from)}
        recorded = publication(ledger, rich_document(partners=[partner]), str(suspended_from))
        expected = suspended_from if is_now else recorded.recorded_at
        assert recorded.narrowing.narrowed_at == expected


def test_a_revocation_dated_a_moment_ahead_counts_as_now(ledger: Ledger) -> None:
    """The clock of who sends it may be ahead; what is dated later is meant to be in the future."""
    for customer_id, ahead in ((ANNA, NOW_AHEAD_MICROSECONDS_MAX // 2), (BORIS, HOUR), (VERA, 0)):
        ledger.consent(customer_id)
        at = wall_clock() + ahead
        recorded = ledger.record(customer_id, Revocation(at, EVERYTHING))
        is_now = recorded.recorded_at < at <= recorded.recorded_at + NOW_AHEAD_MICROSECONDS_MAX
        assert is_now == (customer_id == ANNA)
        assert recorded.narrowing.narrowed_at == (at if is_now else recorded.recorded_at)


def test_the_latest_of_several_losses_that_count_as_now_counts(ledger: Ledger) -> None:
    """Each scope is lost when it is lost."""
    ledger.consent(ANNA)
    at = wall_clock() + NOW_AHEAD_MICROSECONDS_MAX // 4
    later, much_later = 2 * SECOND + at, HOUR + at
    bodies = [
        Revocation(instant, Selector(channel=channel))
        for instant, channel in ((at, "sms"), (later, "phone"), (much_later, "email"))
    ]
    ledger.record(ANNA, Consent(LONG_AGO, "latest", "granted", 2))
    outcomes = ledger.recorder.record(
        [NewEvent(f"event-{body.revoked_at}", ANNA, body) for body in bodies]
    )
    told = [one.narrowing.narrowed_at for one in outcomes if isinstance(one, Recorded)]
    assert told == [later] * 3


def test_no_clock_of_the_writer_decides(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restriction that a writer with a fast clock takes to be over is told all the same."""
    ledger.consent(ANNA)
    at = wall_clock()
    monkeypatch.setattr("time.time_ns", lambda: (at + 400 * DAY) * 1000)
    recorded = ledger.record(ANNA, Restriction(at, at + HOUR, "complaint", EVERYTHING))
    monkeypatch.undo()
    assert_narrowed(ledger, recorded, ANNA)


def test_a_loss_of_the_last_day_is_told(ledger: Ledger) -> None:
    """Who reads the cache has a clock of their own, so what just passed is not over for them."""
    end = wall_clock() - HOUR
    ledger.record(ANNA, Consent(LONG_AGO, "calls", "granted", expires_at=end))
    recorded = ledger.record(ANNA, Revocation(end - HOUR, EVERYTHING))
    assert_narrowed(ledger, recorded, ANNA)
    assert recorded.narrowing.narrowed_at == recorded.recorded_at
    late = Revocation(end - HOUR - record.TRIM_MARGIN_MICROSECONDS, Selector(channel="email"))
    assert_narrowed(ledger, ledger.record(ANNA, late))


REPEATED: Final[dict[str, Callable[[Ledger], NewEvent]]] = {
    "widening": lambda ledger: ledger.consent(ANNA).event,
    "revocation": lambda ledger: ledger.revoke(ANNA).event,
    "merge": lambda ledger: ledger.merge(ANNA, BORIS).event,
}


@pytest.mark.parametrize("kind", REPEATED)
def test_a_repeated_event_gives_floors_as_its_customers_stand(ledger: Ledger, kind: str) -> None:
    """Whoever sends it again may not have been told, and neither may the servers."""
    ledger.consent(ANNA)
    ledger.consent(BORIS)
    event = REPEATED[kind](ledger)
    ledger.consent(ANNA)
    again = ledger.recorder.record_one(event)
    assert again.is_repeated
    ids = [ANNA, BORIS] if kind == "merge" else [ANNA]
    assert floors_of(again) == {one: stands_at(ledger, one) for one in ids}
    assert again.positions == {shard_of(one): stands_at(ledger, one).seq for one in ids}


def test_a_repeated_split_gives_floors_for_both_persons(ledger: Ledger) -> None:
    """Also for who was merged into either, and has left it since."""
    ledger.consent(ANNA)
    ledger.merge(VERA, BORIS)
    ledger.merge(ANNA, BORIS)
    event = ledger.split(ANNA).event
    ledger.split(VERA)
    again = ledger.recorder.record_one(event)
    assert floors_of(again) == {one: stands_at(ledger, one) for one in (ANNA, BORIS, VERA)}
    # The token is for the person whose event it was.
    assert set(again.positions) == {shard_of(ANNA)}


def test_a_repeated_revocation_dated_a_moment_ahead_still_counts_as_now(ledger: Ledger) -> None:
    """The first answer may never have been told."""
    ledger.consent(ANNA)
    at = wall_clock() + NOW_AHEAD_MICROSECONDS_MAX // 2
    recorded = ledger.record(ANNA, Revocation(at, EVERYTHING))
    again = ledger.recorder.record_one(recorded.event)
    assert recorded.narrowing.narrowed_at == again.narrowing.narrowed_at == at


def test_writes_name_the_epoch_they_were_recorded_in(ledger: Ledger) -> None:
    """A new epoch is not settled, and every write in it says so."""
    assert ledger.consent(ANNA).is_epoch_settled
    epoch = raise_epoch(ledger.engine, 1)
    recorded = ledger.revoke(ANNA)
    published = publication(ledger, rich_document(), "in a new epoch")
    for one in (recorded, ledger.recorder.record_one(recorded.event), published):
        assert (one.epoch, one.narrowing.epoch, one.is_epoch_settled) == (epoch, epoch, False)
