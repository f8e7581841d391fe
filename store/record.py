"""The cached record: a permission timeline as the bytes that go to Redis.

Layout, little-endian, in this order:

    header        format, flags, epoch, incarnation, version, publication
    counts        of instants, cells, patterns and bases
    instants      the distinct instants of the cells, int64 each
    cells         one per segment: scope number, index of start, index of end, basis, reason
    patterns      one per restriction: pattern number, index of start, index of end
    basis offsets uint32 each, from the start of the bases
    bases         one JSON array each, read only when a single check needs it

Cells and patterns have a fixed width so that many records can be judged at once; a person with more
of anything than two bytes can count has the wide format, in which indexes have four. What has ended
more than `TRIM_MARGIN_MICROSECONDS` before the record was made is left out: a check never asks
about the past. A record in PostgreSQL has epoch and incarnation 0; the cache stamps them.
"""

import json
import struct
from array import array
from collections.abc import Sequence
from typing import Final, NamedTuple

from decision.instants import Instant
from decision.products import Product
from decision.reasons import Reason
from decision.scopes import Scope
from decision.timeline import (
    NO_BASIS,
    Basis,
    PermissionTimeline,
    RestrictedInterval,
    Segment,
)
from store.code_numbers import CodeNumbers, Selection

FLAG_KNOWN: Final = 1
TRIM_MARGIN_MICROSECONDS: Final = 24 * 3600 * 1_000_000

_HEADER: Final = struct.Struct("<BBHIIQI")
_STAMP: Final = struct.Struct("<II")
_STAMP_OFFSET: Final = 4
_INSTANT_BYTES: Final = 8
_OFFSET_BYTES: Final = 4
_FLAGS_END: Final = 2

_CUT_OFF: Final = "a cached record is cut off"


class Layout(NamedTuple):
    """One format of records: how wide its counts and indexes are."""

    format: int
    counts: struct.Struct
    cell: struct.Struct
    pattern: struct.Struct
    no_basis_index: int


NARROW: Final = Layout(
    format=1,
    counts=struct.Struct("<HHHH"),
    cell=struct.Struct("<QHHHBx"),
    pattern=struct.Struct("<QHHxxxx"),
    no_basis_index=0xFFFF,
)
WIDE: Final = Layout(
    format=2,
    counts=struct.Struct("<IIII"),
    cell=struct.Struct("<QIIIBxxx"),
    pattern=struct.Struct("<QII"),
    no_basis_index=0xFFFF_FFFF,
)
_LAYOUTS: Final = {layout.format: layout for layout in (NARROW, WIDE)}


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


def encode(
    timeline: PermissionTimeline,
    numbers: CodeNumbers,
    *,
    version: int,
    publication: int,
    made_at: Instant,
) -> bytes:
    """Write a timeline as a record, in the narrow format if it fits."""
    trim_before = made_at - TRIM_MARGIN_MICROSECONDS
    kept = sorted(
        (numbers.scope_number(scope), segment)
        for scope, segments in timeline.segments.items()
        for segment in segments
        if segment.end > trim_before
    )
    restrictions = [part for part in timeline.restrictions if part.end > trim_before]
    instants = sorted(
        {instant for _, segment in kept for instant in segment[:2]}
        | {instant for part in restrictions for instant in part[1:]}
    )
    # Numbered as the cells meet them, so that equal timelines give equal bytes.
    used_bases = list(
        dict.fromkeys(segment.basis for _, segment in kept if segment.basis != NO_BASIS)
    )
    counts = (len(instants), len(kept), len(restrictions), len(used_bases))
    layout = NARROW if max(counts) < NARROW.no_basis_index else WIDE
    index_of_instant = {instant: index for index, instant in enumerate(instants)}
    index_of_basis = {basis: index for index, basis in enumerate(used_bases)}
    index_of_basis[NO_BASIS] = layout.no_basis_index
    bases = [_encode_basis(timeline.bases[basis]) for basis in used_bases]
    return b"".join(
        (
            _HEADER.pack(
                layout.format,
                FLAG_KNOWN if timeline.is_known else 0,
                0,
                0,
                0,
                version,
                publication,
            ),
            layout.counts.pack(*counts),
            struct.pack(f"<{len(instants)}q", *instants),
            *(
                layout.cell.pack(
                    scope_number,
                    index_of_instant[segment.start],
                    index_of_instant[segment.end],
                    index_of_basis[segment.basis],
                    segment.reason,
                )
                for scope_number, segment in kept
            ),
            *(
                layout.pattern.pack(
                    numbers.pattern_number(part.selector),
                    index_of_instant[part.start],
                    index_of_instant[part.end],
                )
                for part in restrictions
            ),
            _encode_offsets(bases),
            *bases,
        )
    )


def stamp(record: bytes, epoch: int, incarnation: int) -> bytes:
    """Give the record with the epoch and incarnation under which it goes to Redis."""
    stamped = bytearray(record)
    _STAMP.pack_into(stamped, _STAMP_OFFSET, epoch, incarnation)
    return bytes(stamped)


def content_of(record: bytes) -> bytes:
    """Give what a record says, without its header's version, publication and stamp.

    Two records with the same content answer every question alike.
    """
    return record[:_FLAGS_END] + record[_HEADER.size :]


def decode_header(record: bytes) -> Header:
    """Read the header. Raises ValueError when the bytes are not a record of this format."""
    if len(record) < _HEADER.size or record[0] not in _LAYOUTS:
        message = "not a cached record of a known format"
        raise ValueError(message)
    _, flags, _, epoch, incarnation, version, publication = _HEADER.unpack_from(record)
    return Header(bool(flags & FLAG_KNOWN), epoch, incarnation, version, publication)


def decode(record: bytes, numbers: CodeNumbers, selection: Selection | None = None) -> Record:
    """Read a record: all of it, or what `numbers` has selected for some scopes.

    Raises ValueError when the bytes are damaged and KeyError when they name a code that `numbers`
    does not know, that is when a newer catalog is needed.
    """
    header = decode_header(record)
    layout = _LAYOUTS[record[0]]
    instants_at = _HEADER.size + layout.counts.size
    if len(record) < instants_at:
        raise ValueError(_CUT_OFF)
    instant_count, cell_count, pattern_count, basis_count = layout.counts.unpack_from(
        record, _HEADER.size
    )
    cells_at = instants_at + _INSTANT_BYTES * instant_count
    patterns_at = cells_at + layout.cell.size * cell_count
    offsets_at = patterns_at + layout.pattern.size * pattern_count
    bases_at = offsets_at + _OFFSET_BYTES * basis_count
    if len(record) < bases_at:
        raise ValueError(_CUT_OFF)
    instants = struct.unpack_from(f"<{instant_count}q", record, instants_at)
    bases = _BasisReader(record, layout, offsets_at, bases_at, basis_count)
    segments: dict[Scope, list[Segment]] = {}
    for number, start, end, basis, reason in layout.cell.iter_unpack(record[cells_at:patterns_at]):
        if selection is None:
            scope = numbers.scope(number)
        elif number in selection.scopes:
            scope = selection.scopes[number]
        else:
            continue
        segment = Segment(instants[start], instants[end], _REASONS[reason], bases.number(basis))
        if scope in segments:
            segments[scope].append(segment)
        else:
            segments[scope] = [segment]
    restrictions = [
        RestrictedInterval(numbers.selector(pattern), instants[start], instants[end])
        for pattern, start, end in layout.pattern.iter_unpack(record[patterns_at:offsets_at])
        if selection is None or pattern in selection.patterns
    ]
    return Record(header, PermissionTimeline(header.is_known, segments, restrictions, bases.read))


_REASONS: Final = {reason.value: reason for reason in Reason}


class _BasisReader:
    """Reads only the bases that are met, numbering them anew."""

    def __init__(
        self, record: bytes, layout: Layout, offsets_at: int, bases_at: int, count: int
    ) -> None:
        self._record = record
        self._bases_at = bases_at
        self._offsets = struct.unpack_from(f"<{count}I", record, offsets_at)
        self._numbers: dict[int, int] = {layout.no_basis_index: NO_BASIS}
        self.read: list[Basis] = []

    def number(self, index: int) -> int:
        number = self._numbers.get(index)
        if number is None:
            number = self._numbers[index] = len(self.read)
            start = self._bases_at + self._offsets[index]
            end = (
                self._bases_at + self._offsets[index + 1]
                if index + 1 < len(self._offsets)
                else len(self._record)
            )
            self.read.append(_decode_basis(self._record[start:end]))
        return number


def _encode_offsets(bases: Sequence[bytes]) -> bytes:
    offsets = array("Q")
    offset = 0
    for basis in bases:
        offsets.append(offset)
        offset += len(basis)
    return struct.pack(f"<{len(offsets)}I", *offsets)


def _encode_basis(basis: Basis) -> bytes:
    values = (*basis[:3], basis.product, *basis[4:])
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()


def _decode_basis(encoded: bytes) -> Basis:
    try:
        # As text, because bytes would be searched for their encoding.
        event_id, consent_type, version, product, *rest = json.loads(encoded.decode())
        return Basis(
            event_id, consent_type, version, None if product is None else Product(*product), *rest
        )
    except TypeError as error:
        # It is JSON, but not of as many parts as a basis has.
        message = "a basis in a cached record is damaged"
        raise ValueError(message) from error
