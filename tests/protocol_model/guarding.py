"""Base and floors of a decision process, whatever Redis shows.

What lives here: the model that shows that the guard refuses every cached record which a narrowing
outdated. Leases always hold here, and telling takes no time. Redis may show anything that the other
model leaves possible: applied up to any row, with a record that is no older than that.

What bounds the model is the history of three outbox rows.
"""

from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple

from tests.protocol_model.caching import History
from tests.protocol_model.explorer import Step

NOTHING: Final = -1
"""Stands for no applied_seq: no meta was seen yet, or none of the epoch."""

HISTORIES: Final = (
    History("narrowed, then others", True, (False, None, None)),  # noqa: FBT003
    History("widened, narrowed, then another", False, (True, False, None)),  # noqa: FBT003
    History("another, narrowed, then another", True, (None, False, None)),  # noqa: FBT003
)


class Clause(Enum):
    """What the protocol demands, each to be switched off by itself."""

    BASE_REACHED = "applied_seq is at or above the base"
    CUSTOMER_FLOOR = "a record below its customer's floor does not count"
    FLOORS_ABOVE_BASE_READ = "a renewal reads every floor above its base"
    PRUNED_RAISES_BASE = "a base is at least where the outbox is kept from"
    FIRST_BASE_FROM_LEDGER = "who has seen nothing of Redis takes the shard's seq for its base"
    FLOOR_IS_TOLD = "the process keeps the floor that it is told"


class Spare(Enum):
    """What the protocol does although it is safe without; exploring confirms that."""

    HIGHEST_SEEN_COUNTS = "the base is the highest applied_seq seen, not that of the last look"


class Guard(NamedTuple):
    """What a process holds besides its lease: the base, and whether the floor is in it."""

    base: int
    has_floor: bool


class State(NamedTuple):
    """Everything. `renewing` is what a renewal under way saw applied, None without a renewal.

    The rows of the outbox up to `pruned` are gone, whatever Redis shows by then.
    """

    seq: int = 0
    pruned: int = 0
    highest_seen: int = NOTHING
    renewing: int | None = None
    guard: Guard | None = None
    check: Guard | None = None
    is_effective: bool = False


class Guarding:
    """The model, with some clauses switched off."""

    def __init__(self, *without: Clause | Spare, history: History = HISTORIES[0]) -> None:
        """Take the clauses to switch off, and what is written."""
        self._off = frozenset(without)
        self._history = history

    def initial(self) -> State:
        """The process has just started, and nothing is written."""
        return State()

    def steps(self, state: State) -> Iterator[Step[State]]:
        """Give everything that may happen in a state."""
        seq = state.seq + 1
        if seq <= len(self._history.rows):
            yield Step(f"row {seq} is committed", state._replace(seq=seq))
        if state.seq >= self._history.narrowing_seq and not state.is_effective:
            guard = state.guard
            if guard is not None and self._is_on(Clause.FLOOR_IS_TOLD):
                guard = guard._replace(has_floor=True)
            after = state._replace(guard=guard, is_effective=True)
            yield Step("the process is told, the writer answers EFFECTIVE", after)
        if state.pruned < state.seq:
            yield Step("the oldest row is pruned", state._replace(pruned=state.pruned + 1))
        yield from self._renewal_steps(state)
        yield from self._check_steps(state)

    def _is_on(self, clause: Clause | Spare) -> bool:
        return clause not in self._off

    def _renewal_steps(self, state: State) -> Iterator[Step[State]]:
        if state.guard is not None:
            after = state._replace(guard=None, renewing=None, highest_seen=NOTHING)
            yield Step("the process restarts, without a lease", after)
        if state.renewing is None:
            for applied_seq in range(NOTHING, state.seq + 1):
                shown = "no meta" if applied_seq == NOTHING else f"rows up to {applied_seq} applied"
                after = state._replace(renewing=applied_seq)
                yield Step(f"the process renews: Redis shows {shown}", after)
            return
        seen = state.renewing
        if self._is_on(Spare.HIGHEST_SEEN_COUNTS):
            seen = max(seen, state.highest_seen)
        base = seen
        if seen == NOTHING:
            base = state.seq if self._is_on(Clause.FIRST_BASE_FROM_LEDGER) else 0
            is_read = False
        else:
            is_read = max(base, state.pruned) < self._history.narrowing_seq <= state.seq
            is_read = is_read and self._is_on(Clause.FLOORS_ABOVE_BASE_READ)
        if self._is_on(Clause.PRUNED_RAISES_BASE):
            base = max(base, state.pruned)
        is_told = state.guard is not None and state.guard.has_floor
        has_floor = is_read or (is_told and self._history.narrowing_seq > base)
        # Past a bound of floors the shard as a whole has to be there.
        for guard in {Guard(base, has_floor), Guard(max(base, state.seq), has_floor=False)}:
            after = state._replace(guard=guard, renewing=None, highest_seen=seen)
            yield Step(f"its renewal ends: {guard}", after)

    def _check_steps(self, state: State) -> Iterator[Step[State]]:
        if state.check is None:
            if state.is_effective and state.guard is not None:
                after = state._replace(check=state.guard)
                yield Step(f"a check starts after EFFECTIVE and reads {state.guard}", after)
            return
        yield Step("the check is answered otherwise", state._replace(check=None))
        for applied_seq in range(state.seq + 1):
            oldest = self._history.version(applied_seq)
            for version in range(oldest, self._history.version(state.seq) + 1):
                if self._is_allowed(state.check, applied_seq, version):
                    yield Step(
                        f"it sees version {version}, rows up to {applied_seq} applied: ALLOW",
                        state,
                        is_stale_allow=True,
                    )

    def _is_allowed(self, guard: Guard, applied_seq: int, version: int) -> bool:
        if not self._history.is_allowed(version):
            return False
        if applied_seq < guard.base and self._is_on(Clause.BASE_REACHED):
            return False
        narrowing_seq = self._history.narrowing_seq
        is_reached = version >= self._history.version(narrowing_seq) or applied_seq >= narrowing_seq
        return is_reached or not guard.has_floor or not self._is_on(Clause.CUSTOMER_FLOOR)
