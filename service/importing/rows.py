"""What reading a file yields, and the counts that have to add up.

What lives here: values only. `reader` makes them, the sender and `rejects` take them.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple, TypeAlias


class Position(NamedTuple):
    """A place between two lines of a file, from which reading can go on."""

    byte_offset: int
    line_number: int
    """The number of the line that begins here, counted from 1."""


START: Final = Position(0, 1)


class Reject(NamedTuple):
    """A record that was refused: where it is, why, and its original text."""

    line_number: int
    reason: str
    raw: str
    line_count: int
    next_position: Position


class EventRow(NamedTuple):
    """A record that became an event."""

    line_number: int
    event: bytes
    """An `Event` of the contract."""

    raw: str
    line_count: int
    next_position: Position

    def rejected(self, reason: str) -> Reject:
        """Give this row as a reject, for when the writer refuses the event."""
        return Reject(self.line_number, reason, self.raw, self.line_count, self.next_position)


class SkipCause(Enum):
    """Why a line carries no event and is no fault either."""

    HEADER = "header"
    BLANK = "blank"


class Skipped(NamedTuple):
    """A header or a blank line."""

    line_number: int
    cause: SkipCause
    line_count: int
    next_position: Position


Row: TypeAlias = EventRow | Reject | Skipped


@dataclass(slots=True)
class Tally:
    """Counts of what was read. `lines` is always the sum of all the others."""

    lines: int = 0
    events: int = 0
    rejects: int = 0
    headers: int = 0
    blanks: int = 0
    continuations: int = 0
    """Lines beyond the first of records that span several."""

    def add(self, row: Row) -> None:
        """Count one row."""
        self.lines += row.line_count
        self.continuations += row.line_count - 1
        match row:
            case EventRow():
                self.events += 1
            case Reject():
                self.rejects += 1
            case Skipped(cause=SkipCause.HEADER):
                self.headers += 1
            case Skipped():
                self.blanks += 1

    def plus(self, other: "Tally") -> "Tally":
        """Give the sum of two."""
        return Tally(
            self.lines + other.lines,
            self.events + other.events,
            self.rejects + other.rejects,
            self.headers + other.headers,
            self.blanks + other.blanks,
            self.continuations + other.continuations,
        )

    @property
    def adds_up(self) -> bool:
        """Whether every line is accounted for."""
        return self.lines == (
            self.events + self.rejects + self.headers + self.blanks + self.continuations
        )
