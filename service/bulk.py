"""Bulk work: what the worker processes do, and the process itself.

What lives here: the loop that takes pieces of imports and of roll-outs from PostgreSQL, projects
what it has committed, and waits for more. `python -m service.bulk` is one such process, as a server
starts it for each core; a server without them runs the same loop in a thread.
"""

import gc
import logging
import os
import threading
from contextlib import ExitStack
from typing import Final

from sqlalchemy import Connection, Engine

from decision.errors import OverloadedError, UnavailableError
from service.background import Background
from service.import_pieces import IMPORT_KIND, DonePiece, do_piece
from service.logs.formats import set_up_logs
from service.processes import ParentLine
from service.settings import read_settings
from service.stopping import told_to_stop
from store.cache import Cache
from store.database import open_engine, run_transaction
from store.direct import DirectProjector
from store.epochs import guard_identity
from store.pieces import Piece, WorkBell, note_failure, take_piece
from store.projector import Projector
from store.publications import Catalogs
from store.recording import Recorder
from store.redis_client import WRITE_REPLY_SECONDS_MAX, open_client
from store.rollout import RolloutWorker

CONNECTIONS: Final = 4
"""One to listen, one to work, one to project, and one to spare."""

OBJECTS_BETWEEN_COLLECTIONS: Final = 50_000
"""Hardly anything that a piece makes refers to itself in a circle; looking for it costs a tenth."""

_logger = logging.getLogger(__name__)


class BulkWorker:
    """Does pieces of bulk work as long as there are any. For one thread; any number may run."""

    def __init__(
        self,
        engine: Engine,
        catalogs: Catalogs,
        projector: DirectProjector,
    ) -> None:
        """Work at `engine`; `projector` puts what is committed into Redis."""
        self._engine = engine
        self._projector = projector
        # What is projected right here need not be announced to anybody.
        self._recorder = Recorder(engine, catalogs, lambda _: None)
        self._roll_out = RolloutWorker(engine, catalogs, lambda _: None, projector)

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set. Raises UnavailableError, OverloadedError."""
        with WorkBell(self._engine) as bell:
            while not stop.is_set():
                # Both in turn, so that neither waits for all of the other.
                has_done_piece = self._do_piece()
                has_rolled_out = self._roll_out.step()
                if not (has_done_piece or has_rolled_out):
                    bell.wait(stop)

    def _do_piece(self) -> bool:
        """Take a piece and do it; False when there is none."""
        taken: list[Piece] = []

        def work(connection: Connection) -> DonePiece | None:
            taken.clear()
            piece = take_piece(connection)
            if piece is None:
                return None
            taken.append(piece)
            if piece.kind != IMPORT_KIND:
                message = f"a piece of the kind {piece.kind!r}"
                raise NotImplementedError(message)
            return do_piece(connection, piece, self._recorder)

        try:
            done = run_transaction(self._engine, work)
        except (UnavailableError, OverloadedError):
            raise
        except Exception:
            if not taken:
                raise
            _logger.exception("a piece of an import can not be done")
            note_failure(self._engine, taken[0])
            return True
        # From here on the piece is done, whatever happens.
        if done is not None:
            self._recorder.note_committed(done.outcomes)
            self._projector.project(done.batches)
        return done is not None


def main() -> None:
    """Work as a child process until told to stop or until the parent is gone."""
    line = ParentLine()
    stop = told_to_stop()
    line.stop_with_parent(stop)
    settings = read_settings({}, os.environ)
    set_up_logs(settings.log_level, settings.log_format)
    with ExitStack() as stack:
        engine = open_engine(settings.postgres_url, CONNECTIONS)
        stack.callback(engine.dispose)
        guard_identity(engine)
        client = stack.enter_context(open_client(settings.redis_url, WRITE_REPLY_SECONDS_MAX))
        cache = Cache(client, settings.redis_namespace)
        direct = DirectProjector(cache, Projector(engine, cache).project_pending)
        background = Background()
        stack.callback(background.stop_and_join)
        background.repeat("bulk work", BulkWorker(engine, Catalogs(engine), direct).run, 0.0)
        # What is there by now stays, and little of what comes is garbage that only a search finds.
        gc.collect()
        gc.freeze()
        gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
        line.say_ready()
        stop.wait()


if __name__ == "__main__":
    main()
