"""Lanes of bulk work: a piece waits for the one before it in its lane, and for nothing else."""

from contextlib import ExitStack
from typing import Final

import pytest
from sqlalchemy import Engine, func, select

from store.database import reading
from store.imports import claimed_import
from store.pieces import Piece, Pieces, note_outcome, take_piece
from store.schema import work_piece

pytestmark = pytest.mark.integration

KIND: Final = "test"


class Worker:
    """Does a piece when told to; its outcome is its payload."""

    def __init__(self, engine: Engine, done: list[bytes]) -> None:
        """Note what is done in `done`."""
        self._connection = engine.connect()
        self._done = done
        self._piece: Piece | None = None

    def take(self) -> bool:
        """Take the oldest piece that nobody is at; False when there is none."""
        self._piece = take_piece(self._connection)
        return self._piece is not None

    def finish(self) -> None:
        """Have done the piece that was taken."""
        assert self._piece is not None
        note_outcome(self._connection, self._piece, self._piece.payload)
        self._connection.commit()
        self._done.append(self._piece.payload)

    def close(self) -> None:
        """Give back what was taken."""
        self._connection.close()


def test_a_lane_that_is_free_is_given_to_what_follows(engine: Engine) -> None:
    """Though another piece is not done; in that one's lane nothing is begun."""
    done: list[bytes] = []
    first, second = Pieces({0: b"a0", 1: b"a1"}), Pieces({0: b"b0", 1: b"b1"})
    with ExitStack() as stack:
        slow, quick = Worker(engine, done), Worker(engine, done)
        stack.callback(slow.close)
        stack.callback(quick.close)
        desk = stack.enter_context(claimed_import(engine, "history")).desk

        def work() -> None:
            if not done:
                assert slow.take()
            if quick.take():
                quick.finish()
            else:
                slow.finish()

        def work_on() -> None:
            assert quick.take()
            quick.finish()

        assert sorted(desk.settle(KIND, first, work, lambda: second)) == [b"a0", b"a1"]
        assert sorted(desk.settle(KIND, second, work_on)) == [b"b0", b"b1"]
    assert done == [b"a1", b"b1", b"a0", b"b0"]


def test_what_was_handed_over_ahead_is_taken_back_at_the_end(engine: Engine) -> None:
    """A stream that ends does not leave behind what it has not settled."""
    done: list[bytes] = []
    with ExitStack() as stack:
        worker = Worker(engine, done)
        stack.callback(worker.close)
        with claimed_import(engine, "history") as progress:

            def work() -> None:
                assert worker.take()
                worker.finish()

            progress.desk.settle(
                KIND, Pieces({0: b"a0", 1: b"a1"}), work, lambda: Pieces({0: b"b0", 1: b"b1"})
            )
    with reading(engine) as connection:
        assert connection.scalar(select(func.count()).select_from(work_piece)) == 0
    assert done == [b"a0", b"a1"]
