"""Pieces of bulk work, handed over from whoever has it to the worker processes.

What lives here: staging pieces, taking one, noting its outcome, and waiting for it. What a piece
holds is its kind's business. A worker takes a piece, does it and notes its outcome in one
transaction: one that dies has done nothing of it, and another takes it.
"""

import json
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

import psycopg
from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    LargeBinary,
    bindparam,
    delete,
    insert,
    literal_column,
    select,
    text,
    update,
)

from decision.errors import UnavailableError
from store.database import reading_once, run_transaction
from store.ledger_clock import CLOCK_SQL
from store.schema import work_piece

WORK_CHANNEL: Final = "maywe_work"
"""Where workers hear that there is something to do."""

DONE_CHANNEL: Final = "maywe_done"
"""Where those who wait hear that a piece is done."""

LOOK_SECONDS: Final = 0.2
"""How often whoever waits looks without having heard anything, and asks whether to stop."""

IDLE_LOOK_SECONDS: Final = 1.0
"""How often an idle worker looks without having been called: what another was at when it died is
found by looking only."""

STOP_LOOK_SECONDS: Final = 0.05
"""How often an idle worker asks whether to stop."""

IDLE_SECONDS_MAX: Final = 60.0
"""How long whoever staged pieces waits while none of them is done."""

LEFT_SECONDS_MAX: Final = 86_400
"""Outcomes for which nobody comes any more are kept so long."""

_MICROSECONDS_PER_SECOND: Final = 1_000_000

_PATIENCE_MICROSECONDS: Final = int(2 * IDLE_SECONDS_MAX) * _MICROSECONDS_PER_SECOND
"""Whoever staged a piece has given up by then, or has looked again and again."""

_NAMES: Final = text("position(:written IN outcome) > 0").bindparams(
    bindparam("written", type_=LargeBinary)
)

_FAILED: Final = b""
"""The outcome of a piece that could not be done, which no kind of piece has otherwise."""


class PieceFailedError(Exception):
    """A worker could not do a piece, and no other could: its log says why."""


class Piece(NamedTuple):
    """A piece that this transaction has taken."""

    number: int
    kind: str
    payload: bytes


def call_workers(connection: Connection) -> None:
    """Tell every worker, once this transaction commits, that there is something to do."""
    connection.execute(_CALL, {"channel": WORK_CHANNEL})


_CALL: Final = text("SELECT pg_notify(:channel, '')")

_NOW: Final = literal_column(CLOCK_SQL, BigInteger)

_NEXT: Final = (
    select(work_piece.c.number, work_piece.c.kind, work_piece.c.payload)
    .where(work_piece.c.outcome.is_(None))
    .order_by(work_piece.c.number)
    .limit(1)
    .with_for_update(skip_locked=True)
)


def take_piece(connection: Connection) -> Piece | None:
    """Take the oldest piece that nobody is at, until commit; None when there is none."""
    row = connection.execute(_NEXT).one_or_none()
    return None if row is None else Piece(row.number, row.kind, bytes(row.payload))


def note_outcome(connection: Connection, piece: Piece, outcome: bytes) -> None:
    """Note what came of a piece that this transaction has taken; what was noted once stays."""
    connection.execute(
        update(work_piece)
        .where(work_piece.c.number == piece.number)
        .where(work_piece.c.outcome.is_(None))
        .values(outcome=outcome, payload=b"")
    )
    connection.execute(_CALL, {"channel": DONE_CHANNEL})


def note_failure(engine: Engine, piece: Piece) -> None:
    """Note that a piece can not be done, so that nobody takes it again."""
    run_transaction(engine, lambda connection: note_outcome(connection, piece, _FAILED))


def remove_left(connection: Connection, texts: Collection[str]) -> None:
    """Remove outcomes that name any of some texts and for which nobody comes any more."""
    for wanted in texts:
        # As the JSON of an outcome has it.
        written = json.dumps(wanted, ensure_ascii=False)[1:-1].encode()
        connection.execute(
            delete(work_piece)
            .where(work_piece.c.outcome.is_not(None))
            .where(work_piece.c.staged_at < _NOW - _PATIENCE_MICROSECONDS)
            .where(_NAMES.bindparams(written=written))
        )


class Pieces:
    """Pieces of one kind, one for each of some lanes, and what came of those that are done.

    Of the pieces of one lane only one is out at a time, in the order in which they are settled.
    """

    def __init__(self, by_lane: Mapping[int, bytes]) -> None:
        """Have these payloads done."""
        self.left: Final = dict(by_lane)
        """What nobody was handed yet, by lane."""
        self.outcomes: Final[list[bytes]] = []
        """In no order."""
        self._count = len(by_lane)

    @property
    def are_done(self) -> bool:
        """Whether every outcome is there."""
        return len(self.outcomes) == self._count


class _Out(NamedTuple):
    """A piece that was handed over and is not done yet, as far as is known."""

    pieces: Pieces
    lane: int


class PieceDesk:
    """Hands over pieces of one owner and waits for their outcomes.

    Whoever had the owner's pieces done before may not know yet that it is somebody else's turn. So
    each desk has a claim of its own, stages only while it holds that, and touches nothing but what
    it staged itself.
    """

    def __init__(
        self,
        engine: Engine,
        listening: Connection,
        owner: str,
        claim: UUID,
        hold_claim: Callable[[Connection], None],
    ) -> None:
        """Hand over at `engine`; `listening` is a connection in autocommit mode for waiting.

        `claim` is drawn for this desk alone. `hold_claim` MUST keep it from being taken over until
        the transaction it is handed ends, and raise if it was taken over already.
        """
        self._engine = engine
        self._owner = owner
        self._claim = claim
        self._hold_claim = hold_claim
        self._out: dict[int, _Out] = {}
        driver: Any = listening.connection.driver_connection
        self._driver: psycopg.Connection[Any] = driver
        self._driver.execute(f"LISTEN {DONE_CHANNEL}")

    def settle(
        self,
        kind: str,
        pieces: Pieces,
        ask_whether_to_stop: Callable[[], None],
        following: Callable[[], Pieces | None] = lambda: None,
    ) -> Sequence[bytes]:
        """Have pieces done by workers and give their outcomes, in no order.

        Where a lane is free already, it is given to the pieces of `following`, which MUST be the
        next to be settled. `ask_whether_to_stop` is called now and then, and may raise; the pieces
        that nobody is at are not done then. Raises UnavailableError when no piece was done for
        IDLE_SECONDS_MAX, PieceFailedError, and whatever `hold_claim` raises.
        """
        try:
            self._settle(kind, pieces, ask_whether_to_stop, following)
        except BaseException:
            self._withdraw()
            raise
        return pieces.outcomes

    def clear(self) -> None:
        """Remove what earlier desks of this owner left, once no worker is at it any more.

        Their claims MUST be taken over before: then nothing of theirs comes any more. Outcomes for
        which nobody came in LEFT_SECONDS_MAX go too, whosever they are.
        """
        run_transaction(
            self._engine,
            lambda connection: connection.execute(
                delete(work_piece).where(
                    (work_piece.c.owner == self._owner)
                    | (work_piece.c.staged_at < _NOW - LEFT_SECONDS_MAX * _MICROSECONDS_PER_SECOND)
                    & work_piece.c.outcome.is_not(None)
                )
            ),
        )

    def close(self) -> None:
        """Take back what is not done, and stop listening.

        The connection can be used for something else again.
        """
        if self._out:
            self._withdraw()
        # A connection that is broken listens no more.
        with suppress(psycopg.OperationalError):
            self._driver.execute(f"UNLISTEN {DONE_CHANNEL}")

    def stage(self, connection: Connection, kind: str, payloads: Sequence[bytes]) -> Sequence[int]:
        """Hand over pieces with the commit of this transaction, and give their numbers.

        It holds the claim until then. Raises whatever `hold_claim` raises.
        """
        self._hold_claim(connection)
        numbers = connection.scalars(
            insert(work_piece)
            .values(staged_at=_NOW)
            .returning(work_piece.c.number, sort_by_parameter_order=True),
            [
                {"kind": kind, "owner": self._owner, "claim": self._claim, "payload": payload}
                for payload in payloads
            ],
        ).all()
        call_workers(connection)
        return numbers

    def _settle(
        self,
        kind: str,
        pieces: Pieces,
        ask_whether_to_stop: Callable[[], None],
        following: Callable[[], Pieces | None],
    ) -> None:
        heard_at = time.monotonic()
        while True:
            if self._exchange(kind, pieces, following()):
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > IDLE_SECONDS_MAX:
                message = "no worker does what an import has to have done: send it again later"
                raise UnavailableError(message)
            if pieces.are_done:
                return
            ask_whether_to_stop()
            for _ in self._driver.notifies(timeout=LOOK_SECONDS, stop_after=1):
                pass

    def _exchange(self, kind: str, pieces: Pieces, following: Pieces | None) -> bool:
        """Collect what is done, and hand over what may be done now; tell whether anything was."""

        def work(connection: Connection) -> tuple[Mapping[int, bytes], Mapping[int, _Out]]:
            done = self._collect(connection)
            taken = {out.lane for number, out in self._out.items() if number not in done}
            chosen: dict[int, _Out] = {}
            for some in (pieces, following) if following is not None else (pieces,):
                for lane in some.left.keys() - taken - chosen.keys():
                    chosen[lane] = _Out(some, lane)
            if not chosen:
                return done, {}
            payloads = [out.pieces.left[out.lane] for out in chosen.values()]
            numbers = self.stage(connection, kind, payloads)
            return done, dict(zip(numbers, chosen.values(), strict=True))

        done, staged = run_transaction(self._engine, work)
        for number, outcome in done.items():
            if outcome == _FAILED:
                raise PieceFailedError
            self._out.pop(number).pieces.outcomes.append(outcome)
        for out in staged.values():
            del out.pieces.left[out.lane]
        self._out |= staged
        return bool(done or staged)

    def _collect(self, connection: Connection) -> Mapping[int, bytes]:
        rows = connection.execute(
            delete(work_piece)
            .where(work_piece.c.claim == self._claim)
            .where(work_piece.c.outcome.is_not(None))
            .returning(work_piece.c.number, work_piece.c.outcome)
        )
        return {row.number: bytes(row.outcome) for row in rows}

    def _withdraw(self) -> None:
        """Take back what nobody is at; whoever is at one may finish it."""
        untaken = (
            select(work_piece.c.number)
            .where(work_piece.c.claim == self._claim)
            .with_for_update(skip_locked=True)
        )
        try:
            run_transaction(
                self._engine,
                lambda connection: connection.execute(
                    delete(work_piece).where(work_piece.c.number.in_(untaken))
                ),
            )
        except UnavailableError:
            # Then the next desk of this owner clears it away.
            return


class WorkBell:
    """Wakes a worker when there is something to do. For one thread."""

    def __init__(self, engine: Engine) -> None:
        """Listen at `engine`, of whose connections it keeps one."""
        self._engine = engine

    def __enter__(self) -> Self:
        """Begin to listen. Raises UnavailableError, OverloadedError."""
        with ExitStack() as stack:
            connection = stack.enter_context(reading_once(self._engine))
            driver: Any = connection.connection.driver_connection
            self._driver: psycopg.Connection[Any] = driver
            self._driver.execute(f"LISTEN {WORK_CHANNEL}")
            stack.callback(self._unlisten)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop listening."""
        self._stack.__exit__(kind, error, traceback)

    def wait(self, stop: threading.Event) -> None:
        """Wait until somebody calls, for IDLE_LOOK_SECONDS at most, or until `stop` is set."""
        deadline = time.monotonic() + IDLE_LOOK_SECONDS
        while not stop.is_set() and (left := deadline - time.monotonic()) > 0:
            heard = self._driver.notifies(timeout=min(left, STOP_LOOK_SECONDS), stop_after=1)
            if next(heard, None) is not None:
                return

    def _unlisten(self) -> None:
        if not self._driver.broken:
            self._driver.execute(f"UNLISTEN {WORK_CHANNEL}")
