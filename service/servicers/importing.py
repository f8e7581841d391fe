"""The import stream: many events, each accepted, repeated or rejected, resumable at any point.

What lives here: the order of the stream's messages, the cutting of a chunk into transactions, and
the counting. Where an import stands is kept by `store.imports`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import grpc
from google.rpc import code_pb2
from maywe.v1 import writer_pb2

from decision.catalog import Catalog
from decision.errors import FieldFault, InvalidArgumentError, MayweError
from decision.event_rules import check_identifier
from decision.events import NewEvent
from service.composition import Application
from service.conversion.reading import read_any_event
from service.conversion.writing import durability_value
from service.errors import ShuttingDownError, StreamOrderError, problem_of, reason_number
from service.servicers.acknowledging import Acknowledger
from store.floors import Narrowing
from store.imports import FIRST_POSITION, ImportCounts, claimed_import
from store.recording import Outcome, Recorded, Recorder

ITEMS_PER_CHUNK_MAX: Final = 5000

EVENTS_PER_PIECE: Final = 500
"""Events recorded in one transaction: enough to share its cost, few enough to be brief."""


def import_events(
    application: Application,
    requests: Iterator[writer_pb2.ImportEventsRequest],
    context: grpc.ServicerContext,
) -> Iterator[writer_pb2.ImportEventsResponse]:
    """Answer the messages of one import stream."""
    acknowledger = Acknowledger(application)
    import_id = _read_start(next(requests, None))
    with claimed_import(application.engine, import_id) as progress:
        yield writer_pb2.ImportEventsResponse(
            resume=writer_pb2.ImportResume(
                next_position=progress.next_position,
                counts=_counts_message(progress.counts),
                event_id_key=progress.event_id_key,
            )
        )
        last_position = 0
        # Of what earlier streams settled, nobody knows here whether it became effective.
        is_all_effective = progress.next_position == FIRST_POSITION
        for request in requests:
            if application.stopping.is_set():
                raise ShuttingDownError
            chunk = _read_chunk(request, last_position)
            last_position = chunk[-1].position
            settled = _Chunk(application, chunk, progress.next_position).settle()
            progress.advance(last_position + 1, settled.counts_of_new)
            is_effective = settled.may_become_effective and acknowledger.make_chunk_effective(
                settled.narrowings, context
            )
            is_all_effective = is_all_effective and is_effective
            yield writer_pb2.ImportEventsResponse(
                progress=writer_pb2.ImportProgress(
                    # What is below the position to resume from was settled by an earlier stream.
                    through_position=progress.next_position - 1,
                    counts=_counts_message(settled.counts),
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


@dataclass(frozen=True, slots=True)
class _Settled:
    """What became of a chunk; `counts_of_new` leaves out what was settled before.

    It can not become effective by telling of `narrowings` if some of it was settled before, or
    recorded in an epoch that is not settled.
    """

    counts: ImportCounts
    counts_of_new: ImportCounts
    rejections: Sequence[writer_pb2.ImportRejection]
    narrowings: Sequence[Narrowing]
    may_become_effective: bool


class _Placed(NamedTuple):
    """An event with its place in the import."""

    position: int
    event: NewEvent


class _Chunk:
    """Settles one chunk: whatever is recorded is committed when it is done."""

    def __init__(
        self,
        application: Application,
        items: Sequence[writer_pb2.ImportItem],
        next_position: int,
    ) -> None:
        self._recorder: Recorder = application.recorder
        self._catalog: Catalog = application.catalogs.newest().catalog
        self._items = items
        self._next_position = next_position
        self._accepted = 0
        self._repeated = 0
        self._rejections: dict[int, MayweError] = {}
        self._narrowings: list[Narrowing] = []
        self._is_settled = True

    def settle(self) -> _Settled:
        new = [item for item in self._items if item.position >= self._next_position]
        read = self._read(new)
        for start in range(0, len(read), EVENTS_PER_PIECE):
            piece = read[start : start + EVENTS_PER_PIECE]
            outcomes = self._recorder.record([placed.event for placed in piece])
            for placed, outcome in zip(piece, outcomes, strict=True):
                self._note(placed.position, outcome)
        counts = ImportCounts(self._accepted, self._repeated, len(self._rejections))
        return _Settled(
            counts._replace(repeated=counts.repeated + len(self._items) - len(new)),
            counts,
            [
                _rejection_message(position, self._rejections[position])
                for position in sorted(self._rejections)
            ],
            self._narrowings,
            may_become_effective=self._is_settled and len(new) == len(self._items),
        )

    def _read(self, items: Iterable[writer_pb2.ImportItem]) -> list[_Placed]:
        read = []
        for item in items:
            try:
                read.append(_Placed(item.position, read_any_event(item.event, self._catalog)))
            except InvalidArgumentError as error:
                self._rejections[item.position] = error
        return read

    def _note(self, position: int, outcome: Outcome) -> None:
        if not isinstance(outcome, Recorded):
            self._rejections[position] = outcome.error
            return
        if not outcome.narrowing.is_empty:
            self._narrowings.append(outcome.narrowing)
        elif not outcome.is_epoch_settled:
            self._is_settled = False
        if outcome.is_repeated:
            self._repeated += 1
        else:
            self._accepted += 1


def _rejection_message(position: int, error: MayweError) -> writer_pb2.ImportRejection:
    problem = problem_of(error)
    return writer_pb2.ImportRejection(
        position=position,
        code=code_pb2.Code.Name(problem.code),
        reason=reason_number(error.code),
        field=problem.field,
        message=problem.message,
    )


def _counts_message(counts: ImportCounts) -> writer_pb2.ImportCounts:
    return writer_pb2.ImportCounts(
        accepted_count=counts.accepted,
        repeated_count=counts.repeated,
        rejected_count=counts.rejected,
    )
