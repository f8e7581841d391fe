"""Cached records as they were written before step 0003, which reads them for the last time."""

import json
import struct
from typing import Final, NamedTuple

from decision.grants import Basis
from decision.products import Product
from decision.reasons import Reason
from decision.scopes import Scope
from decision.timeline import NO_BASIS, PermissionTimeline, RestrictedInterval, Segment
from store.code_numbers import CodeNumbers

FORMATS: Final = frozenset({1, 2})

_HEADER: Final = struct.Struct("<BBHIIQI")
_FLAG_KNOWN: Final = 1


class OlderRecord(NamedTuple):
    """What a record said, and of which state and publication."""

    version: int
    publication: int
    timeline: PermissionTimeline


class _Layout(NamedTuple):
    counts: struct.Struct
    cell: struct.Struct
    pattern: struct.Struct
    no_basis_index: int


_LAYOUTS: Final = {
    1: _Layout(struct.Struct("<HHHH"), struct.Struct("<QHHHBx"), struct.Struct("<QHHxxxx"), 0xFFFF),
    2: _Layout(
        struct.Struct("<IIII"), struct.Struct("<QIIIBxxx"), struct.Struct("<QII"), 0xFFFF_FFFF
    ),
}


def read_older(record: bytes, numbers: CodeNumbers) -> OlderRecord:
    """Read a record of one of FORMATS."""
    layout = _LAYOUTS[record[0]]
    _, flags, _, _, _, version, publication = _HEADER.unpack_from(record)
    counts = layout.counts.unpack_from(record, _HEADER.size)
    instant_count, cell_count, pattern_count, basis_count = counts
    instants_at = _HEADER.size + layout.counts.size
    cells_at = instants_at + 8 * instant_count
    patterns_at = cells_at + layout.cell.size * cell_count
    offsets_at = patterns_at + layout.pattern.size * pattern_count
    bases_at = offsets_at + 4 * basis_count
    instants = struct.unpack_from(f"<{instant_count}q", record, instants_at)
    offsets = struct.unpack_from(f"<{basis_count}I", record, offsets_at)
    ends = (*offsets[1:], len(record) - bases_at)
    segments: dict[Scope, list[Segment]] = {}
    for number, start, end, basis, reason in layout.cell.iter_unpack(record[cells_at:patterns_at]):
        segments.setdefault(numbers.scope(number), []).append(
            Segment(
                instants[start],
                instants[end],
                Reason(reason),
                NO_BASIS if basis == layout.no_basis_index else basis,
            )
        )
    timeline = PermissionTimeline(
        bool(flags & _FLAG_KNOWN),
        segments,
        [
            RestrictedInterval(numbers.selector(pattern), instants[start], instants[end])
            for pattern, start, end in layout.pattern.iter_unpack(record[patterns_at:offsets_at])
        ],
        [
            _read_basis(record[bases_at + start : bases_at + end])
            for start, end in zip(offsets, ends[:basis_count], strict=True)
        ],
    )
    return OlderRecord(version, publication, timeline)


def _read_basis(encoded: bytes) -> Basis:
    event_id, consent_type, version, product, *rest = json.loads(encoded)
    return Basis(
        event_id, consent_type, version, None if product is None else Product(*product), *rest
    )
