"""Workers that do their work in steps, each one transaction, as long as there is any.

What lives here: the loop that all of them share. What a step does is each worker's own.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from sqlalchemy import Connection, Engine

from store.database import run_transaction
from store.publications import Catalogs


class SteppingWorker(ABC):
    """Does steps until there is none to be had. Any number may work side by side."""

    def __init__(
        self,
        engine: Engine,
        catalogs: Catalogs,
        announce: Callable[[Mapping[int, int]], None],
    ) -> None:
        """Work at `engine`; `announce` is told the positions of the shards after each commit."""
        self._engine = engine
        self._catalogs = catalogs
        self._announce = announce

    def run_pending(self, stop: threading.Event) -> None:
        """Do all that is due and that nobody else is at, or as much until `stop` is set."""
        while not stop.is_set() and self.step():
            pass

    def step(self) -> bool:
        """Do one transaction's worth of work; false when there is none to be had."""
        positions = run_transaction(self._engine, self._step)
        if positions:
            self._tell(positions)
        return positions is not None

    @abstractmethod
    def _step(self, connection: Connection) -> Mapping[int, int] | None:
        """Do one step and give the positions of the shards it moved; None when nothing is due."""

    def _tell(self, positions: Mapping[int, int]) -> None:
        """Tell of the positions of the shards that a committed step moved."""
        self._announce(positions)
