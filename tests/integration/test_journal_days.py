"""The days of the journal: made ahead of time, dropped when they are over, and nobody waits."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any, Final

import pytest
from sqlalchemy import Engine, event, text

from store.journal_days import DAYS_AHEAD, DAYS_UNHARMED, JournalDays, Kept
from tests.waiting import until

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
            until(lambda: keeping.done() or _is_waiting(engine))
            answer(engine, "meanwhile", days_ago=0)
            assert keeping.result().dropped == 0
        assert keep(engine).dropped == 1
    assert answers(engine) == {"meanwhile"}


LONG: Final = 0.0005
"""No look through anything is as quick: less than a millisecond is rounded up to one."""


def keep_beside(engine: Engine) -> Kept:
    """Make what is due where looking through what has no day takes too long; drop nothing."""
    return JournalDays(engine, 0, scan_seconds_max=LONG).run_pending(threading.Event())


def answer_often(engine: Engine) -> None:
    """Journal so many answers without a day that they take a while to be looked through."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO decision_journal SELECT "
                "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint, number::text, "
                "'dialer', 'anna', '{}', 0, 1, 1, false, '{}' "
                "FROM generate_series(1, 20000) AS number"
            )
        )


def exclusions(engine: Engine) -> int:
    """How many constraints keep rows out of the partition for everything else."""
    with engine.connect() as connection:
        return int(
            connection.scalar(
                text(
                    "SELECT count(*) FROM pg_constraint WHERE contype = 'c' "
                    "AND conrelid = 'decision_journal_default'::regclass"
                )
            )
            or 0
        )


@pytest.fixture
def notices(engine: Engine) -> list[str]:
    """What PostgreSQL says of its work on connections from now on."""
    said: list[str] = []

    @event.listens_for(engine, "connect")
    def listen(connection: Any, _: object) -> None:
        connection.add_notice_handler(lambda notice: said.append(str(notice.message_primary)))
        connection.execute("SET client_min_messages = debug1")
        connection.commit()

    return said


def test_days_are_made_beside_more_without_a_day_than_can_be_looked_through(
    engine: Engine, notices: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """It is looked through without a lock, and the log says why; the first days stay without."""
    answer_often(engine)
    days = JournalDays(engine, 0, scan_seconds_max=LONG)
    assert days.run_pending(threading.Event()).made == DAYS_AHEAD + 1 - DAYS_UNHARMED
    skipped = [notice for notice in notices if "is implied by existing constraints" in notice]
    assert len(skipped) == DAYS_AHEAD + 1 - DAYS_UNHARMED
    [warning] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "so much that has no day" in warning.message
    assert "in use" not in caplog.text
    for days_ahead in (0, 1, DAYS_UNHARMED):
        answer(engine, f"in {days_ahead} days", -days_ahead)
    day = today(engine) + timedelta(days=DAYS_UNHARMED)
    assert place_of(engine, "in 1 days") == "decision_journal_default"
    assert place_of(engine, f"in {DAYS_UNHARMED} days") == f"decision_journal_{day:%Y_%m_%d}"
    assert exclusions(engine) == 0
    assert days.run_pending(threading.Event()) == Kept(0, 0, 0)


def test_beside_much_a_day_that_has_answers_stays_as_it_is(engine: Engine) -> None:
    """Of a clock that was ahead; every other day is made."""
    answer_often(engine)
    answer(engine, "too early", days_ago=-3)
    assert keep_beside(engine).made == DAYS_AHEAD - DAYS_UNHARMED
    assert place_of(engine, "too early") == "decision_journal_default"
    assert exclusions(engine) == 0


@pytest.mark.parametrize("validity", ["", "NOT VALID"])
def test_what_a_killed_worker_left_behind_is_taken_away(engine: Engine, validity: str) -> None:
    """Whatever it kept out can be journalled again, and the days are made the next time."""
    answer_often(engine)
    with engine.begin() as connection:
        connection.execute(
            text(
                "ALTER TABLE decision_journal_default ADD CONSTRAINT "
                "decision_journal_default_without_days "
                f"CHECK (decision_id <> 'today') {validity}"
            )
        )
    keep(engine)
    assert exclusions(engine) == 0
    answer(engine, "today", days_ago=0)
    keep(engine)
    assert place_of(engine, "today") == "decision_journal_default"
    answer(engine, "later", days_ago=-DAYS_UNHARMED)
    assert place_of(engine, "later") != "decision_journal_default"


def test_who_is_told_to_stop_while_looking_through_keeps_nothing_out(engine: Engine) -> None:
    """It takes longer than a process may take to end, so it is given up, and done anew later."""
    answer_often(engine)
    stop, begun = threading.Event(), threading.Event()

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def take_long(
        _: object, __: object, statement: str, parameters: object, *___: object
    ) -> tuple[str, object]:
        if "VALIDATE" not in statement or stop.is_set():
            return statement, parameters
        begun.set()
        return "SELECT pg_sleep(3600)", parameters

    days = JournalDays(engine, 0, scan_seconds_max=LONG)
    with ThreadPoolExecutor(1) as pool:
        keeping = pool.submit(days.run_pending, stop)
        until(lambda: keeping.done() or begun.is_set())
        assert exclusions(engine) == 1
        answer(engine, "meanwhile", days_ago=0)
        stop.set()
        assert keeping.result().made == 0
    assert exclusions(engine) == 0
    assert days.run_pending(threading.Event()).made == DAYS_AHEAD + 1 - DAYS_UNHARMED


def _is_waiting(engine: Engine) -> bool:
    with engine.connect() as connection:
        return bool(connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))
