"""Single writes that come at the same time, recorded together.

What lives here: who waits for whom. A transaction costs about as much for many events as for one:
whoever finds others recording waits for them, and the next transaction takes all that waited. One
that comes alone waits for nobody. What becomes of each event is `recording`'s business.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from decision.errors import OverloadedError, UnavailableError, of_ones_own
from decision.events import Consent, NewEvent, Purchase
from store.deadlines import deadline_at, ends_at
from store.outcomes import Outcome, Recorded, Refused

EVENTS_PER_GROUP_MAX: Final = 64

GROUPS_AT_ONCE: Final = 2
"""While one waits for PostgreSQL, another makes ready what it will send."""

SLOW_SECONDS: Final = 0.05
"""A group that takes longer, perhaps because of a lock, is not waited for."""


class GroupRecorder:
    """Records single events, together with others where that is quicker. For many threads at once.

    The thread that finds fewer than GROUPS_AT_ONCE groups under way leads the next, which is of all
    that wait, one event of each customer; when it is done it wakes who leads the one after it.
    Whatever is not a purchase or a consent is recorded by itself and at once: it is rare, and much
    of it takes something away.
    """

    def __init__(self, record: Callable[[Sequence[NewEvent]], Sequence[Outcome]]) -> None:
        """Record with `record`, which is `Recorder.record` or promises the same."""
        self._record = record
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._groups: dict[_Waiting, float] = {}

    def record_one(self, event: NewEvent) -> Recorded:
        """Record one event. Raises whatever it is refused with, as `Recorder.record_one` does."""
        if not isinstance(event.body, Purchase | Consent):
            return self._record_alone(event)
        mine = _Waiting(event)
        with self._lock:
            self._waiting.append(mine)
            group = self._next_group()
        while True:
            if group:
                self._lead(group)
            if mine.is_decided:
                return self._recorded(mine)
            mine.turn.wait(SLOW_SECONDS)
            mine.turn.clear()
            with self._lock:
                group = [] if mine.is_taken else self._next_group()

    def _record_alone(self, event: NewEvent) -> Recorded:
        [outcome] = self._record([event])
        return _accepted(outcome)

    def _next_group(self) -> "Sequence[_Waiting]":
        """Take those that wait, if it is time for another group. The lock MUST be held."""
        slow_before = time.monotonic() - SLOW_SECONDS
        under_way = sum(began_at > slow_before for began_at in self._groups.values())
        if under_way >= GROUPS_AT_ONCE:
            return []
        group: list[_Waiting] = []
        later: list[_Waiting] = []
        # Of one customer each, so that every event is answered with what it made of the customer.
        customer_ids: set[str] = set()
        for one in self._waiting:
            if len(group) == EVENTS_PER_GROUP_MAX or one.event.customer_id in customer_ids:
                later.append(one)
            else:
                group.append(one)
                customer_ids.add(one.event.customer_id)
                one.is_taken = True
        self._waiting = later
        self._groups[group[0]] = time.monotonic()
        return group

    def _lead(self, group: "Sequence[_Waiting]") -> None:
        """Record a group, and wake those who are in it and who leads the next."""
        try:
            # Who waits longest counts: the others' answers come as soon all the same.
            with deadline_at(max(one.ends_at for one in group)):
                outcomes = self._record([one.event for one in group])
            for one, outcome in zip(group, outcomes, strict=True):
                one.outcome = outcome
        except Exception as error:  # noqa: BLE001 - whose it is, each in the group finds out
            for one in group:
                one.error = error
        finally:
            with self._lock:
                del self._groups[group[0]]
                next_leader = self._waiting[0] if self._waiting else None
            for one in group:
                one.is_decided = True
                one.turn.set()
            if next_leader is not None:
                next_leader.turn.set()

    def _recorded(self, mine: "_Waiting") -> Recorded:
        match mine.error:
            case None if mine.outcome is not None:
                return _accepted(mine.outcome)
            case UnavailableError() | OverloadedError() as error:
                raise of_ones_own(error) from error
            case _:
                # Whatever is wrong with one of a group is not the others' concern.
                return self._record_alone(mine.event)


def _accepted(outcome: Outcome) -> Recorded:
    if isinstance(outcome, Refused):
        raise outcome.error
    return outcome


class _Waiting:
    """An event on its way, and the thread that waits for it.

    `turn` wakes the thread: the event was recorded or failed, or the thread may lead a group.
    """

    def __init__(self, event: NewEvent) -> None:
        self.event = event
        self.ends_at = ends_at()
        self.turn = threading.Event()
        self.is_taken = False
        self.is_decided = False
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None
