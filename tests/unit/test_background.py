"""Background work: goes on after failures, wakes at once, ends when told to."""

import threading

import pytest

from service.background import Background

WAIT_SECONDS_MAX = 60
"""A bound against hanging; nothing is measured."""

NEVER_SECONDS = 3600.0


def test_work_that_fails_is_logged_counted_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A thread never dies silently."""
    background = Background()
    went_on = threading.Event()
    attempts = []

    def work(_: threading.Event) -> None:
        attempts.append(1)
        if len(attempts) <= 2:
            message = "the disk is on fire"
            raise OSError(message)
        went_on.set()

    background.repeat("task", work, NEVER_SECONDS)
    assert went_on.wait(WAIT_SECONDS_MAX)
    background.stop_and_join()
    assert background.counts["task"].failures == 2
    assert background.counts["task"].runs == 1
    assert "the disk is on fire" in caplog.text


def test_an_outage_is_logged_ever_less_often(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every failure is counted, and the 1st, 2nd, 4th, 8th … in a row are logged."""
    monkeypatch.setattr("service.background.BACKOFF_SECONDS_MAX", 0.0)
    background = Background()
    is_over = threading.Event()

    def work(_: threading.Event) -> None:
        failures = background.counts["task"].failures
        if failures == 20:
            is_over.set()
        elif failures < 20:
            message = "the disk is on fire"
            raise OSError(message)

    background.repeat("task", work, NEVER_SECONDS)
    assert is_over.wait(WAIT_SECONDS_MAX)
    background.stop_and_join()
    assert background.counts["task"].failures == 20
    assert [record.args for record in caplog.records] == [
        ("maywe task", number) for number in (1, 2, 4, 8, 16)
    ]


def test_work_is_done_at_once_when_woken() -> None:
    """Long before its time has come."""
    background = Background()
    wake = threading.Event()
    done = threading.Semaphore(0)
    background.repeat("task", lambda _: done.release(), NEVER_SECONDS, wake)
    assert done.acquire(timeout=WAIT_SECONDS_MAX)
    wake.set()
    assert done.acquire(timeout=WAIT_SECONDS_MAX)
    background.stop_and_join()


def test_stopping_ends_waiting_and_working_threads() -> None:
    """Work that is under way is told by the event that it is handed."""
    background = Background()
    before = set(threading.enumerate())
    begun = threading.Event()

    def long_work(stop: threading.Event) -> None:
        begun.set()
        stop.wait()

    background.repeat("waiting", lambda _: None, NEVER_SECONDS)
    background.repeat("working", long_work, NEVER_SECONDS)
    assert begun.wait(WAIT_SECONDS_MAX)
    background.stop_and_join()
    assert set(threading.enumerate()) <= before
