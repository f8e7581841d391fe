"""A pool of threads that knows how many calls it has, and goes on while some of them only wait.

What lives here: the threads themselves. Which calls run in which pool is `executors`' business.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from time import perf_counter_ns
from typing import Any, Final, NamedTuple, TypeVar

_Result = TypeVar("_Result")


class _Call(NamedTuple):
    """A call that was submitted."""

    future: Future[Any]
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    submitted_at: int


class AdmittingExecutor(ThreadPoolExecutor):
    """A pool of threads that counts the calls under way, waiting ones included.

    At most `threads` calls run at once; those that stand aside (`standing_aside`) do not run. grpc
    takes pools of the class above only, but nothing of it is used.
    """

    def __init__(self, name: str, threads: int, limit: int) -> None:
        """Make a pool in which `threads` calls run at once, for at most `limit` under way."""
        super().__init__(thread_name_prefix=f"maywe {name}")
        self.name = name
        self.limit = limit
        self._places = threads
        self._lock = threading.Lock()
        """Held while any of the numbers below changes."""
        self._queue = SimpleQueue[_Call | None]()
        self._under_way = 0
        self._running = 0
        self._aside = 0
        self._waiting_for_place = 0
        self._place = threading.Semaphore(0)
        self._started: list[threading.Thread] = []
        self._resting = 0
        self._wake_up = threading.Semaphore(0)
        self._is_shut = False

    @property
    def under_way(self) -> int:
        """How many calls run, stand aside or wait."""
        return self._under_way

    @property
    def is_full(self) -> bool:
        """Whether another call would be beyond the limit."""
        return self._under_way >= self.limit

    def submit(
        self,
        fn: Callable[..., _Result],
        /,
        *args: Any,  # noqa: ANN401 - as the class above has it
        **kwargs: Any,  # noqa: ANN401 - as the class above has it
    ) -> Future[_Result]:
        """Have a call done, counting it until it ends. Raises RuntimeError after `shutdown`."""
        future: Future[_Result] = Future()
        with self._lock:
            if self._is_shut:
                message = f"the pool for {self.name} was shut down"
                raise RuntimeError(message)
            self._under_way += 1
            self._queue.put(_Call(future, fn, args, kwargs, perf_counter_ns()))
            self._see_to_threads()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as the class above has it
        """Take no more calls, and wait until those under way have ended, unless told otherwise."""
        with self._lock:
            self._is_shut = True
            if cancel_futures:
                self._cancel_waiting()
            self._queue.put(None)
            # As many as rest at the most, and nobody begins to.
            self._wake_up.release(max(1, len(self._started)))
        if wait:
            for thread in self._started:
                thread.join()

    def stand_aside(self) -> None:
        """Leave the caller's place to another call; for a thread of the pool, in a call."""
        with self._lock:
            self._aside += 1
            self._give_place_away()
            self._see_to_threads()

    def come_back(self) -> None:
        """Go on in a call that stood aside, as soon as there is a place for it."""
        self._take_place(from_aside=True)

    def _take_place(self, *, from_aside: bool = False) -> None:
        with self._lock:
            self._aside -= from_aside
            has_place = self._running < self._places
            if has_place:
                self._running += 1
            else:
                self._waiting_for_place += 1
        if not has_place:
            self._place.acquire()

    def _give_place_away(self) -> None:
        """Let whoever waits for it have the place of this thread. The lock MUST be held."""
        if self._waiting_for_place:
            self._waiting_for_place -= 1
            self._place.release()
        else:
            self._running -= 1

    def _cancel_waiting(self) -> None:
        with suppress(Empty):
            while (call := self._queue.get_nowait()) is not None:
                call.future.cancel()
                self._under_way -= 1

    def _see_to_threads(self) -> None:
        """Have as many threads awake as calls need. The lock MUST be held."""
        awake = len(self._started) - self._resting
        if awake >= min(self._under_way, self._places + self._aside):
            return
        if self._resting:
            self._resting -= 1
            self._wake_up.release()
            return
        name = f"{self._thread_name_prefix}_{len(self._started)}"
        # Not to be waited for at exit: whoever made the pool shuts it down.
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        thread.start()
        self._started.append(thread)

    def _work(self) -> None:
        _of_thread.pool = self
        while (call := self._queue.get()) is not None:
            self._take_place()
            _of_thread.submitted_at = call.submitted_at
            _do(call)
            del call
            with self._lock:
                self._under_way -= 1
                self._give_place_away()
                awake = len(self._started) - self._resting
                is_one_too_many = awake > self._places + self._aside and not self._is_shut
                self._resting += is_one_too_many
            if is_one_too_many:
                self._wake_up.acquire()
        # For the next thread, which may be one that has not been started yet.
        self._queue.put(None)


def _do(call: _Call) -> None:
    if not call.future.set_running_or_notify_cancel():
        return
    try:
        result = call.function(*call.arguments, **call.keywords)
    except BaseException as error:  # noqa: BLE001 - whoever has the future is told
        call.future.set_exception(error)
    else:
        call.future.set_result(result)


class _OfThread(threading.local):
    pool: AdmittingExecutor | None = None
    submitted_at: int = 0


_of_thread: Final = _OfThread()


def submitted_nanoseconds() -> int:
    """Give when the call of this thread was submitted, by the clock of `perf_counter_ns`."""
    return _of_thread.submitted_at


@contextmanager
def standing_aside() -> Iterator[None]:
    """Wait for something without keeping other calls of the same kind from being done.

    It takes nothing of the processor meanwhile, so another thread may. Elsewhere than in a thread
    of such a pool it does nothing.
    """
    pool = _of_thread.pool
    if pool is None:
        yield
        return
    pool.stand_aside()
    try:
        yield
    finally:
        pool.come_back()
