"""What a change did to a person's permissions: which scopes gained, which lost.

What lives here: the comparison of two permission timelines from one instant on. It tells whether a
write narrows, what a revocation ended, who gains and loses by a publication, and what watchers see.
"""

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from decision.answer import Answer, allowed_intervals, answer_scope, intervals_without
from decision.catalog import Catalog, Interval
from decision.instants import FOREVER, Instant
from decision.scopes import Scope
from decision.timeline import PermissionTimeline


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
    for scope in sorted({*before.segments, *after.segments}, key=_order):
        old_suspension = before_catalog.suspension_of(scope)
        new_suspension = after_catalog.suspension_of(scope)
        old = _from(at, allowed_intervals(before, old_suspension, scope, at))
        new = _from(at, allowed_intervals(after, new_suspension, scope, at))
        if old != new:
            yield PermissionChange(
                scope,
                _direction(old, new),
                at,
                answer_scope(before, old_suspension, scope, at),
                answer_scope(after, new_suspension, scope, at),
            )


def first_losses(
    before: PermissionTimeline, after: PermissionTimeline, since: Instant
) -> list[Instant]:
    """Tell for each scope that loses something from when on: one instant each, at least `since`.

    Suspensions are left out: a timeline that is kept ready is asked under the newest catalog's, and
    not only under those it was made under. What a suspension takes away is the publication's doing,
    and what one hides for a while can be lost all the same (`design.md`, "No stale ALLOW").
    """
    # Most writes leave most scopes as they are, which is seen sooner than it is worked out.
    is_denied_alike = after.is_known and [*after.restrictions] == [*before.restrictions]
    found = (
        _first_loss(before, after, scope, since)
        for scope in before.segments
        if not is_denied_alike or before.granted_intervals(scope) != after.granted_intervals(scope)
    )
    return [instant for instant in found if instant is not None]


def _first_loss(
    before: PermissionTimeline, after: PermissionTimeline, scope: Scope, since: Instant
) -> Instant | None:
    lost = _from(since, allowed_intervals(before, None, scope, since))
    if not lost:
        return None
    kept = allowed_intervals(after, None, scope, since)
    return min((part.start for part in intervals_without(lost, kept)), default=None)


def next_change_at(timeline: PermissionTimeline, catalog: Catalog, after: Instant) -> Instant:
    """Tell when a permission begins or lapses by itself next after `after`, or FOREVER."""
    instants = [
        instant
        for scope in timeline.segments
        for interval in allowed_intervals(timeline, catalog.suspension_of(scope), scope, after)
        for instant in interval
        if instant > after
    ]
    return min(instants, default=FOREVER)


def lapses_and_beginnings(
    timeline: PermissionTimeline, catalog: Catalog, after: Instant, until: Instant
) -> Iterator[PermissionChange]:
    """Give the changes that time alone brings in `(after, until]`, in order of time."""
    changes = []
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
    return iter(sorted(changes, key=lambda change: (change.at, _order(change.scope))))


def _order(scope: Scope) -> tuple[str, ...]:
    return (scope.kind.value, *scope[1:])


def _from(at: Instant, intervals: list[Interval]) -> list[Interval]:
    """Cut off what lies before `at`: what has passed can not change any more."""
    return [Interval(max(at, interval.start), interval.end) for interval in intervals]


def _direction(old: list[Interval], new: list[Interval]) -> Direction:
    loses = _reaches_outside(old, new)
    gains = _reaches_outside(new, old)
    if loses and gains:
        return Direction.CHANGED
    return Direction.NARROWED if loses else Direction.WIDENED


def _reaches_outside(inner: list[Interval], outer: list[Interval]) -> bool:
    """Tell whether `inner` holds anywhere that `outer` does not."""
    return not all(
        any(wide.start <= interval.start and interval.end <= wide.end for wide in outer)
        for interval in inner
    )
