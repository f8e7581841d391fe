"""Reading a cached record one by one: all of it, or what single answers need."""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from decision.grants import Basis
from decision.instants import BEGINNING, FOREVER, Instant
from decision.reasons import Reason
from decision.scopes import Scope
from decision.timeline import (
    NO_BASIS,
    PermissionTimeline,
    RestrictedInterval,
    Segment,
)
from store.code_numbers import (
    CodeNumbers,
    Selection,
    wide_scope_number,
)
from store.record.bases import basis_at
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
    layout_of,
    parts_of,
)

REASONS: Final = {reason.value: reason for reason in Reason}
DAMAGED: Final = "a cached record is damaged"


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
    layout = layout_of(record)
    reader = _Reader(record, layout, numbers)
    try:
        segments = reader.segments(selection)
        restrictions = restrictions_of(
            record, reader.parts, reader.instants, numbers, layout, selection
        )
    except IndexError as error:
        raise ValueError(DAMAGED) from error
    return Record(header, PermissionTimeline(header.is_known, segments, restrictions, reader.bases))


class _Reader:
    """Reads one record. Bases are read as they are met, and numbered anew."""

    def __init__(self, record: bytes, layout: Layout, numbers: CodeNumbers) -> None:
        self._record = record
        self._layout = layout
        self._numbers = numbers
        self.parts = parts_of(record, layout)
        self.instants = instants_of(record, self.parts)
        self._basis_numbers: dict[int, int] = {layout.no_basis_index: NO_BASIS}
        self.bases: list[Basis] = []

    def segments(self, selection: Selection | None) -> dict[Scope, Sequence[Segment]]:
        """Give the segments of the selected scopes, or of every scope."""
        layout, parts, numbers = self._layout, self.parts, self._numbers
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

    def _read_course(self, first: int) -> list[Segment]:
        span, instants = self._layout.span, self.instants
        course: list[Segment] = []
        for at in range(self.parts.spans_at + first * span.size, self.parts.patterns_at, span.size):
            start, end, basis, reason = span.unpack_from(self._record, at)
            course.append(
                Segment(
                    instants[start],
                    instants[end],
                    REASONS[reason & ~LAST_SPAN],
                    self._basis(basis),
                )
            )
            if reason & LAST_SPAN:
                return course
        raise ValueError(DAMAGED)

    def _basis(self, index: int) -> int:
        number = self._basis_numbers.get(index)
        if number is None:
            number = self._basis_numbers[index] = len(self.bases)
            self.bases.append(
                basis_at(
                    self._record, index, self.parts, self.instants, self._numbers, self._layout
                )
            )
        return number


def restrictions_of(
    record: bytes,
    parts: Parts,
    instants: tuple[Instant, ...],
    numbers: CodeNumbers,
    layout: Layout,
    selection: Selection | None,
) -> list[RestrictedInterval]:
    """Give the restrictions that match any of the selected scopes, or all. Raises IndexError."""
    if not parts.pattern_count:
        return []
    patterns = struct.unpack_from(f"<{parts.pattern_count}Q", record, parts.patterns_at)
    return [
        RestrictedInterval(numbers.selector(pattern), instants[start], instants[end])
        for pattern, (start, end) in zip(
            patterns,
            layout.bounds.iter_unpack(record[parts.bounds_at : parts.courses_at]),
            strict=True,
        )
        if selection is None or pattern in selection.patterns
    ]


def read_basis(record: bytes, index: int, numbers: CodeNumbers) -> Basis:
    """Read one basis of a narrow record. Raises ValueError when it is damaged, and KeyError."""
    parts = parts_of(record, NARROW)
    return basis_at(record, index, parts, instants_of(record, parts), numbers, NARROW)


def instants_of(record: bytes, parts: Parts) -> tuple[Instant, ...]:
    """Give the distinct instants of a record, by index."""
    if parts.instant_bytes == SECOND_BYTES:
        seconds = struct.unpack_from(f"<{parts.instant_count}I", record, parts.instants_at)
        return (BEGINNING, FOREVER, *map(MICROSECONDS_PER_SECOND.__mul__, seconds))
    kept = struct.unpack_from(f"<{parts.instant_count}q", record, parts.instants_at)
    return (BEGINNING, FOREVER, *kept)
