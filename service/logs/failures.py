"""The log of calls that fail because of how we stand, and not of what was asked.

What lives here: which failures are logged beside the refusals of the gate, and their counting. What
callers ask wrongly is told to them alone: it may quote what they sent.
"""

from typing import Final

from decision.errors import ErrorCode, MayweError
from service.access.gate import calling
from service.access.refusals import Refusal, RefusalLog
from service.access.roles import UNIDENTIFIED
from service.metrics.meters import Meters

LOGGED: Final = frozenset(
    {
        ErrorCode.OVERLOADED,
        ErrorCode.SHUTTING_DOWN,
        ErrorCode.STORE_UNAVAILABLE,
        # PostgreSQL hangs, unless callers give too little time.
        ErrorCode.DEADLINE_EXCEEDED,
    }
)
"""What is logged here; an incident is logged where it becomes a status (`service.errors`)."""


class FailureLog:
    """Logs failed calls of one method. Safe to be used by several threads."""

    def __init__(self, method: str, refusals: RefusalLog, meters: Meters) -> None:
        """Log calls of a method, by its full name, in `refusals`, where crowds are put together."""
        self._method = method
        self._refusals = refusals
        self._meters = meters

    def add(self, error: Exception) -> None:
        """Log a call that failed, if it is for us to know; in the thread of the call."""
        if not isinstance(error, MayweError):
            return
        if error.code is ErrorCode.CALLER_LIMIT:
            self._meters.count("maywe_shed_calls_total", "caller")
        elif error.code in LOGGED:
            name = calling() or UNIDENTIFIED
            self._refusals.add(Refusal(name, name, self._method, error.code.name))
