"""Both embedded servers as one thing to open and to close.

Here lives their composition: who is started in which order on what, and unwound in the reverse.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.embedded.account import server_account
from service.embedded.binaries import server_binaries
from service.embedded.directories import default_data_directory, opened_data_directory
from service.embedded.postgresql import PostgresqlServer, postgresql_server
from service.embedded.redis import RedisServer, redis_server


@dataclass(frozen=True, slots=True)
class EmbeddedOptions:
    """How to run the embedded servers.

    `data_directory`: where their data is kept; absent means `default_data_directory()`.
    `unprivileged_user`: whom they run as if we are root; ignored otherwise.
    `durable`: whether PostgreSQL forces commits to disk; false is for tests.
    """

    data_directory: Path | None = None
    unprivileged_user: str = "nobody"
    durable: bool = True


@dataclass(frozen=True, slots=True)
class EmbeddedServers:
    """The running servers; their `url`s are what the composition root is handed."""

    postgresql: PostgresqlServer
    redis: RedisServer


@contextmanager
def embedded_servers(options: EmbeddedOptions) -> Iterator[EmbeddedServers]:
    """Start PostgreSQL and Redis, and stop them at the end; a failed start unwinds.

    Raises:
        EmbeddedServerError: with a text that says what to do.

    """
    account = server_account(options.unprivileged_user)
    path = options.data_directory or default_data_directory()
    with ExitStack() as stack:
        directory = stack.enter_context(opened_data_directory(path, account))
        binaries = server_binaries(account)
        postgresql = stack.enter_context(
            postgresql_server(binaries, account, directory, durable=options.durable)
        )
        redis = stack.enter_context(redis_server(binaries, account, directory))
        yield EmbeddedServers(postgresql, redis)
