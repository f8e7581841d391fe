"""Permission timelines: for each scope, which intervals have which answer as far as grants go.

What lives here: the compact value that is kept ready for questions, and its making out of folded
grants. Cached records hold exactly this. Restrictions stay beside the grants' segments and
suspensions stay in the catalog: `answer` puts the three together.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

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


_Preference: TypeAlias = tuple[Instant, Instant, str, str]
"""Negated end, negated instant of obtaining, event id, consent type: of the grants that hold, the
one that sorts first is the basis (`semantics.md`, basis)."""


def _sweep(grants: Sequence[Grant], covering: Sequence[Covering], bases: _Bases) -> list[Segment]:
    """Walk over the instants at which grants of one scope begin and end.

    Of the grants obtained so far a heap keeps the preferred one on top: it is the one that ends
    last, so when it no longer holds none does, and nothing need ever be removed.
    """
    waiting = [(grants[index].obtained_at, index, ending) for index, ending in covering]
    waiting.sort()
    instants = {obtained_at for obtained_at, _, _ in waiting}
    instants.update(ending.at for _, _, ending in waiting)
    instants.discard(FOREVER)
    boundaries = sorted(instants)
    boundaries.append(FOREVER)
    # Start, reason and basis of each segment; it ends where the next one starts.
    found: list[tuple[Instant, Reason, int]] = []
    if any(obtained_at < ending.at for obtained_at, _, ending in waiting):
        found.append((BEGINNING, Reason.CONSENT_NOT_YET_VALID, NO_BASIS))
    obtained: list[tuple[_Preference, int]] = []
    strongest_end = (BEGINNING, 0, Reason.NO_CONSENT)
    next_waiting = 0
    for start in boundaries[:-1]:
        while next_waiting < len(waiting) and waiting[next_waiting][0] <= start:
            obtained_at, index, (ends_at, cause, _) = waiting[next_waiting]
            grant = grants[index]
            heapq.heappush(
                obtained, ((-ends_at, -obtained_at, grant.event_id, grant.consent_type), index)
            )
            strongest_end = max(strongest_end, (ends_at, STRENGTH_BY_CAUSE[cause], cause))
            next_waiting += 1
        (ends_at_negated, _, _, _), preferred = obtained[0]
        if start < -ends_at_negated:
            answer = (Reason.ALLOWED, bases.number(preferred, -ends_at_negated))
        else:
            answer = (strongest_end[2], NO_BASIS)
        if not found or found[-1][1:] != answer:
            found.append((start, *answer))
    return _adjacent(found)


def _adjacent(found: Sequence[tuple[Instant, Reason, int]]) -> list[Segment]:
    """Give segments each of which ends where the next one starts, and the last never."""
    ends = [start for start, _, _ in found[1:]]
    ends.append(FOREVER)
    return [
        Segment(start, end, reason, basis)
        for (start, reason, basis), end in zip(found, ends, strict=True)
    ]
