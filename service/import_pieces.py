"""Pieces of an import: how a chunk is cut into them, what a worker does with one, what it answers.

What lives here: both ends of what goes through `store.pieces` for imports. The stream of messages
is `servicers.importing`'s.

Several workers do the pieces of one chunk at once, so what has to stay in order has to be in one
piece: the events of one customer, and whatever shares an event id, of which the first counts. Each
piece is of a few shards, so that no two wait for each other's.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, NamedTuple, Self

from google.protobuf.unknown_fields import UnknownFieldSet
from google.rpc import code_pb2
from maywe.v1 import writer_pb2
from sqlalchemy import Connection

from decision.catalog import Catalog
from decision.errors import InvalidArgumentError, MayweError
from decision.events import NewEvent
from service.conversion.reading import read_any_event
from service.errors import problem_of, reason_number
from store.cache import Batch
from store.floors import CustomerFloor, Narrowing, joined_narrowings
from store.imports import ImportCounts
from store.outcomes import Outcome, Recorded
from store.pieces import Piece, Pieces, note_outcome
from store.recording import Recorder
from store.sharding import SHARD_COUNT, shard_of

IMPORT_KIND: Final = "import"

EVENTS_PER_PIECE: Final = 850
"""Events of a piece, about: enough to share a transaction's cost, few enough to be brief."""

_IDENTITY_EVENTS: Final = frozenset({"voiding", "merge", "split"})


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of some events of an import.

    It can not become effective by telling of `narrowings` if `is_settled` is False: then it was
    recorded in an epoch that is not settled.
    """

    accepted: int
    repeated: int
    rejections: Sequence[writer_pb2.ImportRejection]
    narrowings: Sequence[Narrowing]
    is_settled: bool

    @property
    def counts(self) -> ImportCounts:
        """The counts, which add up to the events."""
        return ImportCounts(self.accepted, self.repeated, len(self.rejections))


def joined(parts: Sequence[Settled]) -> Settled:
    """Give what became of the events of several pieces."""
    return Settled(
        sum(part.accepted for part in parts),
        sum(part.repeated for part in parts),
        sorted(
            (rejection for part in parts for rejection in part.rejections),
            key=lambda rejection: rejection.position,
        ),
        [narrowing for part in parts for narrowing in part.narrowings],
        all(part.is_settled for part in parts),
    )


def runs_of(
    items: Iterable[writer_pb2.ImportItem],
) -> Iterable[tuple[bool, list[writer_pb2.ImportItem]]]:
    """Part items where voids, merges and splits begin and end; True comes with runs of these.

    They change which events count, so what stands before them has to be recorded before them.
    """
    for changes_identity, run in groupby(
        items, key=lambda item: item.event.WhichOneof("event") in _IDENTITY_EVENTS
    ):
        yield changes_identity, list(run)


class Cut(NamedTuple):
    """A run of events, cut into pieces that can be done at once, in any order.

    Each lane has whole shards, so many lanes to a cut, and where an event id stands is a lane. It
    `has_strays` where an id is used for customers of several lanes: all its uses are in the first.
    """

    pieces: Pieces
    lane_count: int
    lane_of_event: Mapping[str, int]
    has_strays: bool = False

    def may_follow(self, before: Self) -> bool:
        """Tell whether a piece may be done as soon as that of its lane in `before` is done.

        Then all that has to stay in order is in one lane in both.
        """
        if self.lane_count != before.lane_count or self.has_strays or before.has_strays:
            return False
        if self.lane_count == 1:
            return True
        earlier, later = before.lane_of_event, self.lane_of_event
        return all(earlier[event_id] == later[event_id] for event_id in earlier.keys() & later)


def cut(items: Sequence[writer_pb2.ImportItem], caller: str = "") -> Cut:
    """Cut a run of events of timelines into pieces, which are alike in size."""
    lane_count = -(-len(items) // EVENTS_PER_PIECE)
    if lane_count == 1:
        return Cut(Pieces({0: _payload(items, caller)}), 1, {})
    lane_of_event: dict[str, int] = {}
    has_strays = False
    by_lane: dict[int, list[writer_pb2.ImportItem]] = {}
    for item in items:
        which = item.event.WhichOneof("event")
        lane = 0
        if which:
            request = getattr(item.event, which)
            own_lane = shard_of(request.customer_id) * lane_count // SHARD_COUNT
            lane = lane_of_event.setdefault(request.event_id, own_lane)
            has_strays = has_strays or lane != own_lane
        by_lane.setdefault(lane, []).append(item)
    pieces = Pieces({lane: _payload(by_lane[lane], caller) for lane in sorted(by_lane)})
    return Cut(pieces, lane_count, lane_of_event, has_strays)


_CALLER_FIELD: Final = 1000
"""Number of the field behind the items that names the caller. It is no part of the contract, and
whoever does not know it reads the items all the same."""

_CALLER_TAG: Final = b"\xc2\x3e"
"""That field's tag: its number, and that a length and so many bytes follow."""

_CONTINUED: Final = 0x80
"""What a number of seven bits is marked with if more follow."""


def _payload(items: Sequence[writer_pb2.ImportItem], caller: str) -> bytes:
    payload = writer_pb2.ImportChunk(items=items).SerializeToString()
    if not caller:
        return payload
    name = caller.encode()
    length = bytes([len(name) % _CONTINUED | _CONTINUED, len(name) // _CONTINUED])
    return payload + _CALLER_TAG + length + name


def _caller_of(chunk: writer_pb2.ImportChunk) -> str:
    for field in UnknownFieldSet(chunk):  # type: ignore[attr-defined]  # its types lack it
        if field.field_number == _CALLER_FIELD:
            name: bytes = field.data
            return name.decode()
    return ""


class DonePiece(NamedTuple):
    """What came of a piece: what the recorder and the cache have to be told after the commit."""

    outcomes: Sequence[Outcome]
    batches: Mapping[int, Batch]


def do_piece(connection: Connection, piece: Piece, recorder: Recorder) -> DonePiece:
    """Record the events of a piece in this transaction, and note there what to answer."""
    chunk = writer_pb2.ImportChunk.FromString(piece.payload)
    run = recorder.begin_run(connection)
    notes = _Notes(_caller_of(chunk))
    positions, events = notes.read(chunk.items, run.published.catalog)
    outcomes = run.record(events, with_timelines=False)
    notes.add(positions, outcomes)
    note_outcome(connection, piece, _encode(notes.settled()))
    return DonePiece(outcomes, run.batches)


def record_in_order(
    items: Sequence[writer_pb2.ImportItem], recorder: Recorder, catalog: Catalog, caller: str
) -> Settled:
    """Record events one after the other, as voids, merges and splits have to be."""
    notes = _Notes(caller)
    positions, events = notes.read(items, catalog)
    notes.add(positions, recorder.record(events))
    return notes.settled()


class _Notes:
    """What becomes of events, noted one by one."""

    def __init__(self, caller: str) -> None:
        self._caller = caller
        self._accepted = 0
        self._repeated = 0
        self._rejections: list[writer_pb2.ImportRejection] = []
        self._narrowings: list[Narrowing] = []
        self._is_settled = True

    def read(
        self, items: Iterable[writer_pb2.ImportItem], catalog: Catalog
    ) -> tuple[Sequence[int], Sequence[NewEvent]]:
        """Read messages, noting those that can not be, and give the positions of the others."""
        positions = []
        events = []
        for item in items:
            try:
                event = read_any_event(item.event, catalog)
                events.append(event._replace(caller=self._caller) if self._caller else event)
                positions.append(item.position)
            except InvalidArgumentError as error:
                self._reject(item.position, error)
        return positions, events

    def add(self, positions: Sequence[int], outcomes: Sequence[Outcome]) -> None:
        for position, outcome in zip(positions, outcomes, strict=True):
            if not isinstance(outcome, Recorded):
                self._reject(position, outcome.error)
                continue
            if not outcome.narrowing.is_empty:
                self._narrowings.append(outcome.narrowing)
            elif not outcome.is_epoch_settled:
                self._is_settled = False
            if outcome.is_repeated:
                self._repeated += 1
            else:
                self._accepted += 1

    def settled(self) -> Settled:
        return Settled(
            self._accepted, self._repeated, self._rejections, self._narrowings, self._is_settled
        )

    def _reject(self, position: int, error: MayweError) -> None:
        problem = problem_of(error)
        self._rejections.append(
            writer_pb2.ImportRejection(
                position=position,
                code=code_pb2.Code.Name(problem.code),
                reason=reason_number(error.code),
                field=problem.field,
                message=problem.message,
            )
        )


def _encode(settled: Settled) -> bytes:
    """Write what became of a piece, all of which was recorded in one epoch."""
    narrowing = joined_narrowings(settled.narrowings) if settled.narrowings else None
    document = {
        "accepted": settled.accepted,
        "repeated": settled.repeated,
        "rejections": [
            [part.position, part.code, part.reason, part.field, part.message]
            for part in settled.rejections
        ],
        "narrowing": narrowing
        and [narrowing.epoch, list(narrowing.customers), narrowing.narrowed_at],
        "is_settled": settled.is_settled,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def decode(outcome: bytes) -> Settled:
    """Read what a worker answered."""
    document: dict[str, Any] = json.loads(outcome)
    narrowings = []
    if document["narrowing"] is not None:
        epoch, floors, narrowed_at = document["narrowing"]
        narrowings = [
            Narrowing(epoch, [CustomerFloor(*floor) for floor in floors], narrowed_at=narrowed_at)
        ]
    return Settled(
        document["accepted"],
        document["repeated"],
        [
            writer_pb2.ImportRejection(
                position=position, code=code, reason=reason, field=field, message=message
            )
            for position, code, reason, field, message in document["rejections"]
        ],
        narrowings,
        document["is_settled"],
    )
