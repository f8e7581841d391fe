"""Sending the events of a file to the writer, through interruptions, without doubling anything.

What lives here: the import stream and what survives it. Reading the file is `reader`'s, the rows
of a chunk are `chunks`'s, showing progress is the command line's.

The writer keeps how far an import has come under its id, which is a digest of the file, the mapping
and the zone: the same command goes on where the last one stopped. The reasons of rejected lines
are told once, in the answer to their chunk. When an answer was lost, or the rejects file of an
earlier run is gone, the file is sent once more from its beginning under a further id: the events
have the same ids and are repeats, and the rejected ones are judged and told anew. That is also how
lines rejected last time get in, once the catalog knows their codes.
"""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import grpc
from maywe.v1.common_pb2 import DURABILITY_EFFECTIVE
from maywe.v1.writer_pb2 import ImportCounts, ImportProgress, ImportRejection

from service.client import ImportEventsCall, is_transient, problem_of, retry_delay_seconds
from service.importing.chunks import Chunk, chunks_of
from service.importing.errors import ImportFailedError
from service.importing.mapping import FileMapping, load_mapping
from service.importing.progress import ImportAdvance, ImportObserver, ImportOutcome
from service.importing.reader import content_digest, read
from service.importing.rejects import RejectWriter
from service.importing.rows import START, Position, Reject, Row, Tally
from service.importing.stream import ImportStream, StreamBrokenError

CHUNKS_IN_FLIGHT_MAX: Final = 2
"""One that the writer works on, and one that waits for it."""

INTERRUPTIONS_WITHOUT_PROGRESS_MAX: Final = 8
BACK_OFF_SECONDS_FIRST: Final = 0.5
BACK_OFF_SECONDS_MAX: Final = 15.0
PASSES_MAX: Final = 1_000
IMPORT_ID_HEX_DIGITS: Final = 40


class ZoneMissingError(ImportFailedError):
    """Nothing says in which zone the file's dates are meant."""


class ImportStoppedError(ImportFailedError):
    """The writer stayed out of reach; what was settled stays settled."""


class _OnceMoreError(Exception):
    """What the writer has settled is more, or other, than what is known here."""


@dataclass(frozen=True, slots=True)
class ImportTask:
    """A file to be imported."""

    path: Path
    mapping: FileMapping
    zone: ZoneInfo
    digest: str

    def import_id(self, pass_number: int) -> str:
        """Give the id of the import, or of a further pass through the same file."""
        return f"file-{self.digest}" + (f"-{pass_number}" if pass_number > 1 else "")


def import_task(path: Path, mapping_path: Path, company_zone: ZoneInfo | None) -> ImportTask:
    """Read the mapping and identify the file. Raises ImportFailedError.

    `company_zone` is None when no catalog is published; then the mapping must name a zone.
    """
    mapping = load_mapping(mapping_path)
    zone = mapping.zone or company_zone
    if zone is None:
        raise ZoneMissingError(
            f"mapping {mapping_path}: no catalog is published whose zone dates could be read in: "
            "publish one first, or say zone: in the mapping"
        )
    parts = (content_digest(path), content_digest(mapping_path), zone.key)
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:IMPORT_ID_HEX_DIGITS]
    return ImportTask(path, mapping, zone, digest)


@dataclass(slots=True)
class _Settled:
    """How far this run knows the import to be settled."""

    position: Position = START
    tally: Tally = field(default_factory=Tally)
    through_line: int = 0
    """Position of the last event that was answered."""

    settled_before: int | None = None
    """Events that earlier runs had settled; None until the writer has said."""


def send_file(
    task: ImportTask,
    import_events: ImportEventsCall,
    address: str,
    observer: ImportObserver,
    *,
    wait: Callable[[float], None] = time.sleep,
) -> ImportOutcome:
    """Import a file, going on where an earlier run stopped and after interruptions.

    `address` is the writer's, for messages. Raises ImportFailedError, and ClientProblemError when
    the writer refuses the import itself. After any exception the same call goes on.
    """
    pass_number = 1
    settled = _Settled()
    interruptions = 0
    while True:
        before = settled.position
        try:
            with ImportStream(import_events, task.import_id(pass_number)) as stream:
                return _Run(task, stream, settled, observer).to_the_end()
        except _OnceMoreError as error:
            pass_number += 1
            if pass_number > PASSES_MAX:
                raise ImportStoppedError(
                    f"{task.path} was imported {PASSES_MAX} times already: change its mapping"
                ) from error
            settled = _Settled()
            observer.began_again()
        except (grpc.RpcError, StreamBrokenError) as error:
            problem, asked_seconds = _interruption(error, address)
            interruptions = 1 if settled.position != before else interruptions + 1
            if interruptions > INTERRUPTIONS_WITHOUT_PROGRESS_MAX:
                raise ImportStoppedError(f"{problem}; the same command goes on later") from error
            back_off = BACK_OFF_SECONDS_FIRST * 2 ** (interruptions - 1)
            seconds = max(min(back_off, BACK_OFF_SECONDS_MAX), asked_seconds)
            observer.interrupted(problem, seconds)
            wait(seconds)


def _interruption(error: grpc.RpcError | StreamBrokenError, address: str) -> tuple[str, float]:
    """Say what broke the stream and how long the writer asks to wait.

    Raises ClientProblemError when the same would happen again.
    """
    if isinstance(error, StreamBrokenError):
        return str(error), 0.0
    problem = problem_of(error, address)
    if not is_transient(error):
        raise problem from error
    return str(problem), retry_delay_seconds(error)


class _Run:
    """One stream's part of an import. What it settles is kept in `settled`, which outlives it."""

    def __init__(
        self, task: ImportTask, stream: ImportStream, settled: _Settled, observer: ImportObserver
    ) -> None:
        self._task = task
        self._stream = stream
        self._settled = settled
        self._observer = observer
        self._bytes_total = task.path.stat().st_size
        self._counts = ImportCounts()
        self._in_flight: deque[Chunk] = deque()

    def to_the_end(self) -> ImportOutcome:
        resume = self._stream.start()
        self._counts = resume.counts
        if self._settled.settled_before is None:
            self._settled.settled_before = _total(resume.counts)
        rows = read(
            self._task.path,
            self._task.mapping,
            self._task.zone,
            self._settled.position,
            event_id_key=resume.event_id_key,
        )
        kept_until = Position(0, max(resume.next_position, START.line_number))
        with RejectWriter(self._task.path, kept_until) as rejects:
            remaining = self._pass_settled(rows, kept_until.line_number, rejects)
            self._show()
            for chunk in chunks_of(remaining):
                self._send(chunk, rejects)
            while self._in_flight:
                self._settle_oldest(rejects)
            summary = self._stream.finish()
            rejects_written = rejects.count
            rejects_file = rejects.finish()
        return ImportOutcome(
            import_id=self._stream.import_id,
            tally=self._settled.tally,
            accepted=summary.counts.accepted_count,
            repeated=summary.counts.repeated_count,
            rejected_by_writer=summary.counts.rejected_count,
            rejects_file=rejects_file,
            rejects_written=rejects_written,
            settled_before=self._settled.settled_before,
            is_effective=summary.durability == DURABILITY_EFFECTIVE,
        )

    def _pass_settled(
        self, rows: Iterator[Row], resume_line: int, rejects: RejectWriter
    ) -> Iterator[Row]:
        """Go past the rows that the writer has settled, and give the others.

        Raises _OnceMoreError when the writer rejected some whose reasons are not at hand, or has
        forgotten what it had answered, as a restored one may.
        """
        settled = self._settled
        if resume_line <= settled.through_line:
            raise _OnceMoreError
        first: list[Row] = []
        for row in rows:
            if row.line_number >= resume_line:
                first.append(row)
                break
            settled.tally.add(row)
            settled.position = row.next_position
            if isinstance(row, Reject) and row.line_number not in rejects.kept_line_numbers:
                rejects.add(row)
        counts = self._counts
        if (
            rejects.count != settled.tally.rejects + counts.rejected_count
            or settled.tally.events != _total(counts)
        ):
            raise _OnceMoreError
        return chain(first, rows)

    def _send(self, chunk: Chunk, rejects: RejectWriter) -> None:
        while len(self._in_flight) >= CHUNKS_IN_FLIGHT_MAX:
            self._settle_oldest(rejects)
        if chunk.event_rows:
            self._stream.send(chunk.request)
        self._in_flight.append(chunk)

    def _settle_oldest(self, rejects: RejectWriter) -> None:
        """Wait for the answer to the oldest chunk, and write down what it rejects."""
        chunk = self._in_flight[0]
        refused: list[Reject] = []
        if chunk.event_rows:
            progress = self._stream.receive_progress()
            refused = _refused(chunk, progress)
            self._counts = _sum(self._counts, progress.counts)
            self._settled.through_line = progress.through_position
        lines = sorted([*chunk.rejects, *refused], key=lambda reject: reject.line_number)
        for reject in lines:
            rejects.add(reject)
        if lines:
            rejects.checkpoint()
        self._in_flight.popleft()
        self._settled.tally = self._settled.tally.plus(chunk.tally)
        self._settled.position = chunk.next_position
        self._show()

    def _show(self) -> None:
        tally = self._settled.tally
        self._observer.advanced(
            ImportAdvance(
                bytes_done=self._settled.position.byte_offset,
                bytes_total=self._bytes_total,
                lines=tally.lines,
                accepted=self._counts.accepted_count,
                repeated=self._counts.repeated_count,
                rejected=tally.rejects + self._counts.rejected_count,
            )
        )


def _refused(chunk: Chunk, progress: ImportProgress) -> list[Reject]:
    """Give the rows of a chunk that the writer rejected. Raises StreamBrokenError."""
    counts = progress.counts
    if (
        progress.through_position != chunk.last_event_position
        or _total(counts) != len(chunk.event_rows)
        or counts.rejected_count != len(progress.rejected)
    ):
        raise StreamBrokenError("the writer's answer is not about the chunk that was sent")
    return [
        chunk.event_rows[rejection.position].rejected(_reason(rejection))
        for rejection in progress.rejected
    ]


def _reason(rejection: ImportRejection) -> str:
    """Give the reason of a rejection in one line."""
    text = rejection.message
    if rejection.field and not text.startswith(rejection.field):
        text = f"{rejection.field}: {text}"
    return " ".join(text.split())


def _total(counts: ImportCounts) -> int:
    return counts.accepted_count + counts.repeated_count + counts.rejected_count


def _sum(one: ImportCounts, other: ImportCounts) -> ImportCounts:
    return ImportCounts(
        accepted_count=one.accepted_count + other.accepted_count,
        repeated_count=one.repeated_count + other.repeated_count,
        rejected_count=one.rejected_count + other.rejected_count,
    )
