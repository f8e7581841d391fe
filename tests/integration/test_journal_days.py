"""The days of the journal: made ahead of time, dropped when they are over, and nobody waits."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Final

import pytest
from sqlalchemy import Engine, text

from store.journal_days import DAYS_AHEAD, JournalDays, Kept
from tests.integration.test_worker import wait_until

pytestmark = pytest.mark.integration

DAY: Final = 86_400_000_000
KEPT_DAYS: Final = 30


def today(engine: Engine) -> date:
    """Today, by PostgreSQL's clock and UTC."""
    with engine.connect() as connection:
        found: date = connection.scalar(text("SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date"))
        return found


def answer(engine: Engine, decision_id: str, days_ago: int) -> None:
    """Journal an answer of so many days ago; of days to come with less than none."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO decision_journal SELECT "
                "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint - :ago, :id, 'dialer', "
                "'anna', '{}', 0, 1, 1, false, '{}'"
            ),
            {"ago": days_ago * DAY, "id": decision_id},
        )


def answers(engine: Engine) -> set[str]:
    """What the journal still has."""
    with engine.connect() as connection:
        return set(connection.scalars(text("SELECT decision_id FROM decision_journal")))


def place_of(engine: Engine, decision_id: str) -> str:
    """In which partition an answer stands."""
    with engine.connect() as connection:
        return str(
            connection.scalar(
                text("SELECT tableoid::regclass FROM decision_journal WHERE decision_id = :id"),
                {"id": decision_id},
            )
        )


def keep(engine: Engine, days: int = KEPT_DAYS) -> Kept:
    """Do all that is due."""
    return JournalDays(engine, days, rows_per_step=2, pause_seconds=0.0).run_pending(
        threading.Event()
    )


def make_day(engine: Engine, day: date) -> None:
    """Make a day's partition as it was made ahead of time once."""
    with engine.begin() as connection:
        begin = (day - date(1970, 1, 1)).days * DAY
        connection.execute(
            text(
                f"CREATE TABLE decision_journal_{day:%Y_%m_%d} PARTITION OF decision_journal "
                f"FOR VALUES FROM ({begin}) TO ({begin + DAY})"
            )
        )


def test_days_are_ready_before_they_begin(engine: Engine) -> None:
    """Each once, and what is answered then stands there."""
    assert keep(engine).made == DAYS_AHEAD + 1
    assert keep(engine).made == 0
    answer(engine, "tomorrow", days_ago=-1)
    day = today(engine) + timedelta(days=1)
    assert place_of(engine, "tomorrow") == f"decision_journal_{day:%Y_%m_%d}"


def test_days_that_are_over_are_dropped_whole(engine: Engine) -> None:
    """And the rest stays, to the day."""
    for days_ago in (KEPT_DAYS + 1, KEPT_DAYS, 0):
        make_day(engine, today(engine) - timedelta(days=days_ago))
        answer(engine, f"{days_ago} days ago", days_ago)
    assert keep(engine, days=0).dropped == 0
    assert keep(engine).dropped == 1
    assert answers(engine) == {f"{KEPT_DAYS} days ago", "0 days ago"}


def test_what_stands_in_no_day_goes_row_by_row(engine: Engine) -> None:
    """As what was answered before there were days."""
    for number in range(5):
        answer(engine, f"old {number}", days_ago=KEPT_DAYS + 2)
    answer(engine, "young", days_ago=0)
    kept = keep(engine)
    assert (kept.dropped, kept.rows_removed) == (0, 5)
    assert answers(engine) == {"young"}


def test_a_day_that_has_answers_already_stays_as_it_is(engine: Engine) -> None:
    """Today's, or of a clock that was ahead; every other day is made."""
    answer(engine, "too early", days_ago=-2)
    answer(engine, "before the first worker", days_ago=0)
    assert keep(engine).made == DAYS_AHEAD - 1
    assert answers(engine) == {"too early", "before the first worker"}


def test_several_who_keep_them_make_each_day_once(engine: Engine) -> None:
    """However many workers there are."""
    make_day(engine, today(engine) - timedelta(days=KEPT_DAYS + 5))
    with ThreadPoolExecutor(4) as pool:
        done: Sequence[Kept] = list(pool.map(lambda _: keep(engine), range(4)))
    assert sum(one.dropped for one in done) >= 1
    keep(engine)
    assert keep(engine) == Kept(0, 0, 0)


def test_nobody_waits_behind_who_waits_for_the_journal(engine: Engine) -> None:
    """While somebody reads it for long, it is given up and done later; writers go on."""
    make_day(engine, today(engine) - timedelta(days=KEPT_DAYS + 1))
    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as reader:
            reader.execute(text("SELECT count(*) FROM decision_journal"))
            keeping = pool.submit(keep, engine)
            wait_until(lambda: keeping.done() or _is_waiting(engine))
            answer(engine, "meanwhile", days_ago=0)
            assert keeping.result().dropped == 0
        assert keep(engine).dropped == 1
    assert answers(engine) == {"meanwhile"}


def _is_waiting(engine: Engine) -> bool:
    with engine.connect() as connection:
        return bool(connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))
