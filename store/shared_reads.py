"""Reads of PostgreSQL after misses, shared by the checks that wait for them.

What lives here: who may join which read, and how many there are at once. A read that was already
sent is never joined, for a check that starts now must see what was committed before now; later
checks share the next (`design.md`, "No stale ALLOW", step 7). What is read is the caller's affair.
"""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from decision.errors import OverloadedError, UnavailableError

IDS_PER_READ_MAX: Final = 1000
READS_IN_FLIGHT_MAX: Final = 4
"""Reads that PostgreSQL has at once from one process; so also for one hot customer."""

READS_WAITING_MAX: Final = 16
"""Reads that wait to be sent; beyond them checks are shed instead of queued."""

WAIT_SECONDS_MAX: Final = 5.0
"""How long a read waits to be sent before it is shed."""

JOINED_SECONDS_MAX: Final = 90.0
"""How long a joined read may take: above what PostgreSQL allows a statement."""

_Found = TypeVar("_Found")


@dataclass(slots=True)
class _Read(Generic[_Found]):
    """One read, open to be joined until it is sent."""

    ids: dict[str, None] = field(default_factory=dict)
    is_done: threading.Event = field(default_factory=threading.Event)
    found: _Found | None = None
    error: BaseException | None = None


class SharedReads(Generic[_Found]):
    """Coalesces reads by id. Safe to be used by several threads."""

    def __init__(
        self,
        load: Callable[[Collection[str]], _Found],
        *,
        in_flight_max: int = READS_IN_FLIGHT_MAX,
        waiting_max: int = READS_WAITING_MAX,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
    ) -> None:
        """Share calls of `load`, which reads what is committed when it is called."""
        self._load = load
        self._lock = threading.Lock()
        self._places = threading.Semaphore(in_flight_max)
        self._waiting_max = waiting_max
        self._wait_seconds_max = wait_seconds_max
        self._waiting = 0
        self._open: _Read[_Found] | None = None

    def read(self, ids: Sequence[str]) -> Mapping[str, _Found]:
        """Read ids and give for each the answer of the read that it was part of.

        Raises OverloadedError when too much waits already, and what `load` raises.
        """
        found: dict[str, _Found] = {}
        for start in range(0, len(ids), IDS_PER_READ_MAX):
            piece = ids[start : start + IDS_PER_READ_MAX]
            found |= dict.fromkeys(piece, self._read_piece(piece))
        return found

    def _read_piece(self, ids: Sequence[str]) -> _Found:
        shared, is_ours = self._join(ids)
        if is_ours:
            self._send(shared)
        elif not shared.is_done.wait(JOINED_SECONDS_MAX):
            message = "PostgreSQL took too long: try again later"
            raise UnavailableError(message)
        if isinstance(shared.error, OverloadedError):
            raise OverloadedError(str(shared.error)) from shared.error
        if shared.error is not None or shared.found is None:
            message = "PostgreSQL does not answer: try again later"
            raise UnavailableError(message) from shared.error
        return shared.found

    def _join(self, ids: Sequence[str]) -> tuple[_Read[_Found], bool]:
        """Join the read that is not sent yet, or begin the next and be the one who sends it."""
        with self._lock:
            shared = self._open
            if shared is not None and len(shared.ids) + len(ids) <= IDS_PER_READ_MAX:
                shared.ids.update(dict.fromkeys(ids))
                return shared, False
            if self._waiting >= self._waiting_max:
                message = (
                    f"{self._waiting_max} reads of PostgreSQL wait already, which is the most: "
                    "try again later"
                )
                raise OverloadedError(message)
            self._waiting += 1
            self._open = shared = _Read(dict.fromkeys(ids))
            return shared, True

    def _send(self, shared: _Read[_Found]) -> None:
        """Wait for a place, close the read to be joined, and only then read."""
        has_place = self._places.acquire(timeout=self._wait_seconds_max)
        with self._lock:
            self._waiting -= 1
            if self._open is shared:
                self._open = None
        try:
            if has_place:
                shared.found = self._load(shared.ids)
            else:
                message = "reads of PostgreSQL take too long for one more: try again later"
                shared.error = OverloadedError(message)
        except BaseException as error:
            shared.error = error
            raise
        finally:
            if has_place:
                self._places.release()
            shared.is_done.set()
