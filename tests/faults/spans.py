"""Spans of time in a campaign: when it was calm, and when nothing but Redis was broken.

What lives here: what follows from when faults began and healed. All instants are nanoseconds.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from tests.faults.history import FaultBegan, FaultEnded, Phase, Record

SETTLING_NANOSECONDS: Final = 3_000_000_000
"""So long after the last fault has healed everything has to be well again."""

REDIS: Final = "redis"
QUIET: Final = "quiet"
END: Final = "end"


class Span(NamedTuple):
    """From one instant to another."""

    began_at: int
    ended_at: int


class Spans:
    """Spans that do not touch, in order."""

    def __init__(self, spans: Iterable[Span]) -> None:
        """Join what overlaps or touches."""
        joined: list[Span] = []
        for span in sorted(spans):
            if joined and span.began_at <= joined[-1].ended_at:
                joined[-1] = Span(joined[-1].began_at, max(joined[-1].ended_at, span.ended_at))
            elif span.ended_at > span.began_at:
                joined.append(span)
        self.all: Sequence[Span] = joined

    def hold(self, began_at: int, ended_at: int) -> bool:
        """Tell whether a stretch of time lies within one span."""
        place = bisect_right(self.all, began_at, key=lambda span: span.began_at)
        return place > 0 and ended_at <= self.all[place - 1].ended_at

    def without(self, others: "Spans") -> "Spans":
        """Give what is left when other spans are taken out."""
        left: list[Span] = []
        for span in self.all:
            began_at = span.began_at
            for other in others.all:
                if other.ended_at <= began_at or other.began_at >= span.ended_at:
                    continue
                left.append(Span(began_at, other.began_at))
                began_at = max(began_at, other.ended_at)
            left.append(Span(began_at, span.ended_at))
        return Spans(span for span in left if span.ended_at > span.began_at)


class Conditions(NamedTuple):
    """What the faults of a history leave."""

    calm: Spans
    """From so long after a healing until the next fault."""
    redis_outage: Spans
    """While something of Redis is broken or settling, and nothing else."""
    quiet: Spans
    """At the beginning, before any fault."""


def conditions_of(records: Iterable[Record]) -> Conditions:
    """Work out the conditions of a history. A fault that never healed lasts to the end."""
    began: dict[str, FaultBegan] = {}
    ended: dict[str, int] = {}
    phases: list[Phase] = []
    for record in records:
        match record:
            case FaultBegan():
                began[record.fault] = record
            case FaultEnded():
                ended[record.fault] = record.at
            case Phase():
                phases.append(record)
            case _:
                pass
    if not phases:
        return Conditions(Spans([]), Spans([]), Spans([]))
    end = phases[-1].at
    whole = Spans([Span(phases[0].at, end)])
    troubled: dict[bool, list[Span]] = {True: [], False: []}
    for fault in began.values():
        healed_at = ended.get(fault.fault)
        until = end if healed_at is None else healed_at + SETTLING_NANOSECONDS
        troubled[fault.area == REDIS].append(Span(fault.at, until))
    redis, others = Spans(troubled[True]), Spans(troubled[False])
    return Conditions(
        whole.without(redis).without(others),
        redis.without(others),
        Spans(Span(phase.at, after.at) for phase, after in pairwise(phases) if phase.name == QUIET),
    )
