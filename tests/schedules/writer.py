"""A writer of a world: records, acknowledges as the product does, and writes both down.

What lives here: writes as a client sends them, whole or up to a step at which the writer dies.
"""

import json
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import grpc
from maywe.v1 import common_pb2

from decision.events import NewEvent
from service.application import Application, Role
from service.background import Background
from service.effectuation import Effectuator
from service.erasing import Eraser
from service.servicers.acknowledging import Acknowledger
from service.stores import Addresses, Stores
from store import erasing
from store.guard import GuardKeeper
from store.outcomes import Recorded
from store.projector import Projector
from store.publications import Catalogs
from store.publishing import NewPublication, PublicationRecorded, publish
from store.reader import PermissionReader
from store.recording import Recorder
from tests.faults.history import Acknowledged, Change, Sent, now
from tests.running import settings_for

if TYPE_CHECKING:
    from tests.schedules.world import World

WAIT_SECONDS_MAX: Final = 60.0
"""How long callers wait who do."""


@dataclass(frozen=True, slots=True)
class Write:
    """An event as a client sends it, and what it opens and closes."""

    event: NewEvent
    opens: tuple[Change, ...] = ()
    closes: tuple[Change, ...] = ()


class Caller:
    """As much of a call as acknowledging looks at: how long the caller waits."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def time_remaining(self) -> float:
        """Give how long the caller still waits, in seconds."""
        return self._seconds


class Writer:
    """A writer, with a memory of its own of the leases that it has seen."""

    def __init__(self, world: "World", stack: ExitStack) -> None:
        """Begin without having seen any lease."""
        self._world = world
        self._catalogs = Catalogs(world.engine)
        self._recorder = Recorder(world.engine, self._catalogs, lambda _: None)
        self._effectuator = Effectuator(world.engine, world.lease_seconds, world.writer_clock)
        stack.callback(self._effectuator.close)
        self._acknowledger = Acknowledger(self._application())

    def watch(self) -> None:
        """Look at the leases, as a writer does all the time."""
        self._effectuator.watch()

    def send(self, write: Write, *, waits: bool = True) -> str:
        """Record and acknowledge as a writer does, and give the name of the write.

        A caller who does not wait is answered at once.
        """
        return self.acknowledge(write, self.commit(write), waits=waits)

    def commit(self, write: Write) -> Recorded:
        """Record, and do no more: so does a writer that is killed after its commit."""
        event_id = write.event.event_id
        self._world.history.append(
            Sent(event_id, now(), type(write.event.body).__name__, write.opens, write.closes)
        )
        return self._recorder.record_one(write.event)

    def acknowledge(self, write: Write, recorded: Recorded, *, waits: bool = True) -> str:
        """Go on after the commit, and give the name of the write."""
        sent_at, caller = now(), _caller(waits=waits and not recorded.narrowing.is_empty)
        found = self._acknowledger.acknowledge(recorded, caller)
        return self._answered(write.event.event_id, sent_at, found)

    def erase(self, write: Write) -> None:
        """Erase as a writer does: once everybody heeds it, and the cache shows it."""
        world, event_id, sent_at = self._world, write.event.event_id, now()
        world.history.append(Sent(event_id, sent_at, "Erasure", write.opens, write.closes))
        begun = erasing.begin(world.engine, self._catalogs, write.event)
        assert begun.narrowing is not None
        is_effective = self._effectuator.make_effective(begun.narrowing, WAIT_SECONDS_MAX)
        world.history.append(Acknowledged(event_id, sent_at, now(), is_effective))
        world.project()
        erasing.complete(world.engine, world.cache, begun.root)

    def publish(
        self, content: dict[str, Any], closes: tuple[Change, ...] = (), *, waits: bool = True
    ) -> str:
        """Publish a catalog, acknowledge it, and give the name of the write."""
        name = self._world.new_name("publication")
        sent_at = now()
        self._world.history.append(Sent(name, sent_at, "publication", (), closes))
        recorded: PublicationRecorded = publish(
            self._world.engine,
            self._catalogs,
            NewPublication(name, json.dumps(content), content, "test", ""),
        )
        found = self._acknowledger.acknowledge_publication(recorded, _caller(waits=waits))
        return self._answered(name, sent_at, found)

    def _answered(self, name: str, sent_at: int, found: common_pb2.Acknowledgement) -> str:
        is_effective = found.durability == common_pb2.DURABILITY_EFFECTIVE
        self._world.history.append(Acknowledged(name, sent_at, now(), is_effective))
        self._world.tokens[name] = found.token
        return name

    def _application(self) -> Application:
        world, keeper = self._world, GuardKeeper()
        ground = world.ground
        stores = Stores(
            world.engine,
            world.engine,
            self._catalogs,
            world.cache,
            world.cache,
            Addresses(ground.database_url, ground.redis_url),
        )
        projector = Projector(world.engine, world.cache)
        return Application(
            settings_for(
                ground.database_url,
                ground.redis_url,
                world.namespace,
                effective_wait_seconds=str(WAIT_SECONDS_MAX),
            ),
            frozenset({Role.WRITER}),
            stores,
            projector,
            self._recorder,
            self._effectuator,
            keeper,
            PermissionReader(world.engine, world.cache, self._catalogs, keeper),
            Eraser(stores, projector, self._effectuator),
            Background(),
            threading.Event(),
        )


def _caller(*, waits: bool) -> grpc.ServicerContext:
    return cast("grpc.ServicerContext", Caller(WAIT_SECONDS_MAX if waits else 0.0))
