"""Lapses: what begins or ends by itself is told exactly once, in the feed and to the cache."""

import threading
from typing import Any

import pytest
from sqlalchemy import select, update

from decision.changes import Direction
from decision.events import Consent, Merge, Revocation
from decision.instants import Instant, format_instant
from decision.reasons import Reason
from decision.selectors import EVERYTHING
from store.clocks import wall_clock
from store.database import reading
from store.feed import ChangeFeed, FeedCause, FeedChange
from store.lapses import LapseWorker
from store.schema import state
from tests.integration.ledger_builders import (
    LONG_AGO,
    PHONE,
    SMS,
    Ledger,
    document,
    ids_of_shard,
)

pytestmark = pytest.mark.integration

HOUR: int = 3600 * 1_000_000
DAY: int = 24 * HOUR


def consent_until(ledger: Ledger, customer_id: str, expires_at: Instant) -> None:
    """Let a customer consent for a while."""
    ledger.record(customer_id, Consent(LONG_AGO, "calls", "granted", expires_at=expires_at))


def work_at(ledger: Ledger, now: Instant) -> list[dict[int, int]]:
    """Let a worker do all there is at an instant, and give what it announced."""
    announced: list[dict[int, int]] = []
    worker = LapseWorker(
        ledger.engine,
        ledger.catalogs,
        lambda positions: announced.append(dict(positions)),
        clock=lambda: now,
    )
    while worker.step():
        pass
    return announced


def told_by_time(ledger: Ledger) -> list[FeedChange]:
    """Everything that was ever told of as brought by time alone."""
    feed = ChangeFeed(ledger.engine, ledger.catalogs)
    position = feed.begin(from_oldest=True)
    told: list[FeedChange] = []
    while True:
        pages, read_to = feed.read(position)
        told += [
            change for page in pages for change in page.changes if change.cause is FeedCause.TIME
        ]
        if read_to == position:
            return told
        position = read_to


def versions(ledger: Ledger) -> list[int]:
    """The versions of all states."""
    with reading(ledger.engine) as connection:
        return list(connection.scalars(select(state.c.version)))


def test_a_consent_that_ends_is_told_once(ledger: Ledger) -> None:
    """At its end every scope lapses at the instant of the end; a second look tells nothing."""
    end = wall_clock() + DAY
    consent_until(ledger, "ann", end)
    assert work_at(ledger, end - 1) == []
    announced = work_at(ledger, end)
    assert announced != []
    assert work_at(ledger, end) == []
    told = told_by_time(ledger)
    assert [(one.customer_id, one.change.scope, one.change.at) for one in told] == [
        ("ann", PHONE, end),
        ("ann", SMS, end),
    ]
    assert {one.change.direction for one in told} == {Direction.NARROWED}
    assert {one.change.before.reason for one in told} == {Reason.ALLOWED}
    assert {one.change.after.reason for one in told} == {Reason.CONSENT_EXPIRED}


def test_the_state_keeps_its_version(ledger: Ledger) -> None:
    """The record holds the interval already: time changes nothing in it."""
    end = wall_clock() + DAY
    consent_until(ledger, "ann", end)
    work_at(ledger, end)
    assert versions(ledger) == [1]


def test_a_consent_that_begins_is_told(ledger: Ledger) -> None:
    """A consent dated in the future is told of when it begins, and again when it ends."""
    start = wall_clock() + DAY
    ledger.record("ann", Consent(start, "calls", "granted", expires_at=start + DAY))
    work_at(ledger, start)
    assert {one.change.direction for one in told_by_time(ledger)} == {Direction.WIDENED}
    work_at(ledger, start + DAY)
    assert len(told_by_time(ledger)) == 4


def test_a_change_that_comes_again_is_told_from_another_by_its_instant(ledger: Ledger) -> None:
    """A term that began and ended untold has two changes of each scope under one number."""
    start = wall_clock() + DAY
    ledger.record("ann", Consent(start, "calls", "granted", expires_at=start + DAY))
    work_at(ledger, start + DAY)
    told = told_by_time(ledger)
    assert len({(one.shard, one.seq, one.customer_id, one.change.scope) for one in told}) == 2
    keys = {(one.shard, one.seq, one.customer_id, one.change.scope, one.change.at) for one in told}
    assert len(keys) == len(told) == 4


def test_every_id_of_a_merged_person_is_told(ledger: Ledger) -> None:
    """A lapse is told once for each customer id that answers for the person."""
    end = wall_clock() + DAY
    consent_until(ledger, "ann", end)
    ledger.record("", Merge("ann", "bob"))
    work_at(ledger, end)
    assert sorted({one.customer_id for one in told_by_time(ledger)}) == ["ann", "bob"]
    assert len(told_by_time(ledger)) == 4


def test_a_write_tells_of_a_lapse_that_nobody_told_of(ledger: Ledger) -> None:
    """A write after the end tells of the lapse as brought by time, and no worker does again."""
    now = wall_clock()
    consent_until(ledger, "ann", now - HOUR)
    with ledger.engine.begin() as connection:
        # As if the state had been written before the end.
        connection.execute(update(state).values(watched_through=now - 2 * HOUR))
    ledger.record("ann", Revocation(now, EVERYTHING))
    assert [one.change.at for one in told_by_time(ledger)] == [now - HOUR] * 2
    work_at(ledger, wall_clock())
    assert len(told_by_time(ledger)) == 2


def test_a_clock_that_is_behind_tells_nothing_twice(ledger: Ledger) -> None:
    """After a worker whose clock is ahead, a write and a worker in time tell nothing again."""
    end = wall_clock() + DAY
    consent_until(ledger, "ann", end)
    work_at(ledger, end)
    ledger.consent("ann")
    ledger.record("ann", Consent(LONG_AGO, "calls", "granted", expires_at=end))
    work_at(ledger, end)
    assert len(told_by_time(ledger)) == 2


def test_a_suspension_that_begins_is_told(ledger: Ledger) -> None:
    """Sharing ends by itself when the catalog's suspension of the partner begins."""
    start = wall_clock() + DAY
    ledger.publish(sharing_document(suspended_from=format_instant(start)))
    ledger.record("ann", Consent(LONG_AGO, "sharing", "granted"))
    work_at(ledger, start)
    (told,) = told_by_time(ledger)
    assert (told.change.at, told.change.after.reason) == (start, Reason.PARTNER_SUSPENDED)


def test_a_publication_not_rolled_out_yet_does_not_change_what_is_told(ledger: Ledger) -> None:
    """A state is told of by the catalog it was folded under; the roll-out tells the rest."""
    end = wall_clock() + DAY
    consent_until(ledger, "ann", end)
    ledger.publish(document(channels=("phone",)), rolled_out=False)
    work_at(ledger, end)
    assert {one.change.scope for one in told_by_time(ledger)} == {PHONE, SMS}


def test_a_person_who_is_being_written_is_passed_over(ledger: Ledger) -> None:
    """Who is locked by a write is left for the next look, and the others are told of."""
    end = wall_clock() + DAY
    for customer_id in ("ann", "bob"):
        consent_until(ledger, customer_id, end)
    with ledger.engine.begin() as writer:
        writer.exec_driver_sql("SELECT FROM subject WHERE number = 1 FOR UPDATE")
        work_at(ledger, end)
        assert {one.customer_id for one in told_by_time(ledger)} == {"bob"}
    work_at(ledger, end)
    assert {one.customer_id for one in told_by_time(ledger)} == {"ann", "bob"}


def test_workers_side_by_side_tell_once(ledger: Ledger) -> None:
    """However many workers there are, each lapse is told once and none is left out."""
    end = wall_clock() + DAY
    ids = [f"customer-{index}" for index in range(40)]
    for customer_id in ids:
        consent_until(ledger, customer_id, end)
    workers = [threading.Thread(target=work_at, args=(ledger, end)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    # Whoever was passed over because another was at it is told of by that other.
    told = sorted((one.customer_id, one.change.scope) for one in told_by_time(ledger))
    assert told == sorted((customer_id, scope) for customer_id in ids for scope in (PHONE, SMS))


def test_a_step_tells_of_one_shard(ledger: Ledger) -> None:
    """A step announces one shard; the steps together announce all that is due."""
    end = wall_clock() + DAY
    ids = [*ids_of_shard(4, 3), *ids_of_shard(9, 2)]
    for customer_id in ids:
        consent_until(ledger, customer_id, end)
    announced = work_at(ledger, end)
    assert sorted(number for positions in announced for number in positions) == [4, 9]
    assert {one.customer_id for one in told_by_time(ledger)} == set(ids)


def sharing_document(**partner: str) -> dict[str, Any]:
    """A catalog in which `sharing` gives contacts to a partner, and `calls` is as before."""
    content = document()
    content["partners"] = [{"code": "acme", "name": "Acme"} | partner]
    content["datasets"] = [{"code": "contacts", "name": "contacts"}]
    content["consent_types"].append({"code": "sharing", "name": "sharing"})
    content["wordings"].append(
        {
            "consent_type": "sharing",
            "version": 1,
            "text": "You may share my contacts.",
            "in_force_from": "2010-01-01T00:00:00Z",
            "term": "indefinite",
            "grants": [{"purpose": "advertising", "partners": ["acme"], "datasets": ["contacts"]}],
        }
    )
    return content
