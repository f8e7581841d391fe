"""What a change did to a person's permissions: which scopes gained, which lost.

What lives here: the comparison of two permission timelines from one instant on. It tells whether a
write narrows, what a revocation ended, who gains and loses by a publication, and what watchers see.
"""

from collections.abc import Iterator, Sequence
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from decision.answer import Answer, allowed_intervals, answer_scope
from decision.catalog import Catalog, Interval
from decision.instants import FOREVER, Instant
from decision.intervals import intervals_without
from decision.partings import PARTINGS_KEPT_MAX, Parting
from decision.reasons import Reason
from decision.scopes import Scope
from decision.timeline import NO_PLACE, PermissionTimeline, joined_restrictions


class Direction(Enum):
    """Whether a change takes permission away, gives it, or does both at different instants."""

    NARROWED = "NARROWED"
    WIDENED = "WIDENED"
    CHANGED = "CHANGED"


class PermissionChange(NamedTuple):
    """How the permission of one scope changed, with the answers before and after at `at`."""

    scope: Scope
    direction: Direction
    at: Instant
    before: Answer
    after: Answer


def permission_changes(
    before: PermissionTimeline,
    before_catalog: Catalog,
    after: PermissionTimeline,
    after_catalog: Catalog,
    at: Instant,
) -> Iterator[PermissionChange]:
    """Compare what is allowed from `at` on, scope by scope, in a stable order."""
    comparing = _comparing_timelines(
        before, after, before_catalog.suspensions, after_catalog.suspensions
    )
    if before.is_known:
        differences = {
            place: _difference(before, after, comparing.representatives[place], at, old, new)
            for place, old, new in _compared_otherwise(before, after, comparing, at)
        }
    else:
        # Nothing was allowed, so whatever is allowed now is more.
        differences = {
            place: _Difference(
                Direction.WIDENED,
                _OF_NOBODY,
                answer_scope(after, compared.new_suspension, compared.scope, at),
            )
            for place, compared in enumerate(comparing.representatives)
            if allowed_intervals(after, compared.new_suspension, compared.scope, at)
        }
    if differences:
        for scope, place in comparing.scopes:
            difference = differences.get(place)
            if difference is not None:
                direction, answer_before, answer_after = difference
                yield PermissionChange(scope, direction, at, answer_before, answer_after)


_Suspensions: TypeAlias = tuple[tuple[str, Interval], ...]


class _Compared(NamedTuple):
    """A scope that is compared, the places of its courses, and its suspensions."""

    scope: Scope
    old_place: int
    new_place: int
    old_suspension: Interval | None
    new_suspension: Interval | None


class _Comparing(NamedTuple):
    """Which scopes are compared: one of those that fare alike, for all of them.

    `scopes` are in order, with the place of whoever represents them among `representatives`.
    """

    representatives: Sequence[_Compared]
    scopes: Sequence[tuple[Scope, int]]


def _comparing_timelines(
    before: PermissionTimeline,
    after: PermissionTimeline,
    old_suspensions: _Suspensions,
    new_suspensions: _Suspensions,
) -> _Comparing:
    return _comparing(
        before.courses.parting,
        after.courses.parting,
        old_suspensions,
        new_suspensions,
        # Restrictions tell scopes apart that share their segments.
        bool(before.restrictions or after.restrictions),
    )


@lru_cache(PARTINGS_KEPT_MAX)
def _comparing(
    before: Parting,
    after: Parting,
    old_suspensions: _Suspensions,
    new_suspensions: _Suspensions,
    each_by_itself: bool,  # noqa: FBT001 - a cache takes keywords for longer
) -> _Comparing:
    old, new = dict(old_suspensions), dict(new_suspensions)
    numbers: dict[object, int] = {}
    representatives: list[_Compared] = []
    scopes: list[tuple[Scope, int]] = []
    for scope in sorted({**before.places, **after.places}):
        compared = _Compared(
            scope,
            before.places.get(scope, NO_PLACE),
            after.places.get(scope, NO_PLACE),
            old.get(scope.partner),
            new.get(scope.partner),
        )
        number = numbers.setdefault(scope if each_by_itself else compared[1:], len(numbers))
        if number == len(representatives):
            representatives.append(compared)
        scopes.append((scope, number))
    return _Comparing(representatives, scopes)


def _compared_otherwise(
    before: PermissionTimeline, after: PermissionTimeline, comparing: _Comparing, since: Instant
) -> Iterator[tuple[int, Sequence[Interval], Sequence[Interval]]]:
    """Give the places of representatives that differ in what is allowed from `since` on, and both.

    Most writes leave most scopes as they are, which is seen sooner than it is worked out: where two
    timelines are denied alike, they differ in what grants or suspensions allow only.
    """
    are_denied_alike = before.is_known == after.is_known and (
        not (before.restrictions or after.restrictions)
        or joined_restrictions(before.restrictions, since)
        == joined_restrictions(after.restrictions, since)
    )
    granted_before, granted_after = before.courses.granted, after.courses.granted
    for place, compared in enumerate(comparing.representatives):
        scope, old_place, new_place, old_suspension, new_suspension = compared
        if (
            are_denied_alike
            and granted_before[old_place] == granted_after[new_place]
            and old_suspension == new_suspension
        ):
            continue
        old = _from(since, allowed_intervals(before, old_suspension, scope, since))
        new = _from(since, allowed_intervals(after, new_suspension, scope, since))
        if old != new:
            yield place, old, new


class AllowedOtherwise(NamedTuple):
    """A scope of which something else is allowed from an instant on than before.

    `before` is what was, cut off at that instant; `after` are the whole intervals that end later.
    """

    scope: Scope
    before: Sequence[Interval]
    after: Sequence[Interval]


def allowed_otherwise(
    before: PermissionTimeline, after: PermissionTimeline, since: Instant
) -> Iterator[AllowedOtherwise]:
    """Give the scopes of which something else is allowed from `since` on, suspensions aside."""
    comparing = _comparing_timelines(before, after, (), ())
    others = {
        place: (old, allowed_intervals(after, None, comparing.representatives[place].scope, since))
        for place, old, _ in _compared_otherwise(before, after, comparing, since)
    }
    if others:
        for scope, place in comparing.scopes:
            found = others.get(place)
            if found is not None:
                yield AllowedOtherwise(scope, *found)


_OF_NOBODY: Final = Answer(Reason.UNKNOWN_CUSTOMER)
"""The answer as long as a customer is unknown."""


class _Difference(NamedTuple):
    direction: Direction
    before: Answer
    after: Answer


def _difference(
    before: PermissionTimeline,
    after: PermissionTimeline,
    compared: _Compared,
    at: Instant,
    old: Sequence[Interval],
    new: Sequence[Interval],
) -> _Difference:
    return _Difference(
        _direction(old, new),
        answer_scope(before, compared.old_suspension, compared.scope, at),
        answer_scope(after, compared.new_suspension, compared.scope, at),
    )


def first_losses(
    before: PermissionTimeline, after: PermissionTimeline, since: Instant
) -> list[Instant]:
    """Tell from when on scopes lose something: one instant each, at least `since`.

    Scopes that fare alike are told of once.

    Suspensions are left out: a timeline that is kept ready is asked under the newest catalog's, and
    not only under those it was made under. What a suspension takes away is the publication's doing,
    and what one hides for a while can be lost all the same (`design.md`, "No stale ALLOW").
    """
    comparing = _comparing_timelines(before, after, (), ())
    return [
        lost[0].start
        for _, old, new in _compared_otherwise(before, after, comparing, since)
        if (lost := intervals_without(old, new))
    ]


def next_change_at(timeline: PermissionTimeline, catalog: Catalog, after: Instant) -> Instant:
    """Tell when a permission begins or lapses by itself next after `after`, or FOREVER."""
    suspensions = catalog.suspensions
    comparing = _comparing_timelines(timeline, timeline, suspensions, suspensions)
    is_plain = timeline.is_known and not timeline.restrictions
    granted = timeline.courses.granted
    found = FOREVER
    for scope, place, _, suspension, _ in comparing.representatives:
        intervals = (
            granted[place]
            if is_plain and suspension is None
            else allowed_intervals(timeline, suspension, scope, after)
        )
        # They are in order: of those that end later the first has whatever comes next.
        for start, end in intervals:
            if end > after:
                found = min(found, start if start > after else end)
                break
    return found


def lapses_and_beginnings(
    timeline: PermissionTimeline, catalog: Catalog, after: Instant, until: Instant
) -> Iterator[PermissionChange]:
    """Give the changes that time alone brings in `(after, until]`, in order of time."""
    changes: list[PermissionChange] = []
    if next_change_at(timeline, catalog, after) > until:
        return iter(changes)
    for scope in timeline.segments:
        suspension = catalog.suspension_of(scope)
        for interval in allowed_intervals(timeline, suspension, scope, after):
            for instant, direction in (
                (interval.start, Direction.WIDENED),
                (interval.end, Direction.NARROWED),
            ):
                if after < instant <= until:
                    changes.append(
                        PermissionChange(
                            scope,
                            direction,
                            instant,
                            answer_scope(timeline, suspension, scope, instant - 1),
                            answer_scope(timeline, suspension, scope, instant),
                        )
                    )
    return iter(sorted(changes, key=lambda change: (change.at, change.scope)))


def _from(at: Instant, intervals: Sequence[Interval]) -> Sequence[Interval]:
    """Cut off what lies before `at`: what has passed can not change any more.

    The intervals are in order and end later, so that none but the first can begin before it.
    """
    if not intervals or intervals[0].start >= at:
        return intervals
    return [Interval(at, intervals[0].end), *intervals[1:]]


def _direction(old: Sequence[Interval], new: Sequence[Interval]) -> Direction:
    loses = _reaches_outside(old, new)
    gains = _reaches_outside(new, old)
    if loses and gains:
        return Direction.CHANGED
    return Direction.NARROWED if loses else Direction.WIDENED


def _reaches_outside(inner: Sequence[Interval], outer: Sequence[Interval]) -> bool:
    """Tell whether `inner` holds anywhere that `outer` does not."""
    for start, end in inner:
        for wide_start, wide_end in outer:
            if wide_start <= start and end <= wide_end:
                break
        else:
            return True
    return False
