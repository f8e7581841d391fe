"""Pools: how many calls run at once, which are counted, and who waits for whom."""

import threading
from collections.abc import Iterator
from concurrent.futures import wait

import pytest

from service.admitting_executor import AdmittingExecutor, standing_aside

WAIT_SECONDS_MAX = 30.0


@pytest.fixture
def pool() -> Iterator[AdmittingExecutor]:
    """Two threads for at most five calls."""
    with AdmittingExecutor("tests", 2, 5) as made:
        yield made


class _Gate:
    """Lets calls in, which stay until it opens; of those that came it knows the number."""

    def __init__(self) -> None:
        self.came = threading.Semaphore(0)
        self.opened = threading.Event()

    def stay(self) -> None:
        self.came.release()
        assert self.opened.wait(WAIT_SECONDS_MAX)

    def stay_aside(self) -> None:
        with standing_aside():
            self.stay()

    def has_another(self) -> bool:
        return self.came.acquire(timeout=WAIT_SECONDS_MAX)


def takes_a_call(pool: AdmittingExecutor) -> bool:
    """Tell whether the pool was not shut down yet, by one call more."""
    try:
        pool.submit(int, "7")
    except RuntimeError:
        return False
    return True


def test_calls_beyond_the_threads_wait_for_their_turn(pool: AdmittingExecutor) -> None:
    """The third begins when one of two has ended."""
    first, second, third = _Gate(), _Gate(), _Gate()
    for gate in (first, second, third):
        pool.submit(gate.stay)
    assert first.has_another()
    assert second.has_another()
    assert not third.came.acquire(blocking=False)
    first.opened.set()
    assert third.has_another()
    second.opened.set()
    third.opened.set()


def test_a_call_is_counted_until_it_has_ended(pool: AdmittingExecutor) -> None:
    """Whether it runs or waits; when as many are under way as may be, the pool is full."""
    gate = _Gate()
    was_full = []
    for _ in range(5):
        pool.submit(gate.stay)
        was_full.append(pool.is_full)
    gate.opened.set()
    # The last of them is counted down by its thread, which ends at the latest with the pool.
    pool.shutdown()
    assert [*was_full, pool.is_full] == [False, False, False, False, True, False]


def test_others_run_while_calls_stand_aside(pool: AdmittingExecutor) -> None:
    """As many as there are threads, however many stand aside, before them or after."""
    aside, working = _Gate(), _Gate()
    for _ in range(3):
        pool.submit(aside.stay_aside)
    assert all(aside.has_another() for _ in range(3))
    for _ in range(2):
        pool.submit(working.stay)
    assert all(working.has_another() for _ in range(2))
    aside.opened.set()
    working.opened.set()


def test_who_came_back_keeps_no_place_too_many(pool: AdmittingExecutor) -> None:
    """Afterwards there run as many at once as there are threads, and no more."""
    aside = _Gate()
    calls = [pool.submit(aside.stay_aside) for _ in range(5)]
    assert all(aside.has_another() for _ in range(5))
    aside.opened.set()
    wait(calls, WAIT_SECONDS_MAX)
    working = _Gate()
    later = [pool.submit(working.stay) for _ in range(5)]
    assert all(working.has_another() for _ in range(2))
    assert not working.came.acquire(blocking=False)
    working.opened.set()
    wait(later, WAIT_SECONDS_MAX)
    assert all(call.result() is None for call in later)


def test_an_exception_is_the_callers(pool: AdmittingExecutor) -> None:
    """The thread lives on."""
    calls = [pool.submit(int, "x") for _ in range(5)]
    assert all(isinstance(call.exception(WAIT_SECONDS_MAX), ValueError) for call in calls)
    assert pool.submit(int, "7").result(WAIT_SECONDS_MAX) == 7


def test_nothing_is_taken_after_the_end() -> None:
    """What was under way has ended by then."""
    pool = AdmittingExecutor("tests", 2, 5)
    calls = [pool.submit(int, "7") for _ in range(5)]
    pool.shutdown()
    assert [call.result(0) for call in calls] == [7] * 5
    with pytest.raises(RuntimeError, match="shut down"):
        pool.submit(int, "7")


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_it_ends_though_a_call_stands_aside_meanwhile(threads: int) -> None:
    """The thread that took its place ends as well, as does whoever rested before."""
    pool = AdmittingExecutor("tests", threads, 20)
    aside = _Gate()
    calls = [pool.submit(aside.stay_aside) for _ in range(threads + 1)]
    assert all(aside.has_another() for _ in calls)
    aside.opened.set()
    wait(calls, WAIT_SECONDS_MAX)
    began, go_on = _Gate(), threading.Event()

    def begin_and_stand_aside() -> None:
        began.came.release()
        assert go_on.wait(WAIT_SECONDS_MAX)
        with standing_aside():
            pass

    last = pool.submit(begin_and_stand_aside)
    assert began.has_another()
    ending = threading.Thread(target=pool.shutdown, daemon=True)
    ending.start()
    while takes_a_call(pool):
        go_on.wait(0.001)
    go_on.set()
    ending.join(WAIT_SECONDS_MAX)
    assert not ending.is_alive()
    assert last.result(0) is None


def test_calls_that_wait_can_be_cancelled_at_the_end(pool: AdmittingExecutor) -> None:
    """They never begin; those that have begun end."""
    gate = _Gate()
    calls = [pool.submit(gate.stay) for _ in range(5)]
    assert all(gate.has_another() for _ in range(2))
    pool.shutdown(wait=False, cancel_futures=True)
    gate.opened.set()
    pool.shutdown()
    assert [call.cancelled() for call in calls] == [False, False, True, True, True]


def test_standing_aside_elsewhere_does_nothing() -> None:
    """Whoever reads may be in a thread of no such pool."""
    with standing_aside():
        assert threading.current_thread() is threading.main_thread()
