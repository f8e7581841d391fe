"""Cached records: of what is over they keep little, and of what is to come everything."""

from functools import partial
from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from decision.answer import answer_scope
from decision.grants import Basis
from decision.instants import BEGINNING, FOREVER
from decision.reasons import Reason
from decision.selectors import Selector
from decision.timeline import (
    PermissionTimeline,
    RestrictedInterval,
    Segment,
)
from store import record
from store.record.writing import ENDED_KEPT_MAX
from tests.unit.record_builders import (
    ASKABLE,
    HOUR,
    INSTANTS,
    MADE_AT,
    NUMBERS,
    SCOPES,
    encode,
    selectors,
    timelines,
)


def test_what_ended_long_ago_is_left_out() -> None:
    """A check never asks about the past, so the past takes no room."""
    scope = SCOPES[0]
    ended = Segment(BEGINNING, MADE_AT - 25 * HOUR, Reason.CONSENT_NOT_YET_VALID)
    later = Segment(MADE_AT - 25 * HOUR, FOREVER, Reason.CONSENT_REVOKED)
    timeline = PermissionTimeline(
        is_known=True, segments={scope: [ended, later]}, restrictions=(), bases=()
    )
    assert record.decode(encode(timeline), NUMBERS).timeline.segments == {scope: [later]}


def _bought_each_second(count: int, ended: int) -> PermissionTimeline:
    """Purchases each of which is the basis for a second, so many of them ended by now."""
    starts = [MADE_AT + (place - ended) * 1_000_000 for place in range(count)]
    bases = [Basis(f"{at}", "calls", 1, None, at, FOREVER) for at in starts]
    course = [
        Segment(start, end, Reason.ALLOWED, place)
        for place, (start, end) in enumerate(pairwise([*starts, FOREVER]))
    ]
    return PermissionTimeline(
        is_known=True, segments={SCOPES[0]: course}, restrictions=(), bases=bases
    )


def test_of_what_ended_lately_no_more_is_kept_than_may_still_be_asked_for() -> None:
    """Whoever bought a thousand times today has a record of the size of anybody's."""
    timeline = _bought_each_second(1000, ended=999)
    course = timeline.segments[SCOPES[0]]
    [kept] = record.decode(encode(timeline), NUMBERS).timeline.segments.values()
    assert [(one.start, one.end) for one in kept] == [
        (one.start, one.end) for one in course[-1 - ENDED_KEPT_MAX :]
    ]


def test_whatever_is_yet_to_come_is_kept() -> None:
    """However much it is: nobody writes a record anew when it comes."""
    timeline = _bought_each_second(1000, ended=ENDED_KEPT_MAX)
    [kept] = record.decode(encode(timeline), NUMBERS).timeline.segments.values()
    assert len(kept) == 1000


@given(
    timelines() | st.integers(0, 100).map(partial(_bought_each_second, 100)),
    st.sampled_from([0, 1_000_000, 20_000_000, HOUR, 25 * HOUR, 200 * HOUR]),
)
def test_a_record_that_is_written_again_later_is_what_would_be_written_then(
    timeline: PermissionTimeline, later: int
) -> None:
    """Else every state would seem to be wrong as soon as some of it is over."""
    read = record.decode(encode(timeline), NUMBERS).timeline
    made_at = MADE_AT + later
    assert encode(read, made_at=made_at) == encode(timeline, made_at=made_at)


@given(st.lists(st.tuples(selectors, st.sampled_from(INSTANTS), st.integers(1, 50))))
def test_restrictions_that_overlap_are_kept_as_one(
    restricted: list[tuple[Selector, int, int]],
) -> None:
    """Whoever complained a thousand times is denied by one interval, and no less."""
    restrictions = [
        RestrictedInterval(selector, start, start + hours * HOUR)
        for selector, start, hours in restricted
    ]
    timeline = PermissionTimeline(is_known=True, segments={}, restrictions=restrictions, bases=())
    decoded = record.decode(encode(timeline), NUMBERS).timeline
    for scope in SCOPES:
        for at in ASKABLE:
            assert answer_scope(decoded, None, scope, at) == answer_scope(timeline, None, scope, at)
    for one, other in combinations(decoded.restrictions, 2):
        assert one.selector != other.selector or one.end < other.start or other.end < one.start
