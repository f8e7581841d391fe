"""Permission timelines: for each scope, which intervals have which answer as far as grants go.

What lives here: the compact value that is kept ready for questions, and its making out of folded
grants. Cached records hold exactly this. Restrictions stay beside the grants' segments and
suspensions stay in the catalog: `answer` puts the three together.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from decision.catalog import Interval
from decision.coverings import Covering, covered_alike
from decision.grants import FoldedTimeline, Grant
from decision.instants import BEGINNING, FOREVER, Instant
from decision.products import Product
from decision.reasons import STRENGTH_BY_CAUSE, Reason
from decision.scopes import Scope
from decision.selectors import Selector

NO_BASIS = -1


class Basis(NamedTuple):
    """The grant that an ALLOW rests on; `ends_at` is when the asked scope of it ends."""

    event_id: str
    consent_type: str
    wording_version: int
    product: Product | None
    obtained_at: Instant
    ends_at: Instant
    matrix_row_id: str = ""


class Segment(NamedTuple):
    """The answer of the grants during `[start, end)`; `basis` counts in the timeline's bases."""

    start: Instant
    end: Instant
    reason: Reason
    basis: int = NO_BASIS


class RestrictedInterval(NamedTuple):
    """What is denied during `[start, end)`, never empty."""

    selector: Selector
    start: Instant
    end: Instant


@dataclass(frozen=True, slots=True)
class PermissionTimeline:
    """A person's permissions over all time, under one catalog, but for suspensions.

    `segments` are in order and do not overlap; where none holds, no grant has anything to say.
    """

    is_known: bool
    segments: Mapping[Scope, Sequence[Segment]]
    restrictions: Sequence[RestrictedInterval]
    bases: Sequence[Basis]
    _granted: dict[int, Sequence[Interval]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def granted_intervals(self, scope: Scope) -> Sequence[Interval]:
        """Give, in order and joined, the intervals in which grants allow a scope.

        They are worked out once for all scopes that share their segments.
        """
        segments = self.segments.get(scope, ())
        granted = self._granted.get(id(segments))
        if granted is None:
            granted = self._granted[id(segments)] = _granted_intervals(segments)
        return granted


def _granted_intervals(segments: Iterable[Segment]) -> Sequence[Interval]:
    granted: list[Interval] = []
    for segment in segments:
        if segment.reason is Reason.ALLOWED:
            if granted and granted[-1].end == segment.start:
                granted[-1] = Interval(granted[-1].start, segment.end)
            else:
                granted.append(Interval(segment.start, segment.end))
    return granted


NOBODY = PermissionTimeline(is_known=False, segments={}, restrictions=(), bases=())
"""The timeline of a customer whom nothing names."""


def permission_timeline(folded: FoldedTimeline) -> PermissionTimeline:
    """Turn folded grants into segments by scope (`semantics.md`, answer steps 4 and 5)."""
    bases = _Bases(folded.grants)
    segments: dict[Scope, Sequence[Segment]] = {}
    # Scopes that are covered alike share their segments, which whoever compares relies upon.
    for scopes, covering in covered_alike(folded.grants):
        found = _sweep(folded.grants, covering, bases)
        for scope in scopes:
            segments[scope] = found
    return PermissionTimeline(
        is_known=folded.is_known,
        segments=segments,
        restrictions=tuple(
            RestrictedInterval(restriction.selector, restriction.start, restriction.end)
            for restriction in folded.restrictions
            if restriction.start < restriction.end
        ),
        bases=bases.found,
    )


class _Bases:
    """Numbers the distinct bases in the order in which they are met."""

    def __init__(self, grants: Sequence[Grant]) -> None:
        self._grants = grants
        self._numbers: dict[tuple[int, Instant], int] = {}
        self.found: list[Basis] = []

    def number(self, grant_index: int, ends_at: Instant) -> int:
        number = self._numbers.get((grant_index, ends_at))
        if number is None:
            number = self._numbers[grant_index, ends_at] = len(self.found)
            grant = self._grants[grant_index]
            self.found.append(
                Basis(
                    grant.event_id,
                    grant.consent_type,
                    grant.wording_version,
                    grant.product,
                    grant.obtained_at,
                    ends_at,
                    grant.matrix_row_id,
                )
            )
        return number


class _Preference(NamedTuple):
    """Of the grants that hold, the one that sorts first is the basis (`semantics.md`, basis)."""

    ends_at_negated: Instant
    obtained_at_negated: Instant
    event_id: str
    consent_type: str


def _sweep(grants: Sequence[Grant], covering: Sequence[Covering], bases: _Bases) -> list[Segment]:
    """Walk over the instants at which grants of one scope begin and end.

    Of the grants obtained so far a heap keeps the preferred one on top: it is the one that ends
    last, so when it no longer holds none does, and nothing need ever be removed.
    """
    ends_at = {index: ending.at for index, ending in covering}
    waiting = sorted(covering, key=lambda one: grants[one.grant_index].obtained_at)
    instants = {grants[index].obtained_at for index in ends_at}
    instants.update(ends_at.values())
    instants.discard(FOREVER)
    boundaries = [*sorted(instants), FOREVER]
    segments: list[Segment] = []
    if any(grants[index].obtained_at < end for index, end in ends_at.items()):
        segments.append(Segment(BEGINNING, boundaries[0], Reason.CONSENT_NOT_YET_VALID))
    obtained: list[tuple[_Preference, int]] = []
    strongest_end = (BEGINNING, 0, Reason.NO_CONSENT)
    next_waiting = 0
    for start, end in pairwise(boundaries):
        while next_waiting < len(waiting):
            index, ending = waiting[next_waiting]
            grant = grants[index]
            if grant.obtained_at > start:
                break
            preference = _Preference(
                -ending.at, -grant.obtained_at, grant.event_id, grant.consent_type
            )
            heapq.heappush(obtained, (preference, index))
            strongest_end = max(
                strongest_end, (ending.at, STRENGTH_BY_CAUSE[ending.cause], ending.cause)
            )
            next_waiting += 1
        preferred = obtained[0][1]
        if start < ends_at[preferred]:
            basis = bases.number(preferred, ends_at[preferred])
            segment = Segment(start, end, Reason.ALLOWED, basis)
        else:
            segment = Segment(start, end, strongest_end[2])
        _append(segments, segment)
    return segments


def _append(segments: list[Segment], segment: Segment) -> None:
    """Append a segment, or lengthen the last one where the answer is the same."""
    if segments and segments[-1][2:] == segment[2:]:
        segments[-1] = segments[-1]._replace(end=segment.end)
    else:
        segments.append(segment)
