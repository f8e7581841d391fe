"""Rows of a file gathered into the chunks in which their events are sent.

What lives here: the bounds of a chunk, and what has to be remembered of its rows until the writer
has answered it. Streams and rejects files are not known here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from maywe.v1.writer_pb2 import ImportEventsRequest

from service.importing.messages import EventFields, EventUnsayableError, event_fields
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
    """Rows in the order of the file: the events to send, the rejects between them, the counts.

    Events are put into the request as they come: copying a message costs as much as making it.
    """

    request: ImportEventsRequest = field(default_factory=ImportEventsRequest)
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
            len(self.event_rows) >= EVENTS_PER_CHUNK_MAX
            or self.item_bytes >= BYTES_PER_CHUNK_MAX
            or self.row_count >= ROWS_PER_CHUNK_MAX
        )

    @property
    def last_event_position(self) -> int:
        """The position of the last event; there has to be one."""
        return next(reversed(self.event_rows))

    def add(self, row: Row, fields: EventFields | None) -> None:
        """Add a row, with the fields of its message when it is an event."""
        self.tally.add(row)
        self.row_count += 1
        self.next_position = row.next_position
        if isinstance(row, Reject):
            self.rejects.append(row)
        elif isinstance(row, EventRow):
            item = self.request.chunk.items.add(position=row.line_number, event=fields)
            self.event_rows[row.line_number] = row
            self.item_bytes += item.ByteSize()


def with_fields(rows: Iterator[Row]) -> Iterator[tuple[Row, EventFields | None]]:
    """Give every row with the fields of its message; an event that has none becomes a reject."""
    for row in rows:
        if not isinstance(row, EventRow):
            yield row, None
            continue
        try:
            yield row, event_fields(row.event)
        except EventUnsayableError as error:
            yield row.rejected(str(error)), None


def chunks_of(rows: Iterator[tuple[Row, EventFields | None]]) -> Iterator[Chunk]:
    """Gather rows into chunks; the last one may hold no event, none holds no row."""
    chunk = Chunk()
    for row, fields in rows:
        chunk.add(row, fields)
        if chunk.is_full:
            yield chunk
            chunk = Chunk()
    if chunk.row_count:
        yield chunk
