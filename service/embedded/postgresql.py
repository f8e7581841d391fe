"""The embedded PostgreSQL: made once, started, waited for, stopped.

Here lives what PostgreSQL in particular wants. Tables and migrations belong to `store`.
"""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql
from sqlalchemy import URL

from service.embedded.account import ServerAccount
from service.embedded.binaries import ServerBinaries
from service.embedded.directories import DataDirectory, make_private_directory
from service.embedded.errors import ServerStartError
from service.embedded.process import (
    ServerProcess,
    ServerProgram,
    StopStep,
    run_to_end,
    running_server,
)

ROLE: Final = "maywe"
DATABASE: Final = "maywe"
PORT: Final = 5432
"""Part of the socket's file name; no network port is opened."""

CONNECTIONS_MAX: Final = 200

SHARED_BUFFERS: Final = "512MB"
"""The indexes of some hundred thousand customers, which every write touches all over. Memory is
taken as it is used."""

WAL_SIZE_MAX: Final = "4GB"
"""An import or a roll-out of that many goes by without a checkpoint for its volume alone."""

INITIALISATION_TIMEOUT_SECONDS: Final = 120.0
READINESS_TIMEOUT_SECONDS: Final = 120.0
"""Long, for recovery after a crash replays what was written since the last checkpoint."""

CONNECT_TIMEOUT_SECONDS: Final = 10

STOP_STEPS: Final = (
    # Fast: disconnects clients, rolls back, writes a checkpoint.
    StopStep(signal.SIGINT, 30.0),
    # Immediate: gives up at once and recovers at the next start.
    StopStep(signal.SIGQUIT, 10.0),
    StopStep(signal.SIGKILL, 10.0),
)


@dataclass(frozen=True, slots=True)
class PostgresqlServer:
    """A PostgreSQL that accepts connections at `url`, an SQLAlchemy URL for psycopg."""

    url: str
    process: ServerProcess


@contextmanager
def postgresql_server(
    binaries: ServerBinaries, account: ServerAccount, directory: DataDirectory, *, durable: bool
) -> Iterator[PostgresqlServer]:
    """Run PostgreSQL on `directory`, made at the first start; it is stopped at the end.

    With `durable` false nothing is forced to disk: faster; commits still survive the death of any
    process, but not the machine's.

    Raises:
        ServerStartError: if it cannot be initialised or does not start.

    """
    if not directory.postgresql.exists():
        _initialise(binaries, account, directory, durable=durable)
    # We hold the lock that every server on this directory would hold too, so none runs and this is
    # a leftover of a crash. It must go: its process id may be another program's by now, which
    # PostgreSQL would take for a server. Against one started by hand PostgreSQL still guards
    # itself, by the shared memory that belongs to the directory.
    (directory.postgresql / "postmaster.pid").unlink(missing_ok=True)
    program = ServerProgram(
        name="the embedded PostgreSQL",
        command=[str(binaries.postgres), *_arguments(directory, durable=durable)],
        working_directory=directory.postgresql,
        log_path=directory.log / "postgresql.log",
        lock_descriptor=directory.lock_descriptor,
        readiness_timeout_seconds=READINESS_TIMEOUT_SECONDS,
        stop_steps=STOP_STEPS,
    )
    with running_server(account, program, lambda: _why_not_ready(directory.sockets)) as process:
        _ensure_database(directory.sockets)
        yield PostgresqlServer(_url(directory.sockets), process)


def _initialise(
    binaries: ServerBinaries, account: ServerAccount, directory: DataDirectory, *, durable: bool
) -> None:
    """Make the database cluster under another name and rename it when it is whole."""
    unfinished = directory.path / "postgresql.unfinished"
    if unfinished.exists():
        shutil.rmtree(unfinished)
    make_private_directory(unfinished, account)
    command = [
        str(binaries.initdb),
        f"--pgdata={unfinished}",
        f"--username={ROLE}",
        # Whoever gets into the socket directory is let in, and only the server account and root do.
        "--auth=trust",
        "--encoding=UTF8",
        # PostgreSQL's own locale: the same order and case rules on every operating system.
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        # Checksums find what a disk spoilt; what is not to outlast the machine does not need them.
        *([] if durable else ["--no-sync", "--no-data-checksums"]),
    ]
    try:
        outcome = run_to_end(
            account,
            command,
            working_directory=unfinished,
            timeout_seconds=INITIALISATION_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise ServerStartError(
            f"initdb did not make {unfinished} within {INITIALISATION_TIMEOUT_SECONDS:g} s: "
            "is the disk slow or full?"
        ) from error
    if outcome.returncode != 0:
        raise ServerStartError(f"initdb could not make {unfinished}; it says:\n{outcome.stdout}")
    unfinished.rename(directory.postgresql)


def _arguments(directory: DataDirectory, *, durable: bool) -> list[str]:
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": _quoted_in_list(directory.sockets),
        "unix_socket_permissions": "0700",
        "port": PORT,
        "max_connections": CONNECTIONS_MAX,
        "shared_buffers": SHARED_BUFFERS,
        "max_wal_size": WAL_SIZE_MAX,
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    if not durable:
        settings |= {"fsync": "off", "full_page_writes": "off"}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    return ["-D", str(directory.postgresql), *options]


def _quoted_in_list(path: Path) -> str:
    """Quote for a setting that is a list of names, in which commas and spaces part them."""
    return '"' + str(path).replace('"', '""') + '"'


def _why_not_ready(sockets: Path) -> str:
    try:
        _connected(sockets, "postgres").close()
    except psycopg.OperationalError as error:
        return str(error)
    return ""


def _ensure_database(sockets: Path) -> None:
    with _connected(sockets, "postgres") as connection:
        known = connection.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,))
        if known.fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def _connected(sockets: Path, database: str) -> psycopg.Connection:
    return psycopg.connect(
        host=str(sockets),
        port=PORT,
        user=ROLE,
        dbname=database,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        autocommit=True,
    )


def _url(sockets: Path) -> str:
    url = URL.create(
        "postgresql+psycopg",
        username=ROLE,
        database=DATABASE,
        query={"host": str(sockets), "port": str(PORT)},
    )
    return url.render_as_string(hide_password=False)
