"""An installation to measure: private stores, and maywe processes on them as operators start them.

What lives here: the one way in which measurements start and stop servers. What is put into the
stores is `filling`'s.
"""

import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import redis
from sqlalchemy import Engine, select

from loadtests.cores import ALL_CORES, OTHER_CORES, on_cores
from service.demo.processes import MAYWE, StartedServer, environment_for, started_server
from service.embedded import EmbeddedOptions, embedded_servers, temporary_data_directory
from store import migrations
from store.cache import Cache, open_client
from store.database import open_engine, reading
from store.redis_client import WRITE_REPLY_SECONDS_MAX
from store.schema import shard

NAMESPACE: Final = "maywe"
COMMAND_SECONDS_MAX: Final = 1800.0
CAUGHT_UP_SECONDS_MAX: Final = 600.0
POLL_SECONDS: Final = 0.02

_log_numbers: Final = count(1)


class BenchError(Exception):
    """A measurement could not be made, or what was measured answered wrongly."""


@dataclass(frozen=True, slots=True)
class Server:
    """A maywe server that serves."""

    address: str
    process_id: int


@dataclass(frozen=True, slots=True)
class Installation:
    """Stores of its own, on which maywe processes can be started.

    `directory` is for files that go with it, and is thrown away with it.
    """

    directory: Path
    redis_url: str
    engine: Engine
    cache: Cache
    environment: Mapping[str, str]

    @contextmanager
    def serving(
        self,
        *roles: str,
        cores: Collection[int] = ALL_CORES,
        settings: Mapping[str, str] | None = None,
    ) -> Iterator[list[Server]]:
        """Run servers of some roles, one process for each role named, on some cores."""
        with ExitStack() as stack:
            started = [
                stack.enter_context(self._started([*MAYWE, "serve", role], cores, settings or {}))
                for role in roles
            ]
            for server in started:
                server.wait_until_serving()
            yield [Server(server.address, server.process.pid) for server in started]

    @contextmanager
    def serving_with(
        self, command: Sequence[str], cores: Collection[int] = ALL_CORES
    ) -> Iterator[Server]:
        """Run a server by a command of its own."""
        with self._started(command, cores, {}) as server:
            server.wait_until_serving()
            yield Server(server.address, server.process.pid)

    @contextmanager
    def _started(
        self, command: Sequence[str], cores: Collection[int], settings: Mapping[str, str]
    ) -> Iterator[StartedServer]:
        log_path = self.directory / f"server-{next(_log_numbers)}.log"
        with ExitStack() as stack:
            with on_cores(cores):
                server = stack.enter_context(
                    started_server(command, log_path, {**self.environment, **settings})
                )
            yield server

    def run(self, *arguments: str, server: Server | None = None) -> float:
        """Run a `maywe` command on all cores to its end, and give how many seconds it took.

        Raises BenchError.
        """
        environment = dict(self.environment)
        if server is not None:
            environment["MAYWE_ADDRESS"] = server.address
        began_at = time.monotonic()
        with on_cores(ALL_CORES):
            completed = subprocess.run(  # noqa: S603 - our own program
                [*MAYWE, *arguments],
                env=environment,
                capture_output=True,
                text=True,
                timeout=COMMAND_SECONDS_MAX,
                check=False,
            )
        seconds = time.monotonic() - began_at
        if completed.returncode:
            message = (
                f"maywe {' '.join(arguments)} ended with status {completed.returncode}: "
                f"{completed.stderr.strip()}"
            )
            raise BenchError(message)
        return seconds

    def wait_until_caught_up(self) -> None:
        """Wait until Redis shows everything that PostgreSQL has recorded by now.

        Raises BenchError.
        """
        with reading(self.engine) as connection:
            rows = connection.execute(select(shard.c.number, shard.c.seq))
            due = {row.number: row.seq for row in rows if row.seq}
        deadline = time.monotonic() + CAUGHT_UP_SECONDS_MAX
        while True:
            metas = self.cache.read_metas()
            if all(
                (meta := metas[number]) is not None and meta.applied_seq >= seq
                for number, seq in due.items()
            ):
                return
            if time.monotonic() > deadline:
                message = "Redis does not come to show what is recorded"
                raise BenchError(message)
            time.sleep(POLL_SECONDS)

    def redis_bytes(self) -> int:
        """Give how much memory Redis says that it uses."""
        with redis.Redis.from_url(self.redis_url) as client:
            return int(client.info("memory")["used_memory"])


@contextmanager
def installed(cores: Collection[int] = OTHER_CORES) -> Iterator[Installation]:
    """Start PostgreSQL and Redis on some cores, with an empty ledger; all is thrown away then.

    PostgreSQL forces commits to disk, as in production.
    """
    with ExitStack() as stack:
        data_directory = stack.enter_context(temporary_data_directory())
        with on_cores(cores):
            servers = stack.enter_context(
                embedded_servers(EmbeddedOptions(data_directory=data_directory))
            )
        engine = open_engine(servers.postgresql.url)
        stack.callback(engine.dispose)
        migrations.upgrade(engine)
        client = stack.enter_context(open_client(servers.redis.url, WRITE_REPLY_SECONDS_MAX))
        yield Installation(
            Path(stack.enter_context(TemporaryDirectory(prefix="maywe-bench-"))),
            servers.redis.url,
            engine,
            Cache(client, NAMESPACE),
            environment_for(servers) | {"MAYWE_REDIS_NAMESPACE": NAMESPACE},
        )
