"""How an import looks while it runs, and its counts at the end.

What lives here: a progress bar on a terminal, a line every few seconds anywhere else.
"""

import sys
import time
from types import TracebackType
from typing import Any, Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from service.cli.output import Output, hint, number
from service.importing.progress import ImportAdvance, ImportOutcome

PLAIN_LINE_SECONDS: Final = 3.0
SECONDS_PER_MINUTE: Final = 60


class ImportProgressView:
    """Shows an import on the standard error; used as a context manager.

    Rate and time left are of this run: what an earlier one had settled does not count.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._console = Console(file=sys.stderr, highlight=False, markup=False)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%  {task.fields[counts]}", markup=False),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._progress.add_task(title, total=None, counts="")
        self._first: ImportAdvance | None = None
        self._began = 0.0
        self._line_due = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def advanced(self, advance: ImportAdvance) -> None:
        """Show how far the import is."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._began, self._line_due = advance, now, now + PLAIN_LINE_SECONDS
            if advance.lines:
                self._say(f"going on after line {number(advance.lines)}")
        rate = (advance.lines - self._first.lines) / max(now - self._began, 1e-9)
        counts = (
            f"{number(advance.lines)} lines, {number(int(rate))}/s, "
            f"{number(advance.rejected)} rejected"
        )
        self._progress.update(
            self._task, completed=advance.bytes_done, total=advance.bytes_total, counts=counts
        )
        if not self._console.is_terminal and now >= self._line_due:
            self._line_due = now + PLAIN_LINE_SECONDS
            share = advance.bytes_done / max(advance.bytes_total, 1)
            left = self._time_left(advance, now)
            hint(f"{self._title}: {share:.0%}, {counts}, {left} left")

    def interrupted(self, problem: str, wait_seconds: float) -> None:
        """Say that the import is tried again."""
        self._say(f"interrupted: {problem}; going on in {wait_seconds:.1f} seconds")

    def began_again(self) -> None:
        """Say why lines that are known to the writer are sent once more."""
        self._say(
            "an earlier run rejected lines whose reasons are not at hand: sending the file once "
            "more, which doubles nothing"
        )
        self._first = None

    def _time_left(self, advance: ImportAdvance, now: float) -> str:
        first = self._first or advance
        done = advance.bytes_done - first.bytes_done
        if not done:
            return "unknown time"
        left = (advance.bytes_total - advance.bytes_done) * (now - self._began) / done
        minutes, seconds = divmod(int(left), SECONDS_PER_MINUTE)
        return f"{minutes}:{seconds:02d}"

    def _say(self, text: str) -> None:
        self._console.print(f"{self._title}: {text}", soft_wrap=True)


def show_outcome(output: Output, outcome: ImportOutcome) -> None:
    """Show what became of every line."""
    tally = outcome.tally
    output.fields(
        [
            ("lines", number(tally.lines)),
            ("accepted", number(outcome.accepted)),
            ("repeated", number(outcome.repeated)),
            ("rejected", number(outcome.rejected)),
            ("  by form", number(tally.rejects) if outcome.rejected else ""),
            ("  by the writer", number(outcome.rejected_by_writer) if outcome.rejected else ""),
            ("header", number(tally.headers)),
            ("blank", number(tally.blanks)),
            ("continued", number(tally.continuations)),
            ("sum", "adds up" if outcome.adds_up else "DOES NOT ADD UP"),
            ("by earlier runs", number(outcome.settled_before) if outcome.settled_before else ""),
            ("rejects file", str(outcome.rejects_file or "")),
            ("state", "effective" if outcome.is_effective else "durable: checks follow"),
            ("import", outcome.import_id),
        ]
    )


def outcome_object(outcome: ImportOutcome) -> dict[str, Any]:
    """Give what became of every line as plain data, in the manner of the protocol's JSON."""
    tally = outcome.tally
    return {
        "importId": outcome.import_id,
        "lineCount": tally.lines,
        "acceptedCount": outcome.accepted,
        "repeatedCount": outcome.repeated,
        "rejectedCount": outcome.rejected,
        "rejectedByFormCount": tally.rejects,
        "rejectedByWriterCount": outcome.rejected_by_writer,
        "headerCount": tally.headers,
        "blankCount": tally.blanks,
        "continuedCount": tally.continuations,
        "settledBeforeCount": outcome.settled_before,
        "addsUp": outcome.adds_up,
        "rejectsFile": str(outcome.rejects_file) if outcome.rejects_file else None,
        "durability": f"DURABILITY_{'EFFECTIVE' if outcome.is_effective else 'DURABLE'}",
    }
