"""Reading a cached record one by one: all of it, or what single answers need."""

import struct
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Final, NamedTuple, overload

from decision.instants import BEGINNING, FOREVER, Instant
from decision.partings import PARTINGS_KEPT_MAX, Parting, parting_of
from decision.reasons import Reason
from decision.scopes import Scope
from decision.timeline import (
    NO_BASIS,
    Basis,
    Courses,
    PermissionTimeline,
    RestrictedInterval,
    Segment,
)
from store.code_numbers import (
    CodeNumbers,
    Selection,
    wide_scope_number,
)
from store.record.bases import Place, decode_basis
from store.record.layout import (
    FLAG_KNOWN,
    FLAGS_END,
    HEADER,
    LAST_SPAN,
    LAYOUTS,
    MICROSECONDS_PER_SECOND,
    NARROW,
    OLDER_FORMATS,
    SECOND_BYTES,
    Layout,
    Parts,
    parts_of,
)

_REASONS: Final = {reason.value: reason for reason in Reason}
_DAMAGED: Final = "a cached record is damaged"
_NUMBERS_OF_SPAN: Final = 4


class Header(NamedTuple):
    """What a record says about itself."""

    is_known: bool
    epoch: int
    incarnation: int
    version: int
    publication: int


class Record(NamedTuple):
    """A record's header and as much of its timeline as was asked for."""

    header: Header
    timeline: PermissionTimeline


def content_of(record: bytes) -> bytes:
    """Give what a record says, without its header's version, publication and stamp.

    Two records with the same content answer every question alike.
    """
    return record[:FLAGS_END] + record[HEADER.size :]


def decode_header(record: bytes) -> Header:
    """Read the header, also of the older formats. Raises ValueError for anything else."""
    if len(record) < HEADER.size or (record[0] not in LAYOUTS and record[0] not in OLDER_FORMATS):
        message = "not a cached record of a known format"
        raise ValueError(message)
    _, flags, _, epoch, incarnation, version, publication = HEADER.unpack_from(record)
    return Header(bool(flags & FLAG_KNOWN), epoch, incarnation, version, publication)


def decode(record: bytes, numbers: CodeNumbers, selection: Selection | None = None) -> Record:
    """Read a record: all of it, or what `numbers` has selected for some scopes.

    Raises ValueError when the bytes are damaged or of an older format, and KeyError when they name
    a code that `numbers` does not know, that is when a newer catalog is needed.
    """
    header = decode_header(record)
    layout = LAYOUTS.get(record[0])
    if layout is None:
        message = "a cached record of a format that is not read any more"
        raise ValueError(message)
    reader = _Reader(record, layout, numbers)
    try:
        segments = reader.segments(selection)
        restrictions = reader.restrictions(selection)
    except IndexError as error:
        raise ValueError(_DAMAGED) from error
    return Record(header, PermissionTimeline(header.is_known, segments, restrictions, reader.bases))


class _Reader:
    """Reads one record. Bases are read as they are met, and numbered anew."""

    def __init__(self, record: bytes, layout: Layout, numbers: CodeNumbers) -> None:
        self._record = record
        self._layout = layout
        self._numbers = numbers
        self._parts = parts_of(record, layout)
        self._instants = _instants_of(record, self._parts)
        self._basis_numbers: dict[int, int] = {layout.no_basis_index: NO_BASIS}
        self.bases: list[Basis] = []

    def segments(self, selection: Selection | None) -> dict[Scope, Sequence[Segment]]:
        """Give the segments of the selected scopes, or of every scope."""
        layout, parts, numbers = self._layout, self._parts, self._numbers
        is_narrow = layout is NARROW
        wanted = None
        if selection is not None:
            wanted = selection.narrow_scopes if is_narrow else selection.scopes
        count = parts.cell_count
        scopes = struct.unpack_from(f"<{count}{layout.scope_letter}", self._record, parts.scopes_at)
        first_spans = struct.unpack_from(
            f"<{count}{layout.index_letter}", self._record, parts.courses_at
        )
        courses: dict[int, list[Segment]] = {}
        segments: dict[Scope, Sequence[Segment]] = {}
        for number, first in zip(scopes, first_spans, strict=True):
            if wanted is None:
                scope = numbers.scope(wide_scope_number(number) if is_narrow else number)
            elif number in wanted:
                scope = wanted[number]
            else:
                continue
            if first not in courses:
                courses[first] = self._read_course(first)
            # Scopes of one course share their segments.
            segments[scope] = courses[first]
        return segments

    def restrictions(self, selection: Selection | None) -> list[RestrictedInterval]:
        """Give the restrictions that match any of the selected scopes, or all."""
        parts = self._parts
        if not parts.pattern_count:
            return []
        patterns = struct.unpack_from(f"<{parts.pattern_count}Q", self._record, parts.patterns_at)
        bounds = self._layout.bounds.iter_unpack(self._record[parts.bounds_at : parts.courses_at])
        return [
            RestrictedInterval(
                self._numbers.selector(pattern), self._instants[start], self._instants[end]
            )
            for pattern, (start, end) in zip(patterns, bounds, strict=True)
            if selection is None or pattern in selection.patterns
        ]

    def _read_course(self, first: int) -> list[Segment]:
        span, instants = self._layout.span, self._instants
        course: list[Segment] = []
        for at in range(
            self._parts.spans_at + first * span.size, self._parts.patterns_at, span.size
        ):
            start, end, basis, reason = span.unpack_from(self._record, at)
            course.append(
                Segment(
                    instants[start],
                    instants[end],
                    _REASONS[reason & ~LAST_SPAN],
                    self._basis(basis),
                )
            )
            if reason & LAST_SPAN:
                return course
        raise ValueError(_DAMAGED)

    def _basis(self, index: int) -> int:
        number = self._basis_numbers.get(index)
        if number is None:
            number = self._basis_numbers[index] = len(self.bases)
            self.bases.append(
                _basis_at(
                    self._record, index, self._parts, self._instants, self._numbers, self._layout
                )
            )
        return number


def read_basis(record: bytes, index: int, numbers: CodeNumbers) -> Basis:
    """Read one basis of a narrow record. Raises ValueError when it is damaged, and KeyError."""
    parts = parts_of(record, NARROW)
    return _basis_at(record, index, parts, _instants_of(record, parts), numbers, NARROW)


def _basis_at(
    record: bytes,
    index: int,
    parts: Parts,
    instants: tuple[Instant, ...],
    numbers: CodeNumbers,
    layout: Layout,
) -> Basis:
    """Read one basis. Raises ValueError when it is damaged, KeyError for an unknown number."""
    if index >= parts.basis_count:
        raise ValueError(_DAMAGED)
    place = Place(parts.bases_at + index * layout.basis.size, parts.occasions_at)
    return decode_basis(record, place, instants, numbers, layout)


def _instants_of(record: bytes, parts: Parts) -> tuple[Instant, ...]:
    if parts.instant_bytes == SECOND_BYTES:
        seconds = struct.unpack_from(f"<{parts.instant_count}I", record, parts.instants_at)
        return (BEGINNING, FOREVER, *[second * MICROSECONDS_PER_SECOND for second in seconds])
    kept = struct.unpack_from(f"<{parts.instant_count}q", record, parts.instants_at)
    return (BEGINNING, FOREVER, *kept)


def decode_for_comparing(record: bytes, numbers: CodeNumbers) -> PermissionTimeline:
    """Read the timeline of a whole record as `decode` does, but each basis when it is asked for.

    Comparisons ask for hardly any. Raises ValueError and KeyError as `decode` does; of a basis that
    is damaged not before it is asked for.
    """
    header = decode_header(record)
    layout = LAYOUTS.get(record[0])
    if layout is None:
        message = "a cached record of a format that is not read any more"
        raise ValueError(message)
    parts = parts_of(record, layout)
    instants = _instants_of(record, parts)
    parting, firsts = _parting_of(
        record[parts.scopes_at : parts.spans_at],
        record[parts.courses_at : parts.bases_at],
        layout,
        numbers,
    )
    span_count = (parts.patterns_at - parts.spans_at) // layout.span.size
    spans = struct.unpack_from(
        f"<{span_count * _NUMBERS_OF_SPAN}{layout.index_letter}", record, parts.spans_at
    )
    try:
        courses = [_course_at(spans, first, instants, layout) for first in firsts]
        restrictions = (
            _Reader(record, layout, numbers).restrictions(None) if parts.pattern_count else ()
        )
    except IndexError as error:
        raise ValueError(_DAMAGED) from error
    bases = _BasesWhenAsked(record, parts, instants, numbers, layout)
    return PermissionTimeline(header.is_known, Courses(parting, courses), restrictions, bases)


@lru_cache(PARTINGS_KEPT_MAX)
def _parting_of(
    scopes: bytes, firsts: bytes, layout: Layout, numbers: CodeNumbers
) -> tuple[Parting, Sequence[int]]:
    """Give the scopes of a record's cells by their courses, and the first span of each course."""
    count = len(scopes) // layout.scope_bytes
    parts: dict[int, list[Scope]] = {}
    for number, first in zip(
        struct.unpack(f"<{count}{layout.scope_letter}", scopes),
        struct.unpack(f"<{count}{layout.index_letter}", firsts),
        strict=True,
    ):
        scope = numbers.scope(wide_scope_number(number) if layout is NARROW else number)
        parts.setdefault(first, []).append(scope)
    return parting_of(parts.values()), list(parts)


def _course_at(
    spans: Sequence[int], first: int, instants: Sequence[Instant], layout: Layout
) -> Sequence[Segment]:
    """Read the course that begins with a span. Raises IndexError where it has no end."""
    course: list[Segment] = []
    at = first * _NUMBERS_OF_SPAN
    reason = 0
    while not reason & LAST_SPAN:
        basis, reason = spans[at + 2], spans[at + 3]
        course.append(
            Segment(
                instants[spans[at]],
                instants[spans[at + 1]],
                _REASONS[reason & ~LAST_SPAN],
                NO_BASIS if basis == layout.no_basis_index else basis,
            )
        )
        at += _NUMBERS_OF_SPAN
    return course


class _BasesWhenAsked(Sequence[Basis]):
    """The bases of a record, by their index there."""

    def __init__(
        self,
        record: bytes,
        parts: Parts,
        instants: tuple[Instant, ...],
        numbers: CodeNumbers,
        layout: Layout,
    ) -> None:
        self._count = parts.basis_count
        self._read = partial(
            _basis_at,
            record,
            parts=parts,
            instants=instants,
            numbers=numbers,
            layout=layout,
        )

    @overload
    def __getitem__(self, index: int) -> Basis: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Basis]: ...
    def __getitem__(self, index: int | slice) -> Basis | Sequence[Basis]:
        if isinstance(index, slice):
            return [self._read(place) for place in range(*index.indices(self._count))]
        return self._read(index)

    def __len__(self) -> int:
        return self._count
