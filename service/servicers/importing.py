"""The import stream: many events, each accepted, repeated or rejected, resumable at any point.

What lives here: the order of the stream's messages and the counting. A chunk is recorded by workers
in pieces (`import_pieces`); where an import stands is kept by `store.imports`.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Final, NamedTuple

import grpc
from maywe.v1 import writer_pb2

from decision.errors import FieldFault, InvalidArgumentError
from decision.event_rules import check_identifier
from service.access.gate import calling
from service.application import Application
from service.conversion.writing import durability_value
from service.errors import ShuttingDownError, StreamOrderError
from service.import_pieces import (
    IMPORT_KIND,
    Cut,
    Settled,
    cut,
    decode,
    joined,
    record_in_order,
    runs_of,
)
from service.servicers.acknowledging import Acknowledger
from store.imports import FIRST_POSITION, ImportCounts, ImportProgress, claimed_import
from store.pieces import Pieces

ITEMS_PER_CHUNK_MAX: Final = 5000

POSITION_MAX: Final = 2**63 - 2
"""The position behind the last one has to be a number that can be kept, too."""


def import_events(
    application: Application,
    requests: Iterator[writer_pb2.ImportEventsRequest],
    context: grpc.ServicerContext,
) -> Iterator[writer_pb2.ImportEventsResponse]:
    """Answer the messages of one import stream."""
    acknowledger = Acknowledger(application)
    caller = calling()

    def ask_whether_to_stop() -> None:
        if application.stopping.is_set():
            raise ShuttingDownError

    import_id = _read_start(next(requests, None))
    with ExitStack() as stack:
        progress = stack.enter_context(claimed_import(application.engine, import_id))
        yield writer_pb2.ImportEventsResponse(
            resume=writer_pb2.ImportResume(
                next_position=progress.next_position,
                counts=_counts_message(progress.counts),
                event_id_key=progress.event_id_key,
            )
        )
        # Of what earlier streams settled, nobody knows here whether it became effective.
        is_all_effective = progress.next_position == FIRST_POSITION
        settling = _Settling(application, progress, ask_whether_to_stop, caller)
        cut_chunks = _cut_chunks(requests, progress.next_position, caller)
        chunks = stack.enter_context(closing(_Ahead(cut_chunks)))
        for chunk in chunks:
            ask_whether_to_stop()
            settled = settling.settle(chunk.runs, chunks)
            progress.advance(chunk.last_position + 1, settled.counts)
            is_effective = (
                settled.is_settled
                and not chunk.known_count
                and acknowledger.make_chunk_effective(settled.narrowings, context)
            )
            is_all_effective = is_all_effective and is_effective
            yield writer_pb2.ImportEventsResponse(
                progress=writer_pb2.ImportProgress(
                    # What is below the position to resume from was settled by an earlier stream.
                    through_position=progress.next_position - 1,
                    counts=_counts_message(
                        settled.counts._replace(repeated=settled.repeated + chunk.known_count)
                    ),
                    rejected=settled.rejections,
                    durability=durability_value(is_effective=is_effective),
                )
            )
        yield writer_pb2.ImportEventsResponse(
            summary=writer_pb2.ImportSummary(
                through_position=progress.next_position - 1,
                counts=_counts_message(progress.counts),
                durability=durability_value(
                    is_effective=is_all_effective or acknowledger.make_past_effective(context)
                ),
            )
        )


def _read_start(request: writer_pb2.ImportEventsRequest | None) -> str:
    received = _part_of(request)
    if request is None or received != "start":
        raise StreamOrderError("start", received)
    check_identifier("start.import_id", request.start.import_id)
    return request.start.import_id


def _part_of(request: writer_pb2.ImportEventsRequest | None) -> str:
    if request is None:
        return "the end"
    return request.WhichOneof("part") or "an empty message"


def _read_chunk(
    request: writer_pb2.ImportEventsRequest, last_position: int
) -> Sequence[writer_pb2.ImportItem]:
    received = _part_of(request)
    if received != "chunk":
        raise StreamOrderError("chunk", received)
    items = request.chunk.items
    if not 1 <= len(items) <= ITEMS_PER_CHUNK_MAX:
        problem = f"a chunk has 1 to {ITEMS_PER_CHUNK_MAX} items, not {len(items)}"
        raise InvalidArgumentError(FieldFault("chunk.items", problem))
    before = last_position
    for index, item in enumerate(items):
        if item.position <= before:
            problem = f"{item.position} does not rise: it has to be above {before}"
            raise InvalidArgumentError(FieldFault(f"chunk.items[{index}].position", problem))
        before = item.position
    if before > POSITION_MAX:
        problem = f"{before} is above {POSITION_MAX}, behind which no import can go on"
        raise InvalidArgumentError(FieldFault(f"chunk.items[{len(items) - 1}].position", problem))
    return items


class _Run(NamedTuple):
    """Events of a chunk that can be recorded at once, cut, or in order, by ourselves."""

    in_order: Sequence[writer_pb2.ImportItem]
    cut: Cut | None


class _Chunk(NamedTuple):
    """A chunk, cut; of its items so many were settled by an earlier stream and are left out."""

    last_position: int
    known_count: int
    runs: Sequence[_Run]


def _cut_chunks(
    requests: Iterator[writer_pb2.ImportEventsRequest], next_position: int, caller: str
) -> Iterator[_Chunk]:
    """Read chunks, leaving out what is below the position to resume from, and cut them."""
    last_position = 0
    for request in requests:
        items = _read_chunk(request, last_position)
        last_position = items[-1].position
        new = [item for item in items if item.position >= next_position]
        yield _Chunk(
            last_position,
            len(items) - len(new),
            [
                _Run(run, None) if changes_identity else _Run([], cut(run, caller))
                for changes_identity, run in runs_of(new)
            ],
        )


class _Ahead:
    """Chunks, each read and cut while those before are settled.

    What is wrong with a chunk is said when its turn comes.
    """

    def __init__(self, chunks: Iterator[_Chunk]) -> None:
        self._chunks = chunks
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="maywe import")
        self._coming = self._reader.submit(next, chunks, None)

    def __iter__(self) -> Iterator[_Chunk]:
        while (chunk := self._coming.result()) is not None:
            self._coming = self._reader.submit(next, self._chunks, None)
            yield chunk

    def first_cut(self) -> Cut | None:
        """Give how the next chunk begins, if that is known by now and is not to be in order."""
        if not self._coming.done() or self._coming.exception() is not None:
            return None
        chunk = self._coming.result()
        return chunk.runs[0].cut if chunk is not None and chunk.runs else None

    def close(self) -> None:
        """Read no more."""
        # It may wait for a message; the end of the call ends that, which we may not wait for here.
        self._reader.shutdown(wait=False, cancel_futures=True)


class _Settling:
    """Settles chunk after chunk: whatever is recorded is committed when it is done."""

    def __init__(
        self,
        application: Application,
        progress: ImportProgress,
        ask_whether_to_stop: Callable[[], None],
        caller: str,
    ) -> None:
        self._caller = caller
        self._application = application
        self._desk = progress.desk
        self._ask_whether_to_stop = ask_whether_to_stop

    def settle(self, runs: Sequence[_Run], ahead: _Ahead) -> Settled:
        """Settle the runs of a chunk; of the one ahead workers do what may follow already."""
        settled = []
        for place, (in_order, run) in enumerate(runs, start=1):
            if run is None:
                catalog = self._application.catalogs.newest().catalog
                settled.append(
                    record_in_order(in_order, self._application.recorder, catalog, self._caller)
                )
            else:
                following = _following(run, ahead) if place == len(runs) else lambda: None
                outcomes = self._desk.settle(
                    IMPORT_KIND, run.pieces, self._ask_whether_to_stop, following
                )
                settled += [decode(outcome) for outcome in outcomes]
        return joined(settled)


def _following(last: Cut, ahead: _Ahead) -> Callable[[], Pieces | None]:
    """Give what finds the pieces after a cut, once they are known, if they need not wait for it."""
    may_follow: bool | None = None

    def look() -> Pieces | None:
        nonlocal may_follow
        first = ahead.first_cut()
        if first is None:
            return None
        if may_follow is None:
            may_follow = first.may_follow(last)
        return first.pieces if may_follow else None

    return look


def _counts_message(counts: ImportCounts) -> writer_pb2.ImportCounts:
    return writer_pb2.ImportCounts(
        accepted_count=counts.accepted,
        repeated_count=counts.repeated,
        rejected_count=counts.rejected,
    )
