"""Reading of a cached record what answers at one instant: what every single check does.

What lives here: what `reading.decode` gives, without what an answer at one instant does not need. A
property test compares the answers. Thousands of records at once are `judging`'s business.
"""

import struct
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from decision.grants import Basis
from decision.instants import Instant
from decision.reasons import Reason
from decision.scopes import Scope
from decision.timeline import NO_BASIS, PermissionTimeline, Segment
from store.code_numbers import CodeNumbers, Selection
from store.record.bases import basis_at
from store.record.layout import LAST_SPAN, NARROW, WIDE, Layout, Parts, layout_of, parts_of
from store.record.reading import DAMAGED, REASONS, Header, instants_of, restrictions_of

_WIDE_INDEX: Final = struct.Struct(f"<{WIDE.index_letter}")

_ALLOWED: Final = Reason.ALLOWED.value
"""As records have it: a member of an enumeration is sought every time."""


def decode_at(
    record: bytes, header: Header, numbers: CodeNumbers, selection: Selection, at: Instant
) -> PermissionTimeline:
    """Read of a record, whose header was read, what answers for the selected scopes at `at`.

    For that instant `answer_scope` says of it what it says of the whole: of each scope there is the
    segment that holds then, drawn out over those after it that allow as well, and only its basis.
    Raises as `decode` does.
    """
    layout = layout_of(record)
    parts = parts_of(record, layout)
    instants = instants_of(record, parts)
    segments: dict[Scope, list[Segment]] = {}
    courses: dict[int, list[Segment]] = {}
    bases: list[Basis] = []
    try:
        for first, scope in _courses_asked(record, parts, layout, selection):
            course = courses.get(first)
            if course is None:
                course = courses[first] = []
                held = _held_at(record, parts, layout, instants, first, at)
                if held is not None:
                    start, end, reason, basis = held
                    if reason == _ALLOWED:
                        bases.append(basis_at(record, basis, parts, instants, numbers, layout))
                        basis = len(bases) - 1
                    course.append(Segment(instants[start], instants[end], REASONS[reason], basis))
            # Scopes of one course share their segments.
            segments[scope] = course
        restrictions = (
            restrictions_of(record, parts, instants, numbers, layout, selection)
            if parts.pattern_count
            else ()
        )
    except IndexError as error:
        raise ValueError(DAMAGED) from error
    return PermissionTimeline(header.is_known, segments, restrictions, bases)


def _courses_asked(
    record: bytes, parts: Parts, layout: Layout, selection: Selection
) -> Iterable[tuple[int, Scope]]:
    """Give the selected scopes of a record, each after the span with which its course begins."""
    scopes = record[parts.scopes_at : parts.spans_at]
    courses_at = parts.courses_at
    if layout is NARROW:
        return [(record[courses_at + cell], scope) for cell, scope in selection.cells_of(scopes)]
    numbers = struct.unpack(f"<{parts.cell_count}{layout.scope_letter}", scopes)
    cells = (
        (bisect_left(numbers, number), number, scope) for number, scope in selection.scopes.items()
    )
    return [
        (_WIDE_INDEX.unpack_from(record, courses_at + _WIDE_INDEX.size * cell)[0], scope)
        for cell, number, scope in cells
        if numbers[cell : cell + 1] == (number,)
    ]


def _held_at(
    record: bytes,
    parts: Parts,
    layout: Layout,
    instants: tuple[Instant, ...],
    first: int,
    at: Instant,
) -> tuple[int, int, int, int] | None:
    """Give the span of a course that holds at an instant, if any does, as the record has it.

    The end of an ALLOW is that of the last one after it that allows without a gap.
    """
    held: tuple[int, int, int, int] | None = None
    span = layout.span
    for place in range(parts.spans_at + span.size * first, parts.patterns_at, span.size):
        start, end, basis, marked_reason = span.unpack_from(record, place)
        reason = marked_reason & ~LAST_SPAN
        if held is not None:
            if reason != _ALLOWED:
                return held
            held = (held[0], end, reason, held[3])
        elif at < instants[end]:
            if at < instants[start]:
                return None
            held = (start, end, reason, basis)
            if reason != _ALLOWED:
                return (start, end, reason, NO_BASIS)
        if marked_reason & LAST_SPAN:
            return held
    raise ValueError(DAMAGED)
