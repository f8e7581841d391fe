"""Reading a file of history: one row per record, in order, from any position.

What lives here: opening the file, its header, JSON Lines, and `read`. Nothing is dropped: every
line of the file is part of exactly one row. Sending the events is not done here.
"""

import codecs
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn, TypeAlias
from zoneinfo import ZoneInfo

from service.importing.conversion import EVENT_ID_KEY_BYTES, EventBuilder
from service.importing.errors import ColumnsMissingError, FileUnreadableError
from service.importing.mapping import FileFormat, FileMapping
from service.importing.plan import Content, Lookup, LookupOf
from service.importing.records import CsvRecords, LineReader, Record, line_records
from service.importing.rows import START, EventRow, Position, Reject, Row, SkipCause, Skipped
from service.importing.values import RecordFaultError

BuilderOf: TypeAlias = Callable[[LookupOf], EventBuilder]
"""Gives a builder by the way to look up each column."""

RECORDS_PER_BATCH: Final = 512
"""Records whose events are made together: enough that what is done for all counts for nothing."""

_UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read(
    path: Path,
    mapping: FileMapping,
    zone: ZoneInfo,
    start_position: Position = START,
    *,
    event_id_key: bytes | None = None,
) -> Iterator[Row]:
    """Read a file from a position on.

    `zone` is the company zone, in which dates without an offset are read unless the mapping names
    another (`semantics.md`, Time). The rows come in the order of the file, and their line counts
    add up to its lines; `next_position` of a row is where to go on after it.

    `event_id_key` is needed where the mapping derives event ids: 32 secret bytes of the
    installation, which the writer gives at the start of the import stream
    (`ImportResume.event_id_key`).

    Raises, before the first row: FileUnreadableError when the file can not be opened, is not in
    the mapping's encoding as a whole, has no header, or is shorter than the start position;
    ColumnsMissingError when its header lacks columns; EventIdKeyMissingError when the mapping
    derives event ids and the key is missing or of another length.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise FileUnreadableError(path, error.strerror or "can not be opened") from error
    try:
        builder_of = partial(EventBuilder, mapping, zone, event_id_key)
        rows = _rows_of(path, stream, mapping, builder_of, start_position)
    except BaseException:
        stream.close()
        raise
    return _closing(stream, path, rows)


def position_of_line(path: Path, mapping: FileMapping, line_number: int) -> Position:
    """Give the position of the first record that begins at a line or after it.

    For whoever knows only the number of the line to go on from, such as an import that the writer
    resumes; the line may lie within a record that spans several. Raises as `read` does.
    """
    position = START
    # Nobody sees the events, so neither the zone nor the key matters.
    any_key = bytes(EVENT_ID_KEY_BYTES)
    for row in read(path, mapping, ZoneInfo("UTC"), event_id_key=any_key):
        if row.line_number >= line_number:
            break
        position = row.next_position
    return position


def content_digest(path: Path) -> str:
    """Give the SHA-256 of a file in hex: going on at a position makes sense in the same file only.

    Raises FileUnreadableError.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise FileUnreadableError(path, error.strerror or "can not be read") from error


def _closing(stream: BinaryIO, path: Path, rows: Iterator[Row]) -> Iterator[Row]:
    with stream:
        try:
            yield from rows
        except OSError as error:
            raise FileUnreadableError(path, error.strerror or "can not be read") from error


def _rows_of(
    path: Path, stream: BinaryIO, mapping: FileMapping, builder_of: BuilderOf, start: Position
) -> Iterator[Row]:
    _check_start(path, stream, mapping, start)
    if mapping.format is FileFormat.JSONL:
        stream.seek(start.byte_offset)
        lines = LineReader(stream, mapping.encoding, start)
        builder = builder_of(_json_lookup)
        return _rows(line_records(lines), builder, _json_object)
    return _csv_rows(path, stream, mapping, builder_of, start)


def _check_start(path: Path, stream: BinaryIO, mapping: FileMapping, start: Position) -> None:
    mark = stream.read(len(codecs.BOM_UTF8))
    if mark.startswith(_UTF16_MARKS):
        raise FileUnreadableError(path, "is UTF-16; save it as UTF-8")
    if mark == codecs.BOM_UTF8 and mapping.encoding != "utf-8":
        raise FileUnreadableError(
            path, f"begins as UTF-8 does, but the mapping says {mapping.encoding}"
        )
    size = stream.seek(0, 2)
    if start.byte_offset > size:
        raise FileUnreadableError(
            path, f"has {size} bytes, fewer than were read before: it is not the same file"
        )
    stream.seek(0)


def _csv_rows(
    path: Path, stream: BinaryIO, mapping: FileMapping, builder_of: BuilderOf, start: Position
) -> Iterator[Row]:
    lines = LineReader(stream, mapping.encoding, START)
    preamble: list[Row] = []
    header: Record | None = None
    for record in CsvRecords(lines, mapping.delimiter, mapping.quote, cell_count=0):
        if record.problem:
            raise FileUnreadableError(
                path, f"the header in line {record.line_number} is bad: {record.problem}"
            )
        preamble.append(_skipped(record, SkipCause.BLANK if record.is_blank else SkipCause.HEADER))
        if not record.is_blank:
            header = record
            break
    if header is None:
        raise FileUnreadableError(path, "has no header line")
    builder = builder_of(_csv_lookup(_columns(path, mapping, header)))
    if header.next_position <= start:
        stream.seek(start.byte_offset)
        lines = LineReader(stream, mapping.encoding, start)
        preamble = []
    preamble = [row for row in preamble if row.line_number >= start.line_number]
    records = CsvRecords(lines, mapping.delimiter, mapping.quote, len(header.cells))
    return chain(preamble, _rows(iter(records), builder, _cells_of))


def _columns(path: Path, mapping: FileMapping, header: Record) -> dict[str, int]:
    """Find the columns that the mapping names."""
    names = [cell.strip() for cell in header.cells]
    counts = Counter(names)
    columns: dict[str, int] = {}
    missing: set[str] = set()
    for source in mapping.sources():
        if source.column is None:
            continue
        if counts[source.column] > 1:
            raise ColumnsMissingError(
                path, f"the column {source.column!r} is there {counts[source.column]} times", names
            )
        if counts[source.column]:
            columns[source.column] = names.index(source.column)
        elif not source.optional:
            missing.add(source.column)
    if missing:
        wanted = ", ".join(repr(name) for name in sorted(missing))
        raise ColumnsMissingError(path, f"columns missing: {wanted}", names)
    return columns


def _rows(
    records: Iterator[Record], builder: EventBuilder, content_of: Callable[[Record], Content]
) -> Iterator[Row]:
    while batch := list(islice(records, RECORDS_PER_BATCH)):
        yield from _rows_of_batch(batch, builder, content_of)


def _rows_of_batch(
    batch: Sequence[Record], builder: EventBuilder, content_of: Callable[[Record], Content]
) -> Iterator[Row]:
    """Give the rows of some records, whose events are made together."""
    contents: list[Content] = []
    others: dict[int, Row] = {}
    for record in batch:
        if record.is_blank:
            others[record.line_number] = _skipped(record, SkipCause.BLANK)
        elif record.problem:
            others[record.line_number] = _reject(record, record.problem)
        else:
            try:
                contents.append(content_of(record))
            except RecordFaultError as error:
                others[record.line_number] = _reject(record, str(error))
    events = iter(builder.events(contents))
    for record in batch:
        yield others.get(record.line_number) or _row(record, next(events))


def _row(record: Record, event: bytes | str) -> Row:
    """Give the row of a record by its event, or by the reason why it has none."""
    if isinstance(event, str):
        return _reject(record, event)
    number, line_count, next_position, raw, *_ = record
    return EventRow(number, event, raw, line_count, next_position)


def _reject(record: Record, reason: str) -> Reject:
    return Reject(record.line_number, reason, record.raw, record.line_count, record.next_position)


def _skipped(record: Record, cause: SkipCause) -> Skipped:
    return Skipped(record.line_number, cause, record.line_count, record.next_position)


_cells_of: Final = attrgetter("cells")


def _csv_lookup(columns: dict[str, int]) -> Callable[[str], Lookup]:
    def lookup_of(column: str) -> Lookup:
        index = columns.get(column)
        return _nothing if index is None else itemgetter(index)

    return lookup_of


def _nothing(_: Content) -> None:
    return None


def _json_object(record: Record) -> dict[str, Any]:
    try:
        document = json.loads(
            record.raw, object_pairs_hook=_object_of, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        raise RecordFaultError(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise RecordFaultError("not a JSON object")
    return document


def _json_lookup(path: str) -> Lookup:
    """Look up by dotted path, such as `document.number`; that may raise RecordFaultError."""
    keys = path.split(".")

    def lookup(document: dict[str, Any]) -> str | None:
        value: Any = document
        for key in keys:
            if value is None:
                return None
            if not isinstance(value, dict):
                raise RecordFaultError(f"{path}: not within a JSON object")
            value = value.get(key)
        return _json_text(path, value)

    return lookup


def _json_text(path: str, value: object) -> str | None:
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case _:
            raise RecordFaultError(f"{path}: must be a text, a whole number, true, false or null")


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key is given twice in one object")
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
