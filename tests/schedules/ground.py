"""The ground that worlds stand on: a database and a Redis, and the moments of a schedule.

What lives here: what a schedule does to the stores as no part of the product would, clocks in its
hand, and actions at places of the product.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import redis
from sqlalchemy import NullPool, create_engine, make_url, text

from store.clocks import NANOSECONDS_PER_SECOND, boot_nanoseconds
from tests.sabotage.patching import Patch
from tests.servers import new_database, raw_client, remove_keys

NOBODY_LISTENS: Final = "127.0.0.1:1"


class Clock:
    """A clock of leases that goes by itself, and that a schedule sets on."""

    def __init__(self) -> None:
        self._ahead_nanoseconds = 0

    def __call__(self) -> int:
        """Give now, in nanoseconds."""
        return boot_nanoseconds() + self._ahead_nanoseconds

    @property
    def ahead_seconds(self) -> float:
        """How much was added."""
        return self._ahead_nanoseconds / NANOSECONDS_PER_SECOND

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._ahead_nanoseconds += round(seconds * NANOSECONDS_PER_SECOND)


class Moments:
    """Actions at places of the product, each once, and patches for as long as a world lasts."""

    def __init__(self, stack: ExitStack) -> None:
        """Take everything away again with `stack`."""
        self._stack = stack

    def patch(self, place: str, wrap: Callable[[Any], Any]) -> None:
        """Wrap what is at a place."""
        self._stack.callback(Patch(place, wrap).apply())

    def before(self, place: str, action: Callable[[], object]) -> None:
        """Let something happen when a function is next called, before it begins."""
        due = [action]

        def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
            def passing(*arguments: Any, **named: Any) -> Any:
                if due:
                    due.pop()()
                return function(*arguments, **named)

            return passing

        self.patch(place, wrap)

    def after(self, place: str, action: Callable[[], object]) -> None:
        """Let something happen when a function has next come to its end."""
        due = [action]

        def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
            def passing(*arguments: Any, **named: Any) -> Any:
                result = function(*arguments, **named)
                if due:
                    due.pop()()
                return result

            return passing

        self.patch(place, wrap)


class RedisKeys:
    """The keys of one world."""

    def __init__(self, url: str, namespace: str) -> None:
        self._url = url
        self._namespace = namespace

    def save(self) -> dict[bytes, bytes]:
        """Give all keys as they are: a snapshot."""
        with raw_client(self._url) as client:
            keys = self._keys(client)
            return dict(zip(keys, self._get(client, keys), strict=True))

    def set_back(self, saved: dict[bytes, bytes]) -> None:
        """Put everything back as it was: a server that is back with an older snapshot."""
        self.empty()
        with raw_client(self._url) as client:
            for key, value in saved.items():
                client.set(key, value)

    def empty(self) -> None:
        """Lose everything."""
        remove_keys(self._url, self._namespace)

    def lose_metas(self) -> None:
        """Lose how far the shards are, and nothing else."""
        with raw_client(self._url) as client:
            client.delete(*(key for key in self._keys(client) if key.endswith(b":meta")))

    def _keys(self, client: redis.Redis) -> list[bytes]:
        return list(client.scan_iter(match=f"{self._namespace}*"))

    def _get(self, client: redis.Redis, keys: list[bytes]) -> list[bytes]:
        return [client.get(key) for key in keys]  # type: ignore[misc]  # redis types both clients


@dataclass(frozen=True, slots=True)
class Ground:
    """A migrated database that worlds use one after the other, and a Redis."""

    postgres_url: str
    database_url: str
    redis_url: str

    def back_up(self) -> None:
        """Copy the database, to which nobody may be connected."""
        self.forget_backup()
        self._execute(f'CREATE DATABASE "{self._backup}" TEMPLATE "{self._database}"')

    def restore(self) -> None:
        """Put the copy in the place of the database."""
        self._execute(f'DROP DATABASE "{self._database}" WITH (FORCE)')
        self._execute(f'ALTER DATABASE "{self._backup}" RENAME TO "{self._database}"')

    def forget_backup(self) -> None:
        """Remove the copy, if there is one."""
        self._execute(f'DROP DATABASE IF EXISTS "{self._backup}" WITH (FORCE)')

    @property
    def _database(self) -> str:
        return str(make_url(self.database_url).database)

    @property
    def _backup(self) -> str:
        return f"{self._database}_backup"

    def _execute(self, statement: str) -> None:
        engine = create_engine(self.postgres_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            connection.execute(text(statement))


@contextmanager
def solid_ground(postgres_url: str, template_url: str, redis_url: str) -> Iterator[Ground]:
    """Give a ground, and clear it in the end."""
    with new_database(postgres_url, template_url=template_url) as database_url:
        ground = Ground(postgres_url, database_url, redis_url)
        try:
            yield ground
        finally:
            ground.forget_backup()
