"""Writing a permission timeline as a cached record."""

import struct
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import compress
from operator import attrgetter
from typing import Final, NamedTuple

from decision.catalog import Interval
from decision.grants import Basis
from decision.instants import BEGINNING, FOREVER, Instant
from decision.timeline import NO_BASIS, PermissionTimeline, Segment, joined_restrictions
from store.code_numbers import Cells, CodeNumbers
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

ENDED_KEPT_MAX: Final = 8
"""Segments of a course that had ended when a record was made; of more the earliest are left out.

Whoever reads a record is behind its maker by milliseconds (ADR 0011). Of somebody with a thousand
purchases in a day it would otherwise hold a thousand bases that answer nothing any more (ADR 0031).
"""

_SECONDS_END: Final = 2**32

NO_COURSE: Final = -1
"""In the place of a course of which nothing is left."""

_IMPLIED: Final = frozenset({BEGINNING, FOREVER})


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
    content = _content_of(timeline, numbers, made_at)
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
    """What is to be written: cells, their courses, and what those need.

    `course_of_place` gives for each place of the cells the number of its course, or NO_COURSE where
    nothing is left of it; `index_of_basis` tells where a segment's is in `bases`.
    """

    cells: Cells
    course_of_place: Sequence[int]
    courses: Sequence[Sequence[Segment]]
    restrictions: Sequence[tuple[int, Interval]]
    instants: Sequence[Instant]
    bases: Sequence[Basis]
    index_of_basis: Mapping[int, int]


def _content_of(timeline: PermissionTimeline, numbers: CodeNumbers, made_at: Instant) -> _Content:
    trim_before = made_at - TRIM_MARGIN_MICROSECONDS
    cells = numbers.cells(timeline.courses.parting)
    found = timeline.courses.courses
    courses: dict[tuple[Segment, ...], int] = {}
    course_of_place = [NO_COURSE] * len(found)
    for place in cells.places:
        kept = tuple([segment for segment in found[place] if segment[1] > trim_before])
        # Hardly any course has so many: the others are not searched.
        if len(kept) > ENDED_KEPT_MAX:
            kept = _without_earliest_ended(kept, made_at)
        if kept:
            course_of_place[place] = courses.setdefault(kept, len(courses))
    # Numbered as the courses meet them, so that equal timelines give equal bytes.
    index_of_basis: dict[int, int] = {}
    instants: set[Instant] = set()
    for course in courses:
        for start, end, _, index in course:
            instants.add(start)
            instants.add(end)
            if index != NO_BASIS:
                index_of_basis.setdefault(index, len(index_of_basis))
    bases = [timeline.bases[index] for index in index_of_basis]
    for basis in bases:
        instants.add(basis.obtained_at)
        instants.add(basis.ends_at)
    # By number, as they may come in any order.
    restrictions = sorted(
        (numbers.pattern_number(selector), interval)
        for selector, intervals in joined_restrictions(timeline.restrictions, trim_before).items()
        for interval in intervals
    )
    instants.update(instant for _, interval in restrictions for instant in interval)
    instants -= _IMPLIED
    return _Content(
        cells,
        course_of_place,
        list(courses),
        restrictions,
        sorted(instants),
        bases,
        index_of_basis,
    )


def _without_earliest_ended(course: tuple[Segment, ...], made_at: Instant) -> tuple[Segment, ...]:
    """Leave out the earliest of the segments that had ended, unless they are few enough."""
    ended_count = bisect_right(course, made_at, key=attrgetter("end"))
    return course[max(0, ended_count - ENDED_KEPT_MAX) :]


def _write(
    content: _Content,
    numbers: CodeNumbers,
    layout: Layout,
    flags: int,
    version: int,
    publication: int,
) -> bytes:
    index_of_instant = {
        instant: index for index, instant in enumerate(content.instants, INSTANTS_IMPLIED)
    }
    index_of_instant[BEGINNING] = INDEX_OF_BEGINNING
    index_of_instant[FOREVER] = INDEX_OF_FOREVER
    instants_flag, instants = _encode_instants(content.instants, layout)
    index_of_basis = {**content.index_of_basis, NO_BASIS: layout.no_basis_index}
    first_spans: list[int] = []
    span_count = 0
    spans: list[int] = []
    for course in content.courses:
        first_spans.append(span_count)
        span_count += len(course)
        for start, end, reason, basis in course:
            spans += index_of_instant[start], index_of_instant[end], index_of_basis[basis], reason
        spans[-1] |= LAST_SPAN
    scopes, places = content.cells.narrow if layout is NARROW else content.cells.wide
    course_of_place = content.course_of_place
    if NO_COURSE in course_of_place:
        is_left = [course_of_place[place] != NO_COURSE for place in places]
        scopes, places = list(compress(scopes, is_left)), list(compress(places, is_left))
    first_of_place = [
        first_spans[course] if course != NO_COURSE else NO_COURSE for course in course_of_place
    ]
    first = [first_of_place[place] for place in places]
    letter = layout.index_letter
    parts = (
        instants,
        struct.pack(f"<{len(scopes)}{layout.scope_letter}", *scopes),
        struct.pack(f"<{len(spans)}{letter}", *spans),
        *(struct.pack("<Q", pattern) for pattern, _ in content.restrictions),
        *(
            layout.bounds.pack(index_of_instant[part.start], index_of_instant[part.end])
            for _, part in content.restrictions
        ),
        struct.pack(f"<{len(first)}{letter}", *first),
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
                len(scopes),
                span_count,
                len(content.restrictions),
                len(content.bases),
                (length + padding) // ALIGNMENT_BYTES,
            ),
            body,
            bytes(padding),
        )
    )


def _encode_instants(instants: Sequence[Instant], layout: Layout) -> tuple[int, bytes]:
    if layout is NARROW:
        seconds = [instant // MICROSECONDS_PER_SECOND for instant in instants]
        is_exact = [second * MICROSECONDS_PER_SECOND for second in seconds] == instants
        if is_exact and (not seconds or (seconds[0] >= 0 and seconds[-1] < _SECONDS_END)):
            return FLAG_WHOLE_SECONDS, struct.pack(f"<{len(seconds)}I", *seconds)
    return 0, struct.pack(f"<{len(instants)}q", *instants)
