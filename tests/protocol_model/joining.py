"""Reads of PostgreSQL that several checks share.

What lives here: the model of one shared read at a time. A read is open to be joined, then it is
sent and sees what was committed by then, then all who joined it are answered.
"""

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from tests.protocol_model.explorer import Step


class Clause(Enum):
    """What the protocol demands, each to be switched off by itself."""

    SENT_READ_NOT_JOINED = "a later check does not join a read that was already sent"


class State(NamedTuple):
    """Everything. `has_late_check` says that a check after EFFECTIVE waits for the read."""

    is_narrowed: bool = False
    is_effective: bool = False
    is_open: bool = False
    is_sent: bool = False
    has_seen_narrowing: bool = False
    has_late_check: bool = False


class Joining:
    """The model, with some clauses switched off."""

    def __init__(self, *without: Clause) -> None:
        """Take the clauses to switch off."""
        self._off = frozenset(without)

    def initial(self) -> State:
        """No read is under way, and nothing is written."""
        return State()

    def steps(self, state: State) -> Iterator[Step[State]]:
        """Give everything that may happen in a state."""
        if not state.is_narrowed:
            yield Step("the narrowing is committed", state._replace(is_narrowed=True))
        elif not state.is_effective:
            yield Step("the writer answers EFFECTIVE", state._replace(is_effective=True))
        if state.is_sent:
            yield self._answer(state)
            if state.is_effective and Clause.SENT_READ_NOT_JOINED in self._off:
                after = state._replace(has_late_check=True)
                yield Step("a check starts after EFFECTIVE and joins the sent read", after)
        else:
            opened = state._replace(is_open=True, has_late_check=state.is_effective)
            yield Step("a check opens or joins the read that is not sent", opened)
        if state.is_open and not state.is_sent:
            sent = state._replace(is_sent=True, has_seen_narrowing=state.is_narrowed)
            yield Step("the read is sent and sees what is committed", sent)

    def _answer(self, state: State) -> Step[State]:
        is_stale = state.has_late_check and not state.has_seen_narrowing
        done = State(is_narrowed=state.is_narrowed, is_effective=state.is_effective)
        what = "ALLOW" if not state.has_seen_narrowing else "DENY"
        return Step(f"the read is answered: {what} for all", done, is_stale_allow=is_stale)
