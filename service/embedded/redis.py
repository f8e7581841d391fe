"""The embedded Redis: started, waited for, stopped.

Here lives what Redis in particular wants. Keys and records belong to `store`.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import redis

from service.embedded.account import ServerAccount
from service.embedded.binaries import ServerBinaries
from service.embedded.directories import DataDirectory
from service.embedded.process import ServerProcess, ServerProgram, StopStep, running_server

MEMORY_BYTES_MAX: Final = 4 * 1024**3
"""Room for tens of millions of records; past it writes fail, visibly, and nothing is evicted."""

READINESS_TIMEOUT_SECONDS: Final = 30.0
REPLY_TIMEOUT_SECONDS: Final = 5.0

STOP_STEPS: Final = (StopStep(signal.SIGTERM, 10.0), StopStep(signal.SIGKILL, 10.0))


@dataclass(frozen=True, slots=True)
class RedisServer:
    """A Redis that accepts connections at `url`, `unix://` and the socket's path."""

    url: str
    process: ServerProcess


@contextmanager
def redis_server(
    binaries: ServerBinaries, account: ServerAccount, directory: DataDirectory
) -> Iterator[RedisServer]:
    """Run an empty Redis; it is stopped at the end, and what it held is gone.

    Nothing is written to disk: all that Redis holds is worked out from PostgreSQL, and coming back
    empty is safer than coming back with yesterday's permissions.

    Raises:
        ServerStartError: if it does not start.

    """
    socket = directory.sockets / "redis.sock"
    settings = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(directory.redis),
        "daemonize": "no",
        "save": "",
        "appendonly": "no",
        "maxmemory": str(MEMORY_BYTES_MAX),
        # A record that is missing must mean that the customer is unknown, so none is dropped.
        "maxmemory-policy": "noeviction",
    }
    arguments = [word for name, value in settings.items() for word in (f"--{name}", value)]
    program = ServerProgram(
        name="the embedded Redis",
        command=[str(binaries.redis_server), *arguments],
        working_directory=directory.redis,
        log_path=directory.log / "redis.log",
        lock_descriptor=directory.lock_descriptor,
        readiness_timeout_seconds=READINESS_TIMEOUT_SECONDS,
        stop_steps=STOP_STEPS,
    )
    with running_server(account, program, lambda: _why_not_ready(socket)) as process:
        yield RedisServer(f"unix://{quote(str(socket))}", process)


def _why_not_ready(socket: Path) -> str:
    try:
        with redis.Redis(
            unix_socket_path=str(socket), socket_timeout=REPLY_TIMEOUT_SECONDS
        ) as client:
            client.ping()
    except redis.RedisError as error:
        return str(error)
    return ""
