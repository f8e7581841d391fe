"""What a decision process takes for now, when its clock is behind.

What lives here: the model of a cell that ends at the effective instant of a narrowing. The record
is up to date, and its cell still says ALLOW to whoever thinks that the instant is to come. The wall
clock of the process is as far behind as can be; leases always hold here. What bounds the model is
the number of ticks.
"""

from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple

from tests.protocol_model.explorer import Step

TICKS_MAX: Final = 4
UNKNOWN: Final = -TICKS_MAX


class Clause(Enum):
    """What the protocol demands, each to be switched off by itself."""

    INSTANT_TOLD = "now is not below the effective instant that the process was told"
    CLOCK_OF_RENEWAL = "now is not below PostgreSQL's clock at the renewal and the time since"


class State(NamedTuple):
    """Everything, in ticks of PostgreSQL's clock. `ends_at` is the effective instant."""

    now: int = 0
    ends_at: int | None = None
    is_effective: bool = False
    read_at: int | None = None
    has_lease: bool = False
    now_min: int = UNKNOWN
    told: int = UNKNOWN


class Timing:
    """The model, with some clauses switched off."""

    def __init__(self, *without: Clause) -> None:
        """Take the clauses to switch off."""
        self._off = frozenset(without)

    def initial(self) -> State:
        """The process has no lease, and nothing is written."""
        return State()

    def steps(self, state: State) -> Iterator[Step[State]]:
        """Give everything that may happen in a state."""
        if state.now < TICKS_MAX:
            elapsed = state.now_min + 1 if state.now_min != UNKNOWN else UNKNOWN
            yield Step("a tick passes", state._replace(now=state.now + 1, now_min=elapsed))
        if state.ends_at is None:
            after = state._replace(ends_at=state.now)
            yield Step(f"a narrowing is committed, effective at {state.now}", after)
        elif not state.is_effective:
            yield self._acknowledge(state, state.ends_at)
        yield from self._renewal_steps(state)
        if state.is_effective and state.has_lease and state.ends_at is not None:
            taken = max(state.told, state.now_min)
            if taken < state.ends_at:
                yield Step(f"a check after EFFECTIVE at {taken}: ALLOW", state, is_stale_allow=True)

    def _acknowledge(self, state: State, ends_at: int) -> Step[State]:
        told = UNKNOWN
        if state.has_lease or state.read_at is not None:
            told = ends_at if Clause.INSTANT_TOLD not in self._off else UNKNOWN
        after = state._replace(is_effective=True, told=told)
        return Step("who has a lease is told, the writer answers EFFECTIVE", after)

    def _renewal_steps(self, state: State) -> Iterator[Step[State]]:
        if state.read_at is None:
            after = state._replace(read_at=state.now)
            yield Step(f"a renewal reads PostgreSQL's clock: {state.now}", after)
        else:
            now_min = state.read_at if Clause.CLOCK_OF_RENEWAL not in self._off else UNKNOWN
            now_min = max(now_min, state.now_min)
            after = state._replace(has_lease=True, now_min=now_min, read_at=None)
            yield Step(f"the renewal ends: now is at least {now_min}", after)
