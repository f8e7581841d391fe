"""Rows of a file gathered into the chunks in which their events are sent.

What lives here: the bounds of a chunk, and what has to be remembered of its rows until the writer
has answered it. Streams and rejects files are not known here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from maywe.v1.writer_pb2 import ImportChunk, ImportEventsRequest, ImportItem

from service.conversion import wire
from service.importing.rows import START, EventRow, Position, Reject, Row, Tally

EVENTS_PER_CHUNK_MAX: Final = 5_000
"""As many as the contract allows: the writer works shard by shard, and the more events a shard gets
at once the fewer transactions there are."""

BYTES_PER_CHUNK_MAX: Final = 3 * 1024 * 1024
"""The contract allows 4 MiB a message; the last event of a chunk may go beyond this."""

ROWS_PER_CHUNK_MAX: Final = 10_000
"""Rejected rows too are held until their chunk is answered, so that rejects are in order."""

_POSITION_HEAD: Final = wire.varint(ImportItem.POSITION_FIELD_NUMBER << wire.FIELD_SHIFT)


@dataclass(slots=True)
class Chunk:
    """Rows in the order of the file: the events to send, the rejects between them, the counts."""

    items: list[bytes] = field(default_factory=list)
    """The events with their positions, as they stand in the bytes of a request."""

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

    @property
    def request(self) -> bytes:
        """The bytes of the ImportEventsRequest in which the events are sent."""
        chunk = b"".join(self.items)
        return wire.delimited(ImportEventsRequest.CHUNK_FIELD_NUMBER, chunk)

    def add(self, row: Row) -> None:
        """Add a row."""
        self.tally.add(row)
        self.row_count += 1
        self.next_position = row.next_position
        if isinstance(row, EventRow):
            item = _item(row)
            self.items.append(wire.delimited(ImportChunk.ITEMS_FIELD_NUMBER, item))
            self.event_rows[row.line_number] = row
            self.item_bytes += len(item)
        elif isinstance(row, Reject):
            self.rejects.append(row)


def _item(row: EventRow) -> bytes:
    """Give the bytes of the ImportItem of an event."""
    return b"".join(
        (
            _POSITION_HEAD,
            wire.rising_varint(row.line_number),
            wire.head(ImportItem.EVENT_FIELD_NUMBER, len(row.event)),
            row.event,
        )
    )


def chunks_of(rows: Iterator[Row]) -> Iterator[Chunk]:
    """Gather rows into chunks; the last one may hold no event, none holds no row."""
    chunk = Chunk()
    for row in rows:
        chunk.add(row)
        if chunk.is_full:
            yield chunk
            chunk = Chunk()
    if chunk.row_count:
        yield chunk
