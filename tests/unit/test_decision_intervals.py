"""Sets of instants: joined, and cut out of each other, they hold the instants they should."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from decision.catalog import Interval
from decision.intervals import intervals_without, joined_intervals

INSTANTS = range(30)

intervals = st.lists(st.builds(Interval, st.sampled_from(INSTANTS), st.sampled_from(INSTANTS)))
"""In any order, overlapping, and some of them empty."""


def instants_in(found: Iterable[Interval]) -> set[int]:
    """Every instant that some interval holds."""
    return {at for start, end in found for at in range(start, end)}


def are_apart(found: Sequence[Interval]) -> bool:
    """Tell whether intervals are in order, with a gap between each two, and none is empty."""
    return all(start < end for start, end in found) and all(
        before.end < after.start for before, after in pairwise(found)
    )


@given(intervals)
def test_joined_intervals_hold_the_same_instants_in_as_few_as_can_be(
    given_ones: list[Interval],
) -> None:
    """However they overlap."""
    joined = joined_intervals(given_ones)
    assert instants_in(joined) == instants_in(given_ones)
    assert are_apart(joined)


@given(intervals.map(joined_intervals), intervals)
def test_what_is_left_without_gaps_is_what_they_do_not_hold(
    wide: Sequence[Interval], gaps: list[Interval]
) -> None:
    """Whole, in order and apart."""
    left = intervals_without(wide, gaps)
    assert instants_in(left) == instants_in(wide) - instants_in(gaps)
    assert are_apart(left)
