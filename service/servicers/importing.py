"""The import stream: many events, each accepted, repeated or rejected, resumable at any point.

What lives here: the order of the stream's messages and the counting. A chunk is recorded by workers
in pieces (`import_pieces`); where an import stands is kept by `store.imports`.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import grpc
from maywe.v1 import writer_pb2

from decision.errors import FieldFault, InvalidArgumentError
from decision.event_rules import check_identifier
from service.access.gate import calling
from service.composition import Application
from service.conversion.writing import durability_value
from service.errors import ShuttingDownError, StreamOrderError
from service.import_pieces import (
    IMPORT_KIND,
    Settled,
    decode,
    joined,
    pieces_of,
    record_in_order,
    runs_of,
)
from service.servicers.acknowledging import Acknowledger
from store.imports import FIRST_POSITION, ImportCounts, ImportProgress, claimed_import

ITEMS_PER_CHUNK_MAX: Final = 5000


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
    with claimed_import(application.engine, import_id) as progress:
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
        for chunk in _ahead(_cut_chunks(requests, progress.next_position, caller)):
            ask_whether_to_stop()
            settled = settling.settle(chunk.runs)
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
    return items


class _Run(NamedTuple):
    """Events of a chunk that can be recorded at once, in pieces, or in order, by ourselves."""

    in_order: Sequence[writer_pb2.ImportItem]
    pieces: Sequence[bytes]


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
                _Run(run, []) if changes_identity else _Run([], pieces_of(run, caller))
                for changes_identity, run in runs_of(new)
            ],
        )


def _ahead(chunks: Iterator[_Chunk]) -> Iterator[_Chunk]:
    """Give chunks, each read and cut while the one before is settled.

    What is wrong with a chunk is said when its turn comes.
    """
    reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="maywe import")
    try:
        coming = reader.submit(next, chunks, None)
        while (chunk := coming.result()) is not None:
            coming = reader.submit(next, chunks, None)
            yield chunk
    finally:
        # It may wait for a message; the end of the call ends that, which we may not wait for here.
        reader.shutdown(wait=False, cancel_futures=True)


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

    def settle(self, runs: Sequence[_Run]) -> Settled:
        settled = []
        for in_order, pieces in runs:
            if in_order:
                catalog = self._application.catalogs.newest().catalog
                settled.append(
                    record_in_order(in_order, self._application.recorder, catalog, self._caller)
                )
            else:
                outcomes = self._desk.settle(IMPORT_KIND, pieces, self._ask_whether_to_stop)
                settled += [decode(outcome) for outcome in outcomes]
        return joined(settled)


def _counts_message(counts: ImportCounts) -> writer_pb2.ImportCounts:
    return writer_pb2.ImportCounts(
        accepted_count=counts.accepted,
        repeated_count=counts.repeated,
        rejected_count=counts.rejected,
    )
