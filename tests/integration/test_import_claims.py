"""Claims on an import: whoever lost one can neither hand over, take back nor advance any more."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Final

import pytest
from sqlalchemy import Connection, Engine, text

from decision.errors import AbortedError
from store.database import run_transaction
from store.imports import IMPORT_LOCK_CLASS, ImportCounts, ImportProgress, claimed_import
from store.pieces import LEFT_SECONDS_MAX, Pieces, note_outcome, take_piece
from tests.waiting import until

pytestmark = pytest.mark.integration

IMPORT_ID: Final = "history"
KIND: Final = "test"
SECONDS_MAX: Final = 60.0
"""A bound against hanging; not a performance claim."""


class StoppedError(Exception):
    """What a stream ends with when its server stops."""


def go_on() -> None:
    """Do not stop."""


def scalar(engine: Engine, statement: str) -> int:
    """Ask the database for a number."""
    with engine.connect() as connection:
        return int(connection.execute(text(statement)).scalar_one())


def pieces(engine: Engine) -> int:
    """How many pieces there are."""
    return scalar(engine, "SELECT count(*) FROM work_piece")


def do_piece(engine: Engine) -> bool:
    """Do the oldest piece; its outcome is its payload. False when there is none."""

    def work(connection: Connection) -> bool:
        piece = take_piece(connection)
        if piece is None:
            return False
        note_outcome(connection, piece, piece.payload)
        return True

    return run_transaction(engine, work)


@contextmanager
def worker(engine: Engine) -> Iterator[None]:
    """Do pieces all the time."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            if not do_piece(engine):
                stop.wait(0.01)

    with ThreadPoolExecutor(1) as threads:
        working = threads.submit(work)
        try:
            yield
        finally:
            stop.set()
        working.result()


def stage(engine: Engine, progress: ImportProgress, *payloads: bytes) -> None:
    """Hand over pieces without waiting for them."""
    run_transaction(
        engine, lambda connection: progress.desk.stage(connection, KIND, list(payloads))
    )


def in_lanes(*payloads: bytes) -> Pieces:
    """Pieces that can all be done at once."""
    return Pieces(dict(enumerate(payloads)))


def lose_claims(engine: Engine) -> None:
    """End the connections on which imports are claimed, as an idle timeout or a network may."""
    held = (
        "FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database "
        "WHERE pg_database.datname = current_database() "
        f"AND pg_locks.locktype = 'advisory' AND pg_locks.classid = {IMPORT_LOCK_CLASS}"
    )
    with engine.connect() as connection:
        connection.execute(text(f"SELECT pg_terminate_backend(pid) {held}"))
    until(lambda: not scalar(engine, f"SELECT count(*) {held}"))


def test_staging_that_is_committed_after_its_writer_died_is_not_taken_for_ones_own(
    engine: Engine,
) -> None:
    """PostgreSQL may still be committing for a process that was killed: who resumes waits."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    has_claimed = threading.Event()

    def resume() -> list[bytes]:
        with claimed_import(engine, IMPORT_ID) as second:
            has_claimed.set()
            outcomes = second.desk.settle(KIND, in_lanes(b"mine 1", b"mine 2"), go_on)
            second.advance(3, ImportCounts(accepted=2))
            return list(outcomes)

    with ThreadPoolExecutor(1) as threads:
        with engine.connect() as late:
            with claimed_import(engine, IMPORT_ID) as first:
                first.desk.stage(late, KIND, [b"lost 1", b"lost 2"])
            resumed = threads.submit(resume)
            until(lambda: has_claimed.is_set() or scalar(engine, waiting) > 0)
            late.commit()
        with worker(engine):
            assert sorted(resumed.result()) == [b"mine 1", b"mine 2"]
    assert pieces(engine) == 0


def test_pieces_of_a_writer_that_died_are_gone_once_the_import_is_claimed_again(
    engine: Engine,
) -> None:
    """Those that are done and those that are not."""
    with claimed_import(engine, IMPORT_ID) as first:
        stage(engine, first, b"1", b"2")
    assert do_piece(engine)
    with claimed_import(engine, IMPORT_ID):
        assert pieces(engine) == 0


def test_a_writer_that_lost_its_claim_hands_nothing_over(engine: Engine) -> None:
    """Else what it stages might be done while another goes on."""
    with claimed_import(engine, IMPORT_ID) as first:
        lose_claims(engine)
        with claimed_import(engine, IMPORT_ID):
            with pytest.raises(AbortedError):
                first.desk.settle(KIND, in_lanes(b"old"), go_on)
            assert pieces(engine) == 0


def test_a_writer_that_lost_its_claim_leaves_the_pieces_of_the_next_alone(engine: Engine) -> None:
    """Both the ones that are done and the ones that are not."""
    with ExitStack() as stack:

        def take_over() -> None:
            lose_claims(engine)
            second = stack.enter_context(claimed_import(engine, IMPORT_ID))
            stage(engine, second, b"mine 1", b"mine 2")
            assert do_piece(engine)
            raise StoppedError

        with claimed_import(engine, IMPORT_ID) as first:
            with pytest.raises(StoppedError):
                first.desk.settle(KIND, in_lanes(b"old"), take_over)
            assert pieces(engine) == 2


def test_a_writer_that_lost_its_claim_does_not_advance(engine: Engine) -> None:
    """Also when the position is where it left it; whoever has the import goes on."""
    with claimed_import(engine, IMPORT_ID) as first:
        first.advance(11, ImportCounts(accepted=10))
        lose_claims(engine)
        with claimed_import(engine, IMPORT_ID) as second:
            assert second.next_position == 11
            with pytest.raises(AbortedError):
                first.advance(21, ImportCounts(accepted=10))
            second.advance(16, ImportCounts(accepted=5))
    with claimed_import(engine, IMPORT_ID) as third:
        assert (third.next_position, third.counts) == (16, ImportCounts(accepted=15))


def test_a_writer_whose_claim_nobody_took_over_may_finish_what_it_settled(engine: Engine) -> None:
    """What it says is still true, and who claims the import next goes on from there."""
    with claimed_import(engine, IMPORT_ID) as first:
        lose_claims(engine)
        first.advance(11, ImportCounts(accepted=10))
    with claimed_import(engine, IMPORT_ID) as second:
        assert second.next_position == 11


def test_outcomes_are_left_for_a_day_by_the_clock_of_postgresql(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer whose own clock is years ahead takes nobody's away; nor do undone pieces go."""
    with claimed_import(engine, "another") as other:
        stage(engine, other, b"done", b"undone")
        assert do_piece(engine)
        with monkeypatch.context() as patch:
            patch.setattr("time.time_ns", lambda: 2**62)
            with claimed_import(engine, IMPORT_ID):
                assert pieces(engine) == 2
        with engine.begin() as connection:
            connection.execute(
                text("UPDATE work_piece SET staged_at = staged_at - :microseconds"),
                {"microseconds": LEFT_SECONDS_MAX * 1_000_000},
            )
        with claimed_import(engine, IMPORT_ID):
            assert pieces(engine) == 1
