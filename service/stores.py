"""The stores of a process: PostgreSQL and Redis, opened, or embedded ones started for it.

What lives here: opening and closing them, and bringing the schema up to date. Embedded and
production differ in who started the servers and in nothing else. What works on the stores is joined
in `composition`.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection, Engine

from service.embedded import EmbeddedOptions, embedded_servers
from service.settings import Settings
from store import migrations
from store.cache import Cache
from store.database import POOL_CONNECTIONS_MAX, STATEMENT_SECONDS_MAX, open_engine, reading
from store.demand import SharedDemand
from store.epochs import guard_identity
from store.publications import Catalogs
from store.redis_client import CHECK_REPLY_SECONDS_MAX, WRITE_REPLY_SECONDS_MAX, open_client
from store.shared_reads import CHECK_READ_SECONDS_MAX

CONNECTIONS_BESIDE_READS: Final = 2
"""Connections of checks beside those for reads after misses: to look for a newer catalog."""

_logger = logging.getLogger(__name__)


class NotMigratedError(Exception):
    """The database's schema is none that this version can run on."""

    def __init__(self, *, is_of_later_code: bool) -> None:
        super().__init__(
            "the database has been migrated for a later version, beside which this one may not run"
            if is_of_later_code
            else "the database has not the schema that this version needs: run `maywe migrate` "
            "first"
        )


class StandstillNeededError(Exception):
    """Steps of the migration need everything stopped, and it is not, or nobody said that it is."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where PostgreSQL and Redis are, whoever started them."""

    postgres_url: str
    redis_url: str


@dataclass(frozen=True, slots=True)
class Stores:
    """The ledger and the cache, open; enough for the commands that need no server.

    Checks have connections of their own to both: whatever waits there, they do not, and they do
    not wait for Redis as long as those who fill it.
    """

    engine: Engine
    check_engine: Engine
    catalogs: Catalogs
    cache: Cache
    check_cache: Cache
    addresses: Addresses
    demand: SharedDemand | None = None


@contextmanager
def open_stores(settings: Settings) -> Iterator[Stores]:
    """Open the ledger and the cache, starting embedded servers where none are named.

    An embedded database is brought to the newest schema; any other has to be there already, or
    beyond it by steps that this code survives.

    Raises:
        NotMigratedError: when it is not.
        UnavailableError: when PostgreSQL does not answer.
        EmbeddedServerError: when the embedded servers cannot be had.

    """
    with ExitStack() as stack:
        addresses = stack.enter_context(_addresses(settings))
        engine = stack.enter_context(guarded_engine(addresses.postgres_url))
        with reading(engine) as connection:
            is_of_later_code = migrations.is_of_later_code(connection)
            if is_of_later_code or not settings.uses_embedded_servers:
                _refuse_other_schema(connection)
        if settings.uses_embedded_servers and not is_of_later_code:
            migrations.upgrade(engine)
        check_connections = settings.postgres_reads_max + CONNECTIONS_BESIDE_READS
        check_engine = stack.enter_context(
            guarded_engine(addresses.postgres_url, check_connections, CHECK_READ_SECONDS_MAX)
        )
        catalogs = Catalogs(check_engine)
        catalogs.refresh()
        client, check_client = (
            stack.enter_context(open_client(addresses.redis_url, reply_seconds_max))
            for reply_seconds_max in (WRITE_REPLY_SECONDS_MAX, CHECK_REPLY_SECONDS_MAX)
        )
        namespace = settings.redis_namespace
        yield Stores(
            engine,
            check_engine,
            catalogs,
            Cache(client, namespace),
            Cache(check_client, namespace),
            addresses,
            SharedDemand(client, namespace),
        )


@contextmanager
def started_stores(settings: Settings) -> Iterator[Settings]:
    """Start the embedded servers, where they are wanted, for other processes to open.

    Gives the settings by which these find them. Raises as `open_stores` does.
    """
    with ExitStack() as stack:
        addresses = stack.enter_context(_addresses(settings))
        found = replace(
            settings, postgres_url=addresses.postgres_url, redis_url=addresses.redis_url
        )
        if settings.uses_embedded_servers:
            migrate(found, is_alone=True)
        yield found


def migrate(settings: Settings, *, is_alone: bool = False) -> bool:
    """Bring the database to the newest schema; tell whether there was anything to do.

    Steps that need everything stopped are taken only when the caller says that it is, with
    `is_alone`, and nothing else of maywe is connected to the database. On a schema of later code
    there is nothing to do, if this code can run on it.

    Raises StandstillNeededError, before anything is changed; otherwise as `open_stores` does.
    """
    with _addresses(settings) as addresses, guarded_engine(addresses.postgres_url) as engine:
        # The first connection of this engine, so that any other is somebody else's.
        with reading(engine) as connection:
            if migrations.is_of_later_code(connection):
                _refuse_other_schema(connection)
                return False
            steps = migrations.steps_for_standstill(connection)
            others = migrations.connections_of_others(connection) if steps else 0
        if steps and not is_alone:
            message = (
                f"{', '.join(steps)} can be taken only while nothing of maywe is running: stop "
                "every server and worker, then run `maywe migrate --alone`"
            )
            raise StandstillNeededError(message)
        if others:
            message = (
                f"{', '.join(steps)} can be taken only while nothing of maywe is running, and "
                f"{others} connections to the database are still maywe's: stop every server, "
                "worker and command"
            )
            raise StandstillNeededError(message)
        was_behind = not migrations.is_current(engine)
        migrations.upgrade(engine)
        return was_behind


def _refuse_other_schema(connection: Connection) -> None:
    """Raise NotMigratedError unless this code can run on the schema."""
    if not migrations.is_usable(connection):
        raise NotMigratedError(is_of_later_code=migrations.is_of_later_code(connection))


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
def guarded_engine(
    url: str,
    connections_max: int = POOL_CONNECTIONS_MAX,
    statement_seconds_max: float = STATEMENT_SECONDS_MAX,
) -> Iterator[Engine]:
    """Open connections to PostgreSQL that notice when the ledger is another than before."""
    engine = open_engine(url, connections_max, statement_seconds_max)
    guard_identity(engine)
    try:
        yield engine
    finally:
        engine.dispose()
