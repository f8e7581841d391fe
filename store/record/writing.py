"""Writing a permission timeline as a cached record."""

import struct
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from decision.instants import BEGINNING, FOREVER, Instant
from decision.timeline import (
    NO_BASIS,
    Basis,
    PermissionTimeline,
    RestrictedInterval,
    Segment,
)
from store.code_numbers import CodeNumbers, narrow_scope_number
from store.record.bases import encode_bases
from store.record.layout import (
    ALIGNMENT_BYTES,
    FLAG_KNOWN,
    FLAG_WHOLE_SECONDS,
    HEADER,
    INDEX_OF_BEGINNING,
    INDEX_OF_FOREVER,
    INSTANTS_IMPLIED,
    LAST_SPAN,
    MICROSECONDS_PER_SECOND,
    NARROW,
    STAMP,
    STAMP_OFFSET,
    WIDE,
    Layout,
)

TRIM_MARGIN_MICROSECONDS: Final = 24 * 3600 * 1_000_000

_SECONDS_END: Final = 2**32


def encode(
    timeline: PermissionTimeline,
    numbers: CodeNumbers,
    *,
    version: int,
    publication: int,
    made_at: Instant,
) -> bytes:
    """Write a timeline as a record, in the narrow format if it fits.

    Equal timelines give equal bytes. Raises KeyError for a scope with a code without a number.
    """
    content = _content_of(timeline, numbers, made_at - TRIM_MARGIN_MICROSECONDS)
    flags = FLAG_KNOWN if timeline.is_known else 0
    try:
        return _write(content, numbers, NARROW, flags, version, publication)
    except struct.error:
        # Something is more than the narrow format has room for.
        return _write(content, numbers, WIDE, flags, version, publication)


def stamp(record: bytes, epoch: int, incarnation: int) -> bytes:
    """Give the record with the epoch and incarnation under which it goes to Redis."""
    stamped = bytearray(record)
    STAMP.pack_into(stamped, STAMP_OFFSET, epoch, incarnation)
    return bytes(stamped)


class _Content(NamedTuple):
    """What is to be written: the cells by rising scope number, their courses, and what they need.

    A cell gives its course by number; `index_of_basis` tells where a segment's is in `bases`.
    """

    cells: Sequence[tuple[int, int]]
    courses: Sequence[Sequence[Segment]]
    restrictions: Sequence[tuple[int, RestrictedInterval]]
    instants: Sequence[Instant]
    bases: Sequence[Basis]
    index_of_basis: Mapping[int, int]


def _content_of(
    timeline: PermissionTimeline, numbers: CodeNumbers, trim_before: Instant
) -> _Content:
    courses: dict[tuple[Segment, ...], int] = {}
    cells: list[tuple[int, int]] = []
    for number, segments in sorted(
        (numbers.scope_number(scope), segments) for scope, segments in timeline.segments.items()
    ):
        kept = tuple(segment for segment in segments if segment.end > trim_before)
        if kept:
            cells.append((number, courses.setdefault(kept, len(courses))))
    # Numbered as the courses meet them, so that equal timelines give equal bytes.
    used = dict.fromkeys(
        segment.basis for course in courses for segment in course if segment.basis != NO_BASIS
    )
    index_of_basis = {basis: index for index, basis in enumerate(used)}
    bases = [timeline.bases[basis] for basis in used]
    restrictions = [
        (numbers.pattern_number(part.selector), part)
        for part in timeline.restrictions
        if part.end > trim_before
    ]
    instants = {instant for course in courses for segment in course for instant in segment[:2]}
    instants.update(instant for _, part in restrictions for instant in part[1:])
    instants.update(instant for basis in bases for instant in (basis.obtained_at, basis.ends_at))
    return _Content(
        cells,
        list(courses),
        restrictions,
        sorted(instants - {BEGINNING, FOREVER}),
        bases,
        index_of_basis,
    )


def _write(
    content: _Content,
    numbers: CodeNumbers,
    layout: Layout,
    flags: int,
    version: int,
    publication: int,
) -> bytes:
    index_of_instant = {BEGINNING: INDEX_OF_BEGINNING, FOREVER: INDEX_OF_FOREVER}
    index_of_instant.update(
        {instant: index for index, instant in enumerate(content.instants, INSTANTS_IMPLIED)}
    )
    instants_flag, instants = _encode_instants(content.instants, layout)
    index_of_basis = {**content.index_of_basis, NO_BASIS: layout.no_basis_index}
    first_spans: list[int] = []
    spans: list[bytes] = []
    for course in content.courses:
        first_spans.append(len(spans))
        spans += _encode_course(course, index_of_instant, index_of_basis, layout)
    scopes = [number for number, _ in content.cells]
    if layout is NARROW:
        # Sorted anew: the narrow numbers need not have the order of the wide ones.
        cells = sorted((narrow_scope_number(number), course) for number, course in content.cells)
        scopes = [number for number, _ in cells]
    else:
        cells = list(content.cells)
    first = [first_spans[course] for _, course in cells]
    parts = (
        instants,
        struct.pack(f"<{len(scopes)}{layout.scope_letter}", *scopes),
        *spans,
        struct.pack(f"<{len(content.restrictions)}Q", *(it for it, _ in content.restrictions)),
        *(
            layout.bounds.pack(index_of_instant[part.start], index_of_instant[part.end])
            for _, part in content.restrictions
        ),
        struct.pack(f"<{len(first)}{layout.index_letter}", *first),
        encode_bases(content.bases, index_of_instant, numbers, layout),
    )
    body = b"".join(parts)
    length = HEADER.size + layout.counts.size + len(body)
    padding = -length % ALIGNMENT_BYTES
    return b"".join(
        (
            HEADER.pack(layout.format, flags | instants_flag, 0, 0, 0, version, publication),
            layout.counts.pack(
                len(content.instants),
                len(cells),
                len(spans),
                len(content.restrictions),
                len(content.bases),
                (length + padding) // ALIGNMENT_BYTES,
            ),
            body,
            bytes(padding),
        )
    )


def _encode_instants(instants: Sequence[Instant], layout: Layout) -> tuple[int, bytes]:
    if layout is NARROW and all(instant % MICROSECONDS_PER_SECOND == 0 for instant in instants):
        seconds = [instant // MICROSECONDS_PER_SECOND for instant in instants]
        if not seconds or (seconds[0] >= 0 and seconds[-1] < _SECONDS_END):
            return FLAG_WHOLE_SECONDS, struct.pack(f"<{len(seconds)}I", *seconds)
    return 0, struct.pack(f"<{len(instants)}q", *instants)


def _encode_course(
    course: Sequence[Segment],
    index_of_instant: Mapping[Instant, int],
    index_of_basis: Mapping[int, int],
    layout: Layout,
) -> list[bytes]:
    last = len(course) - 1
    return [
        layout.span.pack(
            index_of_instant[start],
            index_of_instant[end],
            index_of_basis[basis],
            reason | (LAST_SPAN if place == last else 0),
        )
        for place, (start, end, reason, basis) in enumerate(course)
    ]
