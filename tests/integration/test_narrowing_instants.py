"""From when on what was taken away counts, by publications too, and what a repeat tells of it."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from sqlalchemy import select

from decision.events import Consent, NewEvent, Restriction, Revocation
from decision.instants import format_instant
from decision.selectors import EVERYTHING, Selector
from store import record
from store.clocks import wall_clock
from store.database import reading
from store.epochs import raise_epoch
from store.floors import NOW_AHEAD_MICROSECONDS_MAX, Narrowing
from store.outcomes import Recorded
from store.publishing import NewPublication, PublicationRecorded, publish
from store.schema import outbox
from store.sharding import shard_of
from tests.integration.ledger_builders import LONG_AGO, Ledger
from tests.integration.narrowing_builders import (
    ANNA,
    BORIS,
    DAY,
    HOUR,
    SECOND,
    VERA,
    assert_narrowed,
    floors_of,
    narrower_document,
    rich_document,
    stands_at,
)

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("rich_catalog")]


def publication(
    ledger: Ledger, content: dict[str, Any], publication_id: str
) -> PublicationRecorded:
    """Publish, and give what was recorded."""
    new = NewPublication(publication_id, "{}", content, "test", "")
    return publish(ledger.engine, ledger.catalogs, new)


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
