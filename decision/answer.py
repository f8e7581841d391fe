"""The answer to a question: one evaluator for every way of asking.

What lives here: `semantics.md`, "The answer for a scope at instant t", over a permission timeline
and the catalog's suspension. Checks, batches, audiences, cards and explanations all end here.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from decision.catalog import Interval
from decision.grants import Basis
from decision.instants import FOREVER, Instant
from decision.intervals import intervals_without
from decision.reasons import Reason, Verdict, verdict_of
from decision.scopes import Scope
from decision.timeline import PermissionTimeline, Segment

_LATER_THAN_ANY_END: Final = FOREVER + 1


class Answer(NamedTuple):
    """The answer for one scope. `not_after` is given only with ALLOW; FOREVER is unbounded."""

    reason: Reason
    not_after: Instant = FOREVER
    basis: Basis | None = None

    @property
    def verdict(self) -> Verdict:
        """ALLOW for the reason ALLOWED, else DENY."""
        return verdict_of(self.reason)

    @property
    def is_allowed(self) -> bool:
        """Whether the answer is ALLOW."""
        return self.reason is Reason.ALLOWED


def answer_scope(
    timeline: PermissionTimeline, suspension: Interval | None, scope: Scope, at: Instant
) -> Answer:
    """Answer for one scope at one instant, in the order of `semantics.md`."""
    if not timeline.is_known:
        return Answer(Reason.UNKNOWN_CUSTOMER)
    next_restriction = FOREVER
    for restriction in timeline.restrictions:
        if at < restriction.end and restriction.selector.matches_scope(scope):
            if restriction.start <= at:
                return Answer(Reason.RESTRICTED)
            next_restriction = min(next_restriction, restriction.start)
    next_suspension = FOREVER
    if suspension is not None and at < suspension.end:
        if suspension.start <= at:
            return Answer(Reason.PARTNER_SUSPENDED)
        next_suspension = suspension.start
    segments = timeline.segments.get(scope, ())
    index = bisect_right(segments, (at, _LATER_THAN_ANY_END)) - 1
    if index < 0 or segments[index].end <= at:
        return Answer(Reason.NO_CONSENT)
    segment = segments[index]
    if segment.reason is not Reason.ALLOWED:
        return Answer(segment.reason)
    not_after = min(_end_of_union(segments, index), next_restriction, next_suspension)
    return Answer(Reason.ALLOWED, not_after, timeline.bases[segment.basis])


def _end_of_union(segments: Sequence[Segment], index: int) -> Instant:
    """Tell until when grants hold without a gap. Segments are adjacent, so a gap is a segment."""
    end = segments[index].end
    for segment in segments[index + 1 :]:
        if segment.reason is not Reason.ALLOWED:
            break
        end = segment.end
    return end


class ShareAnswer(NamedTuple):
    """The answer for a share of several data sets, with one answer for each in the order asked."""

    answers: Sequence[Answer]

    @property
    def reason(self) -> Reason:
        """ALLOWED, or the reason of the first data set that is denied."""
        return next(
            (answer.reason for answer in self.answers if not answer.is_allowed), Reason.ALLOWED
        )

    @property
    def verdict(self) -> Verdict:
        """ALLOW only if every data set is allowed."""
        return verdict_of(self.reason)

    @property
    def is_allowed(self) -> bool:
        """Whether the answer is ALLOW."""
        return self.reason is Reason.ALLOWED

    @property
    def not_after(self) -> Instant:
        """The earliest of the answers' ends. Of meaning only with ALLOW."""
        return min(answer.not_after for answer in self.answers)


def allowed_intervals(
    timeline: PermissionTimeline, suspension: Interval | None, scope: Scope, after: Instant
) -> Sequence[Interval]:
    """Give, in order and joined, the intervals that end after `after` in which `scope` is allowed.

    This is the answer over all instants at once: an interval begins where the answer turns to
    ALLOW and ends at that answer's `not_after`. The first may begin before `after`.
    """
    if not timeline.is_known:
        return []
    allowed = timeline.granted_intervals(scope)
    if suspension is None and not timeline.restrictions:
        if not allowed or allowed[0].end > after:
            return allowed
        return [interval for interval in allowed if interval.end > after]
    denied = [
        Interval(restriction.start, restriction.end)
        for restriction in timeline.restrictions
        if restriction.selector.matches_scope(scope)
    ]
    if suspension is not None:
        denied.append(suspension)
    allowed = intervals_without(allowed, denied)
    return [interval for interval in allowed if interval.end > after]


def allowed_intervals_by_scope(
    timeline: PermissionTimeline, after: Instant
) -> Iterator[tuple[Scope, Sequence[Interval]]]:
    """Give `allowed_intervals` of every scope, suspensions aside."""
    for part in timeline.courses.parting.parts:
        # Scopes that share their segments fare alike, unless a restriction tells them apart.
        if timeline.restrictions:
            for scope in part:
                yield scope, allowed_intervals(timeline, None, scope, after)
        else:
            intervals = allowed_intervals(timeline, None, part[0], after)
            for scope in part:
                yield scope, intervals
