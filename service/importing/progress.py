"""How far an import is, and who is told.

What lives here: values and the interface of the onlooker. How it looks is the command line's.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from service.importing.rows import Tally


@dataclass(frozen=True, slots=True)
class ImportAdvance:
    """How far an import is; everything counted here is settled by the writer."""

    bytes_done: int
    bytes_total: int
    lines: int
    accepted: int
    repeated: int
    rejected: int
    """By the reader and by the writer."""


class ImportObserver(Protocol):
    """Is told how an import goes. What it does takes time from the import."""

    def advanced(self, advance: ImportAdvance) -> None:
        """A chunk was settled, or an earlier run's work was found settled."""

    def interrupted(self, problem: str, wait_seconds: float) -> None:
        """The stream broke; it is tried again after a wait. `problem` is one line."""

    def began_again(self) -> None:
        """The file is gone through from its beginning once more: see `sending`."""


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """What became of every line of a file."""

    import_id: str
    tally: Tally
    accepted: int
    """Newly recorded, earlier runs of the same import included."""

    repeated: int
    rejected_by_writer: int
    rejects_file: Path | None
    rejects_written: int
    settled_before: int
    """How many of the events earlier runs of the same import had settled."""

    is_effective: bool
    """Whether everything accepted counts for every check already."""

    @property
    def rejected(self) -> int:
        """Lines refused by the reader or by the writer."""
        return self.tally.rejects + self.rejected_by_writer

    @property
    def adds_up(self) -> bool:
        """Whether every line is accounted for, and every rejected one is in the rejects file."""
        events = self.accepted + self.repeated + self.rejected_by_writer
        return (
            self.tally.adds_up
            and self.tally.events == events
            and self.rejects_written == self.rejected
        )
