"""Reading of a cached record what comparing it with another takes.

What lives here: what `reading.decode` gives of a whole record, with its courses told by where they
begin and its bases read only when asked for. A test compares the two.
"""

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Final, overload

from decision.grants import Basis
from decision.instants import Instant
from decision.partings import PARTINGS_KEPT_MAX, Parting, parting_of
from decision.scopes import Scope
from decision.timeline import NO_BASIS, Courses, PermissionTimeline, Segment
from store.code_numbers import CodeNumbers, wide_scope_number
from store.record.bases import basis_at
from store.record.layout import LAST_SPAN, NARROW, Layout, Parts, layout_of, parts_of
from store.record.reading import (
    DAMAGED,
    REASONS,
    decode_header,
    instants_of,
    restrictions_of,
)

_NUMBERS_OF_SPAN: Final = 4


def decode_for_comparing(record: bytes, numbers: CodeNumbers) -> PermissionTimeline:
    """Read the timeline of a whole record as `decode` does, but each basis when it is asked for.

    Comparisons ask for hardly any. Raises ValueError and KeyError as `decode` does; of a basis that
    is damaged not before it is asked for.
    """
    header = decode_header(record)
    layout = layout_of(record)
    parts = parts_of(record, layout)
    instants = instants_of(record, parts)
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
            restrictions_of(record, parts, instants, numbers, layout, None)
            if parts.pattern_count
            else ()
        )
    except IndexError as error:
        raise ValueError(DAMAGED) from error
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
                REASONS[reason & ~LAST_SPAN],
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
        self._read: Callable[[int], Basis] = partial(
            basis_at,
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
