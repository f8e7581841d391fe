"""Rows of a file gathered into the chunks in which their events are sent.

What lives here: the bounds of a chunk, and what has to be remembered of its rows until the writer
has answered it. Streams and rejects files are not known here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from maywe.v1.event_pb2 import Event
from maywe.v1.writer_pb2 import ImportItem

from service.importing.messages import EventUnsayableError, event_message
from service.importing.rows import START, EventRow, Position, Reject, Row, Tally

EVENTS_PER_CHUNK_MAX: Final = 5_000
"""As many as the contract allows: the writer works shard by shard, and the more events a shard gets
at once the fewer transactions there are."""

BYTES_PER_CHUNK_MAX: Final = 3 * 1024 * 1024
"""The contract allows 4 MiB a message; the last event of a chunk may go beyond this."""

ROWS_PER_CHUNK_MAX: Final = 10_000
"""Rejected rows too are held until their chunk is answered, so that rejects are in order."""


@dataclass(slots=True)
class Chunk:
    """Rows in the order of the file: the events to send, the rejects between them, the counts."""

    items: list[ImportItem] = field(default_factory=list)
    event_rows: dict[int, EventRow] = field(default_factory=dict)
    """By position, which is the number of the row's first line."""

    rejects: list[Reject] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    next_position: Position = START
    item_bytes: int = 0
    row_count: int = 0

    @property
    def is_full(self) -> bool:
        """Whether no further row may be added."""
        return (
            len(self.items) >= EVENTS_PER_CHUNK_MAX
            or self.item_bytes >= BYTES_PER_CHUNK_MAX
            or self.row_count >= ROWS_PER_CHUNK_MAX
        )

    def add(self, row: Row, message: Event | None) -> None:
        """Add a row, with its message when it is an event."""
        self.tally.add(row)
        self.row_count += 1
        self.next_position = row.next_position
        if isinstance(row, Reject):
            self.rejects.append(row)
        elif isinstance(row, EventRow):
            item = ImportItem(position=row.line_number, event=message)
            self.items.append(item)
            self.event_rows[row.line_number] = row
            self.item_bytes += item.ByteSize()


def with_messages(rows: Iterator[Row]) -> Iterator[tuple[Row, Event | None]]:
    """Give every row with its message; an event without one becomes a reject."""
    for row in rows:
        if not isinstance(row, EventRow):
            yield row, None
            continue
        try:
            yield row, event_message(row.event)
        except EventUnsayableError as error:
            yield row.rejected(str(error)), None


def chunks_of(rows: Iterator[tuple[Row, Event | None]]) -> Iterator[Chunk]:
    """Gather rows into chunks; the last one may hold no event, none holds no row."""
    chunk = Chunk()
    for row, message in rows:
        chunk.add(row, message)
        if chunk.is_full:
            yield chunk
            chunk = Chunk()
    if chunk.row_count:
        yield chunk
