"""Sets of instants, as intervals: cutting some out of others, and joining them."""

from collections.abc import Iterable, Sequence

from decision.catalog import Interval


def intervals_without(
    intervals: Sequence[Interval], gaps: Iterable[Interval]
) -> Sequence[Interval]:
    """Cut gaps, in any order, out of intervals that are in order and apart; give what is left."""
    apart = joined_intervals(gaps)
    if not apart:
        return intervals
    left: list[Interval] = []
    first = 0
    for start, end in intervals:
        # A gap may reach into the next interval too.
        while first < len(apart) and apart[first].end <= start:
            first += 1
        began_at, place = start, first
        while place < len(apart) and apart[place].start < end:
            if began_at < apart[place].start:
                left.append(Interval(began_at, apart[place].start))
            began_at = apart[place].end
            place += 1
        if began_at < end:
            left.append(Interval(began_at, end))
    return left


def joined_intervals(intervals: Iterable[Interval]) -> Sequence[Interval]:
    """Give intervals in order, of those between which there is no gap one for all; none empty."""
    joined: list[Interval] = []
    for start, end in sorted(intervals):
        if start >= end:
            continue
        if joined and start <= joined[-1].end:
            if joined[-1].end < end:
                joined[-1] = Interval(joined[-1].start, end)
        else:
            joined.append(Interval(start, end))
    return joined
