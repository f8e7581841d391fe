"""The application: what a process consists of, and the roles it may have.

What lives here: the parts by name, for whoever serves calls or works beside them. `composition`
makes and joins them.
"""

import threading
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from sqlalchemy import Engine

from service.access.gate import Gate
from service.background import Background
from service.effectuation import Effectuator
from service.erasing import Eraser
from service.instruments import Instruments
from service.journalling import Journal
from service.receipts.signing import ReceiptSigner
from service.settings import Settings
from service.stores import Stores
from store.cache import Cache
from store.guard import GuardKeeper
from store.projector import Projector
from store.publications import Catalogs
from store.reader import PermissionReader
from store.recording import Recorder


class Role(Enum):
    """What a process does: answers questions, records, or does nothing but background work.

    Writers keep the cache in step, roll out and tell of lapses; workers do so too, and reconcile.
    """

    DECISION = "decision"
    WRITER = "writer"
    WORKER = "worker"


ALL_ROLES: Final = frozenset(Role)


@dataclass(frozen=True, slots=True)
class Application:
    """The parts of one process. `stopping` is set when it begins to shut down: streams end then.

    Only a process that answers checks has a lease; any other's `keeper` never lets the cache count.
    """

    settings: Settings
    roles: frozenset[Role]
    stores: Stores
    projector: Projector
    recorder: Recorder
    effectuator: Effectuator
    keeper: GuardKeeper
    reader: PermissionReader
    eraser: Eraser
    background: Background
    stopping: threading.Event
    gate: Gate | None = None
    """Identifies callers and lets them in; None where everybody on this machine may do all."""
    instruments: Instruments = field(default_factory=Instruments)
    journal: Journal | None = None
    """Takes what is answered; None where nothing is journalled, or nothing answered."""
    signer: ReceiptSigner | None = None
    """Signs receipts; None without keys, or where nothing is answered."""

    @property
    def engine(self) -> Engine:
        """The connections to PostgreSQL."""
        return self.stores.engine

    @property
    def catalogs(self) -> Catalogs:
        """The catalogs of this process."""
        return self.stores.catalogs

    @property
    def cache(self) -> Cache:
        """The cache in Redis."""
        return self.stores.cache
