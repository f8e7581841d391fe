"""Pieces of bulk work, handed over from whoever has it to the worker processes.

What lives here: staging pieces, taking one, noting its outcome, and waiting for it. What a piece
holds is its kind's business. A worker takes a piece, does it and notes its outcome in one
transaction: one that dies has done nothing of it, and another takes it.
"""

import json
import threading
import time
from collections.abc import Callable, Collection, Sequence
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
        driver: Any = listening.connection.driver_connection
        self._driver: psycopg.Connection[Any] = driver
        self._driver.execute(f"LISTEN {DONE_CHANNEL}")

    def settle(
        self, kind: str, payloads: Sequence[bytes], ask_whether_to_stop: Callable[[], None]
    ) -> list[bytes]:
        """Have pieces done by workers and give their outcomes, in no order.

        `ask_whether_to_stop` is called now and then, and may raise; the pieces that nobody is at
        are not done then. Raises UnavailableError when no piece was done for IDLE_SECONDS_MAX,
        PieceFailedError, and whatever `hold_claim` raises.
        """
        try:
            run_transaction(self._engine, lambda connection: self.stage(connection, kind, payloads))
            return self._wait_for(len(payloads), ask_whether_to_stop)
        except BaseException:
            self._withdraw()
            raise

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
        """Stop listening. The connection can be used for something else again."""
        # A connection that is broken listens no more.
        with suppress(psycopg.OperationalError):
            self._driver.execute(f"UNLISTEN {DONE_CHANNEL}")

    def stage(self, connection: Connection, kind: str, payloads: Sequence[bytes]) -> None:
        """Hand over pieces with the commit of this transaction, which holds the claim until then.

        Raises whatever `hold_claim` raises.
        """
        self._hold_claim(connection)
        connection.execute(
            insert(work_piece).values(staged_at=_NOW),
            [
                {"kind": kind, "owner": self._owner, "claim": self._claim, "payload": payload}
                for payload in payloads
            ],
        )
        call_workers(connection)

    def _wait_for(self, count: int, ask_whether_to_stop: Callable[[], None]) -> list[bytes]:
        outcomes: list[bytes] = []
        heard_at = time.monotonic()
        while True:
            found = run_transaction(self._engine, self._collect)
            outcomes += found
            if _FAILED in found:
                raise PieceFailedError
            if len(outcomes) >= count:
                return outcomes
            if found:
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > IDLE_SECONDS_MAX:
                message = "no worker does what an import has to have done: send it again later"
                raise UnavailableError(message)
            ask_whether_to_stop()
            for _ in self._driver.notifies(timeout=LOOK_SECONDS, stop_after=1):
                pass

    def _collect(self, connection: Connection) -> list[bytes]:
        rows = connection.execute(
            delete(work_piece)
            .where(work_piece.c.claim == self._claim)
            .where(work_piece.c.outcome.is_not(None))
            .returning(work_piece.c.outcome)
        )
        return [bytes(outcome) for outcome in rows.scalars()]

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
