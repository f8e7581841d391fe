"""Cutting a file into records: physical lines, then CSV records that may span several.

What lives here: line numbers, byte offsets, decoding, quotes, blank lines. A fault stays within its
line: whatever a quote that never closes would swallow is read again as lines of their own.
"""

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final, NamedTuple

from service.importing.rows import Position

LINE_BYTES_MAX: Final = 256 * 1024
"""The longest physical line. A longer one is rejected, and skipped without being held."""

RECORD_LINES_MAX: Final = 100
"""The most lines one CSV record may span."""

OVERLONG_SHOWN_BYTES: Final = 1_000
"""How much of an overlong line its reject keeps."""

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """One physical line. With a problem, the text is for showing only."""

    number: int
    text: str
    end: int
    """The byte offset behind the line and its line break."""
    problem: str = ""

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing but white space in it."""
        return not self.problem and not self.text.strip()


class Record(NamedTuple):
    """One record: its cells, unless it is blank or has a problem."""

    line_number: int
    line_count: int
    next_position: Position
    raw: str
    cells: Sequence[str] = ()
    problem: str = ""
    is_blank: bool = False


class LineReader:
    """Reads physical lines; lines can be given back to be read again."""

    def __init__(self, stream: BinaryIO, encoding: str, start: Position) -> None:
        """Take a stream that stands at the start position."""
        self._stream = stream
        self._encoding = encoding
        self._offset = start.byte_offset
        self._number = start.line_number
        self._given_back: deque[Line] = deque()

    def next_line(self) -> Line | None:
        """Give the next line; None at the end of the file."""
        if self._given_back:
            return self._given_back.popleft()
        data = self._stream.readline(LINE_BYTES_MAX + 1)
        if not data:
            return None
        size = len(data)
        if size > LINE_BYTES_MAX:
            size += self._skip_rest(data)
        line = self._line(data, size)
        self._offset += size
        self._number += 1
        return line

    def give_back(self, lines: list[Line]) -> None:
        """Have these lines, the last ones read, read again."""
        self._given_back.extendleft(reversed(lines))

    def _skip_rest(self, data: bytes) -> int:
        skipped = 0
        while data and not data.endswith(b"\n"):
            data = self._stream.readline(LINE_BYTES_MAX)
            skipped += len(data)
        return skipped

    def _line(self, data: bytes, size: int) -> Line:
        end = self._offset + size
        if self._offset == 0:
            data = data.removeprefix(BYTE_ORDER_MARK)
        if size > LINE_BYTES_MAX:
            shown = data[:OVERLONG_SHOWN_BYTES].decode(self._encoding, "backslashreplace")
            problem = f"the line has {size} bytes; the limit is {LINE_BYTES_MAX}"
            return Line(self._number, shown, end, problem)
        try:
            return Line(self._number, data.decode(self._encoding), end)
        except UnicodeDecodeError as error:
            shown = data.decode(self._encoding, "backslashreplace")
            problem = f"not {self._encoding}: byte 0x{data[error.start]:02x} at {error.start + 1}"
            return Line(self._number, shown, end, problem)


def line_records(lines: LineReader) -> Iterator[Record]:
    """Give every physical line as a record without cells."""
    while (line := lines.next_line()) is not None:
        yield _record([line], problem=line.problem, is_blank=line.is_blank)


class CsvRecords:
    """Gives the records of a CSV file."""

    def __init__(self, lines: LineReader, delimiter: str, quote: str, cell_count: int) -> None:
        """Take the number of cells each record must have; 0 for a header, which may have any."""
        self._lines = lines
        self._delimiter = delimiter
        self._quote = quote
        self._cell_count = cell_count

    def __iter__(self) -> Iterator[Record]:
        while (line := self._lines.next_line()) is not None:
            yield self._starting_with(line)

    def _starting_with(self, first: Line) -> Record:
        if first.problem or first.is_blank:
            return _record([first], problem=first.problem, is_blank=first.is_blank)
        if self._quote not in first.text:
            return self._plain(first)
        collected = [first]
        is_open = self._ends_inside_quotes(first.text, is_open=False)
        while is_open and len(collected) < RECORD_LINES_MAX:
            line = self._lines.next_line()
            if line is None:
                break
            collected.append(line)
            is_open = self._ends_inside_quotes(line.text, is_open=True)
        record = self._parsed(collected, is_open=is_open)
        if record.problem and len(collected) > 1:
            # The first line is at fault; what follows may be good records of their own.
            self._lines.give_back(collected[1:])
            return _record([first], problem=record.problem)
        return record

    def _plain(self, line: Line) -> Record:
        """Give the record of a line without quotes, as nearly all are."""
        number, text, end, _ = line
        raw = text.rstrip("\r\n")
        cells = raw.split(self._delimiter)
        if len(cells) == self._cell_count and any(map(str.strip, cells)):
            return Record(number, 1, Position(end, number + 1), raw, cells)
        return self._parsed([line])

    def _parsed(self, lines: list[Line], *, is_open: bool = False) -> Record:
        if is_open:
            return _record(lines, problem=f"a quote does not close within {len(lines)} lines")
        for line in lines:
            if line.problem:
                return _record(lines, problem=f"line {line.number}: {line.problem}")
        try:
            cells = self._cells(_text_of(lines))
        except csv.Error as error:
            return _record(lines, problem=f"not CSV: {error}")
        if not any(cell.strip() for cell in cells):
            return _record(lines, is_blank=True)
        count = self._cell_count
        if count and len(cells) > count and not any(cells[count:]):
            cells = cells[:count]
        if count and len(cells) != count:
            problem = f"{len(cells)} cells; the header has {count}"
            return _record(lines, problem=problem)
        return _record(lines, cells=cells)

    def _cells(self, text: str) -> list[str]:
        if self._quote not in text:
            return text.rstrip("\r\n").split(self._delimiter)
        rows = csv.reader([text], delimiter=self._delimiter, quotechar=self._quote, strict=True)
        return next(rows)

    def _ends_inside_quotes(self, text: str, *, is_open: bool) -> bool:
        """Tell whether a line ends within a quoted cell. A quote opens at a cell's start only."""
        place = 0
        while True:
            if not is_open:
                if not text.startswith(self._quote, place):
                    place = text.find(self._delimiter, place) + 1
                    if place == 0:
                        return False
                    continue
                place += 1
            is_open = True
            place = text.find(self._quote, place) + 1
            if place == 0:
                return True
            if text.startswith(self._quote, place):
                place += 1
                continue
            is_open = False
            place = text.find(self._delimiter, place) + 1
            if place == 0:
                return False


def _text_of(lines: list[Line]) -> str:
    return lines[0].text if len(lines) == 1 else "".join(line.text for line in lines)


def _record(
    lines: list[Line],
    *,
    cells: Sequence[str] = (),
    problem: str = "",
    is_blank: bool = False,
) -> Record:
    last = lines[-1]
    return Record(
        line_number=lines[0].number,
        line_count=len(lines),
        next_position=Position(last.end, last.number + 1),
        raw=_text_of(lines).rstrip("\r\n"),
        cells=cells,
        problem=problem,
        is_blank=is_blank,
    )
