"""What commands print: tables for people, JSON for programs.

What lives here: how it looks. On a terminal there is colour and a line under the heads; anywhere
else columns are aligned by spaces and nothing is ever cut or wrapped. Results go to the standard
output; progress, hints and errors to the standard error.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TextIO

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

COLUMN_GAP: Final = 2
"""Spaces between columns when the output is no terminal."""

FOLDED_WIDTH_MAX: Final = 1.4
"""Up to so many widths of the terminal a table's cells are folded; a wider one becomes records."""

GOOD: Final = "green"
BAD: Final = "red"
UNSURE: Final = "yellow"
FAINT: Final = "dim"
STRONG: Final = "bold"

Cell = str | Text


def message_object(message: Message) -> dict[str, Any]:
    """Give a message in the protocol's JSON form, fields that are at their default included."""
    fields: dict[str, Any] = MessageToDict(message, always_print_fields_with_no_presence=True)
    return fields


@dataclass(frozen=True, slots=True)
class Output:
    """Where a command prints to, and whether it is to print JSON."""

    is_json: bool
    stream: TextIO

    def json(self, value: object) -> None:
        """Print a value of plain data as one JSON document."""
        text = json.dumps(value, ensure_ascii=False, indent=2)
        # Not by rich: programs get exactly these characters.
        self.stream.write(text + "\n")

    def message(self, message: Message) -> None:
        """Print a message as one JSON document."""
        self.json(message_object(message))

    def line(self, *parts: Cell) -> None:
        """Print one line."""
        self._print(Text.assemble(*parts))

    def heading(self, text: str) -> None:
        """Print what the lines after it are about."""
        self._print(Text())
        self._print(Text(text, style=STRONG))

    def fields(self, fields: Iterable[tuple[str, Cell]]) -> None:
        """Print labelled values, one a line; those without a value are left out."""
        given = [(label, value) for label, value in fields if str(value)]
        width = max((cell_len(label) for label, _ in given), default=0)
        for label, value in given:
            padding = " " * (width - cell_len(label) + COLUMN_GAP)
            self._print(Text.assemble((label, FAINT), padding, value))

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
        """Print a table. Without rows it prints nothing; empty columns are left out."""
        cells = [[_text(cell) for cell in row] for row in rows]
        if not cells:
            return
        used = [index for index in range(len(heads)) if any(row[index] for row in cells)]
        heads = [heads[index] for index in used]
        cells = [[row[index] for index in used] for row in cells]
        if not self._console.is_terminal:
            self._plain_table(heads, cells)
            return
        lines = [[Text(head) for head in heads], *cells]
        width = sum(
            max(cell_len(line[index].plain) for line in lines) for index in range(len(heads))
        )
        if width > self._console.width * FOLDED_WIDTH_MAX:
            self._records(heads, cells)
            return
        table = Table(box=None, pad_edge=False, header_style=f"{STRONG} underline")
        for head in heads:
            table.add_column(head, overflow="fold")
        for row in cells:
            table.add_row(*row)
        self._console.print(table)

    def _records(self, heads: Sequence[str], rows: Sequence[Sequence[Text]]) -> None:
        """Print each row as labelled values: a table this wide would be unreadable when folded."""
        for index, row in enumerate(rows):
            if index:
                self._print(Text())
            self.fields(zip(heads, row, strict=True))

    def _plain_table(self, heads: Sequence[str], rows: Sequence[Sequence[Text]]) -> None:
        widths = _widths(heads, rows)
        for line in [[Text(head) for head in heads], *rows]:
            padded = [
                cell.plain + " " * (width - cell_len(cell.plain) + COLUMN_GAP)
                for cell, width in zip(line, widths, strict=True)
            ]
            self.stream.write("".join(padded).rstrip() + "\n")

    def _print(self, text: Text) -> None:
        if self._console.is_terminal:
            self._console.print(text, soft_wrap=True)
        else:
            self.stream.write(text.plain + "\n")

    @property
    def _console(self) -> Console:
        return Console(file=self.stream, highlight=False, markup=False, emoji=False)


def standard_output(*, is_json: bool = False) -> Output:
    """Give the output of a command."""
    return Output(is_json, sys.stdout)


def hint(text: str) -> None:
    """Tell the person at the keyboard something that is no result."""
    sys.stderr.write(text + "\n")


def number(count: int) -> str:
    """Write a count with its thousands apart."""
    return f"{count:,}"


def _text(cell: Cell) -> Text:
    return Text(cell) if isinstance(cell, str) else cell


def _widths(heads: Sequence[str], rows: Sequence[Sequence[Text]]) -> list[int]:
    """Give the width of each column, heads included."""
    return [
        max(cell_len(head), *(cell_len(row[index].plain) for row in rows))
        for index, head in enumerate(heads)
    ]
