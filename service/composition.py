"""The composition root: every part of a process is made and joined here, and only here.

What lives here: opening PostgreSQL and Redis, or starting embedded ones, and joining the parts of
`store` on them. Embedded and production differ in who started the servers and in nothing else. Who
opens closes: whatever a failed start had opened is closed again.
"""

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Final

from sqlalchemy import Engine

from decision.errors import UnavailableError
from service.background import Background
from service.embedded import EmbeddedOptions, embedded_servers
from service.settings import Settings
from store import migrations
from store.cache import Cache, open_client
from store.database import POOL_CONNECTIONS_MAX, open_engine, reading
from store.lapses import LapseWorker
from store.projector import Projector
from store.publications import Catalogs
from store.reader import PermissionReader
from store.recording import Recorder
from store.rollout import RolloutWorker
from store.shared_reads import READS_IN_FLIGHT_MAX

CATALOG_REFRESH_SECONDS: Final = 0.5
"""How often a process looks for a newer catalog when nothing else tells it of one."""

CHECK_CONNECTIONS_MAX: Final = READS_IN_FLIGHT_MAX + 2
"""Connections for reads after misses, and two to look for a newer catalog."""

ROLL_OUT_POLL_SECONDS: Final = 0.2
"""How often a writer looks for pieces of a roll-out that another process has laid out."""

LAPSE_POLL_SECONDS: Final = 1.0
"""How often a writer looks for terms that have begun or lapsed."""

_logger = logging.getLogger(__name__)


class Role(Enum):
    """What a process does: answers questions, or records and keeps the cache in step."""

    DECISION = "decision"
    WRITER = "writer"


ALL_ROLES: Final = frozenset(Role)


class NotMigratedError(Exception):
    """The database's schema is not the one that this version needs."""

    def __init__(self) -> None:
        super().__init__(
            "the database has not the schema that this version needs: run `maywe migrate` first"
        )


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where PostgreSQL and Redis are, whoever started them."""

    postgres_url: str
    redis_url: str


@dataclass(frozen=True, slots=True)
class Stores:
    """The ledger and the cache, open; enough for the commands that need no server.

    Checks have connections of their own to the ledger: whatever waits there, they do not.
    """

    engine: Engine
    check_engine: Engine
    catalogs: Catalogs
    cache: Cache
    addresses: Addresses


@dataclass(frozen=True, slots=True)
class Wakes:
    """Events that set background work going at once."""

    projector: threading.Event
    roll_out: threading.Event

    def announce(self, positions: Mapping[int, int]) -> None:
        """Take notice that the shards of `positions` have moved."""
        self.projector.set()


@dataclass(frozen=True, slots=True)
class Application:
    """The parts of one process. `stopping` is set when it begins to shut down: streams end then."""

    settings: Settings
    roles: frozenset[Role]
    stores: Stores
    projector: Projector
    recorder: Recorder
    reader: PermissionReader
    background: Background
    wakes: Wakes
    stopping: threading.Event

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


@contextmanager
def open_stores(settings: Settings) -> Iterator[Stores]:
    """Open the ledger and the cache, starting embedded servers where none are named.

    An embedded database is brought to the newest schema; any other has to be there already.

    Raises:
        NotMigratedError: when it is not.
        UnavailableError: when PostgreSQL does not answer.
        EmbeddedServerError: when the embedded servers cannot be had.

    """
    with ExitStack() as stack:
        addresses = stack.enter_context(_addresses(settings))
        engine = stack.enter_context(_engine(addresses.postgres_url))
        if settings.uses_embedded_servers:
            migrations.upgrade(engine)
        elif not is_migrated(engine):
            raise NotMigratedError
        client = open_client(addresses.redis_url)
        stack.callback(client.close)
        check_engine = stack.enter_context(_engine(addresses.postgres_url, CHECK_CONNECTIONS_MAX))
        catalogs = Catalogs(check_engine)
        catalogs.refresh()
        yield Stores(
            engine, check_engine, catalogs, Cache(client, settings.redis_namespace), addresses
        )


def migrate(settings: Settings) -> bool:
    """Bring the database to the newest schema; tell whether there was anything to do.

    Raises as `open_stores` does.
    """
    with _addresses(settings) as addresses, _engine(addresses.postgres_url) as engine:
        was_behind = not is_migrated(engine)
        migrations.upgrade(engine)
        return was_behind


def is_migrated(engine: Engine) -> bool:
    """Tell whether the database has the newest schema. Raises UnavailableError."""
    with reading(engine):
        return migrations.is_current(engine)


@contextmanager
def open_application(settings: Settings, roles: frozenset[Role]) -> Iterator[Application]:
    """Open everything that a process of these roles needs, with its background work under way.

    Raises as `open_stores` does.
    """
    with ExitStack() as stack:
        stores = stack.enter_context(open_stores(settings))
        wakes = Wakes(threading.Event(), threading.Event())
        background = Background()
        application = Application(
            settings,
            roles,
            stores,
            Projector(stores.engine, stores.cache),
            Recorder(stores.engine, stores.catalogs, wakes.announce),
            PermissionReader(stores.check_engine, stores.cache, stores.catalogs),
            background,
            wakes,
            threading.Event(),
        )
        _warn_without_redis(stores.cache)
        stack.callback(background.stop_and_join)
        _start_background(application)
        stack.callback(application.stopping.set)
        yield application


def _start_background(application: Application) -> None:
    background, wakes = application.background, application.wakes
    engine, catalogs = application.engine, application.catalogs
    background.repeat("catalogs", lambda _: catalogs.refresh(), CATALOG_REFRESH_SECONDS)
    if Role.WRITER not in application.roles:
        return
    roll_out = RolloutWorker(engine, catalogs, wakes.announce)
    lapses = LapseWorker(engine, catalogs, wakes.announce)
    background.repeat(
        "projector",
        lambda stop: application.projector.run(stop, wakes.projector),
        0.0,
        wakes.projector,
    )
    background.repeat("roll-out", roll_out.run_pending, ROLL_OUT_POLL_SECONDS, wakes.roll_out)
    background.repeat("lapses", lapses.run_pending, LAPSE_POLL_SECONDS)


@contextmanager
def _addresses(settings: Settings) -> Iterator[Addresses]:
    if not settings.uses_embedded_servers:
        yield Addresses(settings.postgres_url, settings.redis_url)
        return
    options = EmbeddedOptions(
        settings.data_directory, settings.server_user, durable=settings.is_durable
    )
    with embedded_servers(options) as servers:
        _logger.info(
            "embedded PostgreSQL at %s, Redis at %s", servers.postgresql.url, servers.redis.url
        )
        yield Addresses(servers.postgresql.url, servers.redis.url)


@contextmanager
def _engine(url: str, connections_max: int = POOL_CONNECTIONS_MAX) -> Iterator[Engine]:
    engine = open_engine(url, connections_max)
    try:
        yield engine
    finally:
        engine.dispose()


def _warn_without_redis(cache: Cache) -> None:
    try:
        cache.read_metas([0])
    except UnavailableError:
        _logger.warning("Redis does not answer: until it does, PostgreSQL answers every check")
