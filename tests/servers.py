"""Real PostgreSQL and Redis for tests: servers named in the environment, else private ones of ours.

Here live the servers and the databases on them; what a test gets of these is in conftest.
"""

import os
import signal
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, cast

import redis
from sqlalchemy import NullPool, create_engine, make_url, text

from service.embedded import EmbeddedOptions, embedded_servers, temporary_data_directory
from store.migrations import upgrade
from store.redis_place import parse_redis_url

POSTGRES_URL_VARIABLE: Final = "MAYWE_TEST_POSTGRES_URL"
"""Names a PostgreSQL to test on, as an SQLAlchemy URL for psycopg; its role creates databases."""

REDIS_URL_VARIABLE: Final = "MAYWE_TEST_REDIS_URL"
"""Names a Redis to test on; keys outside the tests' own prefixes are left alone."""

KEYS_PER_SCAN: Final = 1000
"""How many keys are looked at, and at most removed, in one step of the clean-up."""


@dataclass(frozen=True, slots=True)
class ServerUrls:
    """Where the servers under test listen."""

    postgres: str
    redis: str


@contextmanager
def servers_under_test() -> Iterator[ServerUrls]:
    """Give the servers named in the environment; where one is not named, start private ones."""
    named_postgres = os.environ.get(POSTGRES_URL_VARIABLE, "")
    named_redis = os.environ.get(REDIS_URL_VARIABLE, "")
    if named_postgres and named_redis:
        yield ServerUrls(named_postgres, named_redis)
        return
    with (
        temporary_data_directory() as directory,
        embedded_servers(EmbeddedOptions(data_directory=directory, durable=False)) as servers,
    ):
        yield ServerUrls(named_postgres or servers.postgresql.url, named_redis or servers.redis.url)


@contextmanager
def new_database(server_url: str, *, template_url: str = "") -> Iterator[str]:
    """Create a database with a name of its own, empty or a copy of another, and drop it at the end.

    The template must have no connections, as after `close_to_connections`.
    """
    name = f"maywe_test_{uuid.uuid4().hex}"
    template = make_url(template_url).database if template_url else "template0"
    _execute(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        # Not str(), which would hide the password.
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        _execute(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def migrated_template(server_url: str) -> Iterator[str]:
    """Make a migrated database to copy from at any time, as nobody can connect to it."""
    with new_database(server_url) as url:
        upgrade(create_engine(url, poolclass=NullPool))
        close_to_connections(server_url, url)
        yield url


def close_to_connections(server_url: str, database_url: str) -> None:
    """Let nobody connect to a database any more."""
    database = make_url(database_url).database
    _execute(server_url, f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS false')


def raw_client(redis_url: str) -> redis.Redis:
    """Give a client that knows nothing of maywe, for one Redis or a cluster of them.

    They are used alike here, though their library does not say so.
    """
    place = parse_redis_url(redis_url)
    if not place.is_cluster:
        return redis.Redis.from_url(redis_url)
    return cast("redis.Redis", redis.RedisCluster.from_url(place.urls[0]))


def remove_keys(redis_url: str, prefix: str) -> None:
    """Remove every key that begins with `prefix`, which holds no pattern characters."""
    with raw_client(redis_url) as client:
        keys = list(client.scan_iter(match=f"{prefix}*", count=KEYS_PER_SCAN))
        for start in range(0, len(keys), KEYS_PER_SCAN):
            client.unlink(*keys[start : start + KEYS_PER_SCAN])


def signal_all(process_ids: Iterable[int], number: signal.Signals) -> None:
    """Signal processes of a server, of which some may have ended."""
    for process_id in process_ids:
        try:
            os.kill(process_id, number)
        except ProcessLookupError:
            continue


def _execute(server_url: str, statement: str) -> None:
    """Execute a statement that wants no transaction around it, on a connection of its own."""
    engine = create_engine(server_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(statement))
