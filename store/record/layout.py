"""How the bytes of a cached record are laid out.

What lives here: the formats, and where in a record each part begins. All numbers are little-endian:

    header        format, flags, epoch, incarnation, version, publication; alike in every format
    counts        of instants, cells, spans, patterns and bases, and the length of all in fours
    instants      the distinct instants; index 0 is the beginning and 1 for ever, which are not kept
    scopes        the scope number of each cell, ascending
    spans         index of start, index of end, basis, reason; the last of a course has LAST_SPAN
    patterns      pattern number of each restriction
    bounds        index of start and index of end of each restriction
    courses       for each cell the span with which its course begins
    bases         what `bases` writes, read only when a single answer needs it

A cell is a scope, with the course of what grants say about it over time. Scopes of one wording
mostly share a course. Cells, spans and patterns have a fixed width and lie at multiples of four,
so that thousands of records can be judged at once.

In the narrow format a count or index has one byte and a scope 32 bits; a person with more of
anything, or with codes beyond that, has the wide format, in which nothing is too large. Instants
are microseconds, or in narrow records whole seconds with FLAG_WHOLE_SECONDS.
"""

import struct
from typing import Final, NamedTuple

FLAG_KNOWN: Final = 1
FLAG_WHOLE_SECONDS: Final = 2

HEADER: Final = struct.Struct("<BBHIIQI")
STAMP: Final = struct.Struct("<II")
STAMP_OFFSET: Final = 4
FLAGS_END: Final = 2

OLDER_FORMATS: Final = frozenset({1, 2})
"""Formats of earlier versions: their headers are like ours, the rest is not read any more."""

INDEX_OF_BEGINNING: Final = 0
INDEX_OF_FOREVER: Final = 1
INSTANTS_IMPLIED: Final = 2

LAST_SPAN: Final = 0x80
"""Set beside the reason of a span after which its course has no other."""

ALIGNMENT_BYTES: Final = 4
SECOND_BYTES: Final = 4
MICROSECOND_BYTES: Final = 8
PATTERN_BYTES: Final = 8
MICROSECONDS_PER_SECOND: Final = 1_000_000

_CUT_OFF: Final = "a cached record is cut off"


class Layout(NamedTuple):
    """One format of records: how wide its counts, indexes and scopes are.

    Letters are those of `struct`.
    """

    format: int
    counts: struct.Struct
    index_letter: str
    index_bytes: int
    scope_letter: str
    scope_bytes: int
    span: struct.Struct
    bounds: struct.Struct
    no_basis_index: int
    basis: struct.Struct
    occasion: struct.Struct
    product: struct.Struct


NARROW: Final = Layout(
    format=3,
    counts=struct.Struct("<BBBBBxH"),
    index_letter="B",
    index_bytes=1,
    scope_letter="I",
    scope_bytes=4,
    span=struct.Struct("<BBBB"),
    bounds=struct.Struct("<BB"),
    no_basis_index=0xFF,
    basis=struct.Struct("<HBHH"),
    occasion=struct.Struct("<BBHB"),
    product=struct.Struct("<HHBB"),
)
WIDE: Final = Layout(
    format=4,
    counts=struct.Struct("<IIIIII"),
    index_letter="I",
    index_bytes=4,
    scope_letter="Q",
    scope_bytes=8,
    span=struct.Struct("<IIII"),
    bounds=struct.Struct("<II"),
    no_basis_index=0xFFFF_FFFF,
    basis=struct.Struct("<IIHI"),
    occasion=struct.Struct("<BIHI"),
    product=struct.Struct("<HHII"),
)
LAYOUTS: Final = {layout.format: layout for layout in (NARROW, WIDE)}


def layout_of(record: bytes) -> Layout:
    """Give the layout of a record. Raises ValueError for one of an older format."""
    layout = LAYOUTS.get(record[0])
    if layout is None:
        message = "a cached record of a format that is not read any more"
        raise ValueError(message)
    return layout


class Parts(NamedTuple):
    """Where the parts of one record begin, in bytes, and how many there are of each."""

    instant_bytes: int
    instant_count: int
    cell_count: int
    pattern_count: int
    basis_count: int
    instants_at: int
    scopes_at: int
    spans_at: int
    patterns_at: int
    bounds_at: int
    courses_at: int
    bases_at: int
    occasions_at: int


def parts_of(record: bytes, layout: Layout) -> Parts:
    """Find the parts of a record. Raises ValueError when it is not as long as it says."""
    instants_at = HEADER.size + layout.counts.size
    if len(record) < instants_at:
        raise ValueError(_CUT_OFF)
    instants, cells, spans, patterns, bases, fours = layout.counts.unpack_from(record, HEADER.size)
    is_narrow = layout is NARROW
    instant_bytes = (
        SECOND_BYTES if is_narrow and record[1] & FLAG_WHOLE_SECONDS else MICROSECOND_BYTES
    )
    scopes_at = instants_at + instant_bytes * instants
    spans_at = scopes_at + layout.scope_bytes * cells
    patterns_at = spans_at + layout.span.size * spans
    bounds_at = patterns_at + PATTERN_BYTES * patterns
    courses_at = bounds_at + layout.bounds.size * patterns
    bases_at = courses_at + layout.index_bytes * cells
    occasions_at = bases_at + layout.basis.size * bases
    if len(record) != fours * ALIGNMENT_BYTES or len(record) < occasions_at:
        raise ValueError(_CUT_OFF)
    return Parts(
        instant_bytes,
        instants,
        cells,
        patterns,
        bases,
        instants_at,
        scopes_at,
        spans_at,
        patterns_at,
        bounds_at,
        courses_at,
        bases_at,
        occasions_at,
    )
