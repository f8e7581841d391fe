"""The figures of the whole installation, and of a lease, as they come to be told."""

import threading

import psycopg
import pytest
from sqlalchemy import Engine, event

from decision.grants import UnmatchedCause
from service.metrics.meters import Meters
from service.metrics.observing import Observer
from service.metrics.watching import LeaseGauges
from store.cache import Cache
from store.database import open_engine
from store.floors import CustomerFloor, Narrowing
from store.guard import NO_LEASE
from store.projector import Projector
from store.standing import count_unmatched, read_standing
from tests.integration.ledger_builders import Ledger, document, leased
from tests.integration.service_builders import catalog, purchase
from tests.running import RunningMaywe

pytestmark = pytest.mark.integration


def test_the_projectors_lag_is_what_redis_does_not_show(ledger: Ledger, cache: Cache) -> None:
    """In changes, and since the oldest of them was recorded; none once all is projected."""
    projector = Projector(ledger.engine, cache)
    projector.project_pending()
    assert read_standing(ledger.engine, cache).lag_rows == 0
    ledger.consent("anna")
    one = read_standing(ledger.engine, cache)
    ledger.consent("boris")
    ledger.revoke("anna")
    three = read_standing(ledger.engine, cache)
    assert (one.lag_rows, three.lag_rows) == (1, 3)
    assert 0 < one.lag_seconds < three.lag_seconds
    projector.project_pending()
    shown = read_standing(ledger.engine, cache)
    assert (shown.lag_rows, shown.lag_seconds) == (0, 0.0)


def test_a_roll_out_is_told_from_its_beginning_to_its_end(ledger: Ledger, cache: Cache) -> None:
    """With how many it concerns; one that is written is done."""
    Projector(ledger.engine, cache).project_pending()
    ledger.consent("anna")
    meters = Meters()
    observer = Observer(meters, ledger.engine, cache)
    number = ledger.publish(document(channels=("sms",)), rolled_out=False)
    observer.observe(threading.Event())
    assert meters.memory.gauge_of("maywe_rollout_publication") == number
    assert meters.memory.gauge_of("maywe_rollout_customers") == 1
    assert meters.memory.gauge_of("maywe_rollout_progress_ratio") == 0
    ledger.roll_out()
    observer.observe(threading.Event())
    assert meters.memory.gauge_of("maywe_rollout_customers_done") == 1
    assert meters.memory.gauge_of("maywe_rollout_progress_ratio") == 1


def test_unmatched_purchases_are_counted_by_why(maywe: RunningMaywe) -> None:
    """Also those causes of which there are none."""
    maywe.publish(catalog())
    maywe.client.writer.RecordPurchase(purchase("anna", "a boat that no row knows"))
    found = count_unmatched(maywe.application.engine)
    assert found == {cause: int(cause is UnmatchedCause.NO_MATRIX_ROW) for cause in UnmatchedCause}


def test_what_can_not_be_seen_is_not_told(
    ledger: Ledger, cache: Cache, no_postgresql: Engine
) -> None:
    """A figure of before would pass for one of now."""
    Projector(ledger.engine, cache).project_pending()
    meters = Meters()
    Observer(meters, ledger.engine, cache).observe(threading.Event())
    assert meters.memory.knows("maywe_projector_lag_rows")
    Observer(meters, no_postgresql, cache).observe(threading.Event())
    assert not meters.memory.knows("maywe_projector_lag_rows")
    assert not meters.memory.knows("maywe_observation_age_seconds")


def test_purchases_are_not_known_in_an_outage_and_counted_once_it_is_over(
    database_url: str, ledger: Ledger, cache: Cache
) -> None:
    """The same observer: what it counted before is forgotten, and no minute passes after it."""
    Projector(ledger.engine, cache).project_pending()
    meters, stop = Meters(), threading.Event()
    opened = open_engine(database_url)
    observer = Observer(meters, opened, cache)

    def known() -> list[bool]:
        return [
            meters.memory.knows("maywe_unmatched_purchases", (cause.value,))
            for cause in UnmatchedCause
        ]

    observer.observe(stop)
    assert all(known())
    is_away = True

    @event.listens_for(opened, "do_connect")
    def refuse(*_: object) -> None:
        if is_away:
            message = "nobody listens there"
            raise psycopg.OperationalError(message)

    opened.dispose()
    observer.observe(stop)
    assert not any(known())
    is_away = False
    observer.observe(stop)
    assert all(known())
    opened.dispose()


def test_floors_lag_until_redis_shows_them() -> None:
    """How many customers, and since when the first was seen; a newer one makes it no younger."""
    meters, keeper = Meters(), leased()
    gauges = LeaseGauges(meters, length_seconds=2.0)
    gauges.note(keeper.current())
    assert meters.memory.gauge_of("maywe_floor_lag_customers") == 0
    assert meters.memory.gauge_of("maywe_floor_lag_seconds") == 0
    keeper.raise_floors(Narrowing(1, [CustomerFloor("anna", seq=9, version=9)]))
    gauges.note(keeper.current())
    since = meters.memory.gauge_of("maywe_floor_lag_seconds")
    assert since > 0
    keeper.raise_floors(Narrowing(1, [CustomerFloor("boris", seq=9, version=9)]))
    gauges.note(keeper.current())
    assert meters.memory.gauge_of("maywe_floor_lag_customers") == 2
    assert meters.memory.gauge_of("maywe_floor_lag_seconds") == since


def test_without_a_lease_none_remains() -> None:
    """Its age is not known then."""
    meters = Meters()
    LeaseGauges(meters, length_seconds=2.0).note(NO_LEASE)
    assert meters.memory.gauge_of("maywe_lease_remaining_seconds") == 0
    assert not meters.memory.knows("maywe_lease_age_seconds")
