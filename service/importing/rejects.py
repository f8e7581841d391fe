"""The file beside an imported file that lists every rejected line.

What lives here: writing `<file>.rejected.csv` so that it appears whole or not at all, and going on
with it after an interruption.
"""

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TextIO

from service.importing.errors import FileUnreadableError
from service.importing.records import LINE_BYTES_MAX, RECORD_LINES_MAX
from service.importing.rows import START, Position, Reject

REJECTS_SUFFIX: Final = ".rejected.csv"
PARTIAL_SUFFIX: Final = ".partial"
BEGUN_SUFFIX: Final = ".begun"
COLUMNS: Final = ("line_number", "reason", "original_text")

TEXT_CHARACTERS_MAX: Final = 4 * LINE_BYTES_MAX * RECORD_LINES_MAX
"""The longest original text: of one record, every byte of it shown as an escape."""

# Spreadsheets take a CSV file for UTF-8 only when it begins with the byte-order mark.
_ENCODING: Final = "utf-8-sig"


def rejects_path(path: Path) -> Path:
    """Give the path of the rejects of a file."""
    return path.with_name(path.name + REJECTS_SUFFIX)


class RejectWriter:
    """Collects the rejects of one import run in a partial file, which `finish` puts in place.

    Used as a context manager; leaving it without `finish` keeps the partial file, so that a later
    run can go on from the last checkpoint.
    """

    def __init__(self, path: Path, start_position: Position = START) -> None:
        """Begin at a position: rejects of earlier lines are kept, of later ones forgotten.

        Raises FileUnreadableError when the file beside `path` can not be written.
        """
        self._final = rejects_path(path)
        self._partial = self._final.with_name(self._final.name + PARTIAL_SUFFIX)
        try:
            kept = self._kept(start_position)
            begun = self._partial.with_name(self._partial.name + BEGUN_SUFFIX)
            # csv ends lines itself, and line breaks within a text stay as they were.
            self._stream = begun.open("w", encoding=_ENCODING, newline="")
            self._rows = csv.writer(self._stream)
            self._rows.writerow(COLUMNS)
            self._rows.writerows(kept)
            self.count = len(kept)
            self.kept_line_numbers = frozenset(int(row[0]) for row in kept)
            self.checkpoint()
            # Only now may the partial file of the interrupted run go: what is kept of it is safe.
            begun.replace(self._partial)
        except OSError as error:
            raise FileUnreadableError(self._partial, error.strerror or "not writable") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stream.close()

    def add(self, reject: Reject) -> None:
        """Write one reject."""
        self._rows.writerow((reject.line_number, reject.reason, reject.raw))
        self.count += 1

    def checkpoint(self) -> None:
        """Make what was added durable; to be done before the position reached is stored."""
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def finish(self) -> Path | None:
        """Put the file in place and give its path; without rejects there is none.

        A rejects file of an earlier import of the same file is replaced or removed.
        """
        self.checkpoint()
        self._stream.close()
        if self.count:
            self._partial.replace(self._final)
            return self._final
        self._partial.unlink()
        self._final.unlink(missing_ok=True)
        return None

    def _kept(self, start_position: Position) -> list[list[str]]:
        if start_position == START or not self._partial.exists():
            return []
        with self._partial.open(encoding=_ENCODING, errors="replace", newline="") as stream:
            try:
                rows = _whole_rows(stream)[1:]
                return [row for row in rows if int(row[0]) < start_position.line_number]
            except (csv.Error, ValueError) as error:
                problem = "is damaged: remove it and import again"
                raise FileUnreadableError(self._partial, problem) from error


def _whole_rows(stream: TextIO) -> list[list[str]]:
    """Give the rows of a partial file but a last one that a crash cut short.

    What stands behind the last checkpoint may end anywhere. A row without its end would pass for a
    whole one, though its line may be settled already and never be rejected again.
    """
    # Only the last line can be without a line break, and then it is cut.
    lines = (line for line in stream if line.endswith(("\r", "\n")))
    rows: list[list[str]] = []
    with _long_fields_allowed():
        try:
            for row in csv.reader(lines, strict=True):
                rows.append(row)  # noqa: PERF402 - the rows before a fault are needed
        except csv.Error:
            # The file may end within quotes, but nothing comes after them.
            if next(lines, None) is not None:
                raise
    return rows


@contextmanager
def _long_fields_allowed() -> Iterator[None]:
    # The limit is the process's own and can be given in no other way.
    limit = csv.field_size_limit(TEXT_CHARACTERS_MAX)
    try:
        yield
    finally:
        csv.field_size_limit(limit)
