"""Permission timelines: for each scope, which intervals have which answer as far as grants go.

What lives here: the compact value that is kept ready for questions, and its making out of folded
grants. Cached records hold exactly this. Restrictions stay beside the grants' segments and
suspensions stay in the catalog: `answer` puts the three together.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from decision.catalog import Interval
from decision.coverings import Covering, covered_alike
from decision.grants import Basis, FoldedTimeline, Grant
from decision.instants import BEGINNING, FOREVER, Instant
from decision.intervals import joined_intervals
from decision.partings import Parting, parting_of
from decision.reasons import STRENGTH_BY_CAUSE, Reason
from decision.scopes import Scope
from decision.selectors import Selector

NO_BASIS = -1

NO_PLACE: Final = -1
"""The place of a scope that no part of a parting has."""


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


def joined_restrictions(
    restrictions: Iterable[RestrictedInterval], after: Instant
) -> Mapping[Selector, Sequence[Interval]]:
    """Give by selector, in order, what ends after `after`; intervals without a gap are one.

    Joined before the others are left out, so that leaving out more of it later gives the same.
    """
    by_selector: dict[Selector, list[Interval]] = {}
    for selector, start, end in restrictions:
        by_selector.setdefault(selector, []).append(Interval(start, end))
    joined = {
        selector: [one for one in joined_intervals(intervals) if one.end > after]
        for selector, intervals in by_selector.items()
    }
    return {selector: intervals for selector, intervals in joined.items() if intervals}


class Courses(Mapping[Scope, Sequence[Segment]]):
    """The segments of every scope; scopes of one part share a course of them.

    Whoever works something out for all scopes does it once for each course.
    """

    __slots__ = ("_granted", "courses", "parting")

    def __init__(self, parting: Parting, courses: Sequence[Sequence[Segment]]) -> None:
        """Take a course for each part of the parting."""
        self.parting = parting
        self.courses = courses
        self._granted: Sequence[Sequence[Interval]] = ()

    @classmethod
    def of(cls, segments: Mapping[Scope, Sequence[Segment]]) -> "Courses":
        """Give the courses of segments: those that are one object are one course."""
        if isinstance(segments, cls):
            return segments
        scopes: dict[int, list[Scope]] = {}
        courses: dict[int, Sequence[Segment]] = {}
        for scope, course in segments.items():
            scopes.setdefault(id(course), []).append(scope)
            courses[id(course)] = course
        return cls(parting_of(scopes.values()), list(courses.values()))

    @property
    def granted(self) -> Sequence[Sequence[Interval]]:
        """Give by part, in order and joined, the intervals in which grants allow its scopes.

        Behind them stand the intervals of scopes without a part, that is none: see `NO_PLACE`.
        """
        if not self._granted:
            self._granted = [*map(granted_intervals, self.courses), []]
        return self._granted

    def __getitem__(self, scope: Scope) -> Sequence[Segment]:
        return self.courses[self.parting.places[scope]]

    def __iter__(self) -> Iterator[Scope]:
        return iter(self.parting.places)

    def __len__(self) -> int:
        return len(self.parting.places)


@dataclass(slots=True)
class PermissionTimeline:
    """A person's permissions over all time, under one catalog, but for suspensions.

    `segments` are in order and do not overlap; where none holds, no grant has anything to say.
    Nobody changes one; that is not enforced because every check makes one, in a third of the time.
    """

    is_known: bool
    segments: Mapping[Scope, Sequence[Segment]]
    restrictions: Sequence[RestrictedInterval]
    bases: Sequence[Basis]
    _courses: Courses | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def courses(self) -> Courses:
        """The segments, worked out once for all scopes that share them."""
        if type(self.segments) is Courses:
            return self.segments
        if self._courses is None:
            self._courses = Courses.of(self.segments)
        return self._courses

    def granted_intervals(self, scope: Scope) -> Sequence[Interval]:
        """Give, in order and joined, the intervals in which grants allow a scope."""
        courses = self.courses
        return courses.granted[courses.parting.places.get(scope, NO_PLACE)]


def granted_intervals(segments: Iterable[Segment]) -> Sequence[Interval]:
    """Give, in order and joined, the intervals in which segments allow."""
    granted: list[Interval] = []
    began_at = ended_at = None
    for start, end, reason, _ in segments:
        if reason is not _ALLOWED:
            continue
        if start != ended_at:
            if began_at is not None and ended_at is not None:
                granted.append(Interval(began_at, ended_at))
            began_at = start
        ended_at = end
    if began_at is not None and ended_at is not None:
        granted.append(Interval(began_at, ended_at))
    return granted


_ALLOWED: Final = Reason.ALLOWED
"""Looked up once: a member of an enumeration is sought every time."""


NOBODY = PermissionTimeline(is_known=False, segments={}, restrictions=(), bases=())
"""The timeline of a customer whom nothing names."""


def permission_timeline(folded: FoldedTimeline) -> PermissionTimeline:
    """Turn folded grants into segments by scope (`semantics.md`, answer steps 4 and 5)."""
    bases = _Bases(folded.grants)
    parting, coverings = covered_alike(folded.grants)
    return PermissionTimeline(
        is_known=folded.is_known,
        segments=Courses(
            parting, [_course(folded.grants, covering, bases) for covering in coverings]
        ),
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
        # Of grants as a whole by their index, of scopes that end apart by their end as well.
        self._numbers = [NO_BASIS] * len(grants)
        self._numbers_apart: dict[tuple[int, Instant], int] = {}
        self.found: list[Basis] = []

    def number(self, grant_index: int, ends_at: Instant) -> int:
        basis = self._grants[grant_index].basis
        if basis.ends_at == ends_at:
            number = self._numbers[grant_index]
            if number == NO_BASIS:
                number = self._numbers[grant_index] = len(self.found)
                self.found.append(basis)
            return number
        number = self._numbers_apart.setdefault((grant_index, ends_at), len(self.found))
        if number == len(self.found):
            self.found.append(basis._replace(ends_at=ends_at))
        return number


def _course(grants: Sequence[Grant], covering: list[Covering], bases: _Bases) -> Sequence[Segment]:
    """Give the segments of scopes that `covering` covers."""
    covering.sort()
    if _succeed_each_other(covering):
        return _walk(covering, bases)
    return _sweep(grants, covering, bases)


def _succeed_each_other(covering: Sequence[Covering]) -> bool:
    """Tell whether grants, in order, begin one after the other and none ends before the last did.

    Then whichever was obtained last is the basis for as long as any holds. Nearly all are so.
    """
    last_obtained_at = last_ends_at = BEGINNING
    for obtained_at, _, ends_at, _ in covering:
        if not last_obtained_at < obtained_at < ends_at:
            return False
        # Of what ends at the same instant the cause counts; but what is open has no end.
        if not last_ends_at < ends_at and ends_at != FOREVER:
            return False
        last_obtained_at, last_ends_at = obtained_at, ends_at
    return True


def _walk(covering: Sequence[Covering], bases: _Bases) -> Sequence[Segment]:
    """Give the segments of grants that succeed each other, as `_sweep` would."""
    segments: list[Segment] = []
    start, end, reason, basis = BEGINNING, covering[0][0], Reason.CONSENT_NOT_YET_VALID, NO_BASIS
    cause = reason
    for obtained_at, index, ends_at, ended_by in covering:
        if end < obtained_at:
            segments.append(Segment(start, end, reason, basis))
            start, reason, basis = end, cause, NO_BASIS
        segments.append(Segment(start, obtained_at, reason, basis))
        start, end, reason, cause = obtained_at, ends_at, Reason.ALLOWED, ended_by
        basis = bases.number(index, ends_at)
    segments.append(Segment(start, end, reason, basis))
    if end != FOREVER:
        segments.append(Segment(end, FOREVER, cause, NO_BASIS))
    return segments


_Preference: TypeAlias = tuple[Instant, Instant, str, str]
"""Negated end, negated instant of obtaining, event id, consent type: of the grants that hold, the
one that sorts first is the basis (`semantics.md`, basis)."""


def _sweep(
    grants: Sequence[Grant], covering: Sequence[Covering], bases: _Bases
) -> Sequence[Segment]:
    """Walk over the instants at which grants of one scope, in order, begin and end.

    The preferred one of the grants obtained so far is the one that ends last: when it no longer
    holds none does. So no other need be remembered.
    """
    instants = {obtained_at for obtained_at, _, _, _ in covering}
    instants.update(ends_at for _, _, ends_at, _ in covering)
    instants.discard(FOREVER)
    # Start, reason and basis of each segment; it ends where the next one starts.
    found: list[tuple[Instant, Reason, int]] = []
    last: tuple[Reason, int] | None = None
    if any(obtained_at < ends_at for obtained_at, _, ends_at, _ in covering):
        last = (Reason.CONSENT_NOT_YET_VALID, NO_BASIS)
        found.append((BEGINNING, *last))
    preferred: tuple[_Preference, int] | None = None
    holds_until = BEGINNING
    strongest_end = (BEGINNING, 0, Reason.NO_CONSENT)
    next_waiting, covering_count = 0, len(covering)
    for start in sorted(instants):
        while next_waiting < covering_count and covering[next_waiting][0] <= start:
            obtained_at, index, ends_at, ended_by = covering[next_waiting]
            basis = grants[index].basis
            candidate = ((-ends_at, -obtained_at, basis.event_id, basis.consent_type), index)
            if preferred is None or candidate < preferred:
                preferred, holds_until = candidate, ends_at
            strongest_end = max(strongest_end, (ends_at, STRENGTH_BY_CAUSE[ended_by], ended_by))
            next_waiting += 1
        if start < holds_until and preferred is not None:
            answer = (Reason.ALLOWED, bases.number(preferred[1], holds_until))
        else:
            answer = (strongest_end[2], NO_BASIS)
        if answer != last:
            found.append((start, *answer))
            last = answer
    return _adjacent(found)


def _adjacent(found: Sequence[tuple[Instant, Reason, int]]) -> Sequence[Segment]:
    """Give segments each of which ends where the next one starts, and the last never."""
    segments: list[Segment] = []
    end = FOREVER
    for start, reason, basis in reversed(found):
        segments.append(Segment(start, end, reason, basis))
        end = start
    segments.reverse()
    return segments
