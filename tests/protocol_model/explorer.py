"""Exhaustive exploration of small models, breadth first.

What lives here: the search and how a trace is shown. What must not: anything of the protocol.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

STATES_MAX: Final = 2_000_000
"""States after which a search gives up: a model that grows so far is no small model any more."""

_State = TypeVar("_State")


class Step(NamedTuple, Generic[_State]):
    """Something that may happen next: what it is, and the state after it.

    `is_stale_allow` says that it breaks the promise: a check that started after EFFECTIVE is
    answered ALLOW because of what was there before.
    """

    what: str
    after: _State
    is_stale_allow: bool = False


class Model(Protocol[_State]):
    """A protocol as the steps that are possible in each of its states, which are hashable."""

    def initial(self) -> _State:
        """Give the state in which everything begins."""

    def steps(self, state: _State) -> Iterable[Step[_State]]:
        """Give everything that may happen in a state."""


class TooManyStatesError(Exception):
    """The search was given up before it had seen every state."""


@dataclass(frozen=True, slots=True)
class Exploration:
    """What a search found: how many states, and a shortest trace to a stale ALLOW if there is one.

    Without a trace every reachable state was seen.
    """

    states: int
    seconds: float
    trace: tuple[str, ...] | None

    @property
    def is_safe(self) -> bool:
        """Whether no reachable step is a stale ALLOW."""
        return self.trace is None

    def __str__(self) -> str:
        """Show the counts, and the trace one numbered line for each step."""
        counts = f"{self.states} states in {self.seconds:.1f} s"
        if self.trace is None:
            return f"no stale ALLOW: all {counts}"
        lines = [f"{number:3}. {what}" for number, what in enumerate(self.trace, start=1)]
        return "\n".join([f"stale ALLOW after {len(self.trace)} steps ({counts}):", *lines])


def explore(model: Model[_State], states_max: int = STATES_MAX) -> Exploration:
    """Visit every reachable state, nearest first, and stop at the first stale ALLOW.

    Raises TooManyStatesError when there are more than `states_max`.
    """
    begun_at = perf_counter()
    first = model.initial()
    # How each state was first reached; a dictionary keeps them in the order of discovery.
    reached_by: dict[_State, tuple[_State, str] | None] = {first: None}
    layer = [first]
    while layer:
        following: list[_State] = []
        for state in layer:
            for what, after, is_stale_allow in model.steps(state):
                if is_stale_allow:
                    trace = (*_trace(reached_by, state), what)
                    return Exploration(len(reached_by), perf_counter() - begun_at, trace)
                if after not in reached_by:
                    reached_by[after] = (state, what)
                    following.append(after)
        if len(reached_by) > states_max:
            message = f"more than {states_max} states: bound the model more narrowly"
            raise TooManyStatesError(message)
        layer = following
    return Exploration(len(reached_by), perf_counter() - begun_at, None)


def _trace(reached_by: dict[_State, tuple[_State, str] | None], state: _State) -> tuple[str, ...]:
    return tuple(reversed(list(_backwards(reached_by, state))))


def _backwards(reached_by: dict[_State, tuple[_State, str] | None], state: _State) -> Iterator[str]:
    link = reached_by[state]
    while link is not None:
        before, what = link
        yield what
        link = reached_by[before]
