"""Reading ahead: items are prepared while earlier ones are used, a bounded number of them.

What lives here: one thread between an iterator and whoever consumes it. A consumer who does not
take items holds up the thread, and so whoever sends to the iterator.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

_Item = TypeVar("_Item")


class ReadAhead(Generic[_Item]):
    """Takes items from an iterator in a thread of its own, `ahead_max` before they are asked for.

    An error of the iterator is raised in its turn, after the items before it. `close` MUST be
    called; what was prepared and not asked for is then given to `drop`.
    """

    def __init__(
        self, items: Iterator[_Item], ahead_max: int, drop: Callable[[_Item], None]
    ) -> None:
        """Begin to take items."""
        self._items = items
        self._ahead_max = ahead_max
        self._drop = drop
        self._changed = threading.Condition()
        self._ready: deque[_Item] = deque()
        self._error: BaseException | None = None
        self._is_over = False
        self._is_closed = False
        # A daemon, because the iterator may wait for a client for as long as there is one.
        threading.Thread(target=self._run, name="maywe reading ahead", daemon=True).start()

    def __iter__(self) -> Iterator[_Item]:
        return self

    def __next__(self) -> _Item:
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._is_over)
            if self._ready:
                item = self._ready.popleft()
                self._changed.notify_all()
                return item
        if self._error is not None:
            raise self._error
        raise StopIteration

    def close(self) -> None:
        """Take no more items, and drop those that nobody asked for."""
        with self._changed:
            self._is_closed = True
            left = list(self._ready)
            self._ready.clear()
            self._changed.notify_all()
        for item in left:
            self._drop(item)

    def _run(self) -> None:
        try:
            while self._has_room():
                item = next(self._items, None)
                if item is None:
                    break
                self._put(item)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised to who asks
            self._error = error
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify_all()

    def _has_room(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or len(self._ready) < self._ahead_max)
            return not self._is_closed

    def _put(self, item: _Item) -> None:
        with self._changed:
            if not self._is_closed:
                self._ready.append(item)
                self._changed.notify_all()
                return
        self._drop(item)
