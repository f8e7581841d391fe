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
from decision.grants import FoldedTimeline, Grant
from decision.instants import BEGINNING, FOREVER, Instant
from decision.partings import Parting, parting_of
from decision.products import Product
from decision.reasons import STRENGTH_BY_CAUSE, Reason
from decision.scopes import Scope
from decision.selectors import Selector

NO_BASIS = -1

NO_PLACE: Final = -1
"""The place of a scope that no part of a parting has."""


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


@dataclass(frozen=True, slots=True)
class PermissionTimeline:
    """A person's permissions over all time, under one catalog, but for suspensions.

    `segments` are in order and do not overlap; where none holds, no grant has anything to say.
    """

    is_known: bool
    segments: Mapping[Scope, Sequence[Segment]]
    restrictions: Sequence[RestrictedInterval]
    bases: Sequence[Basis]
    _courses: list[Courses] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def courses(self) -> Courses:
        """The segments, worked out once for all scopes that share them."""
        if type(self.segments) is Courses:
            return self.segments
        if not self._courses:
            self._courses.append(Courses.of(self.segments))
        return self._courses[0]

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
            parting, [_sweep(folded.grants, covering, bases) for covering in coverings]
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

    The preferred one of the grants obtained so far is the one that ends last: when it no longer
    holds none does. So no other need be remembered.
    """
    if len(covering) == 1:
        return _segments_of_one(grants, covering[0], bases)
    waiting = [(grants[index].obtained_at, index, ending) for index, ending in covering]
    waiting.sort()
    instants = {obtained_at for obtained_at, _, _ in waiting}
    instants.update(ending.at for _, _, ending in waiting)
    instants.discard(FOREVER)
    # Start, reason and basis of each segment; it ends where the next one starts.
    found: list[tuple[Instant, Reason, int]] = []
    last: tuple[Reason, int] | None = None
    if any(obtained_at < ending.at for obtained_at, _, ending in waiting):
        last = (Reason.CONSENT_NOT_YET_VALID, NO_BASIS)
        found.append((BEGINNING, *last))
    preferred: tuple[_Preference, int] | None = None
    ends_at = BEGINNING
    strongest_end = (BEGINNING, 0, Reason.NO_CONSENT)
    next_waiting, waiting_count = 0, len(waiting)
    for start in sorted(instants):
        while next_waiting < waiting_count and waiting[next_waiting][0] <= start:
            obtained_at, index, (end, cause, _) = waiting[next_waiting]
            grant = grants[index]
            candidate = ((-end, -obtained_at, grant.event_id, grant.consent_type), index)
            if preferred is None or candidate < preferred:
                preferred, ends_at = candidate, end
            strongest_end = max(strongest_end, (end, STRENGTH_BY_CAUSE[cause], cause))
            next_waiting += 1
        if start < ends_at and preferred is not None:
            answer = (Reason.ALLOWED, bases.number(preferred[1], ends_at))
        else:
            answer = (strongest_end[2], NO_BASIS)
        if answer != last:
            found.append((start, *answer))
            last = answer
    return _adjacent(found)


def _segments_of_one(grants: Sequence[Grant], covering: Covering, bases: _Bases) -> list[Segment]:
    """Give the segments of a scope that one grant covers, as `_sweep` would."""
    index, (end, cause, _) = covering
    start = grants[index].obtained_at
    if start == end:
        return [Segment(start, FOREVER, cause, NO_BASIS)]
    segments = [
        Segment(BEGINNING, start, Reason.CONSENT_NOT_YET_VALID, NO_BASIS),
        Segment(start, end, Reason.ALLOWED, bases.number(index, end)),
    ]
    if end != FOREVER:
        segments.append(Segment(end, FOREVER, cause, NO_BASIS))
    return segments


def _adjacent(found: Sequence[tuple[Instant, Reason, int]]) -> list[Segment]:
    """Give segments each of which ends where the next one starts, and the last never."""
    segments: list[Segment] = []
    end = FOREVER
    for start, reason, basis in reversed(found):
        segments.append(Segment(start, end, reason, basis))
        end = start
    segments.reverse()
    return segments
